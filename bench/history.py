"""A made-up history of seven images, week after week, that drifts as a real project's did.

What was measured there (17 weeks of 7 images: 90 reports, 82.4 MB, 27,978 findings), and what is made here:
- 0.92 MB and 311 findings a report, 2.13 findings for each vulnerability: 0.96 MB, 317 and 2.20;
- from one week to the next 13.9 findings introduced and 9.1 resolved on average, but 2.5 and 0 in the middle,
  as a few waves make most of it: 13.9 and 9.2, 3 and 0;
- no change at all in 14 of 78 pairs of weeks: in 14 of 77;
- 164 to 238 changes of severity and 46 fixes that appeared: 204 and 43 in 83 pairs;
- every week another image id, and one point release of the distribution.

The same seed gives the same bytes. `bench.shape` writes what is here as Trivy would.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping  # noqa: TC003 - NamedTuple fields are resolved by readers
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import NamedTuple

from bench import prose

SEED = 2050
START = datetime(2025, 12, 15, 6, 0, tzinfo=UTC)
WEEK = timedelta(days=7)
POINT_RELEASE = 5
"""The week in which Debian publishes a point release."""

SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")
_SEVERITY_SHARES = (2, 14, 36, 36, 12)
_ORDINARY_IN = (0, 0, 1, 1, 1, 2, 3, 5)
_ORDINARY_OUT = (0, 0, 0, 0, 0, 1, 1, 3)
_QUIET = 0.04
_RERATED = 0.0085
_FIX_APPEARS = 0.0022
_MANY_BINARIES = 0.39
_BINARIES = (2, 3, 3, 4, 4, 5, 6, 8)
"""A third of all vulnerabilities is in more than one package, in 4.4 on average."""


class Plan(NamedTuple):
    """How one image begins, and in which weeks a wave of advisories reaches it."""

    name: str
    vulnerabilities: int
    packages: int
    waves: Mapping[int, tuple[int, int]]
    """Week -> vulnerabilities introduced and resolved; every 12 weeks again."""


IMAGES = (
    Plan("php-mysql", 270, 190, {1: (45, 0), 3: (60, 30), 5: (55, 70), 7: (60, 40), 9: (60, 65)}),
    Plan("postgres", 62, 130, {5: (8, 10), 8: (5, 2)}),
    Plan("python", 195, 160, {4: (27, 0), 5: (2, 22), 8: (10, 4)}),
    Plan("redis", 100, 110, {2: (8, 4), 10: (8, 8)}),
    Plan("result", 102, 120, {5: (12, 14)}),
    Plan("vote", 68, 105, {6: (17, 0), 7: (0, 16)}),
    Plan("worker", 126, 125, {5: (16, 10), 9: (4, 6)}),
)


class Source(NamedTuple):
    """A Debian source package and the binary packages of it that an image has."""

    name: str
    binaries: tuple[str, ...]


class Advisory(NamedTuple):
    """What the database says about one vulnerability of one source package, as of one week."""

    id: str
    source: Source
    severity: str
    status: str
    fixed: str
    published: str


class Prose(NamedTuple):
    """The bulk of an advisory: it never changes, and nobody needs it."""

    title: str
    description: str
    references: tuple[str, ...]
    cvss: Mapping[str, Mapping[str, object]]


class Snapshot(NamedTuple):
    """One image in one week."""

    image: str
    week: int
    at: datetime
    release: str
    """Of Debian: `13.2`."""
    build: str
    """64 hexadecimal digits that differ every week: the image id is made of them."""
    versions: Mapping[Source, str]
    advisories: tuple[Advisory, ...]
    """Sorted by id."""

    @property
    def findings(self) -> int:
        """Rows of the report: one for each binary package."""
        return sum(len(advisory.source.binaries) for advisory in self.advisories)


@cache
def prose_of(identifier: str, source: str) -> Prose:
    """The texts of an advisory, the same in every image and week."""
    draw = Random(f"{identifier} {source}")
    return Prose(
        prose.title(draw, source),
        prose.description(draw, source),
        tuple(prose.references(draw, identifier)),
        prose.scores(draw),
    )


def history(weeks: int = 12, *, seed: int = SEED, images: tuple[Plan, ...] = IMAGES) -> Iterator[Snapshot]:
    """Every image in every week, week by week."""
    worlds = [_World(plan, seed) for plan in images]
    for week in range(weeks):
        for world in worlds:
            yield world.week(week)


class _World:
    """One image while time goes by."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan = plan
        self.draw = Random(f"{seed} {plan.name}")
        self.single, self.many = self._sources()
        self.versions = {source: self._version() for source in (*self.single, *self.many)}
        self.open: dict[str, Advisory] = {}
        self.numbers = iter(self.draw.sample(range(1000, 70_000), 5000))

    def week(self, week: int) -> Snapshot:
        at = START + week * WEEK
        if week == 0:
            self._introduce(self.plan.vulnerabilities, at)
        else:
            self._drift(week, at)
        return Snapshot(
            image=self.plan.name,
            week=week,
            at=at,
            release="13.2" if week < POINT_RELEASE else "13.3",
            build=f"{self.draw.getrandbits(256):064x}",
            versions=dict(self.versions),
            advisories=tuple(self.open[key] for key in sorted(self.open)),
        )

    def _drift(self, week: int, at: datetime) -> None:
        wave = self.plan.waves.get(week % 12)
        if week == POINT_RELEASE:
            for source in self.draw.sample(list(self.versions), len(self.versions) // 12):
                self.versions[source] = self._version()
        if wave is None and self.draw.random() < _QUIET:
            return
        coming, going = wave or (self.draw.choice(_ORDINARY_IN), self.draw.choice(_ORDINARY_OUT))
        self._rate_again()
        self._resolve(going)
        self._introduce(coming, at)

    def _introduce(self, number: int, at: datetime) -> None:
        for _ in range(number):
            if self.draw.random() < _MANY_BINARIES:
                source = self.draw.choice(self.many)
            else:
                # The first of them is what linux-libc-dev is to real images: a quarter of everything.
                source = self.single[min(int(self.draw.expovariate(0.3)), len(self.single) - 1)]
            identifier = f"CVE-{self.draw.choice((2023, 2024, 2025, 2025))}-{next(self.numbers)}"
            severity = self.draw.choices(SEVERITIES, _SEVERITY_SHARES)[0]
            fixed = self._version() if self.draw.random() < 0.06 else ""
            published = at - timedelta(seconds=self.draw.randrange(400 * 86_400))
            self.open[identifier] = Advisory(
                id=identifier,
                source=source,
                severity=severity,
                status="fixed" if fixed else "affected",
                fixed=fixed,
                published=f"{published:%FT%T.%fZ}",
            )

    def _resolve(self, number: int) -> None:
        """Most of what goes was fixed by a new version of its package; the rest was withdrawn."""
        for identifier in self.draw.sample(sorted(self.open), min(number, len(self.open) // 2)):
            gone = self.open.pop(identifier)
            if self.draw.random() < 0.8:
                self.versions[gone.source] = self._version()

    def _rate_again(self) -> None:
        for identifier in sorted(self.open):
            chance = self.draw.random()
            known = self.open[identifier]
            if chance < _RERATED:
                others = [severity for severity in SEVERITIES if severity != known.severity]
                self.open[identifier] = known._replace(severity=self.draw.choice(others))
            elif chance < _RERATED + _FIX_APPEARS and not known.fixed:
                self.open[identifier] = known._replace(status="fixed", fixed=self._version())

    def _sources(self) -> tuple[list[Source], list[Source]]:
        mean = sum(_BINARIES) / len(_BINARIES)
        names = iter(self.draw.sample([f"{one}{other}" for one in _STEMS for other in _ENDS], 180))
        many: list[Source] = []
        for index in range(round(self.plan.packages * 0.7 / mean)):
            name = next(names)
            number = _BINARIES[index % len(_BINARIES)]
            many.append(Source(name, (f"lib{name}{index % 7}", *(f"{name}-{e}" for e in _ENDS[1:number]))))
        left = self.plan.packages - sum(len(source.binaries) for source in many)
        single = [Source(name, (name,)) for name, _ in zip(names, range(left), strict=False)]
        return single, many

    def _version(self) -> str:
        draw = self.draw
        patch = f"+deb13u{draw.randint(1, 6)}" if draw.random() < 0.3 else ""
        return f"{draw.randint(0, 9)}.{draw.randint(0, 40)}.{draw.randint(0, 20)}-{draw.randint(1, 9)}{patch}"


_STEMS = (
    *("alder", "aspen", "birch", "cedar", "elm", "fir", "hazel", "juniper"),
    *("larch", "maple", "oak", "pine", "rowan", "spruce", "willow", "yew"),
)
_ENDS = ("", "common", "dev", "data", "bin", "utils", "core", "plugins", "tools", "base", "run", "extra")
