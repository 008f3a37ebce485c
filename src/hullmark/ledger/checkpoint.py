"""What pins a ledger: heads, the one hash over all heads, run records and checkpoints.

- A *head* is how many entries a ledger has and the hash of the last one.
- The *root* is the sha256 over the canonical JSON of all heads by name.
- A *run record* (`run-finished` in the ledger `runs`) carries the heads that changed since the run record
  before, or all heads when it is the first of its month, and the root over all heads but that of `runs`.
- A *checkpoint* carries all heads, `runs` included. It is worth as much as the place where it is kept:
  whoever can write the repository can rewrite everything inside it.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from hullmark.errors import InputError, TamperedError
from hullmark.ledger.canonical import canonical, is_canonical
from hullmark.ledger.entry import TIME, format_time
from hullmark.ledger.layout import is_ledger_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

RUN_FINISHED = "run-finished"
_MARK = f'"{RUN_FINISHED}"'.encode()
MAX_CHECKPOINT = 8 * 1024 * 1024

_HASH = re.compile(r"[0-9a-f]{64}").fullmatch


class Head(msgspec.Struct, frozen=True):
    """How far a ledger goes: its number of entries and the hash of the last one."""

    entries: Annotated[int, msgspec.Meta(ge=1)]
    head: str


class Cover(msgspec.Struct, frozen=True):
    """What a run record says about the other ledgers."""

    heads: dict[str, Head]
    root: str


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pin of every ledger at one time, to be kept outside the repository."""

    at: str
    heads: dict[str, Head]
    root: str
    version: Literal[1] = 1


class _Line(msgspec.Struct):
    type: str
    data: msgspec.Raw


_line = msgspec.json.Decoder(_Line)
_cover = msgspec.json.Decoder(Cover)
_encode = msgspec.json.Encoder(order="sorted").encode
_checkpoint = msgspec.json.Decoder(Checkpoint)


def root_hash(heads: Mapping[str, Head]) -> str:
    """Return the one hash over all `heads`; that of an empty mapping is defined too."""
    # Ledger names are ASCII and the values plain, so these are the bytes of RFC 8785 without its price.
    return sha256(_encode(heads)).hexdigest()


def parse_cover(raw: bytes, *, file: str = "", line: int = 0) -> Cover | None:
    """Read what a line of the ledger of runs covers; None when it is no run record.

    TamperedError when it is one, but not as `append` writes them.
    """
    if _MARK not in raw:
        return None
    try:
        entry = _line.decode(raw)
        return _cover.decode(entry.data) if entry.type == RUN_FINISHED else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TamperedError(
            f"{file}:{line}: not a run record: {error}",
            hint="`hullmark verify` shows everything that is wrong; the last good version is in git.",
        ) from error


def make_checkpoint(heads: Mapping[str, Head], now: datetime) -> Checkpoint:
    """Pin `heads`, which are those of every ledger, `runs` included."""
    return Checkpoint(at=format_time(now), heads=dict(heads), root=root_hash(heads))


def format_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Return the document of a checkpoint: one line of canonical JSON."""
    return canonical(checkpoint) + b"\n"


def parse_checkpoint(document: bytes, *, file: Path | str) -> Checkpoint:
    """Read a checkpoint. InputError unless it is exactly what `format_checkpoint` writes."""
    if len(document) > MAX_CHECKPOINT:
        raise InputError(f"longer than {MAX_CHECKPOINT} bytes", file=file)
    try:
        checkpoint = _checkpoint.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"not a checkpoint: {error}", file=file, hint=_HINT) from error
    if not is_canonical(document.removesuffix(b"\n")):
        raise InputError("not in canonical form", file=file, hint=_HINT)
    if not TIME.fullmatch(checkpoint.at):
        raise InputError("not a time as 2026-11-23T10:00:00Z", file=file, key="at", hint=_HINT)
    for name, head in checkpoint.heads.items():
        if not is_ledger_name(name):
            raise InputError(f"{name!r} cannot name a ledger", file=file, key="heads", hint=_HINT)
        if not _HASH(head.head):
            raise InputError("not 64 hexadecimal digits", file=file, key=f"heads.{name}.head", hint=_HINT)
    if checkpoint.root != root_hash(checkpoint.heads):
        raise InputError("is not the hash over `heads`", file=file, key="root", hint=_HINT)
    return checkpoint


_HINT = "Give the file that `hullmark verify` or the weekly checkpoint wrote, unchanged."
