"""What the pages need beyond the fleet itself: rows, cells and groups, computed and not told."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime
from statistics import median
from typing import TYPE_CHECKING

import msgspec
from markupsafe import Markup

from hullmark.dashboard import charts, links
from hullmark.deadline import Band, band_of
from hullmark.finding import Counts, Severity, count_by_severity
from hullmark.fleet import Member, OpenFinding, State
from hullmark.fleet.action import Action, Means

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hullmark.fleet import Fleet, Week

_HEATS = ((3, 1), (10, 2), (30, 3))


class ImageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a table of images."""

    member: Member
    spark: Markup
    judged: str
    """The verdict of the newest decision that looked at it; empty when there is none."""


class AgeCell(msgspec.Struct, frozen=True, kw_only=True):
    """Fixable findings of one severity and one band of age."""

    band: Band
    number: int
    late: int
    heat: int


class AgeRow(msgspec.Struct, frozen=True, kw_only=True):
    """Fixable findings of one severity."""

    severity: Severity
    days: int
    cells: tuple[AgeCell, ...]


def image_row(fleet: Fleet, member: Member) -> ImageRow:
    """The line of one image."""
    judgement = fleet.judgement_of(member)
    judged = judgement.event.images[f"{member.image} {member.platform}"] if judgement else ""
    return ImageRow(
        member=member,
        spark=charts.sparkline([week.after.relevant for week in member.weeks], Severity.HIGH),
        judged=judged,
    )


def by_state(fleet: Fleet) -> list[tuple[State, list[Member]]]:
    """Images by state, the most urgent first; only states that occur."""
    groups: dict[State, list[Member]] = defaultdict(list)
    for member in fleet.members:
        groups[member.state].append(member)
    return [(state, groups[state]) for state in State if groups[state]]


def urgent_first(members: Iterable[Member]) -> list[Member]:
    """Images in the order of a table: by state, then by what they carry."""
    order = {state: place for place, state in enumerate(State)}
    return sorted(
        members,
        key=lambda member: (
            order[member.state],
            *(-number for number in msgspec.structs.astuple(member.counts)),
            member.name,
        ),
    )


def fixable_days(each: OpenFinding, today: date) -> int:
    """Days for which a finding has been there with a fix."""
    return (today - date.fromisoformat(each.fixable_since[:10])).days


def ages(fleet: Fleet) -> list[AgeRow]:
    """Fixable findings by severity and by the time for which they could have been fixed."""
    found: dict[tuple[Severity, Band], list[OpenFinding]] = defaultdict(list)
    for _, each in fleet.findings:
        if each.is_fixable and each.fixable_since:
            found[each.severity, band_of(fixable_days(each, fleet.today))].append(each)
    return [
        AgeRow(
            severity=severity,
            days=fleet.deadlines.days(severity) or 0,
            cells=tuple(_cell(band, found[severity, band]) for band in Band),
        )
        for severity in charts.SHOWN
    ]


def _cell(band: Band, found: list[OpenFinding]) -> AgeCell:
    late = sum(1 for each in found if each.is_actionable and each.late)
    heat = next((heat for limit, heat in _HEATS if len(found) < limit), 4)
    return AgeCell(band=band, number=len(found), late=late, heat=heat)


def median_days(fleet: Fleet) -> int:
    """Half of the relevant findings that went, went within so many days of being seen; 0 when none went."""
    days = [
        (datetime.fromisoformat(each.resolved_at) - datetime.fromisoformat(each.first_seen)).days
        for member in fleet.members
        if member.timeline
        for each in member.timeline.intervals
        if each.resolved_at and each.severities[-1][1].is_relevant
    ]
    return round(median(days)) if days else 0


def series(weeks: Sequence[Week]) -> dict[Severity, list[int]]:
    """Open findings at the end of each week, by severity."""
    return {severity: [charts.count(week.after, severity) for week in weeks] for severity in Severity}


def sum_fixable(members: Iterable[Member]) -> Counts:
    """Open findings that have a fix."""
    return sum((member.fixable for member in members), Counts())


class SourceRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one source or language package brings."""

    name: str
    counts: Counts
    findings: int


def sources(member: Member) -> list[SourceRow]:
    """The packages that bring findings, those that bring the worst first."""
    found: dict[str, list[Severity]] = defaultdict(list)
    for each in member.findings:
        found[each.finding.source or each.finding.package].append(each.severity)
    rows = [
        SourceRow(name=name, counts=count_by_severity(severities), findings=len(severities))
        for name, severities in found.items()
    ]
    return sorted(
        rows, key=lambda row: (*(-number for number in msgspec.structs.astuple(row.counts)), row.name)
    )


def action_ids(action: Action) -> list[str]:
    """Each vulnerability that an action clears, once, worst first."""
    return list(dict.fromkeys(each.finding.id for each in action.findings))


def action_link(action: Action, severity: Severity | None = None) -> str:
    """The list of what an action clears."""
    placed = {Means.REPLACE: "", Means.UPDATE: "yes", Means.REBUILD: "no"}[action.means]
    is_program = action.means is Means.REPLACE
    return links.findings(
        image=action.member,
        type="" if is_program else action.target,
        path=action.target if is_program else "",
        placed=placed,
        fix="yes",
        exempt="no",
        severity=severity.value if severity else "",
    )


def gap_before(trend: Sequence[object], point: object) -> int:
    """Days since the point before, where they are more than a week and some patience; else 0."""
    place = trend.index(point)
    if not place:
        return 0
    days = (getattr(point, "date") - getattr(trend[place - 1], "date")).days  # noqa: B009 - any dated point
    return days if days > charts.RHYTHM else 0
