"""The recorded history of one repository: its ledger and its evidence, read and written as events.

Rules (each has a test with the same words):
- the first entry of every ledger says whether it is a sample; sample and real events never mix;
- only a sample ledger takes a time that is made up;
- evidence is stored before the event that names it;
- nothing is recorded where entries that a run record covers are gone;
- a database older than the one of the run before is not recorded: what it does not know yet is not resolved;
- a run is recorded as begun before anything is recorded in it, and as finished with the heads of all ledgers.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeAlias, TypeVar

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
    ScanContext,
    Scanned,
    SmokeTested,
    SummaryPublished,
    format_event,
    is_known,
    parse_event,
)
from hullmark.evidence import Evidence
from hullmark.finding import Cause, Finding
from hullmark.history import (
    Observation,
    Standing,
    Timeline,
    continue_history,
    replay,
    stand,
    unknown_run,
)
from hullmark.image import REPOSITORY
from hullmark.ledger import Store
from hullmark.ledger.entry import TIME, entry_hash, format_time, parse_entry
from hullmark.ledger.files import batches
from hullmark.ledger.layout import RUNS, month_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from hullmark.image import Digest
    from hullmark.ledger import Entry, Head, Repair, Writer
    from hullmark.scan import Database, Scan

CheckAgain: TypeAlias = Callable[[CheckedTree, frozenset[str]], tuple[Finding, ...] | None]
"""Checks an earlier tree again with some of today's tools; None where it cannot be had any more."""

SCAN = str(Scanned.__struct_config__.tag)
RUN_STARTED = str(RunStarted.__struct_config__.tag)
RUN_ID = 16
"""Digits of the hash of a run's first entry by which its other events name it."""

_FINDINGS = msgspec.json.Decoder(tuple[Finding, ...])


class _Line(msgspec.Struct):
    at: str
    type: str
    data: msgspec.Raw


class _ContextLine(msgspec.Struct):
    at: str
    type: str
    data: ScanContext


_LINES = msgspec.json.Decoder(_Line)
_CONTEXTS = msgspec.json.Decoder(_ContextLine)
_Decoded = TypeVar("_Decoded", _Line, _ContextLine)


def encode_findings(findings: tuple[Finding, ...]) -> bytes:
    """Findings as evidence holds them."""
    return msgspec.json.encode(findings, order="sorted")


class Journal:
    """Reads what was recorded below one folder, usually `audit-logs/`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root)
        self.evidence = Evidence(root)

    def images(self) -> tuple[str, ...]:
        """Names of all images that have a ledger, sorted."""
        return tuple(name for name in self.subjects() if name != REPOSITORY)

    def subjects(self) -> tuple[str, ...]:
        """Names of all images that have a ledger, and `repository` where it has one, sorted."""
        return tuple(name for name in self.store.names() if name != RUNS)

    def events(self, name: str) -> Iterator[tuple[Entry, Event]]:
        """Every entry of one ledger with its meaning, oldest first."""
        for entry in self.store.read(name):
            yield entry, parse_event(entry.type, entry.data, place=self._place(entry))

    def runs(self) -> dict[str, RunStarted]:
        """The start of every run, by its id."""
        return {
            entry.hash[:RUN_ID]: event for entry, event in self.events(RUNS) if isinstance(event, RunStarted)
        }

    def find_run(self, run: str, image: str) -> RunStarted:
        """The start of one run, looked for in the newest month first; `image` has a scan that names it."""
        for file in reversed(month_files(self.root, RUNS)):
            for lines, _ in batches(self.root / file):
                for raw in lines:
                    if entry_hash(raw)[:RUN_ID] == run:
                        entry = parse_entry(raw, ledger=RUNS, file=file)
                        event = parse_event(entry.type, entry.data, place=f"{self.root}/{file}")
                        if isinstance(event, RunStarted):
                            return event
        raise unknown_run(run, image)

    def standings(self, image: str) -> dict[str, Standing]:
        """Where each platform of one image stands; empty when nothing was recorded.

        What a new scan is compared with. It reads no changes and one run, so that recording into an old
        ledger costs what recording into a new one does.
        """
        return stand(image, self._contexts(image), lambda run: self.find_run(run, image))

    def _contexts(self, image: str) -> Iterator[ScanContext]:
        for line, _ in self._lines(image, _CONTEXTS):
            if line.type == SCAN and line.data.run and line.data.platform:
                yield line.data
            elif line.type == SCAN or not is_known(line.type):
                self._refuse(image, None)

    def _lines(self, name: str, decoder: msgspec.json.Decoder[_Decoded]) -> Iterator[tuple[_Decoded, str]]:
        """Every line of a ledger and its place, read many at a time: most scans find nothing new.

        A line that is no entry gives the error that `events` has for it.
        """
        for file in month_files(self.root, name):
            place, first = f"{self.root}/{file}", 1
            for lines, _ in batches(place):
                try:
                    found: list[_Decoded] = decoder.decode_lines(b"\n".join(lines))
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    self._refuse(name, error)
                if len(found) != len(lines):  # an empty line is skipped by the decoder, and is no entry
                    self._refuse(name, None)
                for number, line in enumerate(found, first):
                    if not TIME.fullmatch(line.at):
                        self._refuse(name, None)
                    yield line, f"{place}:{number}"
                first += len(found)

    def _refuse(self, name: str, error: Exception | None) -> NoReturn:
        for _ in self.events(name):
            pass
        raise RepositoryError(
            f"{self.root / name}: changed while it was read", hint="Run the command again."
        ) from error

    def _place(self, entry: Entry) -> str:
        return f"{self.root}/{entry.file}:{entry.line}"

    def summaries(self) -> tuple[SummaryPublished, ...]:
        """Every recorded summary, oldest first."""
        return tuple(event for _, event in self.events(RUNS) if isinstance(event, SummaryPublished))

    def decisions(self) -> tuple[tuple[str, Decided], ...]:
        """Every recorded decision with its time, oldest first."""
        return tuple((entry.at, event) for entry, event in self.events(RUNS) if isinstance(event, Decided))

    def find_decision(self, text: str) -> tuple[str, Decided]:
        """The newest recorded decision whose digest is, or begins with, `text`; `latest` for the newest."""
        wanted = text.removeprefix("sha256:")
        decisions = dict((event.decision, (at, event)) for at, event in self.decisions())  # noqa: C402 - ordered
        found = [
            each
            for digest, each in decisions.items()
            if text == "latest" or digest.removeprefix("sha256:").startswith(wanted)
        ]
        if text == "latest" and found:
            return found[-1]
        if not wanted or not found:
            raise UsageError(
                f"no decision {text!r} was recorded",
                hint="Name it by its digest or the beginning of it, or say `latest`.",
            )
        if len(found) > 1:
            raise UsageError(f"{len(found)} decisions begin with {text!r}", hint="Give more of the digest.")
        return found[0]

    def missing(self) -> dict[str, str]:
        """For each `image platform` that the newest run which expected it did not scan: why."""
        missing: dict[str, str] = {}
        for _, event in self.events(RUNS):
            if isinstance(event, RunFinished):
                for label in event.scanned:
                    missing.pop(label, None)
                missing |= event.missing
        return missing

    def timelines(
        self, image: str, runs: Mapping[str, RunStarted] | None = None, *, until: str = ""
    ) -> dict[str, Timeline]:
        """The history of each platform of one image; empty when nothing was recorded.

        `until` (RFC 3339, UTC, that second included) gives it as it stood then.
        """
        events = (
            (line.at, parse_event(line.type, line.data, place=place))
            for line, place in self._lines(image, _LINES)
            if not until or line.at <= until
        )
        return replay(image, events, self.runs() if runs is None else runs)

    def findings(self, digest: Digest) -> tuple[Finding, ...]:
        """Findings that were stored as evidence."""
        try:
            return _FINDINGS.decode(self.evidence.get(digest))
        except msgspec.DecodeError as error:
            raise RepositoryError(
                f"{self.evidence.path(digest)}: not a list of findings: {error}",
                hint="It was written by another version, or is evidence of another kind.",
            ) from error

    def is_sample(self) -> bool | None:
        """Whether this is a sample; None while nothing was recorded."""
        for name in self.store.names():
            for _, event in self.events(name):
                if isinstance(event, LedgerStarted):
                    return event.sample
                break
        return None

    @contextmanager
    def recording(self, started: RunStarted, *, now: datetime, clock_overridden: bool) -> Iterator[Recording]:
        """Begin a run as the only writer. The caller ends it with `Recording.finish`."""
        if clock_overridden and not started.database.sample:
            raise UsageError(
                "HULLMARK_NOW is set, and the database is real",
                hint="Only sample ledgers take a time that is made up. Unset HULLMARK_NOW.",
            )
        with self.store.writer() as writer:
            self._refuse_mixture(sample=started.database.sample)
            self._refuse_loss()
            if not started.checks:
                self._refuse_older(started.database, now)
            yield Recording(self, writer, started, now)

    @contextmanager
    def summarising(self, *, now: datetime, clock_overridden: bool) -> Iterator[Summarising]:
        """Make a summary as the only writer: what is read is what is there when it is recorded."""
        sample = self.is_sample()
        if sample is None:
            raise InputError("nothing was recorded here", file=self.root, hint="Run `hullmark run --record`.")
        if clock_overridden and not sample:
            raise UsageError(
                "HULLMARK_NOW is set, and this ledger is not a sample", hint="Unset HULLMARK_NOW."
            )
        with self.store.writer() as writer:
            self._refuse_loss()
            last = self.store.last(RUNS)
            # Time never goes back: a summary is of the time that its entry will have.
            yield Summarising(writer, sample=sample, now=max(now, last.time) if last else now)

    @contextmanager
    def deciding(self, *, sample: bool, now: datetime, clock_overridden: bool) -> Iterator[Deciding]:
        """Record decisions and pushes as the only writer. `sample` says whether their database is one."""
        if clock_overridden and not sample:
            raise UsageError(
                "HULLMARK_NOW is set, and the database is real",
                hint="Only sample ledgers take a time that is made up. Unset HULLMARK_NOW.",
            )
        with self.store.writer() as writer:
            self._refuse_mixture(sample=sample)
            self._refuse_loss()
            yield Deciding(self, writer, sample=sample, now=now)

    def heads(self) -> dict[str, Head]:
        """How far every ledger goes."""
        return self.store.heads()

    def _refuse_mixture(self, *, sample: bool) -> None:
        known = self.is_sample()
        if known is not None and known != sample:
            kinds = ("a real", "a sample")
            raise RepositoryError(
                f"{self.root} holds {kinds[known]} history, and this database is {kinds[sample]} one",
                hint="Record into another folder, or name the right database with --db.",
            )

    def _refuse_loss(self) -> None:
        """Raise TamperedError when an entry that a run record covers is gone."""
        for name, head in self.store.recorded_heads().items():
            if self.store.head_after(name, head) is None:
                raise TamperedError(
                    f"{self.root / name}: an entry that a run record covers was changed or is missing",
                    hint="`hullmark verify` names the place; the last good version is in git.",
                )

    def _refuse_older(self, database: Database, now: datetime) -> None:
        """Raise IncompleteError when the run before had a newer database."""
        before = self._newest_database()
        # A date that lies ahead is wrong; it must not lock the ledger until it has come.
        if before is None or before.updated_at > format_time(now) or database.updated_at >= before.updated_at:
            return
        raise IncompleteError(
            f"the database is of {database.updated_at}, the one of the run before of {before.updated_at}: "
            "what it does not know yet would look resolved",
            hint="Fetch a newer one with: hullmark db update",
        )

    def _newest_database(self) -> Database | None:
        """The database of the newest run; reads no month before it."""
        for file in reversed(month_files(self.root, RUNS)):
            begun: list[Entry] = []
            for lines, _ in batches(self.root / file):
                for raw in lines:
                    entry = parse_entry(raw, ledger=RUNS, file=file)
                    if not is_known(entry.type):
                        parse_event(entry.type, entry.data, place=f"{self.root}/{file}")  # says so
                    if entry.type == RUN_STARTED:
                        begun.append(entry)
            for entry in reversed(begun):
                event = parse_event(entry.type, entry.data, place=f"{self.root}/{file}")
                if isinstance(event, RunStarted) and not event.checks:
                    return event.database
        return None


class Summarising:
    """A summary that is being made. It lives inside `Journal.summarising`."""

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
    """Decisions, and what followed from them, being recorded. It lives inside `Journal.deciding`."""

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
    """A run that is being written down. It lives inside `Journal.recording`."""

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
