"""The recorded history of one repository, read: its ledger as events, and its evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeAlias, TypeVar

import msgspec

from hullmark.checked_tree import CheckedTree
from hullmark.errors import RepositoryError, UsageError
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
    is_known,
    parse_event,
)
from hullmark.evidence import Evidence
from hullmark.finding import Finding
from hullmark.history import (
    Standing,
    Timeline,
    replay,
    stand,
    unknown_run,
)
from hullmark.image import REPOSITORY
from hullmark.ledger import Store
from hullmark.ledger.entry import TIME, entry_hash
from hullmark.ledger.files import batches
from hullmark.ledger.layout import RUNS, month_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hullmark.image import Digest
    from hullmark.ledger import Entry, Head
    from hullmark.scan import Database

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


_HAPPENINGS = frozenset(str(event.__struct_config__.tag) for event in (SmokeTested, Pushed))


class Happening(NamedTuple):
    """What became of an image, beside its scans."""

    sequence: int
    """Its place in the image's ledger, as that of a scan."""
    at: str
    event: SmokeTested | Pushed


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
        for month in self._months(RUNS, _LINES, newest_first=True):
            for line, raw, place in month:
                if entry_hash(raw)[:RUN_ID] == run:
                    event = parse_event(line.type, line.data, place=place)
                    if isinstance(event, RunStarted):
                        return event
        raise unknown_run(run, image)

    def standings(self, image: str) -> dict[str, Standing]:
        """Where each platform of one image stands; empty when nothing was recorded.

        What a new scan is compared with. It reads no changes and one run, so that recording into an old
        ledger costs what recording into a new one does.
        """
        return stand(image, self._contexts(image), lambda run: self.find_run(run, image))

    def digests(self, image: str) -> frozenset[Digest]:
        """Every image, by digest, that was ever recorded under one name."""
        return frozenset(scan.digest for scan in self._contexts(image) if scan.digest)

    def _contexts(self, image: str) -> Iterator[ScanContext]:
        for line, _ in self._lines(image, _CONTEXTS):
            if line.type == SCAN and line.data.run and line.data.platform:
                yield line.data
            elif line.type == SCAN or not is_known(line.type):
                self._refuse(image, None)

    def _lines(self, name: str, decoder: msgspec.json.Decoder[_Decoded]) -> Iterator[tuple[_Decoded, str]]:
        """Every line of a ledger and its place, oldest first."""
        for month in self._months(name, decoder):
            for line, _, place in month:
                yield line, place

    def _months(
        self, name: str, decoder: msgspec.json.Decoder[_Decoded], *, newest_first: bool = False
    ) -> Iterator[list[tuple[_Decoded, bytes, str]]]:
        """The lines of each month: what they mean, how they stand, and where.

        Many are decoded at a time: most scans find nothing new. A line that is no entry gives the error that
        `events` has for it.
        """
        files = month_files(self.root, name)
        for file in reversed(files) if newest_first else files:
            place, first = f"{self.root}/{file}", 1
            month: list[tuple[_Decoded, bytes, str]] = []
            for lines, _ in batches(self.root / file):
                try:
                    found: list[_Decoded] = decoder.decode_lines(b"\n".join(lines))
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    self._refuse(name, error)
                # An empty line is skipped by the decoder, and is no entry.
                if len(found) != len(lines) or not all(TIME.fullmatch(line.at) for line in found):
                    self._refuse(name, None)
                month += [
                    (line, raw, f"{place}:{number}")
                    for number, (line, raw) in enumerate(zip(found, lines, strict=True), first)
                ]
                first += len(lines)
            yield month

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

    def happenings(self, image: str) -> tuple[Happening, ...]:
        """Every smoke test and every push of one image, oldest first."""
        return tuple(
            Happening(sequence, line.at, event)
            for sequence, (line, place) in enumerate(self._lines(image, _LINES))
            if line.type in _HAPPENINGS
            and isinstance(event := parse_event(line.type, line.data, place=place), SmokeTested | Pushed)
        )

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

    def heads(self) -> dict[str, Head]:
        """How far every ledger goes."""
        return self.store.heads()

    def newest_database(self) -> Database | None:
        """The database of the newest run that scanned images; reads no month before it."""
        for month in self._months(RUNS, _LINES, newest_first=True):
            for line, _, place in month:
                if not is_known(line.type):
                    parse_event(line.type, line.data, place=place)  # says so
            for line, _, place in reversed(month):
                if line.type == RUN_STARTED:
                    event = parse_event(line.type, line.data, place=place)
                    if isinstance(event, RunStarted) and not event.checks:
                        return event.database
        return None
