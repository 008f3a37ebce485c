"""Which packages a change added, removed or moved, and which vulnerabilities that brought or took away.

Rules (each has a test with the same words):
- a package is what it is called where it lies: its type, name and path; the version is what changes;
- what a package brings or takes away is what the comparison calls introduced or resolved there;
- what it only carries too, or no longer carries though another still does, is told apart;
- where nobody can say which of two versions is newer, the change has no direction.
"""

from __future__ import annotations

import re
from collections import defaultdict
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hullmark.policy import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hullmark.decision.concern import Concern
    from hullmark.finding import Package

_EFFECTS = ("introduces", "resolves", "spreads", "eases")
_DEBIAN_ORDER = frozenset({"debian", "ubuntu"})
_NUMBERS = re.compile(r"v?(\d+(?:\.\d+)*)")


class Move(StrEnum):
    """What became of a package."""

    ADDED = "added"
    REMOVED = "removed"
    UP = "up"
    DOWN = "down"
    CHANGED = "changed"
    """Another version, of which nobody can say whether it is newer."""


class PackageChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One package that is not the same in base and head."""

    type: str
    name: str
    path: str = ""
    source: str = ""
    move: Move
    base: tuple[str, ...] = ()
    """Versions installed in base, sorted."""
    head: tuple[str, ...] = ()
    introduces: tuple[str, ...] = ()
    """Vulnerabilities that head has because of it, by id."""
    resolves: tuple[str, ...] = ()
    """Vulnerabilities that went with it, by id."""
    spreads: tuple[str, ...] = ()
    """Vulnerabilities that it carries now, and that base had elsewhere already."""
    eases: tuple[str, ...] = ()
    """Vulnerabilities that it no longer carries, and that head still has elsewhere."""


class PackageGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Packages of one source that changed in the same way: what a person reads as one change."""

    source: str
    """The source package, or the package where there is none."""
    path: str
    move: Move
    base: tuple[str, ...]
    head: tuple[str, ...]
    packages: tuple[str, ...]
    """Binary packages, sorted."""
    introduces: tuple[str, ...]
    resolves: tuple[str, ...]
    spreads: tuple[str, ...]
    eases: tuple[str, ...]

    @property
    def explains(self) -> bool:
        """Whether a finding came or went with it."""
        return bool(self.introduces or self.resolves or self.spreads or self.eases)


def group_packages(changes: Iterable[PackageChange]) -> tuple[PackageGroup, ...]:
    """Packages that changed together: first those that bring most, then those that resolve most."""
    groups: dict[tuple[object, ...], list[PackageChange]] = defaultdict(list)
    for change in changes:
        source = change.source or change.name
        groups[change.type, source, change.path, change.move, change.base, change.head].append(change)
    found = [
        PackageGroup(
            source=members[0].source or members[0].name,
            path=members[0].path,
            move=members[0].move,
            base=members[0].base,
            head=members[0].head,
            packages=tuple(sorted(change.name for change in members)),
            **{
                effect: tuple(dict.fromkeys(id_ for change in members for id_ in getattr(change, effect)))
                for effect in _EFFECTS
            },
        )
        for members in groups.values()
    ]
    return tuple(sorted(found, key=_most_first))


def _most_first(group: PackageGroup) -> tuple[object, ...]:
    return -len(group.introduces), -len(group.resolves), group.source, group.path, group.packages


class _Spot(NamedTuple):
    type: str
    name: str
    path: str


class _Installed(NamedTuple):
    versions: tuple[str, ...]
    source: str


def compare_packages(
    base: Iterable[Package], head: Iterable[Package], concerns: Iterable[Concern]
) -> tuple[PackageChange, ...]:
    """Every package that differs, by type, name and path, with the `concerns` that it explains."""
    before, after = _by_spot(base), _by_spot(head)
    spots = sorted(
        spot
        for spot in before.keys() | after.keys()
        if _versions(before.get(spot)) != _versions(after.get(spot))
    )
    if not spots:
        return ()
    effects = _explained(concerns)
    return tuple(
        PackageChange(
            type=spot.type,
            name=spot.name,
            path=spot.path,
            source=(after.get(spot) or before[spot]).source,
            move=_move(spot.type, _versions(before.get(spot)), _versions(after.get(spot))),
            base=_versions(before.get(spot)),
            head=_versions(after.get(spot)),
            **{name: tuple(dict.fromkeys(effects[name].get(spot, ()))) for name in _EFFECTS},
        )
        for spot in spots
    )


def _by_spot(packages: Iterable[Package]) -> Mapping[_Spot, _Installed]:
    versions: dict[_Spot, set[str]] = defaultdict(set)
    sources: dict[_Spot, str] = {}
    for package in packages:
        spot = _Spot(package.type, package.name, package.path)
        versions[spot].add(package.version)
        sources[spot] = max(sources.get(spot, ""), package.source)
    return {spot: _Installed(tuple(sorted(found)), sources[spot]) for spot, found in versions.items()}


def _versions(installed: _Installed | None) -> tuple[str, ...]:
    return installed.versions if installed else ()


def _explained(concerns: Iterable[Concern]) -> Mapping[str, Mapping[_Spot, list[str]]]:
    """By effect and place, ids; the worst first, as `concerns` are."""
    effects: dict[str, dict[_Spot, list[str]]] = {name: defaultdict(list) for name in _EFFECTS}
    for concern in concerns:
        for place in concern.places:
            if effect := _effect(concern.state, was=place.was_affected, now=place.is_affected):
                effects[effect][_Spot(concern.type, place.package, place.path)].append(concern.id)
    return effects


def _effect(state: State, *, was: bool, now: bool) -> str:
    """What a place that is affected in one side only does to a vulnerability; empty for nothing."""
    if was == now:
        return ""
    if now:
        return "introduces" if state is State.INTRODUCED else "spreads"
    return "resolves" if state is State.RESOLVED else "eases"


def _move(type_: str, base: tuple[str, ...], head: tuple[str, ...]) -> Move:
    if not base:
        return Move.ADDED
    if not head:
        return Move.REMOVED
    if len(base) > 1 or len(head) > 1:
        return Move.CHANGED
    order = _debian_order(base[0], head[0]) if type_ in _DEBIAN_ORDER else _order(base[0], head[0])
    return Move.CHANGED if order == 0 else Move.UP if order < 0 else Move.DOWN


def _debian_order(one: str, other: str) -> int:
    """Below, equal to or above 0, by Debian Policy §5.6.12."""
    from debian.debian_support import version_compare  # noqa: PLC0415 - only a change of versions pays for it

    try:
        return version_compare(one, other)
    except ValueError:  # what a scanner calls a version need not be one
        return 0


def _order(one: str, other: str) -> int:
    """By the numbers that a version begins with, which all ecosystems agree on; 0 when they do not decide."""
    numbers = [_NUMBERS.match(version) for version in (one, other)]
    first, second = ([int(part) for part in match[1].split(".")] if match else [] for match in numbers)
    return (first > second) - (first < second) if first and second else 0
