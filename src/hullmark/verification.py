"""Check a recorded history: chains and run records, the evidence it names, and the scans it promised.

Rules (each has a test with the same words):
- every digest that an event names is there, and its content has that digest;
- every scan belongs to a run that expected it, so that no ledger passes for another image's;
- sample and real history never mix;
- every image that a run expected was scanned, or the run says why not;
- a run that has no end is named: it was interrupted, or its end was cut off;
- a recorded decision says what its evidence says, and everything it was made from is there;
- evidence that nothing names is listed; it is no fault.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from hullmark.decision import named_evidence, parse_decision
from hullmark.errors import HullmarkError, RepositoryError
from hullmark.event import Decided, LedgerStarted, Pushed, RunFinished, RunStarted, Scanned
from hullmark.journal import RUN_ID
from hullmark.ledger.layout import RUNS
from hullmark.ledger.verify import Verification, verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hullmark.image import Digest
    from hullmark.journal import Journal
    from hullmark.ledger import Checkpoint


class FaultKind(StrEnum):
    """What is wrong beyond the chain."""

    EVIDENCE_MISSING = "evidence-missing"
    EVIDENCE_CHANGED = "evidence-changed"
    FOREIGN_SCAN = "foreign-scan"
    MISSING_SCAN = "missing-scan"
    MIXTURE = "mixture"
    OTHER_VERDICT = "other-verdict"
    UNREADABLE = "unreadable"


class HistoryFault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault with the file and line of the entry that shows it."""

    kind: FaultKind
    file: str
    line: int
    text: str


class HistoryCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer of `hullmark verify`."""

    ledger: Verification
    faults: tuple[HistoryFault, ...]
    missed: tuple[str, ...]
    """Scans that were expected and did not happen, with the reason that the run gave."""
    unfinished: tuple[str, ...]
    """Runs without an end."""
    unnamed_evidence: int
    """Evidence that no event names."""
    sample: bool | None

    @property
    def ok(self) -> bool:
        """Whether nothing was changed after it was recorded."""
        return self.ledger.ok and not self.faults


def verify_history(journal: Journal, checkpoint: Checkpoint | None = None) -> HistoryCheck:
    """Check everything below the journal's root. Faults are returned, never raised."""
    ledger = verify(journal.root, checkpoint)
    check = _Check(journal)
    # The runs first: they say which scans the others may have.
    for name in sorted(journal.store.names(), key=lambda name: (name != RUNS, name)):
        check.ledger(name)
    held = set(journal.evidence.digests())
    return HistoryCheck(
        ledger=ledger,
        faults=tuple(check.faults),
        missed=tuple(check.missed),
        unfinished=tuple(check.unfinished),
        unnamed_evidence=len(held - check.named),
        sample=check.sample,
    )


class _Check:
    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.faults: list[HistoryFault] = []
        self.missed: list[str] = []
        self.unfinished: list[str] = []
        self.named: set[Digest] = set()
        self.sample: bool | None = None
        self.expected: dict[str, frozenset[str]] = {}
        """What each run expected."""

    def ledger(self, name: str) -> None:
        """Check the events of one ledger. A line that the chain refuses was already named by it."""
        begun: dict[str, tuple[str, int, RunStarted]] = {}
        try:
            for entry, event in self.journal.events(name):
                if isinstance(event, Scanned):
                    self._evidence((event.sbom, event.findings), entry.file, entry.line)
                    self._run(event, name, entry.file, entry.line)
                elif isinstance(event, RunStarted):
                    begun[entry.hash[:RUN_ID]] = (entry.file, entry.line, event)
                    self.expected[entry.hash[:RUN_ID]] = frozenset(event.expected)
                elif isinstance(event, RunFinished):
                    self._finished(begun, event, entry.file, entry.line)
                elif isinstance(event, Decided):
                    self._decision(event, entry.file, entry.line)
                elif isinstance(event, Pushed):
                    self._evidence((event.decision,), entry.file, entry.line)
                elif isinstance(event, LedgerStarted):
                    self._kind(event, entry.file, entry.line)
        except RepositoryError as error:
            self.faults.append(HistoryFault(kind=FaultKind.UNREADABLE, file=name, line=0, text=error.message))
        if name == RUNS:
            self.unfinished = [
                f"{file}:{line}: run {run} has no end" for run, (file, line, _) in begun.items()
            ]

    def _decision(self, event: Decided, file: str, line: int) -> None:
        if not self._evidence((event.decision,), file, line):
            return
        try:
            decision = parse_decision(self.journal.evidence.get(event.decision))
        except msgspec.DecodeError as error:
            text = f"{event.decision} cannot be read as a decision: {error}"
            self.faults.append(HistoryFault(kind=FaultKind.UNREADABLE, file=file, line=line, text=text))
            return
        self._evidence(sorted(named_evidence(decision.inputs)), file, line)
        if decision.verdict is not event.verdict:
            text = f"the entry says {event.verdict}, its decision {decision.verdict}"
            self.faults.append(HistoryFault(kind=FaultKind.OTHER_VERDICT, file=file, line=line, text=text))

    def _evidence(self, digests: Iterable[Digest | None], file: str, line: int) -> bool:
        """Check each of `digests` once; whether all are there, as far as this call looked."""
        sound = True
        for digest in digests:
            if digest is None or digest in self.named:
                continue
            self.named.add(digest)
            try:
                self.journal.evidence.check(digest)
            except HullmarkError as error:
                kind = (
                    FaultKind.EVIDENCE_CHANGED
                    if self.journal.evidence.has(digest)
                    else FaultKind.EVIDENCE_MISSING
                )
                self.faults.append(HistoryFault(kind=kind, file=file, line=line, text=error.message))
                sound = False
        return sound

    def _run(self, event: Scanned, name: str, file: str, line: int) -> None:
        label = f"{name} {event.platform}"
        if label in self.expected.get(event.run, ()):
            return
        if event.run in self.expected:
            text = f"run {event.run} did not expect {label}: the scan was recorded for another image"
        else:
            text = f"the scan names run {event.run}, which the ledger of runs does not have"
        self.faults.append(HistoryFault(kind=FaultKind.FOREIGN_SCAN, file=file, line=line, text=text))

    def _kind(self, event: LedgerStarted, file: str, line: int) -> None:
        if self.sample not in (None, event.sample):
            kinds = ("real", "a sample")
            text = f"this ledger is {kinds[event.sample]}, another is {kinds[not event.sample]}"
            self.faults.append(HistoryFault(kind=FaultKind.MIXTURE, file=file, line=line, text=text))
        self.sample = event.sample

    def _finished(
        self, begun: dict[str, tuple[str, int, RunStarted]], event: RunFinished, file: str, line: int
    ) -> None:
        if event.run not in begun:
            text = f"run {event.run} ends without having begun"
            self.faults.append(HistoryFault(kind=FaultKind.UNREADABLE, file=file, line=line, text=text))
            return
        _, _, started = begun.pop(event.run)
        self.missed += [f"{file}:{line}: {label}: {reason}" for label, reason in event.missing.items()]
        for label in _unaccounted(started, event):
            text = f"run {event.run} expected {label}, and neither scanned it nor says why not"
            self.faults.append(HistoryFault(kind=FaultKind.MISSING_SCAN, file=file, line=line, text=text))


def _unaccounted(started: RunStarted, finished: RunFinished) -> Iterator[str]:
    accounted = {*finished.scanned, *finished.missing}
    return (label for label in started.expected if label not in accounted)
