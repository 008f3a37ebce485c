"""What the check of the history said, and what the ledger of runs shows, for the page Evidence."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hullmark.fleet import RunRecord
    from hullmark.verification import HistoryCheck

RHYTHM = 10
"""Days after which the next run is late: a week, and some patience."""
_DAY = 86_400


class LedgerEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How far one ledger goes."""

    name: str
    entries: int
    head: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What `hullmark verify` says, as numbers and lines."""

    ok: bool
    entries: int
    root: str
    heads: tuple[LedgerEnd, ...]
    faults: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    """Scans that were expected and did not happen."""
    unfinished: tuple[str, ...] = ()
    uncovered: int = 0
    """Ledger lines that no later record covers yet."""
    unnamed: int = 0
    """Evidence that no event names."""


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """A time without a run."""

    start: str
    end: str
    days: int


def tell_proof(check: HistoryCheck) -> Proof:
    """The check in the form in which pages show it."""
    faults = [f"{fault.file}:{fault.line}: {fault.text}" for fault in check.ledger.faults]
    faults += [f"{fault.file}:{fault.line}: {fault.text}" for fault in check.faults]
    return Proof(
        ok=check.ok,
        entries=check.ledger.entries,
        root=check.ledger.root,
        heads=tuple(
            LedgerEnd(name=name, entries=head.entries, head=head.head)
            for name, head in sorted(check.ledger.heads.items())
        ),
        faults=tuple(faults),
        missed=check.missed,
        unfinished=check.unfinished,
        uncovered=sum(each.last - each.first + 1 for each in check.ledger.uncovered),
        unnamed=check.unnamed_evidence,
    )


def find_pauses(runs: Iterable[RunRecord]) -> tuple[Pause, ...]:
    """Times between two runs that are longer than the weekly rhythm, oldest first."""
    times = [run.at for run in runs]
    found = []
    for before, after in pairwise(times):
        seconds = (datetime.fromisoformat(after) - datetime.fromisoformat(before)).total_seconds()
        if seconds > RHYTHM * _DAY:
            found.append(Pause(start=before, end=after, days=int(seconds // _DAY)))
    return tuple(found)
