"""The page of one image: what is open, where it sits, who decided what, and what every scan changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from hullmark.dashboard import tables
from hullmark.dashboard.words import tell_member
from hullmark.exemptions import applies_to
from hullmark.finding import Counts, Severity, count_by_severity
from hullmark.fleet import OpenFinding
from hullmark.fleet.member import by_vulnerability
from hullmark.history import ScanRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hullmark.event import Change
    from hullmark.fleet import Fleet, Member, Week

SHOWN_SOURCES = 14


class FindingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One vulnerability of one source package, with all packages that carry it."""

    first: OpenFinding
    packages: tuple[str, ...]
    paths: tuple[str, ...]
    versions: tuple[str, ...]
    findings: int
    late: int
    due: str


class ScanRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one scan changed."""

    scan: ScanRecord
    before: str
    """The time of the scan before; of the first one, an empty time."""
    introduced: int
    resolved: int
    changed: int
    counts: Counts
    """Open after it."""


def image_values(fleet: Fleet, member: Member, weeks: tuple[Week, ...]) -> dict[str, Any]:
    """What the page of `member` shows."""
    rows = finding_rows(member.findings)
    sources = tables.sources(member)
    latest = member.timeline.latest if member.timeline else None
    return {
        "verdict": tell_member(member),
        "description": f"{member.name}: {tell_member(member).text}"[:300],
        "actions": [action for action in fleet.actions if action.member == member.name],
        "weeks": weeks,
        "last": weeks[-1] if weeks else None,
        "scans": scan_rows(member),
        "finding_rows": [row for row in rows if row.first.severity.is_relevant],
        "lesser_rows": [row for row in rows if not row.first.severity.is_relevant],
        "sources": sources[:SHOWN_SOURCES],
        "more_sources": max(0, len(sources) - SHOWN_SOURCES),
        "highest": max((source.findings for source in sources), default=1),
        "latest": latest,
        "same_builds": same_builds(member),
        "judgements": [
            (len(fleet.judgements) - place, each)
            for place, each in enumerate(fleet.judgements)
            if f"{member.image} {member.platform}" in each.event.images
        ][:5],
        "accepted": [entry for entry in fleet.exemptions if applies_to(entry, member.image)],
        "state_filter": "" if member.is_expected else "last",
    }


def finding_rows(findings: Iterable[OpenFinding]) -> list[FindingRow]:
    """One row for each vulnerability, in the order of the findings."""
    return [_row(group) for group in by_vulnerability(findings)]


def _row(group: tuple[OpenFinding, ...]) -> FindingRow:
    due = min((each.due for each in group if each.due), default=None)
    return FindingRow(
        first=group[0],
        packages=tuple(sorted({each.finding.package for each in group})),
        paths=tuple(sorted({each.finding.path for each in group if each.finding.path})),
        versions=tuple(sorted({version for each in group for version in each.finding.versions})),
        findings=len(group),
        late=max(each.late for each in group),
        due=due.isoformat() if due else "",
    )


def scan_rows(member: Member) -> list[ScanRow]:
    """Every scan, newest first, with what was open after it."""
    if member.timeline is None:
        return []
    rows: list[ScanRow] = []
    open_now = Counts()
    before = ""
    for scan in member.timeline.scans:
        event = scan.event
        open_now = open_now + _count(event.introduced) - _count(event.resolved)
        for rename in event.changed:
            open_now = open_now + _count([rename.after]) - _count([rename.before])
        rows.append(
            ScanRow(
                scan=scan,
                before=before,
                introduced=_count(event.introduced).total,
                resolved=_count(event.resolved).total,
                changed=sum(len(rename.after.packages) for rename in event.changed),
                counts=open_now,
            )
        )
        before = scan.at
    return rows[::-1]


def _count(changes: Iterable[Change]) -> Counts:
    severities: list[Severity] = []
    for change in changes:
        severities += [change.severity] * len(change.packages)
    return count_by_severity(severities)


def same_builds(member: Member) -> int:
    """Scans in a row, the newest last, of one digest: builds that gave the same bytes, or no build."""
    if member.timeline is None:
        return 0
    scans = member.timeline.scans
    number = 0
    for scan in reversed(scans):
        if scan.digest != scans[-1].digest:
            break
        number += 1
    return number
