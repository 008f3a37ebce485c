"""The page of one image: what is open, where it sits, who decided what, and what every scan changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from hullmark.dashboard import tables
from hullmark.dashboard.contents import layer_rows, package_rows
from hullmark.dashboard.words import tell_member
from hullmark.decision import meaning
from hullmark.exemptions import applies_to
from hullmark.finding import Counts, Severity, count_by_severity
from hullmark.fleet import OpenFinding
from hullmark.fleet.opened import by_vulnerability
from hullmark.formats.markdown import plural
from hullmark.history import ScanRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hullmark.dashboard.contents import Contents
    from hullmark.event import Change
    from hullmark.fleet import Fleet, Member, RecordedDecision

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
    rerated: int
    counts: Counts
    """Open after it."""


def image_values(fleet: Fleet, member: Member, contents: Contents | None) -> dict[str, Any]:
    """What the page of `member` shows. `contents` are None where it was never scanned."""
    rows = finding_rows(member.findings)
    sources = tables.sources(member)
    latest = member.timeline.latest if member.timeline else None
    return {
        "verdict": tell_member(member),
        "description": f"{member.name}: {tell_member(member).text}"[:300],
        "actions": [action for action in fleet.actions if action.member == member.name],
        "weeks": member.weeks,
        "last": member.weeks[-1] if member.weeks else None,
        "scans": scan_rows(member),
        "finding_rows": [row for row in rows if row.first.severity.is_relevant],
        "lesser_rows": [row for row in rows if not row.first.severity.is_relevant],
        "sources": sources[:SHOWN_SOURCES],
        "more_sources": max(0, len(sources) - SHOWN_SOURCES),
        "highest": max((source.findings for source in sources), default=1),
        "latest": latest,
        "build": tell_build(member),
        "packages": package_rows(member, contents) if contents else [],
        "layers": layer_rows(member, contents) if contents else [],
        "rules": _rules(fleet.judgement_of(member), member),
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
                rerated=sum(
                    len(rename.after.packages)
                    for rename in event.changed
                    if rename.before.severity is not rename.after.severity
                ),
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


def tell_build(member: Member) -> tuple[str, str]:
    """Whether building again gave the same bytes, with a tone: as far as scans of the same inputs say."""
    if member.timeline is None or member.timeline.latest.inputs is None:
        return "its inputs were not recorded", ""
    same = [scan for scan in member.timeline.scans if scan.inputs == member.timeline.latest.inputs]
    digests = {scan.digest for scan in same}
    if len(digests) > 1:
        return f"{len(digests)} digests of the same inputs", "stale"
    if len(same) == 1:
        return "the first of these inputs", ""
    return f"same digest in {plural(len(same), 'scan')} of the same inputs", "good"


def _rules(judgement: RecordedDecision | None, member: Member) -> list[tuple[str, str, str]]:
    """The rules that spoke about `member` in a decision: what each says, what it named, and its verdict."""
    if judgement is None:
        return []
    return [
        (
            meaning(reason.rule, judgement.policy),
            ", ".join(dict.fromkeys(concern.id for concern in reason.concerns[:3])),
            reason.verdict.value,
        )
        for reason in judgement.decision.reasons
        if (reason.image, reason.platform) == (member.image, member.platform)
    ]
