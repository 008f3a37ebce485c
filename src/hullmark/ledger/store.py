"""The ledger on disk: everybody reads, one writer at a time appends.

Rules, each with a test in the same words:
- A reader sees complete lines only; bytes after the last newline are an append that did not happen.
- An append is one write and one fsync; a crash at any byte of it loses at most that entry.
- Opening the writer repairs a torn tail: it drops only bytes after the last complete line, never a line that
  a run record or checkpoint covers, and says so.
- Reading the newest entry costs the same on a ledger of any age.
"""

from __future__ import annotations

import math
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import InputError, TamperedError, UsageError
from hullmark.ledger import files
from hullmark.ledger.checkpoint import RUN_FINISHED, Checkpoint, Head, parse_cover, root_hash
from hullmark.ledger.entry import (
    GENESIS,
    MAX_LINE,
    Entry,
    entry_hash,
    format_entry,
    format_time,
    is_type,
    parse_entry,
)
from hullmark.ledger.layout import LOCK, RUNS, check_ledger_name, month_file, month_files, survey
from hullmark.ledger.lock import held

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

WAIT = 30.0
"""Seconds that a writer waits for the one before it."""


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """What was left of an interrupted append, and was dropped."""

    ledger: str
    file: str
    line: int
    """The line that the append had begun; the file now ends before it."""
    dropped: bytes


class Store:
    """The ledgers below one root folder, which need not exist yet."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def names(self) -> tuple[str, ...]:
        """Return the names of all ledgers that have a file, sorted."""
        return tuple(sorted(survey(self.root).ledgers))

    def read(self, name: str) -> Iterator[Entry]:
        """Read a ledger from its beginning, one entry at a time; nothing when it does not exist.

        Checks the form of each line, not the chain: that is what `verify` is for.
        """
        yield from self._read(name, month_files(self.root, name))

    def last(self, name: str) -> Entry | None:
        """Return the newest entry, reading only the end of the newest file; its `line` is 0."""
        for file in reversed(month_files(self.root, name)):
            raw, _ = files.last_line(self.root / file)
            if raw is not None:
                return parse_entry(raw, ledger=name, file=file)
        return None

    def head(self, name: str) -> Head | None:
        """Return how far a ledger goes; its lines are counted."""
        last = self.last(name)
        if last is None:
            return None
        return Head(sum(files.count_lines(self.root / f) for f in month_files(self.root, name)), last.hash)

    def heads(self) -> dict[str, Head]:
        """Return the heads of all ledgers, `runs` included."""
        found = ((name, self.head(name)) for name in self.names())
        return {name: head for name, head in found if head is not None}

    def head_after(self, name: str, known: Head) -> Head | None:
        """Return how far a ledger goes that once ended at `known`; None when that entry is not in it.

        Reads from the newest month back to the one with that entry: what came before costs nothing.
        """
        last = self.last(name)
        if last is None or last.hash == known.head:
            return known if last else None
        after = 0
        for file in reversed(month_files(self.root, name)):
            hashes = [entry_hash(raw) for lines, _ in files.batches(self.root / file) for raw in lines]
            if known.head in hashes:
                after += len(hashes) - 1 - hashes.index(known.head)
                return Head(known.entries + after, last.hash)
            after += len(hashes)
        return None

    def recorded_heads(self) -> dict[str, Head]:
        """Return the heads as the newest run record left them.

        The first run record of a month carries all heads, so only the newest month with one is read. Its root
        proves that nothing is missing; where it does not, all run records are read. TamperedError when even
        then heads and root do not agree.
        """
        months = month_files(self.root, RUNS)
        for file in reversed(months):
            heads, root = self._accumulate((file,))
            if not root:
                continue
            if root_hash(heads) != root:
                heads, root = self._accumulate(months)
            if root_hash(heads) != root:
                raise TamperedError(
                    f"{self.root / file}: the newest run record's root is not the hash over its heads",
                    hint="`hullmark verify` shows everything that is wrong; the last good version is in git.",
                )
            return heads
        return {}

    @contextmanager
    def writer(self, *, wait: float = WAIT, checkpoint: Checkpoint | None = None) -> Iterator[Writer]:
        """Become the only writer, after repairing torn tails.

        EnvironmentFaultError when another process keeps writing for `wait` seconds. TamperedError when a tail
        is torn where a run record or `checkpoint` covers more entries than there are: that is no crash.
        """
        files.make_folder(self.root)
        with held(self.root / LOCK, wait=wait):
            writer = Writer(self, self._repair(checkpoint))
            try:
                yield writer
            finally:
                writer.close()

    def _read(self, name: str, months: Iterable[str]) -> Iterator[Entry]:
        for file in months:
            number = 0
            for lines, _ in files.batches(self.root / file):
                for raw in lines:
                    number += 1
                    yield parse_entry(raw, ledger=name, file=file, line=number)

    def _accumulate(self, months: Iterable[str]) -> tuple[dict[str, Head], str]:
        """Return the heads of the run records in `months`, later ones winning, and the last root."""
        heads: dict[str, Head] = {}
        root = ""
        for entry in self._read(RUNS, months):
            cover = parse_cover(entry.raw, file=entry.file, line=entry.line)
            if cover is not None:
                heads |= cover.heads
                root = cover.root
        return heads, root

    def _repair(self, checkpoint: Checkpoint | None) -> tuple[Repair, ...]:
        repairs: list[Repair] = []
        for name, months in survey(self.root).ledgers.items():
            path = self.root / months[-1]
            line, torn = files.last_line(path)
            if line is not None and not torn:
                continue
            self._refuse_covered(name, months, checkpoint)
            size = path.stat().st_size
            repairs.append(
                Repair(
                    ledger=name,
                    file=months[-1],
                    line=files.count_lines(path) + 1,
                    dropped=files.read_from(path, size - torn),
                )
            )
            files.cut(path, size - torn)
        return tuple(repairs)

    def _refuse_covered(self, name: str, months: Iterable[str], checkpoint: Checkpoint | None) -> None:
        """Raise TamperedError when the torn tail of a ledger stands where covered entries were."""
        complete = sum(files.count_lines(self.root / file) for file in months)
        pins = [] if name == RUNS else [self.recorded_heads().get(name)]
        if checkpoint is not None:
            pins.append(checkpoint.heads.get(name))
        covered = max((pin.entries for pin in pins if pin is not None), default=0)
        if covered > complete:
            raise TamperedError(
                f"{self.root / name}: {covered} entries are covered by a run record or checkpoint, "
                f"but only {complete} are complete",
                hint="This is not an interrupted append. `hullmark verify` names the place; "
                "the last good version is in git.",
            )


class Writer:
    """The only writer of a store; made by `Store.writer`."""

    def __init__(self, store: Store, repaired: tuple[Repair, ...]) -> None:
        self.repaired = repaired
        self._store = store
        self._last: dict[str, Entry | None] = {}
        self._open = True

    def close(self) -> None:
        """Refuse every further append: the lock is about to go."""
        self._open = False

    def append(self, name: str, type: str, data: object, *, now: datetime) -> Entry:  # noqa: A002 - the key's name
        """Record one fact and return its entry once the disk has it.

        `data` is a mapping, a struct or raw JSON. `now` may lie before the newest entry: then that entry's
        time is recorded, and the lag. InputError when `data` cannot be said in JSON or is too long.
        """
        if type == RUN_FINISHED:
            raise UsageError("a run record carries heads", hint="Write it with `Writer.finish_run`.")
        return self._append(name, type, data, now)

    def finish_run(self, data: object, *, now: datetime) -> Entry:
        """Record the end of a run, with the heads that changed since the run record before and the root.

        TamperedError when an entry that a run record names as head is no longer there.
        """
        content = msgspec.to_builtins(data)
        if not isinstance(content, dict) or {"heads", "root"} & content.keys():
            raise UsageError("a run record's data is a mapping without the keys `heads` and `root`")
        known = self._store.recorded_heads()
        heads = self._heads(known)
        at, _ = self._when(RUNS, now)
        if self._has_record(month_file(RUNS, at)):
            changed = {name: head for name, head in heads.items() if known.get(name) != head}
        else:
            changed = heads
        return self._append(RUNS, RUN_FINISHED, {**content, "heads": changed, "root": root_hash(heads)}, now)

    def _heads(self, known: Mapping[str, Head]) -> dict[str, Head]:
        """Return the heads of all ledgers but `runs`, as continuations of the `known` ones."""
        heads: dict[str, Head] = {}
        for name in sorted({*self._store.names(), *known} - {RUNS}):
            head = self._store.head_after(name, known[name]) if name in known else self._store.head(name)
            if head is not None:
                heads[name] = head
            elif name in known:
                raise TamperedError(
                    f"{self._store.root / name}: an entry that a run record covers was changed or is missing",
                    hint="`hullmark verify` names the place; the last good version is in git.",
                )
        return heads

    def _append(self, name: str, type: str, data: object, now: datetime) -> Entry:  # noqa: A002 - the key's name
        if not self._open:
            raise UsageError("this writer has ended", hint="Append inside `with store.writer()`.")
        check_ledger_name(name)
        if not is_type(type):
            raise UsageError(
                f"{type!r} cannot be the type of an entry", hint="Use words of a-z and 0-9 joined by -."
            )
        at, lag = self._when(name, now)
        last = self._newest(name)
        file = month_file(name, at)
        path = self._store.root / file
        try:
            raw = format_entry(at=at, type=type, data=data, prev=last.hash if last else GENESIS, lag=lag)
        except (ValueError, msgspec.DecodeError) as error:
            raise InputError(f"cannot be recorded: {error}", file=path, key=f"{type}.data") from error
        if len(raw) > MAX_LINE:
            raise InputError(
                f"an entry of {len(raw)} bytes is longer than {MAX_LINE}", file=path, key=f"{type}.data"
            )
        # Forgotten first: after an error or Ctrl-C only the file says what was written.
        self._last.pop(name, None)
        files.append_line(path, raw)
        entry = parse_entry(raw, ledger=name, file=file)
        self._last[name] = entry
        return entry

    def _newest(self, name: str) -> Entry | None:
        if name not in self._last:
            self._last[name] = self._store.last(name)
        return self._last[name]

    def _when(self, name: str, now: datetime) -> tuple[str, int]:
        """Return the time to record and the lag: time never goes back in a ledger."""
        at = format_time(now)
        last = self._newest(name)
        if last is None or at >= last.at:
            return at, 0
        return last.at, math.ceil((last.time - now).total_seconds())

    def _has_record(self, file: str) -> bool:
        if not os.path.lexists(self._store.root / file):
            return False
        return any(entry.type == RUN_FINISHED for entry in self._store._read(RUNS, (file,)))  # noqa: SLF001 - one module
