"""One platform of one image: what is open, since when, and whether anybody looked."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from hullmark.event import SmokeTested
from hullmark.finding import Counts, Severity
from hullmark.fleet.flow import Week
from hullmark.fleet.opened import OpenFinding
from hullmark.history import Timeline

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence


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
    state: State
    """What it asks of its people."""
    findings: tuple[OpenFinding, ...] = ()
    """What is open, worst first. Of a retired image, what was open when it was last scanned."""
    counts: Counts = Counts()
    vulnerabilities: Counts = Counts()
    fixable: Counts = Counts()
    """Open findings for which a version that fixes them is known."""
    weeks: tuple[Week, ...] = ()
    """The last weeks of its history, oldest first."""
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
    def overdue(self) -> tuple[OpenFinding, ...]:
        """Findings whose deadline has passed, and which nobody accepted."""
        return tuple(each for each in self.findings if each.is_actionable and each.late)


def what_it_asks(condition: Condition, findings: Iterable[OpenFinding]) -> State:
    """The state of an image with these open findings."""
    if condition is Condition.RETIRED:
        return State.RETIRED
    if condition is not Condition.COVERED:
        return State.NOT_KNOWN
    open_ = [each for each in findings if each.exemption is None]
    asked = [each for each in open_ if each.is_actionable]
    if asked:
        return State.OVERDUE if any(each.late for each in asked) else State.FIXABLE
    # A finding that nobody rated is not clean either (DESIGN §4).
    waits = any(each.severity.is_relevant or each.severity is Severity.UNKNOWN for each in open_)
    return State.WAITING if waits else State.CLEAR


def why_uncovered(timeline: Timeline | None, since: str) -> tuple[Condition, str]:
    """Whether the newest scan is whole and not older than the day `since`, and if not, why."""
    if timeline is None:
        return Condition.NEVER_SCANNED, "it was never scanned"
    if timeline.latest.at[:10] < since:
        return Condition.OUTDATED, f"it was not scanned since {timeline.latest.at[:10]}"
    gaps = timeline.latest.coverage.gaps
    if gaps:
        reason = "; ".join(map(str, gaps))
        return Condition.INCOMPLETE, f"its scan was not complete: {reason}"
    return Condition.COVERED, ""


def when_retired(
    name: str, timeline: Timeline | None, summarised: Sequence[tuple[str, Collection[str]]], as_of: str
) -> str:
    """The first summary that left out the image `name` for good, or `as_of` when none did yet.

    `summarised` are the times of all summaries and the images in them, oldest first.
    """
    newest = timeline.latest.at if timeline else ""
    retired = as_of
    for at, images in reversed(summarised):
        if name in images or at < newest:
            break
        retired = at
    return retired
