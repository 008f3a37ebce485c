"""The life of each vulnerability in an image, as its ledger tells it: seen, fixable, resolved, seen again.

Rules (each has a test with the same words):
- packages of one source share one life: it begins with the first and ends with the last of them;
- what was resolved and comes back is re-opened: its age counts from then, its first sight stays known;
- a fix is known from the first scan that named one, for as long as scans go on naming one;
- only what is open has an age.

Times are those of scans: what was there before the first scan is as old as that.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from hullmark.decision import Age, Key
from hullmark.finding import Cause, Kind, Severity
from hullmark.image import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hullmark.history import Interval, Timeline


class Period(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A time during which a vulnerability was open without a break."""

    since: str
    cause: Cause
    until: str = ""
    """Empty while it is open."""
    resolved_cause: Cause | None = None
    fix_since: str = ""
    """When a fix was first known in this period; empty while there is none."""

    @property
    def is_open(self) -> bool:
        """Whether it is still there, as far as anybody looked."""
        return not self.until


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known about one vulnerability in one platform of an image."""

    key: Key
    severity: Severity
    """The worst that it has, or had last."""
    packages: tuple[str, ...]
    """Every package that ever carried it, sorted."""
    periods: tuple[Period, ...]
    """At least one, oldest first."""

    @property
    def first_seen(self) -> str:
        """When it was seen for the first time ever."""
        return self.periods[0].since

    @property
    def current(self) -> Period:
        """The period that is open, or the last one."""
        return self.periods[-1]

    @property
    def is_open(self) -> bool:
        """Whether it is still there."""
        return self.current.is_open

    @property
    def reopened(self) -> tuple[str, ...]:
        """When it came back, each time."""
        return tuple(period.since for period in self.periods[1:])


def trace_lives(timeline: Timeline) -> tuple[Life, ...]:
    """The life of every vulnerability ever seen, by first sight and then by key."""
    groups: dict[Key, list[Interval]] = defaultdict(list)
    for interval in timeline.intervals:
        groups[key_of_interval(interval)].append(interval)
    lives = (_life(key, intervals) for key, intervals in groups.items())
    return tuple(sorted(lives, key=lambda life: (life.first_seen, life.key)))


def find_ages(timeline: Timeline) -> tuple[Age, ...]:
    """The age of everything that is open, as the rules of the gate ask for it; by key."""
    ages = [
        Age(
            key=life.key,
            first_seen=_day(life.current.since),
            fix_since=_day(life.current.fix_since) if life.current.fix_since else None,
        )
        for life in trace_lives(timeline)
        if life.is_open
    ]
    return tuple(sorted(ages, key=lambda age: age.key))


def _day(at: str) -> date:
    return date.fromisoformat(at[:10])


def key_of_interval(interval: Interval) -> Key:
    """What the gate counts once (see `decision.key_of`), of a finding as the ledger states it."""
    name, source = interval.identity, interval.change.source
    if name.kind is Kind.VULNERABILITY:
        return Key(name.kind, name.id, name.package_type, source or name.package)
    return Key(name.kind, name.id, name.package_type, source or name.package, name.path, name.discriminator)


def _life(key: Key, intervals: list[Interval]) -> Life:
    ordered = sorted(intervals, key=lambda each: (each.first_seen, each.identity))
    present = [each for each in ordered if each.is_open] or ordered[-1:]
    return Life(
        key=key,
        severity=max((each.change.severity for each in present), key=lambda severity: severity.rank),
        packages=tuple(sorted({each.identity.package for each in ordered})),
        periods=tuple(_periods(ordered)),
    )


def _periods(ordered: Iterable[Interval]) -> Iterator[Period]:
    """Intervals that follow each other without a break, as one period each."""
    group: list[Interval] = []
    for interval in ordered:
        if group and all(each.resolved_at and each.resolved_at < interval.first_seen for each in group):
            yield _period(group)
            group = []
        group.append(interval)
    yield _period(group)


def _period(group: list[Interval]) -> Period:
    last = max(group, key=lambda each: (each.is_open, each.resolved_at))
    fixes = [each.fix_since for each in group if each.fix_since and each.is_open == last.is_open]
    return Period(
        since=group[0].first_seen,
        cause=group[0].cause,
        until=last.resolved_at,
        resolved_cause=last.resolved_cause,
        fix_since=min(fixes, default=""),
    )


class What(StrEnum):
    """Something that happened to a vulnerability."""

    SEEN = "first seen"
    REOPENED = "seen again"
    MORE = "in more packages"
    RATED = "rated otherwise"
    FIXABLE = "a fix is known"
    LESS = "in fewer packages"
    RESOLVED = "resolved"


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened, on its day, in the image that was scanned then."""

    at: str
    what: What
    digest: Digest
    severity: Severity
    packages: tuple[str, ...]
    versions: tuple[str, ...] = ()
    fixed: str = ""
    cause: Cause | None = None
    """None where the record names none."""


def trace_steps(timeline: Timeline, id_: str) -> tuple[Step, ...]:
    """Everything that happened to the vulnerability `id_`, oldest first."""
    digests = {scan.at: scan.digest for scan in timeline.scans}
    lives = {life.key: life for life in trace_lives(timeline) if life.key.id == id_}
    steps: dict[tuple[str, int, Key, int, str], Step] = {}
    for interval in timeline.intervals:
        key = key_of_interval(interval)
        if key not in lives:
            continue
        for step in _steps(interval, lives[key], digests):
            cause = step.cause.value if step.cause else ""
            place = (step.at, list(What).index(step.what), key, step.severity.rank, cause)
            known = steps.get(place)
            packages = {*step.packages, *(known.packages if known else ())}
            steps[place] = msgspec.structs.replace(step, packages=tuple(sorted(packages)))
    return tuple(steps[place] for place in sorted(steps))


def _steps(interval: Interval, life: Life, digests: dict[str, Digest]) -> Iterator[Step]:
    """What happened to one finding; `digests` are those of the scans, by time."""

    def step(at: str, what: What, severity: Severity, cause: Cause | None = None) -> Step:
        change = interval.change
        return Step(
            at=at,
            what=what,
            digest=digests[at],
            severity=severity,
            packages=(interval.identity.package,),
            versions=change.versions,
            fixed=change.fixed,
            cause=cause,
        )

    first = interval.severities[0][1]
    begins = {period.since for period in life.periods}
    began = What.SEEN if interval.first_seen == life.first_seen else What.REOPENED
    what = began if interval.first_seen in begins else What.MORE
    yield step(interval.first_seen, what, first, interval.cause)
    for at, severity in interval.severities[1:]:
        yield step(at, What.RATED, severity, Cause.RATING)
    if interval.fix_since > interval.first_seen:
        yield step(interval.fix_since, What.FIXABLE, interval.change.severity)
    if not interval.is_open:
        ends = {period.until for period in life.periods}
        what = What.RESOLVED if interval.resolved_at in ends else What.LESS
        yield step(interval.resolved_at, what, interval.severities[-1][1], interval.resolved_cause)
