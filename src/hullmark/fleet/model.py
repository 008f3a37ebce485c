"""The whole repository at the time of its last entry."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import msgspec

from hullmark.deadline import Deadlines
from hullmark.decision import Decision, KevState
from hullmark.event import Decided, RunStarted
from hullmark.exemptions import Exemption, Lint
from hullmark.finding import Counts
from hullmark.fleet.action import Action
from hullmark.fleet.flow import Week
from hullmark.fleet.member import Member
from hullmark.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hullmark.fleet.opened import OpenFinding


class RecordedDecision(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded decision, with what its evidence says."""

    at: str
    event: Decided
    decision: Decision
    policy: Policy | None = None
    """The policy that it was decided by; None where that could not be used."""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One run, as the ledger of runs has it."""

    id: str
    at: str
    started: RunStarted
    ended_at: str = ""
    """Empty when it has no end: it was interrupted, or its end was cut off."""
    scanned: tuple[str, ...] = ()
    missing: dict[str, str] = {}
    """What was expected and not scanned, with the reason."""


class ExploitedList(msgspec.Struct, frozen=True, kw_only=True):
    """CISA's list of exploited vulnerabilities, as a decision asked it."""

    asked_at: str
    """When it was asked, RFC 3339."""
    state: KevState
    """Whether it was fresh enough then."""
    date: str
    """When it was published, RFC 3339; empty where there was none."""
    ids: frozenset[str]


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the history says, at the time of its last entry."""

    as_of: str
    """The time of the last entry, RFC 3339; empty when nothing was recorded."""
    sample: bool
    members: tuple[Member, ...]
    """Every image and platform that is expected or was ever scanned, by name."""
    repository: tuple[Member, ...]
    """The repository's own files, once for each set of tools that looks at them; in no number below."""
    deadlines: Deadlines
    actions: tuple[Action, ...]
    """The most urgent first."""
    weeks: tuple[Week, ...]
    """Oldest first."""
    judgements: tuple[RecordedDecision, ...]
    """Newest first."""
    exploited: ExploitedList | None
    """None where no decision ever asked a list."""
    exemptions: tuple[Exemption, ...]
    """In the order in which they end."""
    lints: tuple[Lint, ...]
    """What is wrong, or soon will be, with an exemption."""
    runs: tuple[RunRecord, ...]
    """Oldest first."""

    @property
    def today(self) -> date:
        """The day it is of."""
        return date.fromisoformat(self.as_of[:10]) if self.as_of else date.min

    @property
    def scan_runs(self) -> tuple[RunRecord, ...]:
        """Runs that scanned images. One that checked files only says nothing about images or databases."""
        return tuple(run for run in self.runs if not run.started.checks)

    @property
    def expected(self) -> tuple[Member, ...]:
        """The images that count: all but the retired ones."""
        return tuple(member for member in self.members if member.is_expected)

    @property
    def uncovered(self) -> tuple[Member, ...]:
        """Images that count, and that nobody looked at, or not at all of it, in the period."""
        return tuple(member for member in self.expected if not member.is_covered)

    @property
    def counts(self) -> Counts:
        """Open findings of all images that count."""
        return sum((member.counts for member in self.expected), Counts())

    @property
    def vulnerabilities(self) -> Counts:
        """Vulnerabilities of all images that count, once for each image."""
        return sum((member.vulnerabilities for member in self.expected), Counts())

    @property
    def findings(self) -> Iterator[tuple[Member, OpenFinding]]:
        """Every open finding of the images that count."""
        return ((member, each) for member in self.expected for each in member.findings)

    def member(self, name: str) -> Member | None:
        """The image called `name`."""
        return next((member for member in self.members if member.name == name), None)

    def judgement_of(self, member: Member) -> RecordedDecision | None:
        """The newest decision that looked at an image."""
        label = f"{member.image} {member.platform}"
        return next((each for each in self.judgements if label in each.event.images), None)
