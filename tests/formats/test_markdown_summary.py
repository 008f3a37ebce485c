"""`SECURITY_SUMMARY.md` is read by people: it says what is known, and what is not."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from markdown_it import MarkdownIt

from hullmark.formats.markdown import in_words, plural, render_summary
from hullmark.summary import ImageReading, LedgerHead, Origin, summarise
from tests.summaries import MONDAY, counts_of, histories, seen, told, unseen, week
from tests.test_text import Parts, anything


def lines(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start)]


def test_a_better_week() -> None:
    before = week(seen("php", 0, 3), seen("postgres", 1))
    text = render_summary(
        week(seen("php", 0, 1, as_of=date(2026, 11, 29)), seen("postgres", 1), number=1, before=before)
    )

    assert text.startswith("# Security summary, 23 November 2026 to 30 November 2026\n")
    assert "**Better than on 23 November 2026.** Known in 2 images: 1 CRITICAL, 1 HIGH and 0 MEDIUM" in text
    assert "| php | 0 | 1 | 0 | 0 | 0 | 1 | yes, scan of 29 November 2026 |" in text
    assert "| php | 0 | -2 | 0 | 0 | 0 |" in text
    assert "| **Together** | 0 | -2 | 0 | 0 | 0 |" in text
    assert "sample" not in text.lower()


def test_a_partial_week_says_so_first() -> None:
    before = week(seen("a", 0, 3), seen("b", 1, as_of=date(2026, 11, 20)), seen("old"))
    summary = week(
        seen("a", 0, 9), unseen("b"), unseen("c"), seen("d"), number=1, before=before, retired=("old",)
    )
    text = render_summary(summary)

    assert "**Incomplete: 2 images of 4 not covered, and worse than on 23 November 2026; nothing here" in text
    assert "at least 1 CRITICAL" in text
    assert "- b: its report does not exist." in text
    assert "| b | 1 | 0 | 0 | 0 | 0 | 1 | **no**, last known on 20 November 2026 |" in text
    assert "| c | 0 | 0 | 0 | 0 | 0 | not known | **no**, risk unknown |" in text
    assert "- New, so not compared: c, d." in text
    assert "- Retired: old." in text
    assert "not every image was covered" in lines(text, "| 30 November 2026")[0]


def test_an_image_seen_again_is_named() -> None:
    partial = week(unseen("a"), number=1, before=week(seen("a", 0, 5)))

    assert "Covered again" in render_summary(week(seen("a", 0, 4), number=2, before=partial))


def test_the_first_summary_invents_no_comparison() -> None:
    text = render_summary(week(seen("a")))

    assert "**The first summary: there is nothing to compare with yet.**" in text
    assert "There is no earlier summary to compare with." in text


def test_nothing_at_all_is_not_clean() -> None:
    assert "nothing here may be read as clean" in render_summary(week())


def test_a_sample_is_marked_on_top() -> None:
    text = render_summary(week(seen("a"), sample=True))

    assert text.splitlines()[2].startswith("> **Sample.**")


def test_a_gap_in_the_trend_is_said() -> None:
    text = render_summary(week(seen("a"), number=3, before=week(seen("a"))))

    assert "21 days after the one before" in lines(text, "| 14 December 2026")[0]


def test_a_capped_index_says_what_it_would_be() -> None:
    assert "Risk index 100 (it stops at 100; uncapped 333)." in render_summary(week(seen("a", 100)))


def test_ledger_heads_and_sources_are_evidence() -> None:
    summary = summarise(
        [seen("a", source="reports/a.json")],
        now=MONDAY,
        origin=Origin.LEDGER,
        ledger={"runs": LedgerHead(entries=1234, head="ab12")},
    )
    text = render_summary(summary)

    assert "| runs | 1,234 | `ab12` |" in text
    assert "- `reports/a.json`" in text
    assert "from the ledger." in text


@pytest.mark.parametrize(
    ("day", "words"), [("2026-01-02T03:04:05Z", "2 January 2026"), (date(2026, 12, 31), "31 December 2026")]
)
def test_days_are_written_out(day: date | str, words: str) -> None:
    assert in_words(day) == words


def test_one_is_not_many() -> None:
    assert (plural(1, "image"), plural(2, "image"), plural(0, "box", "boxes")) == (
        "1 image",
        "2 images",
        "0 boxes",
    )


@given(anything)
def test_law_10_no_scanner_text_reaches_the_summary_unescaped(text: str) -> None:
    hostile = text.encode("utf-8", "replace").decode()
    summary = summarise(
        [
            ImageReading(name=f"a{hostile}", counts=counts_of(1), source=hostile or "a"),
            ImageReading(name=f"b{hostile}", missing=hostile or "gone"),
        ],
        now=MONDAY,
        origin=Origin.REPORTS,
        ledger={hostile: LedgerHead(entries=1, head=hostile)},
    )
    plain = summarise(
        [ImageReading(name="a", source="a"), ImageReading(name="b", missing="gone")],
        now=MONDAY,
        origin=Origin.REPORTS,
        ledger={"a": LedgerHead(entries=1, head="a")},
    )

    tags, other = tags_of(render_summary(summary))
    assert other == []
    assert tags == tags_of(render_summary(plain))[0]


def tags_of(markdown: str) -> tuple[list[str], list[str]]:
    """Tags but inline code, which empty text does not have, and whatever else a browser would see."""
    parts = Parts()
    parts.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))
    return [tag for tag in parts.tags if tag != "code"], parts.other


@given(histories)
def test_every_summary_can_be_shown(history: list[list[ImageReading]]) -> None:
    summary = told(history)
    text = render_summary(summary)

    assert len(lines(text, "|")) >= len(summary.images) + len(summary.trend)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
