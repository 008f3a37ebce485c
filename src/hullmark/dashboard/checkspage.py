"""The page about the repository's own files: each kind by itself, with the tools that looked for it.

Rules (each has a test with the same words):
- kinds are never added up, with each other or with vulnerabilities;
- a kind that no tool looked for is said to be so, and is not clean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from hullmark.dashboard.words import Verdict
from hullmark.finding import KIND_TITLES, Counts, Kind, Severity, count_findings
from hullmark.fleet import OpenFinding
from hullmark.formats.markdown import in_words, plural
from hullmark.scan import Gap

if TYPE_CHECKING:
    from hullmark.fleet import Fleet, Member
    from hullmark.history import Interval, ScanRecord

KINDS = tuple(kind for kind in Kind if kind is not Kind.VULNERABILITY)


class KindPart(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about one kind."""

    kind: Kind
    title: str
    tools: tuple[str, ...]
    """Those that looked for it, with their versions; none where nobody did."""
    gaps: tuple[Gap, ...]
    """Tools that should have looked, and did not."""
    groups: tuple[tuple[Severity, tuple[OpenFinding, ...]], ...]
    """What is open, by severity; only severities that occur."""
    counts: Counts
    accepted: int

    @property
    def asked(self) -> int:
        """Relevant or unrated findings that nobody accepted."""
        open_ = (each for _, group in self.groups for each in group if each.exemption is None)
        return sum(each.severity.is_relevant or each.severity is Severity.UNKNOWN for each in open_)


def kind_parts(fleet: Fleet) -> list[KindPart]:
    """Every kind that a check can find. None where the files were never checked."""
    return [_part(fleet.repository, kind) for kind in KINDS] if fleet.repository else []


def _part(members: tuple[Member, ...], kind: Kind) -> KindPart:
    coverages = [member.timeline.latest.coverage for member in members if member.timeline]
    found = [each for member in members for each in member.findings if each.finding.kind is kind]
    found.sort(key=lambda each: (each.finding.path, each.finding.line, each.finding.identity))
    groups = [(severity, tuple(e for e in found if e.severity is severity)) for severity in Severity]
    return KindPart(
        kind=kind,
        title=KIND_TITLES[kind],
        tools=tuple(dict.fromkeys(tool for each in coverages for tool in each.kinds.get(kind, ()))),
        gaps=tuple(gap for each in coverages for gap in each.gaps if kind in gap.detail.partition("(")[2]),
        groups=tuple((severity, group) for severity, group in groups if group),
        counts=count_findings(each.finding for each in found),
        accepted=sum(each.exemption is not None for each in found),
    )


def checks_values(fleet: Fleet) -> dict[str, Any]:
    """What the page Checks shows."""
    return {
        "verdict": tell_checks(fleet),
        "parts": kind_parts(fleet),
        "checks": _checks(fleet.repository),
        "gone": _gone(fleet.repository),
    }


def _checks(members: tuple[Member, ...]) -> list[ScanRecord]:
    """Every check that was recorded, newest first."""
    scans = [scan for member in members if member.timeline for scan in member.timeline.scans]
    return sorted(scans, key=lambda scan: (scan.at, scan.event.platform), reverse=True)


def _gone(members: tuple[Member, ...]) -> list[Interval]:
    """What was found once and is no longer there, newest first."""
    lives = [life for member in members if member.timeline for life in member.timeline.intervals]
    gone = [life for life in lives if life.resolved_at]
    return sorted(gone, key=lambda life: (life.resolved_at, life.identity), reverse=True)


def tell_checks(fleet: Fleet) -> Verdict:
    """The state of the repository's own files in one sentence."""
    if not fleet.repository:
        return Verdict(
            title="This repository's own files were never checked.",
            text="Nothing is known of secrets, misconfigurations, licences, code: that is no clean result.",
            tone="calm",
        )
    parts = kind_parts(fleet)
    asked = [part for part in parts if part.asked]
    blind = [part for part in parts if part.gaps or not part.tools]
    old = [member for member in fleet.repository if not member.is_covered]
    if asked:
        told = ", ".join(f"{part.title.lower()} {part.asked:,}" for part in asked)
        text = f"Of medium severity or worse, or unrated, and not accepted: {told}."
        return Verdict(title="This repository's own files need work.", text=text, tone="warn")
    if old:
        text = f"{old[0].reason[:1].upper()}{old[0].reason[1:]}. What is shown is what was last known."
        return Verdict(title="Not all of the files were looked at.", text=text, tone="bad")
    if blind:
        text = f"Nobody looked for all {' and '.join(part.title.lower() for part in blind)}."
        return Verdict(title="Not everything was looked for.", text=text, tone="warn")
    checked = max(member.timeline.latest.at for member in fleet.repository if member.timeline)
    text = f"{plural(len(parts), 'kind')} of findings were looked for, the last time on {in_words(checked)}."
    return Verdict(title="Nothing in this repository's own files is open.", text=text, tone="good")
