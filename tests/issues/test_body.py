"""The text of an issue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from hullmark.finding import Severity
from hullmark.issues import ImageFacts
from hullmark.issues.body import END, Others, begin, compose, normal, split
from hullmark.text import ISSUE_BUDGET, utf16_length
from tests.gates import exemption
from tests.issues.histories import History, finding

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

LOG = "https://github.example/log.md"
NASTY = f"{END}\n{END} <b>@all</b> #1 | `x` \u202e ::set-output name=a::b <script> &amp; \U0001f534"


NOBODY = Others()


def text(facts: ImageFacts, others: Others = NOBODY) -> str:
    composed = compose(facts, "Status.", others, log=LOG)
    assert composed is not None
    return composed


@given(above=st.text("a\n<!-/hulmrkis: ", max_size=60), below=st.text("b\n<!-/hulmrkis: ", max_size=60))
def test_the_text_of_others_is_kept_wherever_it_stands_outside_of_ours(above: str, below: str) -> None:
    once = text(ImageFacts(image="app"), Others(normal(above), normal(below)))

    again = split(once, "app")
    assert again is not None
    assert normal(above).strip("\n") == again.above.strip("\n")
    assert normal(below).strip("\n") == again.below.strip("\n")
    assert text(ImageFacts(image="app"), again) == once


def test_a_text_that_a_browser_sent_is_the_same_text() -> None:
    once = text(ImageFacts(image="app"), Others("mine", "yours"))

    assert split(once.replace("\n", "\r\n") + "\r\n", "app") == Others("mine", "yours")


def test_a_part_about_another_image_is_not_ours() -> None:
    assert split(f"{begin('other')}\nx\n{END}", "app") is None
    assert split(f"quoted: {begin('app')}", "app") is None


def test_where_our_end_was_deleted_nothing_of_others_is_lost() -> None:
    assert split(f"above\n{begin('app')}\nbelow", "app") == Others("above", "below")


def full(root: Path, scans: int, each: int) -> History:
    history = History(root)
    for number in range(scans):
        names = range(number * each, number * each + each)
        history.scan(*(finding(f"CVE-2026-{n}", package=f"{NASTY[:40]}{n}", source="") for n in names))
    return history


def test_the_text_is_never_longer_than_github_takes(tmp_path: Path) -> None:
    composed = text(full(tmp_path, 30, 40).facts())

    assert ISSUE_BUDGET - 8_000 < utf16_length(composed) <= ISSUE_BUDGET
    assert composed.endswith(END)


@settings(max_examples=20, deadline=None)
@given(length=st.integers(0, 70_000), wide=st.booleans())
def test_text_of_others_counts_and_is_never_cut(
    tmp_path_factory: pytest.TempPathFactory, length: int, wide: bool
) -> None:
    facts = full(tmp_path_factory.mktemp("ledger"), 3, 20).facts()
    below = ("\U0001f534" if wide else "x") * length

    composed = compose(facts, "Status.", Others("", below), log=LOG)

    if composed is None:
        assert utf16_length(below) > ISSUE_BUDGET - 10_000
    else:
        assert utf16_length(composed) <= ISSUE_BUDGET
        assert below in composed


def test_the_newest_scans_come_first_older_ones_are_folded_the_oldest_replaced_by_a_link(
    tmp_path: Path,
) -> None:
    history = History(tmp_path)
    for number in range(400):
        history.scan(*([finding()] if number % 2 else []))

    composed = text(history.facts())

    days = [line for line in composed.splitlines() if line.startswith(("#### ", "<details>"))]
    assert [line.startswith("#### ") for line in days[:5]] == [True, True, True, False, False]
    assert days == sorted(days, key=lambda line: line.partition("202")[2], reverse=True)
    assert f"{400 - len(days)} older scans are in the [audit log]({LOG})." in composed


def test_a_table_that_is_too_long_says_what_is_left_out(tmp_path: Path) -> None:
    composed = text(full(tmp_path, 1, 600).facts())

    assert "more findings, see the audit log." in composed
    assert "more vulnerabilities, see the audit log." in composed


def test_no_text_from_a_scanner_can_end_our_part_or_become_markup(tmp_path: Path) -> None:
    nasty = finding(NASTY, package=NASTY, source=NASTY, versions=(NASTY,), fixed=NASTY, status=NASTY)
    facts = History(tmp_path).scan(nasty).facts(exemptions=[exemption("x", reason=NASTY)])

    composed = text(facts)

    assert composed.splitlines().count(END) == 1
    assert split(composed, "app") == Others()
    for active in ("<b>", "<script>", "@all", "\n::set-output", "\u202e"):
        assert active not in composed.replace("`" + NASTY, "")


def test_the_table_at_the_top_says_how_it_stands(tmp_path: Path) -> None:
    fixable = finding("CVE-2026-2", Severity.MEDIUM, fixed="3.5.2")
    later = finding("CVE-2026-5", Severity.CRITICAL, status="will_not_fix")
    entry = exemption("CVE-2026-9", package="openssl")
    history = (
        History(tmp_path)
        .scan(finding(), fixable, finding("CVE-2026-9"))
        .scan(finding(), fixable, later, finding("CVE-2026-9"))
    )

    rows = text(history.facts(exemptions=[entry], tag_kept="stays")).splitlines()

    for row in (
        "| Now | 1 critical, 1 high, 1 medium |",
        "| Introduced by the newest scan | 1 critical |",
        "| Resolved by the newest scan | none |",
        "| Fixable | 1 of 3 relevant vulnerabilities |",
        "| Oldest | CVE-2026-1, since 2026-01-05 |",
        (
            "| Blocked by | 1 wait for newer packages in this image; "
            "2 have no fix yet (`affected` 1, `will_not_fix` 1) |"
        ),
        "| Accepted until 2027-01-01 | CVE-2026-9 by `@team`: Never parsed. |",
        "| Published tag | stays |",
    ):
        assert row in rows
