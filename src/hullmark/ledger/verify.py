"""Prove a whole ledger: every chain, every run record, and a checkpoint from outside.

Rules, each with a test in the same words:
- Every ledger that `append` produced is accepted.
- Every reorder, duplication or edit of a line that a later line, a run record or a given checkpoint covers is
  rejected, and every truncation that leaves one of these uncovered.
- Lines covered by nothing are listed. So are the lines of an image's ledger after its last recorded head: a
  later line covers them against a change, but nothing against being cut off together.
- Heads never go back from one run record to the next, and each root is the hash over all heads until then.
- What an interrupted append may leave (a torn tail, an empty newest file) and what does not belong here is
  noted; it is no fault.
"""

from __future__ import annotations

from operator import le
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import EnvironmentFaultError, RepositoryError, TamperedError
from hullmark.ledger.canonical import is_canonical
from hullmark.ledger.chain import Chain, Fault, Kind
from hullmark.ledger.checkpoint import Checkpoint, Cover, Head, parse_cover, root_hash
from hullmark.ledger.diagnosis import Anchor, diagnose
from hullmark.ledger.entry import parse_entry
from hullmark.ledger.files import batches
from hullmark.ledger.layout import RUNS, is_ledger_name, survey

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Uncovered(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of one file that no run record and no given checkpoint covers."""

    ledger: str
    file: str
    first: int
    last: int


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Something beside the ledger, or left of an interrupted append; no sign of a change."""

    file: str
    text: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What `verify` found."""

    faults: tuple[Fault, ...]
    uncovered: tuple[Uncovered, ...]
    notes: tuple[Note, ...]
    heads: dict[str, Head]
    """Of every ledger as it is now, `runs` included."""
    root: str
    """The hash over all heads but that of `runs`: what a run record written now would carry."""
    entries: int
    bytes: int
    checkpoint: bool
    """Whether a checkpoint was given. Without one, all this is complete only as far as this copy goes."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; uncovered lines and notes are not wrong."""
        return not self.faults


def verify(root: Path, checkpoint: Checkpoint | None = None) -> Verification:
    """Check everything below `root`. Faults are returned, never raised; a root without ledgers is sound."""
    return _Proof(root, checkpoint).run()


class _Proof:
    def __init__(self, root: Path, checkpoint: Checkpoint | None) -> None:
        self.root = root
        self.checkpoint = checkpoint
        self.faults: list[Fault] = []
        self.notes: list[Note] = []
        self.uncovered: list[Uncovered] = []
        self.pins: dict[str, list[tuple[Head, str]]] = {}
        """What run records say about each ledger, in their order, and where."""
        self.recorded: dict[str, Head] = {}
        self.heads: dict[str, Head] = {}
        self.entries = 0
        self.bytes = 0

    def run(self) -> Verification:
        found = survey(self.root)
        self.faults += [Fault(kind=Kind.FILE, file=path, line=0, text=why) for path, why in found.wrong]
        self.notes += [Note(file=path, text=why) for path, why in found.strays]
        # The runs first: their records say what the others must contain.
        self._ledger(RUNS, found.ledgers.get(RUNS, ()))
        pinned = self.checkpoint.heads if self.checkpoint else {}
        for name in sorted({*found.ledgers, *self.pins, *pinned} - {RUNS}):
            self._ledger(name, found.ledgers.get(name, ()))
        return Verification(
            faults=tuple(self.faults),
            uncovered=tuple(self.uncovered),
            notes=tuple(self.notes),
            heads=self.heads,
            root=root_hash({name: head for name, head in self.heads.items() if name != RUNS}),
            entries=self.entries,
            bytes=self.bytes,
            checkpoint=self.checkpoint is not None,
        )

    def _ledger(self, name: str, months: tuple[str, ...]) -> None:
        chain = Chain(name)
        for file in months:
            chain.begin(file)
            self._month(chain, file, newest=file == months[-1])
        if chain.hashes:
            self.heads[name] = Head(len(chain.hashes), chain.hashes[-1])
            self._newest(chain)
        self.faults += chain.faults
        covered = self._compare(chain)
        self.entries += len(chain.hashes)
        self.bytes += chain.bytes
        self._list_uncovered(chain, covered)

    def _month(self, chain: Chain, file: str, *, newest: bool) -> None:
        """Follow one month file, and note how it ends."""
        before = len(chain.hashes)
        rest = b""
        try:
            for lines, rest in batches(f"{self.root}/{file}"):  # noqa: B007 - the last `rest` is what remains
                start = len(chain.hashes)
                chain.follow(lines)
                if chain.ledger == RUNS:
                    self._read_records(chain, lines, start)
        except (RepositoryError, EnvironmentFaultError) as error:
            self._fault(Kind.FILE, file, 0, error.message)
            return
        if rest and newest:
            self.notes.append(Note(file=file, text=f"{len(rest)} bytes of an interrupted append at its end"))
        elif rest:
            self._fault(Kind.BROKEN, file, len(chain.hashes) - before + 1, "the line has no end")
        if len(chain.hashes) == before and not rest:
            if newest:
                self.notes.append(Note(file=file, text="empty: an interrupted append began it"))
            else:
                self._fault(Kind.FILE, file, 0, "empty")

    def _newest(self, chain: Chain) -> None:
        """Look into the newest line: the bytes of all others are held by the hash that the next one names."""
        index = len(chain.hashes) - 1
        file, line = chain.place(index)
        if index in chain.breaks:
            return
        try:
            parse_entry(chain.newest, file=file, line=line)
        except TamperedError as error:
            self._fault(Kind.BROKEN, file, line, error.message.removeprefix(f"{file}:{line}: "))
        else:
            if not is_canonical(chain.newest):
                self._fault(Kind.FORM, file, line, "not in canonical form (RFC 8785)")

    def _read_records(self, chain: Chain, lines: Iterable[bytes], start: int) -> None:
        for index, raw in enumerate(lines, start):
            file, line = chain.place(index)
            try:
                cover = parse_cover(raw, file=file, line=line)
            except TamperedError as error:
                if index not in chain.breaks:
                    self._fault(Kind.BROKEN, file, line, error.message.removeprefix(f"{file}:{line}: "))
            else:
                if cover is not None:
                    self._record(cover, file, line)

    def _record(self, cover: Cover, file: str, line: int) -> None:
        """Take over what a run record covers; `_ledger` compares it, once the lines are known."""
        source = f"{file}:{line}"
        for name, head in cover.heads.items():
            pins = self.pins.get(name)
            if pins is not None:
                pins.append((head, source))
            elif name == RUNS or not is_ledger_name(name):
                self._fault(Kind.RECORD, file, line, f"{name!r} is no ledger that a run record covers")
            else:
                self.pins[name] = [(head, source)]
        self.recorded |= cover.heads
        if root_hash(self.recorded) != cover.root:
            self._fault(Kind.RECORD, file, line, "its root is not the hash over all heads")

    def _compare(self, chain: Chain) -> int:
        """Compare a ledger with everything stated about it. Return how many of its entries are covered so."""
        pins = [head for head, _ in self.pins.get(chain.ledger, ())]
        if self.checkpoint is not None and chain.ledger in self.checkpoint.heads:
            pins.append(self.checkpoint.heads[chain.ledger])
        count = len(chain.hashes)
        numbers = [head.entries for head in pins]
        # The usual case first: it says no more than the diagnosis does, but costs less.
        if (
            not chain.breaks
            and all(map(le, numbers, numbers[1:]))
            and max(numbers, default=0) <= count
            and [chain.hashes[number - 1] for number in numbers] == [head.head for head in pins]
        ):
            return numbers[-1] if numbers else 0
        anchors = self._anchors(chain.ledger)
        self.faults += diagnose(chain, anchors)
        return max((number for number in anchors if number <= count), default=0)

    def _anchors(self, name: str) -> dict[int, Anchor]:
        """Return what is stated about a ledger, after reporting statements that contradict each other."""
        anchors: dict[int, Anchor] = {}
        if self.checkpoint is not None and name in self.checkpoint.heads:
            head = self.checkpoint.heads[name]
            anchors[head.entries] = Anchor(head.head, "the checkpoint")
        newest = 0
        for head, source in self.pins.get(name, ()):
            known = anchors.get(head.entries)
            if known is None:
                anchors[head.entries] = Anchor(head.head, source)
            elif known.head != head.head:
                self._contradiction(
                    source, f"{known.source} says otherwise about entry {head.entries} of {name}"
                )
            if head.entries < newest:
                self._contradiction(source, f"says {name} has {head.entries} entries; it had {newest} before")
            newest = max(newest, head.entries)
        return anchors

    def _contradiction(self, source: str, text: str) -> None:
        file, _, line = source.rpartition(":")
        self._fault(Kind.RECORD, file, int(line), text)

    def _list_uncovered(self, chain: Chain, covered: int) -> None:
        """List the lines after the last anchor; of `runs`, which no record covers, the newest line only."""
        count = len(chain.hashes)
        if chain.ledger == RUNS:
            covered = max(covered, count - 1)
        while covered < count:
            file, first = chain.place(covered)
            last = first
            while covered + 1 < count and chain.place(covered + 1)[0] == file:
                covered += 1
                last += 1
            covered += 1
            self.uncovered.append(Uncovered(ledger=chain.ledger, file=file, first=first, last=last))

    def _fault(self, kind: Kind, file: str, line: int, text: str) -> None:
        self.faults.append(Fault(kind=kind, file=file, line=line, text=text))
