"""What to do: each action is the one change that clears several findings.

Rules (each has a test with the same words):
- a finding is cleared by exactly one action;
- what is late comes first, then what clears the worst and the most;
- packages of the operating system are one change: a rebuild with the versions of today;
- a program with its libraries inside is replaced as a whole; other packages of one ecosystem are one update.
"""

from __future__ import annotations

from collections import defaultdict
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from hullmark.finding import Counts, Severity, count_findings
from hullmark.fleet.opened import OpenFinding, worst_first

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hullmark.fleet.member import Member

_PROGRAMS = frozenset({"gobinary", "rustbinary", "jar"})
"""Package types whose packages lie within one file."""


class Means(StrEnum):
    """How an action clears its findings."""

    REBUILD = "rebuild"
    """Packages of the operating system, at the versions of today."""
    REPLACE = "replace"
    """One program, built with newer libraries."""
    UPDATE = "update"
    """Packages of one ecosystem."""


class Upgrade(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One source or language package, and the versions that it has to reach."""

    package: str
    versions: tuple[str, ...]
    fixed: tuple[str, ...]
    """As the advisories write them; the highest of them clears all."""


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One change to one image, and what it clears."""

    member: str
    image: str
    platform: str
    means: Means
    target: str
    """A package type, or the path of the program."""
    is_locked: bool
    """Whether Hullmark builds the image from a lock, which `hullmark lock --refresh` renews."""
    upgrades: tuple[Upgrade, ...]
    findings: tuple[OpenFinding, ...]
    """What it clears, worst first."""

    @property
    def counts(self) -> Counts:
        """What it clears, by severity."""
        return count_findings(each.finding for each in self.findings)

    @property
    def vulnerabilities(self) -> int:
        """Number of distinct vulnerabilities that it clears."""
        return len({each.finding.vulnerability for each in self.findings})

    @property
    def late(self) -> int:
        """Days by which the latest of its findings is late; 0 when none is."""
        return max(each.late for each in self.findings)


def find_actions(members: Iterable[Member]) -> tuple[Action, ...]:
    """Everything that can be done now, by effect. Images that are retired ask for nothing."""
    actions = [action for member in members if member.is_expected for action in _of_member(member)]
    return tuple(sorted(actions, key=_by_effect))


def _of_member(member: Member) -> list[Action]:
    groups: dict[tuple[Means, str], list[OpenFinding]] = defaultdict(list)
    for each in member.findings:
        if each.is_fixable and each.exemption is None:
            groups[_change(each)].append(each)
    is_locked = member.timeline is not None and member.timeline.latest.inputs is not None
    return [
        Action(
            member=member.name,
            image=member.image,
            platform=member.platform,
            means=means,
            target=target,
            is_locked=is_locked,
            upgrades=_upgrades(found),
            findings=tuple(sorted(found, key=worst_first)),
        )
        for (means, target), found in groups.items()
    ]


def _change(each: OpenFinding) -> tuple[Means, str]:
    finding = each.finding
    if finding.package_type in _PROGRAMS and finding.path:
        return Means.REPLACE, finding.path
    if finding.path:
        return Means.UPDATE, finding.package_type
    return Means.REBUILD, finding.package_type


def _upgrades(found: Iterable[OpenFinding]) -> tuple[Upgrade, ...]:
    versions: dict[str, set[str]] = defaultdict(set)
    fixed: dict[str, set[str]] = defaultdict(set)
    for each in found:
        name = each.finding.source or each.finding.package
        versions[name].update(each.finding.versions)
        fixed[name].add(each.finding.fixed)
    return tuple(
        Upgrade(package=name, versions=tuple(sorted(versions[name])), fixed=tuple(sorted(fixed[name])))
        for name in sorted(versions)
    )


def _by_effect(action: Action) -> tuple[object, ...]:
    late = count_findings(each.finding for each in action.findings if each.late)
    counts = action.counts
    weight = tuple(
        -getattr(these, severity.value.lower()) for these in (late, counts) for severity in Severity
    )
    return not action.late, weight, action.member, action.means, action.target
