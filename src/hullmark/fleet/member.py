"""One platform of one image: what is open, since when, and whether anybody looked."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from hullmark.event import SmokeTested
from hullmark.exemptions import Exemption
from hullmark.finding import Cause, Counts, Finding, Severity, VulnerabilityKey, count_findings
from hullmark.history import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterable


class Condition(StrEnum):
    """Whether what is known of an image is of today."""

    COVERED = "covered"
    NEVER_SCANNED = "never-scanned"
    INCOMPLETE = "incomplete"
    """Its newest scan could not look at everything."""
    OUTDATED = "outdated"
    """It was not scanned in the period."""
    RETIRED = "retired"
    """It is no longer expected."""


class State(StrEnum):
    """What an image asks of its people, the most urgent first."""

    NOT_KNOWN = "not-known"
    """Nobody looked, or not at everything."""
    OVERDUE = "overdue"
    """A fix is there, and its deadline has passed."""
    FIXABLE = "fixable"
    """A relevant finding has a fix, within its deadline."""
    WAITING = "waiting"
    """Relevant findings are open, and none has a fix."""
    CLEAR = "clear"
    """No relevant finding is open."""
    RETIRED = "retired"


# gc=False: text, dates and enums cannot form a cycle, and fleets bring them by the hundred thousand.
class OpenFinding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A finding that is there now, with what the history says about it."""

    finding: Finding
    since: str
    """When it was first seen, RFC 3339."""
    cause: Cause
    fixable_since: str = ""
    """When it was there and had a fix; empty while there is none."""
    due: date | None = None
    """The last day within its deadline; None where nothing is required."""
    age: int
    """Days since it was first seen."""
    late: int = 0
    """Days since its deadline; 0 within it."""
    exemption: Exemption | None = None
    """The accepted risk that covers it now."""

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return self.finding.severity

    @property
    def is_fixable(self) -> bool:
        """Whether a version that fixes it is known."""
        return bool(self.finding.fixed)

    @property
    def is_actionable(self) -> bool:
        """Whether somebody should do something: it is relevant, has a fix, and nobody accepted it."""
        return self.is_fixable and self.severity.is_relevant and self.exemption is None


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One platform of one image, now."""

    name: str
    """As the summary and the baselines have it: `postgres`, `postgres@linux-arm64`."""
    image: str
    platform: str
    condition: Condition
    reason: str = ""
    """Why it is not covered; empty when it is."""
    timeline: Timeline | None = None
    """None when it was never scanned."""
    findings: tuple[OpenFinding, ...] = ()
    """What is open, worst first. Of a retired image, what was open when it was last scanned."""
    counts: Counts = Counts()
    vulnerabilities: Counts = Counts()
    retired_at: str = ""
    """When it was found to be no longer expected; empty while it is."""
    smoke: SmokeTested | None = None
    """Its newest smoke test."""
    missed: str = ""
    """Why the newest run that expected it did not scan it; empty when it did."""

    @property
    def is_expected(self) -> bool:
        """Whether it counts: it is not retired."""
        return self.condition is not Condition.RETIRED

    @property
    def is_covered(self) -> bool:
        """Whether what is known of it is whole and of the period."""
        return self.condition is Condition.COVERED

    @property
    def state(self) -> State:
        """What it asks of its people."""
        if not self.is_expected:
            return State.RETIRED
        if not self.is_covered:
            return State.NOT_KNOWN
        asked = [each for each in self.findings if each.is_actionable]
        if any(each.late for each in asked):
            return State.OVERDUE
        if asked:
            return State.FIXABLE
        return State.WAITING if self._is_waiting else State.CLEAR

    @property
    def _is_waiting(self) -> bool:
        # A finding that nobody rated is not clean either (DESIGN §4).
        return any(
            (each.severity.is_relevant or each.severity is Severity.UNKNOWN) and each.exemption is None
            for each in self.findings
        )

    @property
    def fixable(self) -> Counts:
        """Open findings for which a version that fixes them is known."""
        return count_findings(each.finding for each in self.findings if each.is_fixable)

    @property
    def overdue(self) -> tuple[OpenFinding, ...]:
        """Findings whose deadline has passed, and which nobody accepted."""
        return tuple(each for each in self.findings if each.is_actionable and each.late)


def worst_first(finding: OpenFinding) -> tuple[object, ...]:
    """The order of every list of findings: severity, lateness, id, package, path."""
    one = finding.finding
    return -one.severity.rank, -finding.late, one.id, one.package, one.path, one.discriminator


def by_vulnerability(findings: Iterable[OpenFinding]) -> tuple[tuple[OpenFinding, ...], ...]:
    """Findings of one vulnerability together, in the order in which the first of each comes."""
    groups: dict[VulnerabilityKey, list[OpenFinding]] = defaultdict(list)
    for each in findings:
        groups[each.finding.vulnerability].append(each)
    return tuple(map(tuple, groups.values()))
