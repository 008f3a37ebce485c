"""Say what happened to a ledger whose chain is broken.

It looks at the hashes of the whole ledger and at its *anchors*: places whose number and hash a run record or
a checkpoint states. The rules, in this order, each with a test in the same words:

1. A line that is no entry is *broken*; the line after it cannot name it and is excused.
2. The same line again is a *duplication*.
3. A line that names a line which is there, but not just before it: an *insertion* when another line names
   the same one (so it looks when two histories were merged), else a *reorder*.
4. A line that names a line which is nowhere: *truncation* when the anchors around it leave room for more
   lines than there are, or when the line before is an anchor itself; else the line before was *edited*. When
   the next line cannot be followed either, it is this line that was edited.
5. An anchor behind the last line: *truncation*. An anchor whose line has another hash: *edit*.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from hullmark.ledger.chain import Chain, Fault, Kind
from hullmark.ledger.entry import GENESIS

if TYPE_CHECKING:
    from collections.abc import Mapping


class Anchor(msgspec.Struct, frozen=True):
    """That the entry of some number has this hash, and who says so."""

    head: str
    source: str


def diagnose(chain: Chain, anchors: Mapping[int, Anchor]) -> list[Fault]:
    """Return what is wrong with a chain; `anchors` are by number of entries, so counted from 1."""
    sound = all(
        number <= len(chain.hashes) and chain.hashes[number - 1] == anchor.head
        for number, anchor in anchors.items()
    )
    if sound and not chain.breaks:
        return []
    return _Diagnosis(chain, anchors).run()


class _Diagnosis:
    def __init__(self, chain: Chain, anchors: Mapping[int, Anchor]) -> None:
        self.chain = chain
        self.anchors = anchors
        self.found: list[tuple[Kind, int, str]] = []
        self.reordered = -2
        self.where: dict[str, int] = {}
        for index, text in enumerate(chain.hashes):
            self.where.setdefault(text, index)
        self.prevs = [
            chain.breaks[index].prev if index in chain.breaks else before
            for index, before in enumerate([GENESIS, *chain.hashes][: len(chain.hashes)])
        ]
        self.named = Counter(
            prev for index, prev in enumerate(self.prevs) if self.where[chain.hashes[index]] == index
        )
        self.fixed = [(0, 0)]
        """Where anchors really are: the number of entries they state, and of lines up to them."""
        for number, anchor in sorted(anchors.items()):
            if anchor.head in self.where:
                self.fixed.append((number, self.where[anchor.head] + 1))

    def run(self) -> list[Fault]:
        last = GENESIS
        excused = False
        for index, text in enumerate(self.chain.hashes):
            link = self.chain.breaks.get(index)
            if link is not None and link.broken:
                self._add(Kind.BROKEN, index, link.broken)
                last, excused = text, True
            elif self.where[text] != index:
                self._add(Kind.DUPLICATION, index, f"the same line as {self._name(self.where[text])}")
            else:
                sound = excused or self.prevs[index] == last
                excused = not sound and self._explain(index)
                last = text
        self._compare_anchors()
        return [
            Fault(kind=kind, file=file, line=line, text=text)
            for kind, index, text in self.found
            for file, line in (self.chain.place(index),)
        ]

    def _explain(self, index: int) -> bool:
        """Report a line that does not name the line before. Return whether the next one is excused by it."""
        prev = self.prevs[index]
        if self.named[prev] > 1:
            other = self.prevs.index(prev)
            self._add(
                Kind.INSERTION,
                index,
                f"names the same line before it as {self._name(other)} does: "
                "one of them was inserted, or two histories were merged",
            )
            return False
        if prev in self.where or prev == GENESIS:
            before = (
                f"the line before it is {self._name(self.where[prev])}"
                if prev in self.where
                else "it is first"
            )
            # One pair that changed places breaks three links: one report for lines that follow each other.
            follows, self.reordered = self.reordered == index - 1, index
            if not follows:
                self._add(Kind.REORDER, index, f"not in its place: by its own word {before}")
            return False
        return self._explain_unknown(index)

    def _explain_unknown(self, index: int) -> bool:
        """Report a line that names a line which is nowhere."""
        missing = self._missing(index)
        after = self.prevs[index + 1] if index + 1 < len(self.prevs) else ""
        if missing == 0 and after and after not in self.where:
            self._add(Kind.EDIT, index, "was changed: neither its own link nor that of the next line fits")
            return True
        if index == 0:
            self._add(Kind.TRUNCATION, 0, "the beginning of the ledger is missing before this line")
        elif missing:
            count = f"{missing} lines are" if missing > 1 else "a line is"
            self._add(Kind.TRUNCATION, index, f"{count} missing before this line")
        else:
            self._add(
                Kind.EDIT,
                index - 1,
                f"was changed after {self._name(index)} was written, or lines between them were removed",
            )
        return False

    def _missing(self, index: int) -> int:
        """Return how many lines anchors show to be missing before a line, at least."""
        before = [pair for pair in self.fixed if pair[1] <= index]
        after = [pair for pair in self.fixed if pair[1] > index]
        number, count = before[-1]
        if after:
            return max(0, after[0][0] - number - (after[0][1] - count))
        return 1 if count == index and index else 0

    def _compare_anchors(self) -> None:
        """Report anchors that nothing reported so far explains."""
        lines = len(self.chain.hashes)
        for number, anchor in sorted(self.anchors.items()):
            if number <= lines and self.chain.hashes[number - 1] == anchor.head:
                continue
            if anchor.head in self.where:
                if not self.found:
                    self._add(Kind.RECORD, self.where[anchor.head], f"{anchor.source} counts it as {number}")
            elif number > lines and number == max(self.anchors):
                self._add(
                    Kind.TRUNCATION,
                    lines - 1,
                    f"{number - lines} entries after this line are missing; {anchor.source} covers them",
                )
            elif number <= lines and not self._is_explained(number):
                self._add(Kind.EDIT, number - 1, f"is not the entry that {anchor.source} covers")

    def _is_explained(self, number: int) -> bool:
        """Say whether a change was reported between the last anchor that holds and this one."""
        count = max(count for stated, count in self.fixed if stated <= number)
        changes = {Kind.EDIT, Kind.TRUNCATION, Kind.BROKEN, Kind.INSERTION}
        return any(kind in changes and count - 1 <= index <= number for kind, index, _ in self.found)

    def _name(self, index: int) -> str:
        file, line = self.chain.place(index)
        return f"{file}:{line}"

    def _add(self, kind: Kind, index: int, text: str) -> None:
        self.found.append((kind, index, text))
