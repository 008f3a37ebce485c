"""The sha256 of big files, computed once for as long as they stay the same.

A scanner is 170 MB and a database up to 1 GB: hashing them costs more than scanning an SBOM. The digest is
kept by path, device, size, inode, and times of modification and of change; the last cannot be set back by
the file's owner, so a file that was replaced and given its old date is hashed again.

The cache is a convenience, never a proof: it belongs to whoever runs Hullmark, and CI starts without one.
A cache that cannot be read is ignored, one that cannot be written is not written.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import EnvironmentFaultError, InputError
from hullmark.image import Digest

if TYPE_CHECKING:
    import io

MAX_CACHE_BYTES = 1 << 20
MAX_ENTRIES = 64
SETTLED_NS = 2_000_000_000
"""A file younger than this may be written again within one tick of its clock: hashed, but not remembered."""


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    device: int
    size: int
    inode: int
    modified_ns: int
    changed_ns: int
    digest: str


class _Cache(msgspec.Struct, frozen=True):
    version: int
    files: dict[str, _Entry]


def hash_file(path: Path, *, cache: Path | None = None) -> Digest:
    """The sha256 of the regular file at `path`, from `cache` when the file has not changed since."""
    place = str(path.absolute())
    with _open_regular(path) as file:
        before = os.fstat(file.fileno())
        known = _load(cache).get(place) if cache else None
        if known is not None and known == _entry(before, known.digest):
            return Digest(known.digest)
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        entry = _entry(os.fstat(file.fileno()), digest)
    if entry != _entry(before, digest):
        raise EnvironmentFaultError(f"{path} changed while it was read", hint="Run again when it is at rest.")
    if cache and time.time_ns() - max(entry.modified_ns, entry.changed_ns) > SETTLED_NS:
        _save(cache, place, entry)
    return Digest(digest)


def _open_regular(path: Path) -> io.BufferedReader:
    try:
        # O_NONBLOCK: opening a pipe in place of the file must not wait for a writer.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise EnvironmentFaultError(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError("not a regular file", file=path)
    return os.fdopen(handle, "rb")


def _entry(status: os.stat_result, digest: str) -> _Entry:
    return _Entry(
        device=status.st_dev,
        size=status.st_size,
        inode=status.st_ino,
        modified_ns=status.st_mtime_ns,
        changed_ns=status.st_ctime_ns,
        digest=digest,
    )


def _load(cache: Path) -> dict[str, _Entry]:
    try:
        with cache.open("rb") as file:
            data = file.read(MAX_CACHE_BYTES + 1)
        decoded = msgspec.json.decode(data, type=_Cache)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return decoded.files if decoded.version == 1 and len(data) <= MAX_CACHE_BYTES else {}


def _save(cache: Path, place: str, entry: _Entry) -> None:
    files = _load(cache)
    files.pop(place, None)  # the newest stands last, so that the oldest leaves first
    files[place] = entry
    kept = dict(list(files.items())[-MAX_ENTRIES:])
    data = msgspec.json.encode(_Cache(version=1, files=kept))
    # A full or read-only disk costs time at the next run, not this one. Replacing whole: two runs may write.
    with suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=cache.parent, prefix=cache.name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(name).replace(cache)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
