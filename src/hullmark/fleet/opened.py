"""A finding that is open, with what the history, the deadlines and the exemptions say about it."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import TYPE_CHECKING

import msgspec

from hullmark.deadline import Deadlines
from hullmark.errors import RepositoryError
from hullmark.exemptions import Exemption, covers
from hullmark.finding import Cause, Finding, Kind, Severity, VulnerabilityKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hullmark.history import Interval, Timeline


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
    exploited: bool = False
    """Whether the newest list that a decision asked says that it is exploited."""

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


class Today(msgspec.Struct, frozen=True, kw_only=True):
    """The day on which findings are looked at, and what holds on it."""

    day: date
    deadlines: Deadlines
    exemptions: tuple[Exemption, ...] = ()
    exploited: frozenset[str] = frozenset()
    """Vulnerabilities that are known to be exploited."""


def open_findings(timeline: Timeline, findings: Iterable[Finding], today: Today) -> tuple[OpenFinding, ...]:
    """Each of `findings`, which are those of the newest scan of `timeline`, worst first.

    RepositoryError when the history never saw one of them begin.
    """
    begun = {each.identity: each for each in timeline.intervals if each.is_open}
    accepted: dict[str, list[Exemption]] = defaultdict(list)
    for entry in today.exemptions:
        accepted[entry.id].append(entry)
    opened = []
    for finding in findings:
        if (interval := begun.get(finding.identity)) is None:
            raise RepositoryError(
                f"ledger of {timeline.image}: {finding.id} in {finding.package} is open, and never began",
                hint="Run `hullmark verify`: entries or evidence were changed.",
            )
        entries = accepted.get(finding.id, ())
        covering = (entry for entry in entries if covers(entry, timeline.image, finding, today.day))
        opened.append(_opened(finding, interval, next(covering, None), today))
    return tuple(sorted(opened, key=worst_first))


def _opened(finding: Finding, interval: Interval, exemption: Exemption | None, today: Today) -> OpenFinding:
    since = interval.fix_since if finding.fixed else ""
    due = today.deadlines.due(finding.severity, since)
    return OpenFinding(
        finding=finding,
        since=interval.first_seen,
        cause=interval.cause,
        fixable_since=since,
        due=due,
        age=(today.day - date.fromisoformat(interval.first_seen[:10])).days,
        late=max(0, (today.day - due).days) if due else 0,
        exemption=exemption,
        exploited=finding.id in today.exploited,
    )


def worst_first(finding: OpenFinding) -> tuple[object, ...]:
    """The order of every list of findings: kind, severity, lateness, id, package, path."""
    one = finding.finding
    is_other = one.kind is not Kind.VULNERABILITY
    return (
        *(is_other, one.kind, -one.severity.rank, -finding.late),
        *(one.id, one.package, one.path, one.discriminator),
    )


def by_vulnerability(findings: Iterable[OpenFinding]) -> tuple[tuple[OpenFinding, ...], ...]:
    """Findings of one vulnerability together, in the order in which the first of each comes."""
    groups: dict[VulnerabilityKey, list[OpenFinding]] = defaultdict(list)
    for each in findings:
        groups[each.finding.vulnerability].append(each)
    return tuple(map(tuple, groups.values()))
