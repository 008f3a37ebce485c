"""Follow the lines of a ledger from hash to hash. Pure: bytes in, hashes, breaks and faults out.

A line is sound when it names the hash of the line before, a time not before that of the line before, and lies
in the file of its month. Following that costs little more than one sha256 per line. `diagnosis` says what
happened where it fails.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import TamperedError
from hullmark.ledger.entry import GENESIS, MAX_TYPE, parse_entry

if TYPE_CHECKING:
    from collections.abc import Sequence


class Kind(StrEnum):
    """What happened to a ledger."""

    EDIT = "edit"
    REORDER = "reorder"
    DUPLICATION = "duplication"
    INSERTION = "insertion"
    TRUNCATION = "truncation"
    BROKEN = "broken"
    """A line that is no entry, and so was not written by `append`."""
    FORM = "form"
    """A line that is not in the one form RFC 8785 allows."""
    TIME = "time"
    """A time before that of the line before."""
    MONTH = "month"
    """A line in the file of another month."""
    RECORD = "record"
    """A run record whose heads go back or contradict another, or whose root does not fit all heads."""
    FILE = "file"
    """A link, a folder, an unreadable or an emptied file where a month file belongs."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, and where."""

    kind: Kind
    file: str
    """Path below the ledger's root, with slashes."""
    line: int
    """Counted from 1; 0 when the fault is the file itself."""
    text: str


class Link(msgspec.Struct, frozen=True):
    """A line that does not name the line before it."""

    prev: str
    """The hash it names instead; empty when the line is no entry."""
    broken: str = ""
    """Why the line is no entry; empty when it is one."""


# The usual line: `at` and `data` first, `prev` and `type` last, each at a known distance from an end.
_START = b'{"at":"'
_DATA = b'","data":'
_PREV = b',"prev":"'
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_TIME = b"0000-00-00T00:00:00Z"
_TYPE = b'","type":"'
_END = re.compile(rb'[a-z][a-z0-9-]*"\}').fullmatch
_LONGEST_END = len(_PREV) + 64 + len(_TYPE) + MAX_TYPE + len('"}')


class Chain:
    """What following one ledger has found so far. `index` counts its lines from 0 over all its files."""

    def __init__(self, ledger: str) -> None:
        self.ledger = ledger
        self.hashes: list[str] = []
        self.breaks: dict[int, Link] = {}
        self.faults: list[Fault] = []
        self.bytes = 0
        self.newest = b""
        """The last line."""
        self._ends: set[bytes] = set()
        self._floor = b""
        self._files: list[str] = []
        self._starts: list[int] = []

    def place(self, index: int) -> tuple[str, int]:
        """Return the file of a line, and its number there, counted from 1."""
        if not self._files:
            return self.ledger, 0
        which = bisect_right(self._starts, max(index, 0)) - 1
        return self._files[which], index - self._starts[which] + 1

    def begin(self, file: str) -> None:
        """Go on with the lines of another month file."""
        self._files.append(file)
        self._starts.append(len(self.hashes))

    def follow(self, lines: Sequence[bytes]) -> None:
        """Follow the next lines of the current file, given without their newlines.

        In a canonical line what the chain needs lies at the line's ends, and is compared there. Reading the
        JSON between them would cost more than hashing it and prove nothing: a changed line has another hash.
        A line of any other shape is read as JSON. In valid JSON the ends cannot be anything but the keys of
        the envelope: within a string each quote has a backslash before it, within an object a brace follows.
        """
        month = _START + self._files[-1][-13:-6].encode()
        known = b""  # a time that was found to be well-formed and of this month
        hashes, ends, floor = self.hashes, self._ends, self._floor
        link = _PREV + (hashes[-1] if hashes else GENESIS).encode() + _TYPE
        for raw in lines:
            mark = raw.rfind(link, -_LONGEST_END)
            at = raw[7:27]
            if (
                mark > 0
                and (raw[mark + 83 :] in ends or self._is_end(raw[mark + 83 :]))
                and raw[27:36] == _DATA
                and raw[:14] == month
                and (at == known or (at >= floor and at.translate(_ZEROS) == _TIME))
            ):
                floor = known = at
            else:
                floor = self._look(raw, floor.decode(), month[7:].decode()).encode()
            text = sha256(raw).hexdigest()
            hashes.append(text)
            link = _PREV + text.encode() + _TYPE
        self._floor = floor
        self.bytes += sum(map(len, lines)) + len(lines)
        self.newest = lines[-1] if lines else self.newest

    def _is_end(self, end: bytes) -> bool:
        """Say whether `end` closes an entry after its type, and remember it: a ledger has few types."""
        if not _END(end):
            return False
        self._ends.add(end)
        return True

    def _look(self, raw: bytes, floor: str, month: str) -> str:
        """Read a line whose ends are not as expected; return the time to go on with."""
        index = len(self.hashes)
        file, line = self.place(index)
        try:
            entry = parse_entry(raw, ledger=self.ledger, file=file, line=line)
        except TamperedError as error:
            self.breaks[index] = Link("", error.message.removeprefix(f"{file}:{line}: "))
            return floor
        if entry.prev != (self.hashes[-1] if self.hashes else GENESIS):
            self.breaks[index] = Link(entry.prev)
        elif entry.at < floor:
            self._fault(Kind.TIME, index, f"its time {entry.at} is before {floor}, that of the line before")
        if entry.at[:7] != month:
            self._fault(Kind.MONTH, index, f"its time {entry.at} belongs into another month's file")
        return entry.at

    def _fault(self, kind: Kind, index: int, text: str) -> None:
        file, line = self.place(index)
        self.faults.append(Fault(kind=kind, file=file, line=line, text=text))
