"""The content-addressed store of what scans and decisions were made from.

    <root>/evidence/sha256/<aa>/<digest>.json.gz

The digest is that of the uncompressed content. Equal content is kept once, and gives the same compressed
bytes: no time, no name, a fixed level, a fixed system byte (RFC 1952 §2.3.1). Nothing is ever changed in
place: a file is written beside its place, synced and renamed, so a crash leaves either all of it or none.
No link is followed. What is read is checked against its digest, under a limit of size.
"""

from __future__ import annotations

import os
import re
import tempfile
import zlib
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from hullmark.errors import InputError, RepositoryError, TamperedError
from hullmark.image import Digest, parse_digest
from hullmark.ledger.files import machine_faults, make_folder, opened, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CONTENT = 64 * 1024 * 1024
"""The largest content that is kept, uncompressed, in bytes."""

_LEVEL = 9
_BLOCK = 1024 * 1024
_SUFFIX = ".json.gz"
_TEMPORARY = ".partial-"
_FILE = re.compile(r"[0-9a-f]{64}\.json\.gz")
_FOLDER = re.compile(r"[0-9a-f]{2}")
# RFC 1952 §2.3: magic, deflate, no flags, no time, strongest compression, system unknown.
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"


class Evidence:
    """The evidence below one root folder (that of the ledger), which need not exist yet."""

    def __init__(self, root: Path | str) -> None:
        self.folder = Path(root) / "evidence" / "sha256"

    def path(self, digest: Digest) -> Path:
        """Return where the content of `digest` is, or would be."""
        text = parse_digest(digest).removeprefix("sha256:")
        return self.folder / text[:2] / f"{text}{_SUFFIX}"

    def put(self, content: bytes) -> Digest:
        """Keep `content` and return its digest; keeping it again changes nothing.

        What is already there is checked, and written anew when it is damaged: we hold the right bytes.
        """
        digest = Digest(f"sha256:{sha256(content).hexdigest()}")
        path = self.path(digest)
        if len(content) > MAX_CONTENT:
            raise InputError(f"content of {len(content)} bytes is longer than {MAX_CONTENT}", file=path)
        self._refuse_links(path)
        if not (os.path.lexists(path) and self._is_whole(digest)):
            make_folder(path.parent)
            _write(path, compress(content))
        return digest

    def get(self, digest: Digest, *, limit: int = MAX_CONTENT) -> bytes:
        """Return the content of `digest`.

        RepositoryError when it is missing or, uncompressed, longer than `limit`; TamperedError when the file
        does not hold what its name says.
        """
        path = self.path(digest)
        self._refuse_links(path)
        if not os.path.lexists(path):
            raise RepositoryError(
                f"{path}: evidence is missing",
                hint="Fetch the whole repository, or restore the file from git.",
            )
        parts: list[bytes] = []
        for part in _expanded(path, limit):
            parts.append(part)  # noqa: PERF402 - a generator that may raise half-way
        content = b"".join(parts)
        _compare(path, digest, sha256(content).hexdigest())
        return content

    def has(self, digest: Digest) -> bool:
        """Say whether there is a file for `digest`, without looking into it."""
        return self.path(digest).is_file()

    def check(self, digest: Digest, *, limit: int = MAX_CONTENT) -> None:
        """Raise what `get` would raise, without holding the content in memory."""
        path = self.path(digest)
        self._refuse_links(path)
        if not os.path.lexists(path):
            raise RepositoryError(
                f"{path}: evidence is missing",
                hint="Fetch the whole repository, or restore the file from git.",
            )
        state = sha256()
        for part in _expanded(path, limit):
            state.update(part)
        _compare(path, digest, state.hexdigest())

    def digests(self) -> Iterator[Digest]:
        """Return the digests of everything kept, sorted, without looking into the files."""
        for path, known in self._files():
            if known:
                yield Digest(f"sha256:{path.name.removesuffix(_SUFFIX)}")

    def strays(self) -> tuple[Path, ...]:
        """Return everything in the store that is not evidence: other files, links, leftovers of a crash."""
        return tuple(path for path, known in self._files() if not known)

    def _files(self) -> Iterator[tuple[Path, bool]]:
        """Return every path in the store and whether it is evidence, sorted."""
        top = self.folder.parent
        if top.is_symlink() or self.folder.is_symlink():
            yield (top if top.is_symlink() else self.folder), False
            return
        for beside in _children(top):
            if beside != self.folder:
                yield beside, False
        for group in _children(self.folder):
            if group.is_symlink() or not group.is_dir() or not _FOLDER.fullmatch(group.name):
                yield group, False
                continue
            for path in _children(group):
                fits = _FILE.fullmatch(path.name) is not None and path.name.startswith(group.name)
                yield path, fits and path.is_file() and not path.is_symlink()

    def _is_whole(self, digest: Digest) -> bool:
        try:
            self.check(digest)
        except RepositoryError:
            return False
        return True

    def _refuse_links(self, path: Path) -> None:
        for folder in (self.folder.parent, self.folder, path.parent, path):
            if folder.is_symlink():
                raise RepositoryError(
                    f"{folder}: is a symbolic link; evidence is kept in real files only",
                    hint="Remove the link and restore the folder or file from git.",
                )


def compress(content: bytes) -> bytes:
    """Return the gzip form of `content`; equal content gives equal bytes with one version of zlib."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(content) + packer.flush()
    check = zlib.crc32(content).to_bytes(4, "little")
    return _HEADER + body + check + (len(content) & 0xFFFFFFFF).to_bytes(4, "little")


def _expanded(path: Path, limit: int) -> Iterator[bytes]:
    """Return the uncompressed content of one gzip member piece by piece, never more than `limit` bytes."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    total = 0
    with opened(path, os.O_RDONLY) as number:
        while not unpacker.eof:
            with machine_faults(path):
                block = unpacker.unconsumed_tail or os.read(number, _BLOCK)
            if not block:
                raise _tampered(path, "is cut off")
            try:
                part = unpacker.decompress(block, _BLOCK)
            except zlib.error as error:
                raise _tampered(path, f"is damaged ({error})") from error
            total += len(part)
            if total > limit:
                raise RepositoryError(
                    f"{path}: holds more than {limit} bytes uncompressed",
                    hint="Evidence is never that large: the file was replaced, or the limit is too small.",
                )
            yield part
        if unpacker.unused_data or os.read(number, 1):
            raise _tampered(path, "has bytes after its end")


def _compare(path: Path, digest: Digest, found: str) -> None:
    if digest != f"sha256:{found}":
        raise _tampered(path, f"holds other content (sha256:{found})")


def _tampered(path: Path, what: str) -> TamperedError:
    return TamperedError(f"{path}: evidence {what}", hint="Restore the file from git, or from another copy.")


def _write(path: Path, data: bytes) -> None:
    """Put a whole file in place. Two writers of the same content replace each other's equal bytes."""
    with machine_faults(path):
        number, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=path.parent)
        try:
            with os.fdopen(number, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fchmod(number, 0o644)
                os.fsync(number)
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    sync_folder(path.parent)


def _children(folder: Path) -> list[Path]:
    with machine_faults(folder):
        return sorted(folder.iterdir()) if folder.is_dir() else []
