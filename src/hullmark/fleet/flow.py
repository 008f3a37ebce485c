"""What came and what went in each week, so that the numbers add up.

previous + introduced - resolved ± re-rated ± scope = now, for every severity. Introduced is what appeared in
an image that was there before; scope is what joined with a first scan or a wider one, less what left with a
retired image. What was rated otherwise counts as introduced or resolved with the severity that it then had.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from hullmark.finding import Cause, Counts, Severity
from hullmark.ledger.entry import format_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hullmark.fleet.member import Member
    from hullmark.history import Interval

WEEKS = 26
WEEK = timedelta(days=7)


class Week(msgspec.Struct, frozen=True, kw_only=True):
    """Seven days, and what they did to the number of open findings."""

    start: str
    """RFC 3339; itself not part of the week, but `end` is."""
    end: str
    before: Counts
    introduced: dict[Cause, Counts]
    """By cause, without `scope`; only causes that occur."""
    resolved: dict[Cause, Counts]
    rerated: Counts
    """What changes of severity add to each severity; negative where they take away."""
    rerated_findings: int
    joined: Counts
    """Found by a first scan, or because a scan looked at more."""
    left: Counts
    """What was open in images that were retired."""
    after: Counts
    scanned: bool
    """Whether anything was scanned in it; the numbers of a week without a scan are those of before."""

    @property
    def new(self) -> Counts:
        """All that was introduced, whatever the cause."""
        return sum(self.introduced.values(), Counts())

    @property
    def gone(self) -> Counts:
        """All that was resolved, whatever the cause."""
        return sum(self.resolved.values(), Counts())

    @property
    def scope(self) -> Counts:
        """What joined, less what left."""
        return self.joined - self.left


def follow_weeks(members: Sequence[Member], *, until: str, weeks: int = WEEKS) -> tuple[Week, ...]:
    """The last weeks until `until`, oldest first; none before the week of the first scan."""
    firsts = [member.timeline.scans[0].at for member in members if member.timeline]
    if not firsts:
        return ()
    ends = _ends(until, min(firsts), weeks)
    tally = _Tally(ends)
    for member in members:
        tally.add(member)
    return tally.weeks()


def _ends(until: str, first: str, weeks: int) -> list[str]:
    """The ends of the weeks, oldest first, preceded by the start of the first one."""
    last = datetime.fromisoformat(until)
    ends = [until]
    while len(ends) <= weeks and (len(ends) == 1 or ends[-1] >= first):
        ends.append(format_time(last - len(ends) * WEEK))
    return ends[::-1]


class _Tally:
    """Counts by week: place 0 is all that lies before the first one."""

    def __init__(self, ends: list[str]) -> None:
        self.ends = ends
        self.introduced: dict[int, dict[Cause, Counter[Severity]]] = defaultdict(lambda: defaultdict(Counter))
        self.resolved: dict[int, dict[Cause, Counter[Severity]]] = defaultdict(lambda: defaultdict(Counter))
        self.rerated: dict[int, Counter[Severity]] = defaultdict(Counter)
        self.rerated_findings: Counter[int] = Counter()
        self.left: dict[int, Counter[Severity]] = defaultdict(Counter)
        self.scanned: set[int] = set()

    def place(self, at: str) -> int:
        return bisect_left(self.ends, at)

    def add(self, member: Member) -> None:
        if member.timeline is None:
            return
        self.scanned.update(self.place(scan.at) for scan in member.timeline.scans)
        for interval in member.timeline.intervals:
            self._interval(interval, member.retired_at)

    def _interval(self, interval: Interval, retired_at: str) -> None:
        born = self.place(interval.first_seen)
        gone = self.place(interval.resolved_at) if interval.resolved_at else None
        first = last = interval.severities[0][1]
        if len(interval.severities) > 1:
            first, last = self._ratings(interval.severities)
        self.introduced[born][interval.cause][first] += 1
        if gone is not None:
            self.resolved[gone][interval.resolved_cause or Cause.DATABASE][last] += 1
        elif retired_at:
            self.left[self.place(retired_at)][last] += 1

    def _ratings(self, severities: Sequence[tuple[str, Severity]]) -> tuple[Severity, Severity]:
        """Count each week that a finding left with another severity than it came with; its first and last."""
        first = current = severities[0][1]
        for place, severity in {self.place(at): severity for at, severity in severities}.items():
            if severity is not current:
                self.rerated[place][current] -= 1
                self.rerated[place][severity] += 1
                self.rerated_findings[place] += 1
            current = severity
        return first, current

    def _by_cause(
        self, counted: Mapping[int, Mapping[Cause, Counter[Severity]]], place: int
    ) -> dict[Cause, Counts]:
        found = counted.get(place, {})
        return {cause: _counts(found[cause]) for cause in Cause if cause in found}

    def weeks(self) -> tuple[Week, ...]:
        found: list[Week] = []
        after = Counts()
        for place in range(len(self.ends)):
            before = after
            introduced = self._by_cause(self.introduced, place)
            joined = introduced.pop(Cause.SCOPE, Counts())
            week = Week(
                start=self.ends[place - 1],
                end=self.ends[place],
                before=before,
                introduced=introduced,
                resolved=self._by_cause(self.resolved, place),
                rerated=_counts(self.rerated.get(place, Counter())),
                rerated_findings=self.rerated_findings[place],
                joined=joined,
                left=_counts(self.left.get(place, Counter())),
                after=Counts(),
                scanned=place in self.scanned,
            )
            after = before + week.new - week.gone + week.rerated + week.scope
            found.append(msgspec.structs.replace(week, after=after))
        return tuple(found[1:])


def _counts(counter: Counter[Severity]) -> Counts:
    if not counter:
        return Counts()
    return Counts(**{severity.value.lower(): counter[severity] for severity in counter})
