"""An append-only, hash-chained log that knows bytes, not findings.

One entry a line in `<root>/<ledger>/<YYYY-MM>.jsonl`; each entry names the hash of the one before;
run records and checkpoints pin the heads of all ledgers. `entry` is the line, `store` the files, `verify` the
proof.
"""

from __future__ import annotations

from hullmark.ledger.checkpoint import Checkpoint, Head, format_checkpoint, make_checkpoint, parse_checkpoint
from hullmark.ledger.entry import Entry
from hullmark.ledger.store import Repair, Store, Writer

__all__ = [
    "Checkpoint",
    "Entry",
    "Head",
    "Repair",
    "Store",
    "Writer",
    "format_checkpoint",
    "make_checkpoint",
    "parse_checkpoint",
]
