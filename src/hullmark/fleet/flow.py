"""What came and what went in each week, so that the numbers add up: of vulnerabilities, and of nothing else.

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

from hullmark.finding import Cause, Counts, Kind, Severity
from hullmark.ledger.entry import format_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hullmark.history import Interval, Timeline

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
    rerated_from_or_to: Counts
    """Findings whose change of severity began or ended at each severity."""
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


def follow_weeks(
    timeline: Timeline | None, retired_at: str, *, until: str, weeks: int = WEEKS
) -> tuple[Week, ...]:
    """The last weeks of one image until `until`, oldest first; none before the week of its first scan."""
    if timeline is None:
        return ()
    return follow([(timeline, retired_at)], _ends(until, timeline.scans[0].at, weeks))


def add_up(histories: Iterable[tuple[Week, ...]]) -> tuple[Week, ...]:
    """The weeks of many images, which all end with the same week, as those of all together."""
    longest: list[Week] = []
    for weeks in histories:
        own = weeks[::-1]
        longest = [_add(one, other) for one, other in zip(longest, own, strict=False)] + (
            [*own[len(longest) :]] or longest[len(own) :]
        )
    return tuple(longest[::-1])


def _add(one: Week, other: Week) -> Week:
    """Two images in the same week."""
    return Week(
        start=one.start,
        end=one.end,
        before=one.before + other.before,
        introduced=_add_causes(one.introduced, other.introduced),
        resolved=_add_causes(one.resolved, other.resolved),
        rerated=one.rerated + other.rerated,
        rerated_from_or_to=one.rerated_from_or_to + other.rerated_from_or_to,
        rerated_findings=one.rerated_findings + other.rerated_findings,
        joined=one.joined + other.joined,
        left=one.left + other.left,
        after=one.after + other.after,
        scanned=one.scanned or other.scanned,
    )


def _add_causes(one: Mapping[Cause, Counts], other: Mapping[Cause, Counts]) -> dict[Cause, Counts]:
    return {
        cause: one.get(cause, Counts()) + other.get(cause, Counts())
        for cause in Cause
        if cause in one or cause in other
    }


def follow(histories: Iterable[tuple[Timeline, str]], ends: Sequence[str]) -> tuple[Week, ...]:
    """What happened after each of `ends` (RFC 3339, oldest first) until the next one.

    Each history comes with the time when its image was retired, empty while it is not.
    """
    tally = _Tally(ends)
    for timeline, retired_at in histories:
        tally.add(timeline, retired_at)
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

    def __init__(self, ends: Sequence[str]) -> None:
        self.ends = ends
        self.introduced: dict[int, dict[Cause, Counter[Severity]]] = defaultdict(lambda: defaultdict(Counter))
        self.resolved: dict[int, dict[Cause, Counter[Severity]]] = defaultdict(lambda: defaultdict(Counter))
        self.rerated: dict[int, Counter[Severity]] = defaultdict(Counter)
        self.touched: dict[int, Counter[Severity]] = defaultdict(Counter)
        self.rerated_findings: Counter[int] = Counter()
        self.left: dict[int, Counter[Severity]] = defaultdict(Counter)
        self.scanned: set[int] = set()

    def place(self, at: str) -> int:
        return bisect_left(self.ends, at)

    def add(self, timeline: Timeline, retired_at: str) -> None:
        self.scanned.update(self.place(scan.at) for scan in timeline.scans)
        for interval in timeline.intervals:
            if interval.identity.kind is Kind.VULNERABILITY:
                self._interval(interval, retired_at)

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
                self.touched[place].update((current, severity))
                self.rerated_findings[place] += 1
            current = severity
        return first, current

    def _by_cause(
        self, counted: Mapping[int, Mapping[Cause, Counter[Severity]]], place: int
    ) -> dict[Cause, Counts]:
        found = counted.get(place)
        if not found:
            return {}
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
                rerated_from_or_to=_counts(self.touched.get(place, Counter())),
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
    return (
        Counts(**{severity.value.lower(): number for severity, number in counter.items()})
        if counter
        else Counts()
    )
