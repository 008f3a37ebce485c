"""Base and head of one image, vulnerability by vulnerability: what the rules speak of.

Rules (each has a test with the same words):
- findings are counted as vulnerabilities: a second binary of the same source adds nothing;
- the counts of vulnerabilities are not mixed with other kinds;
- a finding of a file that was moved is the same finding;
- a vulnerability is introduced at a severity when base has none of it at that severity or above;
- an exemption in force covers a finding on both sides;
- an advisory that goes on under the other naming scheme in the same places is the same vulnerability;
- what appears where base could not look is of cause `scope`, and is neither judged nor counted;
- what the database learned since base was recorded is named beside it, never judged as the change;
- so is a fix that became known since then;
- what base only has because it was built again from the same inputs is of cause `rebuild`, and not judged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hullmark.decision.concern import Applied, Comparison, Concern, KindCount, Place, worst_first
from hullmark.decision.inputs import Key, Missing, Side, key_of
from hullmark.decision.packages import PackageChange, compare_packages
from hullmark.exemptions import Exemption, applies_to, is_in_force, names
from hullmark.finding import Cause, Counts, Finding, Kind, Severity, count_by_severity, count_findings
from hullmark.policy import State
from hullmark.scan import GapReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date

    from hullmark.decision.inputs import ImageInputs
    from hullmark.finding import Package

_OTHER_SCHEME = {"CVE": "GHSA", "GHSA": "CVE"}
_MAX_RENAMES = 100


class _Half(NamedTuple):
    """One side by vulnerability, without what is exempted."""

    groups: Mapping[Key, tuple[Finding, ...]]
    installed: Mapping[tuple[str, str, str], tuple[str, ...]]
    """Versions of each package, by type, name and path."""


def compare_image(image: ImageInputs, exemptions: Iterable[Exemption], today: date) -> Comparison | None:
    """Compare base and head of `image`; None when one of them is missing."""
    if isinstance(image.base, Missing) or isinstance(image.head, Missing):
        return None
    named = [entry for entry in exemptions if applies_to(entry, image.image)]
    in_force = tuple(entry for entry in named if is_in_force(entry, today))
    past = tuple(entry for entry in named if not is_in_force(entry, today))
    base, head = _half(image.base, in_force), _half(image.head, in_force)
    learned = _learned(image, in_force, base)
    blind = _blind_types(image.base, image.head)
    concerns = sorted(
        (_concern(pair, base, head, blind=blind, learned=learned) for pair in _pairs(base, head)),
        key=worst_first,
    )
    return Comparison(
        concerns=tuple(concerns),
        before=_count(base),
        after=_count(head),
        findings_before=_count_findings(base),
        findings_after=_count_findings(head),
        relevant=_rise(concerns),
        exempted=_applied(in_force, image.base, image.head),
        expired=tuple(one.exemption for one in _applied(past, image.base, image.head)),
        findings=head.groups,
        others=_count_others(base, head),
        drift=_drift(image, image.base, concerns),
    )


def _half(side: Side, exemptions: tuple[Exemption, ...]) -> _Half:
    return _Half(_group(_without(side.findings, exemptions)), _installed(side.packages))


def _installed(packages: Iterable[Package]) -> dict[tuple[str, str, str], tuple[str, ...]]:
    versions: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for package in packages:
        versions[package.type, package.name, package.path].add(package.version)
    return {place: tuple(sorted(found)) for place, found in versions.items()}


def _without(findings: Iterable[Finding], exemptions: tuple[Exemption, ...]) -> Iterable[Finding]:
    """What none of `exemptions` names; they apply to this image, and are in force."""
    if not exemptions:
        return findings
    by_id: dict[str, list[Exemption]] = defaultdict(list)
    for entry in exemptions:
        by_id[entry.id].append(entry)
    return [
        finding
        for finding in findings
        if not any(names(entry, finding) for entry in by_id.get(finding.id, ()))
    ]


def _group(findings: Iterable[Finding]) -> dict[Key, tuple[Finding, ...]]:
    groups: dict[Key, list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[key_of(finding)].append(finding)
    return {key: tuple(members) for key, members in groups.items()}


def _worst(findings: Sequence[Finding]) -> Severity:
    if len(findings) == 1:
        return findings[0].severity
    return max((finding.severity for finding in findings), key=lambda severity: severity.rank)


def _count(half: _Half, kind: Kind = Kind.VULNERABILITY) -> Counts:
    return count_by_severity(_worst(findings) for key, findings in half.groups.items() if key.kind is kind)


def _count_others(base: _Half, head: _Half) -> tuple[KindCount, ...]:
    there = {key.kind for half in (base, head) for key in half.groups} - {Kind.VULNERABILITY}
    return tuple(
        KindCount(kind=kind, before=_count(base, kind), after=_count(head, kind)) for kind in sorted(there)
    )


def _count_findings(half: _Half) -> Counts:
    return count_findings(finding for members in half.groups.values() for finding in members)


def _pairs(base: _Half, head: _Half) -> list[tuple[Key | None, Key | None]]:
    """Every vulnerability once, as base and as head call it; None where a side does not have it."""
    renamed = _renames(base.groups, head.groups) | _moves(base.groups, head.groups)
    pairs: list[tuple[Key | None, Key | None]] = []
    for key in head.groups:
        before = key if key in base.groups else renamed.get(key)
        pairs.append((before, key))
    known = {before for before, _ in pairs}
    return pairs + [(key, None) for key in base.groups if key not in known]


_Groups = Mapping[Key, tuple[Finding, ...]]


def _renames(base: _Groups, head: _Groups) -> dict[Key, Key]:
    """Head's key of each advisory that goes on under the other naming scheme, and base's.

    One to one, and as many as possible, worst first (augmenting paths): so that a finding more in head can
    never make a change look better (law 5). A package with very many advisories is left as it is, which is
    the stricter reading.
    """
    before = _by_scheme(base)
    renamed: dict[Key, Key] = {}
    for (scheme, package), present in _by_scheme(head).items():
        former = before.get((_OTHER_SCHEME[scheme], package), [])
        if max(len(present), len(former)) <= _MAX_RENAMES:
            gone = [key for key in former if key not in head]
            new = [key for key in present if key not in base]
            if gone and new:
                renamed |= _match(gone, new, base, head)
    return renamed


def _moves(base: _Groups, head: _Groups) -> dict[Key, Key]:
    """Head's key of each finding whose file was moved, and base's: one to one, at no higher severity.

    Vulnerabilities need none of it: their keys name no path.
    """
    gone: dict[Key, list[Key]] = defaultdict(list)
    for key in sorted(base.keys() - head.keys(), reverse=True):
        if key.kind is not Kind.VULNERABILITY:
            gone[key._replace(path="")].append(key)
    moved: dict[Key, Key] = {}
    for key in sorted(head.keys() - base.keys(), key=lambda key: (-_worst(head[key]).rank, key)):
        former = gone.get(key._replace(path=""), [])
        if former and _worst(base[former[-1]]).rank >= _worst(head[key]).rank:
            moved[key] = former.pop()
    return moved


def _by_scheme(groups: _Groups) -> dict[tuple[str, tuple[str, ...]], list[Key]]:
    """Vulnerabilities named by one of the two schemes, by scheme and package, sorted."""
    found: dict[tuple[str, tuple[str, ...]], list[Key]] = defaultdict(list)
    for key in groups:
        if (scheme := key.id.partition("-")[0]) in _OTHER_SCHEME and key.kind is Kind.VULNERABILITY:
            found[scheme, (key.type, key.source)].append(key)
    return {place: sorted(keys) for place, keys in found.items()}


def _match(gone: list[Key], new: list[Key], base: _Groups, head: _Groups) -> dict[Key, Key]:
    """Give as many of `new` as possible one of `gone` each."""
    holder: dict[Key, Key] = {}

    def place(key: Key, tried: set[Key]) -> bool:
        for old in gone:
            if old not in tried and _is_rename(base[old], head[key]):
                tried.add(old)
                if old not in holder or place(holder[old], tried):
                    holder[old] = key
                    return True
        return False

    for key in sorted(new, key=lambda key: (-_worst(head[key]).rank, key)):
        place(key, set())
    return {key: old for old, key in holder.items()}


def _is_rename(before: tuple[Finding, ...], after: tuple[Finding, ...]) -> bool:
    """Whether `after` is in no other place than `before`, and no worse."""
    return _worst(after).rank <= _worst(before).rank and set(map(_spot, after)) <= set(map(_spot, before))


def _spot(finding: Finding) -> tuple[object, ...]:
    return finding.package, finding.path, finding.versions, finding.fixed


def _blind_types(base: Side, head: Side) -> Callable[[str], bool]:
    """Say whether base could not look at packages of a type, and head can."""
    widened = {gap.reason for gap in base.gaps if gap not in head.gaps}
    seen = {package.type for package in base.packages}
    systems = {side.coverage.system.family for side in (base, head) if side.coverage.system}
    unknown = GapReason.UNKNOWN_SYSTEM in widened

    def is_blind(type_: str) -> bool:
        return bool(widened) and (type_ not in seen or (unknown and type_ in systems))

    return is_blind


class _Learned(NamedTuple):
    """What is known of base today, and was not when it was recorded, by base's keys."""

    causes: Mapping[Key, Cause] = {}
    """Why it shows, or is rated higher: `database`, `rating`, or `rebuild`."""
    fixable: frozenset[Key] = frozenset()
    """A fix is known now."""


def _learned(image: ImageInputs, exemptions: tuple[Exemption, ...], base: _Half) -> _Learned:
    if image.recorded is None:
        return _Learned()
    then = _group(_without(image.recorded, exemptions))
    renamed = _renames(then, base.groups)
    rebuilt = _rebuilt(image.recorded_packages, base)
    causes: dict[Key, Cause] = {}
    fixable: set[Key] = set()
    for key, findings in base.groups.items():
        known = then.get(renamed.get(key, key))
        if known is None or _worst(known).rank < _worst(findings).rank:
            knowledge = Cause.DATABASE if known is None else Cause.RATING
            causes[key] = Cause.REBUILD if all(map(rebuilt, findings)) else knowledge
        elif _is_fixed(findings) and not _is_fixed(known):
            fixable.add(key)
    return _Learned(causes, frozenset(fixable))


def _rebuilt(recorded: tuple[Package, ...] | None, base: _Half) -> Callable[[Finding], bool]:
    """Say whether the package of a finding of base is another one than when base was recorded."""
    if recorded is None:
        return lambda _: False
    then = _installed(recorded)

    def is_rebuilt(finding: Finding) -> bool:
        spot = (finding.package_type, finding.package, finding.path)
        return then.get(spot) != base.installed.get(spot, finding.versions)

    return is_rebuilt


def _is_fixed(findings: Iterable[Finding]) -> bool:
    return any(finding.fixed for finding in findings)


def _drift(image: ImageInputs, base: Side, concerns: Iterable[Concern]) -> tuple[PackageChange, ...]:
    """How the packages of base, built again from the same inputs, differ from what was recorded."""
    if image.recorded_packages is None:
        return ()
    brought = (concern for concern in concerns if concern.disclosed is Cause.REBUILD)
    return compare_packages(image.recorded_packages, base.packages, map(_as_brought, brought))


def _as_brought(concern: Concern) -> Concern:
    """`concern` as the rebuild brought it: into the places that base has."""
    places = [
        msgspec.structs.replace(place, was_affected=False, is_affected=True)
        for place in concern.places
        if place.was_affected
    ]
    return msgspec.structs.replace(concern, state=State.INTRODUCED, places=tuple(places))


def _concern(
    pair: tuple[Key | None, Key | None],
    base: _Half,
    head: _Half,
    *,
    blind: Callable[[str], bool],
    learned: _Learned,
) -> Concern:
    old, new = pair
    before = base.groups[old] if old else ()
    after = head.groups[new] if new else ()
    was = _worst(before) if before else None
    severity = _worst(after or before)
    state = _state(was, severity, is_there=bool(after))
    key = new or old
    assert key is not None  # noqa: S101 - every pair has a side
    cause = None
    if state is not State.PERSISTING:
        cause = Cause.SCOPE if state is State.INTRODUCED and blind(key.type) else Cause.IMAGE
    return Concern(
        kind=key.kind,
        id=key.id,
        type=key.type,
        source=key.source,
        path=key.path,
        discriminator=key.discriminator,
        state=state,
        severity=severity,
        was=was,
        cause=cause,
        disclosed=learned.causes.get(old) if old and after else None,
        now_fixable=bool(before) and _is_fixed(after) and (old in learned.fixable or not _is_fixed(before)),
        renamed_from=old.id if old and old.id != key.id else "",
        fixed=tuple(sorted({finding.fixed for finding in (after or before) if finding.fixed})),
        places=_places(before, after, base, head),
        title="" if key.kind is Kind.VULNERABILITY else (after or before)[0].title,
        line=(after or before)[0].line,
    )


def _state(was: Severity | None, severity: Severity, *, is_there: bool) -> State:
    if not is_there:
        return State.RESOLVED
    return State.INTRODUCED if was is None or severity.rank > was.rank else State.PERSISTING


def _places(
    before: tuple[Finding, ...], after: tuple[Finding, ...], base: _Half, head: _Half
) -> tuple[Place, ...]:
    was = {(f.package_type, f.package, f.path): f.versions for f in before}
    now = {(f.package_type, f.package, f.path): f.versions for f in after}
    return tuple(
        Place(
            package=spot[1],
            path=spot[2],
            base=base.installed.get(spot, was.get(spot, ())),
            head=head.installed.get(spot, now.get(spot, ())),
            was_affected=spot in was,
            is_affected=spot in now,
        )
        for spot in sorted(was.keys() | now.keys())
    )


def _rise(concerns: Iterable[Concern]) -> int:
    rise = 0
    for concern in concerns:
        if concern.kind is not Kind.VULNERABILITY:
            continue
        rise -= concern.was is not None and concern.was.is_relevant
        rise += (
            concern.state is not State.RESOLVED
            and concern.cause is not Cause.SCOPE
            and concern.severity.is_relevant
        )
    return rise


def _applied(exemptions: tuple[Exemption, ...], base: Side, head: Side) -> tuple[Applied, ...]:
    """Those that name something here, with the number of findings they name."""
    if not exemptions:
        return ()
    sides = [_by_id(side) for side in (base, head)]
    applied: list[Applied] = []
    for entry in exemptions:
        hits = [sum(names(entry, finding) for finding in side.get(entry.id, ())) for side in sides]
        if any(hits):
            applied.append(Applied(exemption=entry, base=hits[0], head=hits[1]))
    return tuple(applied)


def _by_id(side: Side) -> Mapping[str, list[Finding]]:
    found: dict[str, list[Finding]] = defaultdict(list)
    for finding in side.findings:
        found[finding.id].append(finding)
    return found
