"""Markdown for people: `SECURITY_SUMMARY.md`, a projection of the summary document and of nothing else."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from hullmark.summary_document import Direction
from hullmark.text import escape_markdown, markdown_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hullmark.finding import Counts
    from hullmark.summary_document import ImageEntry, Summary, TrendPoint

SEVERITIES = ("critical", "high", "medium", "low", "unknown")
WEEKLY_RHYTHM = 10
"""Days after which the next point of the trend is said to be late."""

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def render_summary(summary: Summary) -> str:
    """Return `SECURITY_SUMMARY.md`, with all text from outside escaped."""
    parts = [
        f"# Security summary, {in_words(summary.period.start)} to {in_words(summary.period.end)}",
        *_sample_mark(summary),
        f"**{_verdict(summary)}** {_state(summary)}",
        *_missing(summary),
        "## Images",
        _images_table(summary),
        "## What changed",
        *_changes(summary),
        *_exempted(summary),
        "## Trend",
        _trend_table(summary.trend),
        "## How to read it",
        *_legend(summary),
        "## Evidence",
        *_evidence(summary),
    ]
    return "\n\n".join(parts) + "\n"


def in_words(day: date | str) -> str:
    """A day as people write it: 23 November 2026."""
    day = date.fromisoformat(day[:10]) if isinstance(day, str) else day
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def plural(number: int, one: str, many: str = "") -> str:
    """`1 image`, `2 images`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: range) -> str:
    """Return a Markdown table of cells that are escaped already; columns in `numbers` stand to the right."""
    rule = ["---:" if place in numbers else "---" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _sample_mark(summary: Summary) -> Iterator[str]:
    if summary.sample:
        yield (
            "> **Sample.** Made with a small demonstration database: the figures show how the pipeline "
            "works, not how secure these images are."
        )


def _verdict(summary: Summary) -> str:
    if not summary.images:
        return "Nothing was covered: no image is known, and nothing here may be read as clean."
    words = {
        Direction.BETTER: "Better than",
        Direction.WORSE: "Worse than",
        Direction.STABLE: "Neither better nor worse than",
    }
    base = summary.compared_with
    against = f"{words[summary.direction]} on {in_words(base.generated_at)}" if base else ""
    if not summary.coverage.complete:
        blind = f"{plural(len(summary.coverage.missing), 'image')} of {summary.coverage.expected} not covered"
        worse = f", and {against[0].lower()}{against[1:]}" if summary.direction is Direction.WORSE else ""
        return f"Incomplete: {blind}{worse}; nothing here may be read as clean."
    return f"{against}." if against else "The first summary: there is nothing to compare with yet."


def _state(summary: Summary) -> str:
    counts = summary.totals
    found = f"{counts.critical:,} CRITICAL, {counts.high:,} HIGH and {counts.medium:,} MEDIUM findings"
    least = "" if summary.coverage.complete else "at least "
    many = summary.vulnerabilities
    distinct = f" ({plural(many.total, 'vulnerability', 'vulnerabilities')} of any severity)" if many else ""
    capped = (
        f" (it stops at 100; uncapped {summary.risk_index_uncapped:,})" if summary.risk_index_capped else ""
    )
    images = plural(len(summary.images), "image")
    return f"Known in {images}: {least}{found}{distinct}. Risk index {least}{summary.risk_index}{capped}."


def _missing(summary: Summary) -> Iterator[str]:
    lines = [
        f"- {escape_markdown(image.name)}: {escape_markdown(image.coverage.reason or 'not covered')}."
        for image in summary.images
        if not image.coverage.covered
    ]
    if lines:
        yield "Not covered this time:"
        yield "\n".join(lines)


def _images_table(summary: Summary) -> str:
    head = ("Image", *(name.capitalize() for name in SEVERITIES), "Vulnerabilities", "Covered")
    rows = [
        (escape_markdown(image.name), *_numbers(image.counts, image.vulnerabilities), _coverage(image))
        for image in summary.images
    ]
    rows.append(("**Total**", *_numbers(summary.totals, summary.vulnerabilities), ""))
    return table(head, rows, numbers=range(1, 7))


def _numbers(counts: Counts, vulnerabilities: Counts | None) -> tuple[str, ...]:
    distinct = f"{vulnerabilities.total:,}" if vulnerabilities else "not known"
    return (*(f"{getattr(counts, name):,}" for name in SEVERITIES), distinct)


def _coverage(image: ImageEntry) -> str:
    coverage = image.coverage
    if coverage.covered:
        return f"yes, scan of {in_words(coverage.as_of)}" if coverage.as_of else "yes"
    if coverage.as_of is None:
        return "**no**, risk unknown"
    return f"**no**, last known on {in_words(coverage.as_of)}"


def _changes(summary: Summary) -> Iterator[str]:
    base = summary.compared_with
    if base is None:
        yield "There is no earlier summary to compare with."
        return
    before = {image.name: image for image in base.images}
    compared = frozenset(summary.coverage.compared)
    yield (
        f"Compared with the summary of {in_words(base.generated_at)}, over {plural(len(compared), 'image')} "
        "covered both times:"
    )
    rows = [
        (escape_markdown(image.name), *_signed(image.counts - before[image.name].counts))
        for image in summary.images
        if image.name in compared
    ]
    rows.append(("**Together**", *_signed(summary.delta)))
    head = ("Image", *(name.capitalize() for name in SEVERITIES))
    yield table(head, rows, numbers=range(1, 6))
    yield from _comings_and_goings(summary, before)


def _comings_and_goings(summary: Summary, before: dict[str, ImageEntry]) -> Iterator[str]:
    after = {image.name: image for image in summary.images}
    joined = [name for name in after if name not in before]
    retired = [name for name in before if name not in after]
    back = [
        name
        for name, image in after.items()
        if image.coverage.covered and name in before and not before[name].coverage.covered
    ]
    lines = [
        f"- {label}: {', '.join(map(escape_markdown, names))}."
        for label, names in (
            ("New, so not compared", joined),
            ("Retired", retired),
            ("Covered again; compared with what was last known, for the worse only", back),
        )
        if names
    ]
    if lines:
        yield "\n".join(lines)


def _exempted(summary: Summary) -> Iterator[str]:
    if not summary.exempted:
        return
    yield "## Accepted risks"
    yield "What they cover is counted above all the same, keeps no issue open, and is not judged in a change."
    rows = [
        (
            escape_markdown(entry.image),
            escape_markdown(entry.id),
            escape_markdown(entry.package or "any"),
            f"{entry.findings:,}",
            in_words(entry.expires),
            markdown_code(entry.owner),
            escape_markdown(" ".join(entry.reason.split())),
        )
        for entry in summary.exempted
    ]
    head = ("Image", "Vulnerability", "Package", "Findings", "Until", "Owner", "Reason")
    yield table(head, rows, numbers=range(3, 4))


def _signed(counts: Counts) -> tuple[str, ...]:
    return tuple(f"{number:+,}" if (number := getattr(counts, name)) else "0" for name in SEVERITIES)


def _trend_table(trend: Sequence[TrendPoint]) -> str:
    rows = []
    for place, point in enumerate(trend):
        notes = ["not every image was covered"] if point.partial else []
        gap = (point.date - trend[place - 1].date).days if place else 0
        if gap > WEEKLY_RHYTHM:
            notes.append(f"{gap} days after the one before")
        counts = (f"{number:,}" for number in (point.critical, point.high, point.medium))
        rows.append((in_words(point.date), *counts, "; ".join(notes)))
    return table(("Day", "Critical", "High", "Medium", "Note"), rows, numbers=range(1, 4))


def _legend(summary: Summary) -> Iterator[str]:
    yield (
        "- A **finding** is one vulnerability in one package, which is what Trivy counts; "
        "a **vulnerability** is counted once, however many packages carry it.\n"
        "- **Unknown** findings are rated by nobody yet: not harmless, not counted as relevant.\n"
        "- An image that was not covered keeps its last known figures: nothing gets better by not looking.\n"
        "- **Worse** means that CRITICAL findings or the risk-weighted sum rise; **better** that the sum "
        "falls while neither CRITICAL nor unknown findings rise, and every image was covered.\n"
        f"- **Risk index**: {markdown_code(summary.risk_index_method)}."
    )


def _evidence(summary: Summary) -> Iterator[str]:
    source = "the ledger" if summary.origin == "ledger" else "Trivy reports, without a ledger"
    yield f"Made on {in_words(summary.generated_at)} ({markdown_code(summary.generated_at)}) from {source}."
    if summary.ledger:
        heads = (
            (escape_markdown(name), f"{head.entries:,}", markdown_code(head.head))
            for name, head in summary.ledger.items()
        )
        yield table(("Ledger", "Entries", "Head"), heads, numbers=range(1, 2))
    if summary.sources:
        yield "\n".join(f"- {markdown_code(source)}" for source in summary.sources)
