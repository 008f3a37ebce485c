"""One line of a ledger: an envelope around data that the ledger does not look into.

    {"at":"2026-11-23T10:00:00Z","data":{…},"prev":"<64 hex>","type":"scan"}

- The line is RFC 8785 canonical JSON, so there is one way to write an entry.
- An entry's hash is the sha256 of its raw bytes without the newline. It is computed, never stored.
- `prev` is the hash of the entry before; 64 zeros for a ledger's first entry.
- `at` never goes back: it is the later of the clock and the entry before. When the clock had gone back,
  `lag` says by how many seconds.
- Keys and types that this version does not know stay in the raw bytes, and those are what is hashed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated

import msgspec

from hullmark.errors import TamperedError
from hullmark.ledger.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

GENESIS = "0" * 64
"""What the first entry of a ledger names as the entry before it."""

MAX_LINE = 8 * 1024 * 1024
"""The longest line that is written or read, in bytes without the newline."""

MAX_TYPE = 64

TIME = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ", re.ASCII
)
"""The only way a time is written: UTC, to the second."""

_TYPE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_HASH = re.compile(r"[0-9a-f]{64}")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded fact, with the place it was read from or written to."""

    ledger: str
    file: str
    """Path below the ledger's root, with slashes: `postgres-secured/2026-11.jsonl`."""
    line: int
    """Counted from 1 in `file`; 0 where only the end of the file was read and nobody counted."""
    at: str
    type: str
    data: msgspec.Raw
    """The fact as JSON bytes: `msgspec.json.decode(entry.data, type=…)` reads it."""
    prev: str
    lag: int = 0
    """Seconds the clock was behind the entry before; 0 when it was not."""
    raw: bytes
    """The line as it is in the file, without the newline."""

    @property
    def hash(self) -> str:
        """The 64 hexadecimal digits by which the next entry names this one."""
        return entry_hash(self.raw)

    @property
    def time(self) -> datetime:
        """`at` as a time in UTC."""
        return datetime.fromisoformat(self.at)


class _Envelope(msgspec.Struct):
    at: str
    data: msgspec.Raw
    prev: str
    type: str
    lag: Annotated[int, msgspec.Meta(ge=0)] = 0


_decoder = msgspec.json.Decoder(_Envelope)


def entry_hash(raw: bytes) -> str:
    """Return the hash of an entry's line, given without its newline."""
    return sha256(raw).hexdigest()


def format_time(now: datetime) -> str:
    """Return `now` in UTC to the second. ValueError when it carries no time zone."""
    if now.tzinfo is None:
        raise ValueError("a recorded time needs a time zone")
    return now.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def is_type(text: str) -> bool:
    """Say whether `text` may name what an entry is about: words of letters and digits joined by `-`."""
    return len(text) <= MAX_TYPE and _TYPE.fullmatch(text) is not None


def format_entry(*, at: str, type: str, data: object, prev: str, lag: int = 0) -> bytes:  # noqa: A002 - the key's name
    """Return the line of an entry, without the newline. ValueError when `data` cannot be said in JSON."""
    envelope: Mapping[str, object] = {
        "at": at,
        "data": msgspec.json.decode(data) if isinstance(data, msgspec.Raw) else data,
        **({"lag": lag} if lag else {}),
        "prev": prev,
        "type": type,
    }
    return canonical(envelope)


def parse_entry(raw: bytes, *, ledger: str = "", file: str = "", line: int = 0) -> Entry:
    """Read one line, given without its newline. TamperedError says where and why it is no entry.

    Keys that are not known stay in `raw`. Whether the line is canonical is not asked here: `verify` asks it
    of the lines whose bytes no hash covers yet.
    """
    reason = ""
    try:
        envelope = _decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        reason = str(error)
    else:
        reason = _fault(raw, envelope)
    if reason:
        raise TamperedError(
            f"{file or ledger or 'ledger'}:{line}: not a ledger entry: {reason}",
            hint="`hullmark verify` shows everything that is wrong; the last good version is in git.",
        )
    return Entry(
        ledger=ledger,
        file=file,
        line=line,
        at=envelope.at,
        type=envelope.type,
        data=envelope.data,
        prev=envelope.prev,
        lag=envelope.lag,
        raw=raw,
    )


def _fault(raw: bytes, envelope: _Envelope) -> str:
    if len(raw) > MAX_LINE:
        return f"longer than {MAX_LINE} bytes"
    if not TIME.fullmatch(envelope.at):
        return "`at` is not a time as 2026-11-23T10:00:00Z"
    if not _HASH.fullmatch(envelope.prev):
        return "`prev` is not 64 hexadecimal digits"
    return ""
