"""One vulnerability as base and head have it, with the packages that explain it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import msgspec

from hullmark.decision.inputs import Key
from hullmark.decision.packages import PackageChange
from hullmark.exemptions import Exemption
from hullmark.finding import Cause, Counts, Finding, Kind, Severity
from hullmark.policy import State


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, order=True):
    """A package that carries a vulnerability in base or head, with the versions installed on each side."""

    package: str
    path: str = ""
    base: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    was_affected: bool = False
    is_affected: bool = False


class Concern(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One vulnerability (or other finding) in base, head or both."""

    kind: Kind = Kind.VULNERABILITY
    id: str
    type: str
    source: str
    path: str = ""
    discriminator: str = ""
    state: State
    severity: Severity
    """The worst in head; in base when it is resolved."""
    was: Severity | None = None
    """The worst in base; None when it was not there."""
    cause: Cause | None = None
    """Why it was introduced or resolved; None when it persists."""
    disclosed: Cause | None = None
    """Why base has it, and was recorded without it: `database` learned of it, `rating` rated it lower then,
    `rebuild` when base was built again from the same inputs and has another package."""
    now_fixable: bool = False
    """In both; a fix is known for head, and was not when base was recorded, or is not for base."""
    renamed_from: str = ""
    """The id under which base has it."""
    fixed: tuple[str, ...] = ()
    """Versions that fix it, as the advisory writes them."""
    places: tuple[Place, ...] = ()
    title: str = ""
    """What the rule says; empty for vulnerabilities, which have an id that everybody knows."""
    line: int = 0
    """Where in the file; 0 for packages and whole files."""

    @property
    def key(self) -> Key:
        """What the gate counts once."""
        return Key(self.kind, self.id, self.type, self.source, self.path, self.discriminator)

    @property
    def differs(self) -> bool:
        """Whether any finding of it differs between base and head."""
        return (
            self.state is not State.PERSISTING
            or self.was is not self.severity
            or bool(self.renamed_from)
            or any(place.was_affected != place.is_affected for place in self.places)
        )


class KindCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many findings of one kind other than vulnerabilities each side has."""

    kind: Kind
    before: Counts
    after: Counts


class Applied(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An exemption that covers something here, and how many findings of each side."""

    exemption: Exemption
    base: int = 0
    head: int = 0


class Comparison(msgspec.Struct, frozen=True, kw_only=True, dict=True):  # dict: keeps `by_state`
    """What became of one image."""

    concerns: tuple[Concern, ...]
    """Worst first, without what is exempted."""
    before: Counts
    """Vulnerabilities of base, without what is exempted."""
    after: Counts
    """Vulnerabilities of head, without what is exempted."""
    findings_before: Counts
    """The same, once for each package that carries one."""
    findings_after: Counts
    relevant: int
    """By how many the relevant ones rise; what is of cause `scope` is not counted."""
    exempted: tuple[Applied, ...]
    expired: tuple[Exemption, ...]
    """Entries that would cover something here, and no longer apply."""
    findings: Mapping[Key, tuple[Finding, ...]]
    """Head's findings of each vulnerability."""
    drift: tuple[PackageChange, ...] = ()
    """How base, built again from the same inputs, differs from what was recorded: cause `rebuild`."""
    others: tuple[KindCount, ...] = ()
    """The same two counts of every other kind, which are never mixed with those of vulnerabilities."""

    @cached_property
    def by_state(self) -> Mapping[State, tuple[Concern, ...]]:
        """The concerns in each state, in their order: they are many, and many rules ask for few of them."""
        present = tuple(concern for concern in self.concerns if concern.state is not State.RESOLVED)
        return {
            State.RESOLVED: tuple(c for c in self.concerns if c.state is State.RESOLVED),
            State.PRESENT: present,
            State.INTRODUCED: tuple(c for c in present if c.state is State.INTRODUCED),
            State.PERSISTING: tuple(c for c in present if c.state is State.PERSISTING),
        }

    @property
    def differs(self) -> bool:
        """Whether any vulnerability differs."""
        return any(concern.differs for concern in self.concerns if concern.kind is Kind.VULNERABILITY)

    @property
    def unjudged(self) -> tuple[Concern, ...]:
        """What a policy must have a word for: every difference, but for checks only what the change brings.

        A weakness of LOW severity, and one that went away, need no word.
        """
        return tuple(concern for concern in self.concerns if concern.differs and _matters(concern))


def _matters(concern: Concern) -> bool:
    if concern.kind is Kind.VULNERABILITY:
        return True
    return concern.state is State.INTRODUCED and concern.severity is not Severity.LOW


def worst_first(concern: Concern) -> tuple[object, ...]:
    """The order of concerns: by severity, and then by what they are."""
    return (-concern.severity.rank, *concern.key)
