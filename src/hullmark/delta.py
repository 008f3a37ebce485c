"""Compare two sets of findings, and name the cause of every difference.

Rules of pairing (DESIGN §4), one to one and in this order, after exact identity:
1. moved: the same id, type, package and version at another path;
2. renamed: a GHSA and a CVE of the same package, version and path;
3. carried over: the same id in another binary package of the same source (`libssl3t64` -> `libssl3`).

Rules of cause, from three sets: `recorded` (base with the database of then), `base` (base with the database
of today) and `head`:
- a difference that `base` already shows was made by the database (or by the scanner, when the database is
  the same), the others by the image;
- where coverage widened, what appears is of cause `scope`: nobody had looked before; where it is known which
  types of packages `joined`, only what appears in them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from enum import StrEnum

import msgspec

from hullmark.finding import Cause, Finding, Identity


class Pairing(StrEnum):
    """How a finding of base and one of head were seen to be the same."""

    SAME = "same"
    MOVED = "moved"
    RENAMED = "renamed"
    CARRIED_OVER = "carried-over"


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that is in both, as each side states it."""

    base: Finding
    head: Finding
    how: Pairing

    @property
    def is_rerated(self) -> bool:
        """Whether the severity differs."""
        return self.base.severity is not self.head.severity

    @property
    def is_now_fixable(self) -> bool:
        """Whether a fix exists now and did not before."""
        return not self.base.fixed and bool(self.head.fixed)


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """The difference between base and head. Every finding of either side is in exactly one part."""

    introduced: tuple[Finding, ...] = ()
    resolved: tuple[Finding, ...] = ()
    pairs: tuple[Pair, ...] = ()

    @property
    def rerated(self) -> tuple[Pair, ...]:
        """Pairs whose severity differs."""
        return tuple(pair for pair in self.pairs if pair.is_rerated)

    @property
    def now_fixable(self) -> tuple[Pair, ...]:
        """Pairs for which a fix appeared."""
        return tuple(pair for pair in self.pairs if pair.is_now_fixable)

    def paired(self, how: Pairing) -> tuple[Pair, ...]:
        """Pairs that were found in this way."""
        return tuple(pair for pair in self.pairs if pair.how is how)


_Key = Callable[[Finding], Hashable]

_LATER_PAIRINGS: tuple[tuple[Pairing, _Key], ...] = (
    (Pairing.MOVED, lambda f: (f.kind, f.id, f.package_type, f.package, f.versions, f.discriminator)),
    (
        Pairing.RENAMED,
        lambda f: (
            (f.kind, f.package_type, f.package, f.path, f.versions, f.fixed, f.discriminator)
            if f.id.startswith(("CVE-", "GHSA-"))
            else f.identity
        ),
    ),
    (Pairing.CARRIED_OVER, lambda f: (f.kind, f.vulnerability) if f.source else f.identity),
)


def compare(base: Iterable[Finding], head: Iterable[Finding]) -> Delta:
    """Compare `head` with `base`. Each part is sorted by identity of head, or of base where head has none."""
    before = {finding.identity: finding for finding in base}
    after = {finding.identity: finding for finding in head}
    pairs = [
        Pair(base=before[identity], head=after[identity], how=Pairing.SAME)
        for identity in before.keys() & after.keys()
    ]
    gone = [before[identity] for identity in sorted(before.keys() - after.keys())]
    new = [after[identity] for identity in sorted(after.keys() - before.keys())]
    for how, key in _LATER_PAIRINGS:
        if not gone or not new:
            break
        found, gone, new = _pair(gone, new, how, key)
        pairs += found
    return Delta(
        introduced=tuple(new),
        resolved=tuple(gone),
        pairs=tuple(sorted(pairs, key=lambda pair: pair.head.identity)),
    )


def _pair(
    gone: list[Finding], new: list[Finding], how: Pairing, key: _Key
) -> tuple[list[Pair], list[Finding], list[Finding]]:
    waiting: dict[Hashable, list[Finding]] = defaultdict(list)
    for finding in gone:
        waiting[key(finding)].append(finding)
    pairs: list[Pair] = []
    unpaired: list[Finding] = []
    for finding in new:
        candidates = waiting[key(finding)]
        match = next((base for base in candidates if _may_pair(base, finding, how)), None)
        if match is None:
            unpaired.append(finding)
        else:
            candidates.remove(match)
            pairs.append(Pair(base=match, head=finding, how=how))
    used = {pair.base.identity for pair in pairs}
    return pairs, [finding for finding in gone if finding.identity not in used], unpaired


def _may_pair(base: Finding, head: Finding, how: Pairing) -> bool:
    if how is Pairing.RENAMED:
        # A rename is between the two naming schemes. Two CVEs of one package are two vulnerabilities.
        return base.id.partition("-")[0] != head.id.partition("-")[0]
    return True


class Causes(msgspec.Struct, frozen=True, kw_only=True):
    """Why each difference between a recorded base and head came about, by identity."""

    introduced: Mapping[Identity, Cause]
    resolved: Mapping[Identity, Cause]
    rerated: Mapping[Identity, Cause]


def name_causes(
    delta: Delta,
    base_today: Iterable[Finding],
    *,
    knowledge: Cause = Cause.DATABASE,
    change: Cause = Cause.IMAGE,
    widened: bool = False,
    joined: frozenset[str] = frozenset(),
) -> Causes:
    """Name the cause of every difference in `delta`, which is between the recorded base and head.

    `base_today` is base matched as head was: same scanner, same database. `knowledge` is the cause of what
    `base_today` already shows (database, or scanner), `change` of the rest (image, or rebuild).
    """
    today = {finding.identity: finding for finding in base_today}

    def introduction(finding: Finding) -> Cause:
        if widened or finding.package_type in joined:
            return Cause.SCOPE
        return knowledge if finding.identity in today else change

    def resolution(finding: Finding) -> Cause:
        return change if finding.identity in today else knowledge

    def rerating(pair: Pair) -> Cause:
        known = today.get(pair.head.identity)
        if known is None or known.severity is not pair.head.severity:
            return change
        return Cause.RATING if knowledge is Cause.DATABASE else knowledge

    return Causes(
        introduced={finding.identity: introduction(finding) for finding in delta.introduced},
        resolved={finding.identity: resolution(finding) for finding in delta.resolved},
        rerated={pair.head.identity: rerating(pair) for pair in delta.rerated},
    )
