"""The recorded history of one repository, written: runs, summaries and decisions, each by the only writer.

Rules (each has a test with the same words):
- the first entry of every ledger says whether it is a sample; sample and real events never mix;
- only a sample ledger takes a time that is made up;
- evidence is stored before the event that names it;
- nothing is recorded where entries that a run record covers are gone;
- a database older than the one of the run before is not recorded: what it does not know yet is not resolved;
- a run is recorded as begun before anything is recorded in it, and as finished with the heads of all ledgers.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from hullmark import __version__
from hullmark.checked_tree import CheckedTree, changed_tools, parse_checked_tree, today_of
from hullmark.errors import IncompleteError, InputError, RepositoryError, TamperedError, UsageError
from hullmark.event import (
    Decided,
    Event,
    LedgerStarted,
    Pushed,
    RunFinished,
    RunStarted,
    Scanned,
    SmokeTested,
    SummaryPublished,
    format_event,
)
from hullmark.finding import Cause, Finding
from hullmark.history import Observation, continue_history
from hullmark.journal import RUN_ID, encode_findings
from hullmark.ledger.entry import format_time
from hullmark.ledger.layout import RUNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from typing import TypeAlias

    from hullmark.image import Digest
    from hullmark.journal import Journal
    from hullmark.ledger import Entry, Repair, Writer
    from hullmark.scan import Database, Scan

    CheckAgain: TypeAlias = Callable[[CheckedTree, frozenset[str]], tuple[Finding, ...] | None]
    """Checks an earlier tree again with some of today's tools; None where it cannot be had any more."""


@contextmanager
def begin_run(
    journal: Journal, started: RunStarted, *, now: datetime, clock_overridden: bool
) -> Iterator[Recording]:
    """Begin a run as the only writer. The caller ends it with `Recording.finish`."""
    if clock_overridden and not started.database.sample:
        raise UsageError(
            "HULLMARK_NOW is set, and the database is real",
            hint="Only sample ledgers take a time that is made up. Unset HULLMARK_NOW.",
        )
    with journal.store.writer() as writer:
        _refuse_mixture(journal, sample=started.database.sample)
        _refuse_loss(journal)
        if not started.checks:
            _refuse_older(journal, started.database, now)
        yield Recording(journal, writer, started, now)


@contextmanager
def begin_summary(journal: Journal, *, now: datetime, clock_overridden: bool) -> Iterator[Summarising]:
    """Make a summary as the only writer: what is read is what is there when it is recorded."""
    sample = journal.is_sample()
    if sample is None:
        raise InputError("nothing was recorded here", file=journal.root, hint="Run `hullmark run --record`.")
    if clock_overridden and not sample:
        raise UsageError("HULLMARK_NOW is set, and this ledger is not a sample", hint="Unset HULLMARK_NOW.")
    with journal.store.writer() as writer:
        _refuse_loss(journal)
        last = journal.store.last(RUNS)
        # Time never goes back: a summary is of the time that its entry will have.
        yield Summarising(writer, sample=sample, now=max(now, last.time) if last else now)


@contextmanager
def begin_decision(
    journal: Journal, *, sample: bool, now: datetime, clock_overridden: bool
) -> Iterator[Deciding]:
    """Record decisions and pushes as the only writer. `sample` says whether their database is one."""
    if clock_overridden and not sample:
        raise UsageError(
            "HULLMARK_NOW is set, and the database is real",
            hint="Only sample ledgers take a time that is made up. Unset HULLMARK_NOW.",
        )
    with journal.store.writer() as writer:
        _refuse_mixture(journal, sample=sample)
        _refuse_loss(journal)
        yield Deciding(journal, writer, sample=sample, now=now)


def _refuse_mixture(journal: Journal, *, sample: bool) -> None:
    known = journal.is_sample()
    if known is not None and known != sample:
        kinds = ("a real", "a sample")
        raise RepositoryError(
            f"{journal.root} holds {kinds[known]} history, and this database is {kinds[sample]} one",
            hint="Record into another folder, or name the right database with --db.",
        )


def _refuse_loss(journal: Journal) -> None:
    """Raise TamperedError when an entry that a run record covers is gone."""
    for name, head in journal.store.recorded_heads().items():
        if journal.store.head_after(name, head) is None:
            raise TamperedError(
                f"{journal.root / name}: an entry that a run record covers was changed or is missing",
                hint="`hullmark verify` names the place; the last good version is in git.",
            )


def _refuse_older(journal: Journal, database: Database, now: datetime) -> None:
    """Raise IncompleteError when the run before had a newer database."""
    before = journal.newest_database()
    # A date that lies ahead is wrong; it must not lock the ledger until it has come.
    if before is None or before.updated_at > format_time(now) or database.updated_at >= before.updated_at:
        return
    raise IncompleteError(
        f"the database is of {database.updated_at}, the one of the run before of {before.updated_at}: "
        "what it does not know yet would look resolved",
        hint="Fetch a newer one with: hullmark db update",
    )


class Summarising:
    """A summary that is being made. It lives inside `begin_summary`."""

    def __init__(self, writer: Writer, *, sample: bool, now: datetime) -> None:
        self._writer = writer
        self.sample = sample
        self.now = now
        """The time of the summary: never before what was recorded last."""

    def record(self, summary: SummaryPublished) -> None:
        """Record that the summary was made."""
        type_, data = format_event(summary)
        self._writer.append(RUNS, type_, data, now=self.now)


class Deciding:
    """Decisions, and what followed from them, being recorded. It lives inside `begin_decision`."""

    def __init__(self, journal: Journal, writer: Writer, *, sample: bool, now: datetime) -> None:
        self._journal = journal
        self._writer = writer
        self._sample = sample
        self._now = now

    def record(self, event: Decided, evidence: Iterable[bytes]) -> Entry:
        """Store `evidence`, the decision and all that it names, and record that the decision was made."""
        for content in evidence:
            self._journal.evidence.put(content)
        return self._append(RUNS, event)

    def record_push(self, image: str, event: Pushed) -> Entry:
        """Record that `image` went into a registry, or why it could not."""
        return self._append(image, event)

    def _append(self, name: str, event: Event) -> Entry:
        is_new = self._journal.store.last(name) is None
        return _append(self._writer, name, event, sample=self._sample, is_new=is_new, now=self._now)


class Recording:
    """A run that is being written down. It lives inside `begin_run`."""

    def __init__(self, journal: Journal, writer: Writer, started: RunStarted, now: datetime) -> None:
        self._journal = journal
        self._writer = writer
        self._now = now
        self._sample = started.database.sample
        self.run = self._append(RUNS, started).hash[:RUN_ID]

    @property
    def repaired(self) -> tuple[Repair, ...]:
        """Torn tails that were dropped before this run."""
        return self._writer.repaired

    def add(
        self,
        scan: Scan,
        sbom: bytes,
        match_again: Callable[[bytes], tuple[Finding, ...]],
        *,
        inputs: Digest | None,
    ) -> Scanned:
        """Record one scan and return its event.

        `match_again` matches the SBOM of the scan before with the scanner and database of this run; it is
        called only when both the SBOM and our knowledge have changed.
        """
        journal = self._journal
        standing = journal.standings(scan.image).get(str(scan.platform))
        stored = journal.evidence.put(sbom)
        recorded: tuple[Finding, ...] = ()
        base_today = scan.findings
        if standing is not None:
            before = standing.latest
            recorded = journal.findings(before.findings)
            if before.sbom != stored:
                same_knowledge = (before.run.scanner, before.run.database.digest) == (
                    scan.provenance.scanner,
                    scan.provenance.database.digest,
                )
                base_today = recorded if same_knowledge else match_again(journal.evidence.get(before.sbom))
        seen = Observation(
            run=self.run, scan=scan, sbom=stored, inputs=inputs, recorded=recorded, base_today=base_today
        )
        event = continue_history(standing, seen, self._store)
        self._append(scan.image, event)
        return event

    def add_test(self, image: str, event: SmokeTested) -> None:
        """Record that an image was started and tested, or that it could not be."""
        self._append(image, event)

    def add_check(self, scan: Scan, tree: bytes, check_again: CheckAgain) -> Scanned:
        """Record what was found in the repository's files and return its event.

        `tree` says what was looked at and with what. `check_again` is called only where a tool has changed.
        """
        journal = self._journal
        standing = journal.standings(scan.image).get(str(scan.platform))
        stored = journal.evidence.put(tree)
        seen = Observation(run=self.run, scan=scan, sbom=stored, base_today=scan.findings)
        if standing is not None:
            before = standing.latest
            recorded = journal.findings(before.findings)
            place = str(journal.evidence.path(before.sbom))
            old = parse_checked_tree(journal.evidence.get(before.sbom), place=place)
            new = parse_checked_tree(tree, place="the tree that was checked")
            changed = changed_tools(old, new)
            again = check_again(old, changed) if changed else ()
            seen = msgspec.structs.replace(
                seen,
                recorded=recorded,
                base_today=today_of(recorded, scan.findings if again is None else again, changed),
                knowledge=Cause.SCANNER,
                joined=frozenset(gap.subject for gap in before.coverage.gaps) & {t.name for t in new.tools},
            )
        event = continue_history(standing, seen, self._store)
        self._append(scan.image, event)
        return event

    def finish(self, scanned: tuple[str, ...], missing: dict[str, str]) -> None:
        """Record the end of the run, with the heads of all ledgers."""
        _, data = format_event(RunFinished(run=self.run, scanned=scanned, missing=missing))
        self._writer.finish_run(data, now=self._now)

    def _store(self, findings: tuple[Finding, ...]) -> Digest:
        return self._journal.evidence.put(encode_findings(findings))

    def _append(self, name: str, event: Event) -> Entry:
        is_new = self._journal.store.last(name) is None
        return _append(self._writer, name, event, sample=self._sample, is_new=is_new, now=self._now)


def _append(writer: Writer, name: str, event: Event, *, sample: bool, is_new: bool, now: datetime) -> Entry:
    if is_new:
        type_, data = format_event(LedgerStarted(sample=sample, hullmark=__version__))
        writer.append(name, type_, data, now=now)
    type_, data = format_event(event)
    return writer.append(name, type_, data, now=now)
