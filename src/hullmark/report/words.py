"""The sentences of a report. Every figure in them is a property of the report, never a second count."""

from __future__ import annotations

from collections import Counter
from datetime import date
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec

from hullmark.finding import Cause, Counts, Kind

if TYPE_CHECKING:
    from hullmark.report.model import Report
    from hullmark.report.period import Period

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

_MISSED = 3
"""How many that were not covered a short report names."""

KINDS = {
    Kind.VULNERABILITY: "vulnerability",
    Kind.MISCONFIGURATION: "misconfiguration",
    Kind.SECRET: "secret",
    Kind.LICENCE: "licence",
    Kind.CODE: "code",
}

CAUSES = {
    Cause.IMAGE: "a change of the image",
    Cause.REBUILD: "a rebuild of the same inputs",
    Cause.DATABASE: "the database: disclosed or withdrawn",
    Cause.RATING: "another rating",
    Cause.SCANNER: "another scanner version",
    Cause.EXEMPTION: "an accepted risk",
    Cause.SCOPE: "scope: nobody had looked before",
}


class Prose(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parts that are the same in every report."""

    method: tuple[str, ...]
    evidence: tuple[str, ...]
    support: tuple[str, ...]
    controls: tuple[tuple[str, str, str], ...]
    """Section, control, what the control asks for."""


@cache
def prose() -> Prose:
    """What `prose.toml` says."""
    return msgspec.toml.decode(files(__package__).joinpath("prose.toml").read_bytes(), type=Prose)


def in_words(day: date | str) -> str:
    """A day as people write it: 23 November 2026."""
    day = date.fromisoformat(day[:10]) if isinstance(day, str) else day
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def plural(number: int, one: str, many: str = "") -> str:
    """`1 image`, `2 images`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def period(period: Period) -> str:
    """The days of the period in words."""
    if period.start == period.end:
        return in_words(period.start)
    return f"{in_words(period.start)} to {in_words(period.end)}"


def tone(report: Report) -> str:
    """How the verdict is coloured: `bad`, `unknown` or `good`."""
    if not report.expected or report.distinct.critical or report.distinct.high:
        return "bad"
    return "unknown" if report.uncovered or report.distinct.relevant or report.distinct.unknown else "good"


def verdict(report: Report) -> str:
    """The state at the end of the period in one or two sentences."""
    if not report.expected:
        return "Nothing is known: no image was recorded, and nothing here may be read as clean."
    blind = len(report.uncovered)
    state = f"{_state(report.distinct, least=bool(blind))} in {plural(len(report.expected), 'image')}."
    if not blind:
        return state
    return (
        f"Incomplete: {blind} of {plural(len(report.expected), 'image')} could not be covered, "
        f"and nothing here may be read as clean. {state}"
    )


def _state(counts: Counts, *, least: bool) -> str:
    parts = [
        f"{getattr(counts, name):,} {name}"
        for name in ("critical", "high", "medium")
        if getattr(counts, name)
    ]
    known = "are known to be open"
    if not parts:
        rest = counts.low + counts.unknown
        if rest:
            low = plural(rest, "vulnerability", "vulnerabilities")
            relevant = "No vulnerability of medium severity or above is known"
            return f"{relevant}; {low} of lower or unknown severity {known}"
        return "No vulnerability is known"
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    noun = "vulnerability" if counts.relevant == 1 else "vulnerabilities"
    verb = "is known to be open" if counts.relevant == 1 else known
    worst = "" if counts.critical or counts.high else "No critical or high vulnerability is known; "
    return f"{worst}{'at least ' if least else ''}{listed} {noun} {verb}"


def scope(report: Report, *, full: bool) -> tuple[str, ...]:
    """What was looked at, and what was not: each with its reason, in a report that is not full some."""
    scans = sum(image.scans for image in report.expected)
    looked = (
        f"{plural(len(report.expected), 'image')} in scope, {plural(scans, 'scan')} in the period. "
        "Covered means: scanned in the period, and everything that should have been seen was seen."
    )
    missed = [
        f"Not covered: {image.image} ({image.platform}), because {image.missing}."
        for image in report.images
        if image.missing
    ]
    if not full and len(missed) > _MISSED:
        missed[_MISSED:] = [f"Not covered either: {len(missed) - _MISSED} more; the full report names all."]
    return looked, *missed


def open_findings(report: Report) -> tuple[str, ...]:
    """What is open at the end of the period."""
    accepted = sum(len(image.exempted) for image in report.current)
    others = sum(len(image.others) for image in report.current)
    distinct = plural(report.distinct.total, "vulnerability", "vulnerabilities")
    findings = plural(report.counts.total, "finding")
    sentences = [f"On {in_words(report.period.end)}: {distinct} in {findings}."]
    if accepted:
        sentences.append(f"The risk of {plural(accepted, 'finding')} is accepted; they stay in the counts.")
    if others:
        sentences.append(f"{plural(others, 'finding')} of other kinds are listed apart and not counted here.")
    return (" ".join(sentences),)


def changes(report: Report) -> tuple[str, ...]:
    """What came and went, by cause."""
    listed = [change for image in report.images for change in image.changes]
    if not listed:
        return ("Nothing came, and nothing went.",)
    sentences = []
    for word, introduced in (("New", True), ("Gone", False)):
        causes = Counter(CAUSES[change.change.cause] for change in listed if change.introduced is introduced)
        if causes:
            parts = (f"{number:,} by {cause}" for cause, number in sorted(causes.items(), key=_most_first))
            sentences.append(f"{word}: {'; '.join(parts)}.")
    return (
        " ".join(sentences)
        + " These are vulnerabilities of one source package; the table below counts findings.",
    )


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def decisions(report: Report) -> tuple[str, ...]:
    """Who or what decided about changes, and which risks are accepted."""
    verdicts = Counter(entry.event.verdict.value for entry in report.decisions)
    counted = ", ".join(f"{verdicts[name]} {name}" for name in ("allow", "review", "block") if verdicts[name])
    decided = (
        f"{plural(len(report.decisions), 'change')} judged in the period: {counted}."
        if report.decisions
        else "No change was judged in the period."
    )
    over = sum(each.expires <= report.period.end for each in report.exemptions)
    accepted = f"{plural(len(report.exemptions) - over, 'accepted risk')} in force"
    ended = f", {over} ended in the period" if over else ""
    return (f"{decided} {accepted}{ended}.",)
