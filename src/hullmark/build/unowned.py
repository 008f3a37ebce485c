"""Programs and libraries in an image that no package owns: what scanners cannot name.

Deleting the records of packages "fixes" every finding of every scanner. Their files stay, and are found here.

Rules (each has a test with the same words):
- a file is a program or library by its first bytes (ELF), whatever it is called and whoever may run it;
- it is owned when a package of dpkg or apk lists it, under whatever name its folder is reached;
- the layers are laid over each other first: what a later layer removed does not count;
- without any records nothing is owned;
- packages of rpm are not read: then nobody knows, which is never the same as none;
- an image that cannot be walked is not known either, and says why;
- an image is walked once: its digest, which was just compared with its bytes, stands for all that is in it.

A cache of answers is a convenience, never a proof, as that of `filehash`: one that cannot be read is ignored.
What a package claims to own is believed: whoever builds an image can write that too.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from typing import IO, TYPE_CHECKING

import msgspec

from hullmark.build.archive import image_members
from hullmark.build.container import open_container
from hullmark.build.layers import Kind, Layers, merge_layers, split
from hullmark.errors import EnvironmentFaultError, InputError
from hullmark.files import read_bounded, write_whole
from hullmark.image import Digest

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterator
    from pathlib import Path

    from hullmark.build.archive import ArchivedImage

MAGIC = b"\x7fELF"
MAX_RECORD = 16 << 20
"""Bytes of one file in which a package manager keeps its records."""
MAX_RECORDS = 256 << 20
SHOWN = 3
"""Files that are named."""
MAX_CACHE = 4 << 20
MAX_ENTRIES = 64
_RULES = 1
"""Raised when the rules above change: what was found by others is found again."""
_BLOCK = 1 << 20

_DPKG = re.compile(r"var/lib/dpkg/(?:info/[^/]+\.(?:list|md5sums)|status\.d/[^/]+\.md5sums|diversions)")
_MERGED = re.compile(r"usr/(?=(?:bin|sbin|lib\w*)/)")
_APK = frozenset({"lib/apk/db/installed", "usr/lib/apk/db/installed"})
_RPM = re.compile(r"(?:var/lib|usr/lib/sysimage)/rpm/(?:Packages(?:\.db)?|rpmdb\.sqlite)")


class Unowned(msgspec.Struct, frozen=True, kw_only=True):
    """What no package owns. `why` says why it is not known; then there are no files."""

    files: dict[str, Digest] = {}
    """Path from the image's root -> sha256; sorted."""
    why: str = ""

    @property
    def count(self) -> int | None:
        """How many there are; None where it is not known."""
        return None if self.why else len(self.files)

    def __str__(self) -> str:
        """In words, as a scan's note tells it."""
        if self.why:
            return f"not known: {self.why}"
        more = f" and {len(self.files) - SHOWN} more" if len(self.files) > SHOWN else ""
        return f"{', '.join([*self.files][:SHOWN])}{more} ({self.digest})"

    @property
    def digest(self) -> Digest:
        """One digest over all of them: what changes when one of them does."""
        content = msgspec.json.encode(self.files, order="sorted")
        return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")


class _Kept(msgspec.Struct, frozen=True):
    """What is kept of a file: the digest of an ELF file, or the content of a package manager's record."""

    elf: Digest | None = None
    record: bytes | None = None


class _Keeper:
    """Keeps ELF digests and records, and nothing else of an image."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bytes = 0

    def __call__(self, member: tarfile.TarInfo, stream: IO[bytes] | None) -> _Kept:
        if stream is None:
            return _Kept()
        if _is_record("/".join(split(member.name))):
            return _Kept(record=self._read(member, stream))
        block = stream.read(_BLOCK)
        if not block.startswith(MAGIC):
            return _Kept()
        hasher = hashlib.sha256()
        while block:
            hasher.update(block)
            block = stream.read(_BLOCK)
        return _Kept(elf=Digest(f"sha256:{hasher.hexdigest()}"))

    def _read(self, member: tarfile.TarInfo, stream: IO[bytes]) -> bytes:
        self._bytes += member.size
        if member.size > MAX_RECORD or self._bytes > MAX_RECORDS:
            raise InputError("too large for a package's record", file=self._path, key=member.name)
        return stream.read(member.size)


def _is_record(path: str) -> bool:
    return path in _APK or _DPKG.fullmatch(path) is not None


class _Cache(msgspec.Struct, frozen=True):
    rules: int
    images: dict[str, Unowned]


def find_unowned(path: Path, image: ArchivedImage, *, cache: Path | None = None) -> Unowned:
    """What no package owns in `image`, which `inspect_archive` found at `path` and checked just now.

    With `cache`, a file, an image that was walked before is not walked again.
    """
    known = _load(cache) if cache else {}
    if image.digest in known:
        return known[image.digest]
    found = _walk(path, image)
    if cache is not None and not found.why:
        kept = dict([*known.items(), (image.digest, found)][-MAX_ENTRIES:])
        data = msgspec.json.encode(_Cache(_RULES, kept))
        # What cannot be kept costs time at the next run, not this one.
        with suppress(EnvironmentFaultError):
            write_whole(cache, data)
    return found


def _load(cache: Path) -> dict[str, Unowned]:
    try:
        decoded = msgspec.json.decode(read_bounded(cache, MAX_CACHE), type=_Cache)
    except (InputError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return decoded.images if decoded.rules == _RULES else {}


def _walk(path: Path, image: ArchivedImage) -> Unowned:
    with open_container(path) as container:
        _, members = image_members(container, image)
    try:
        merged = merge_layers(path, members, _Keeper(path))
        if any(_RPM.fullmatch(name) for name in merged.nodes):
            return Unowned(why="packages of rpm are not read")
        owned = {_unmerged(merged.place(name)) for name in _owned(merged)}
    except InputError as error:
        return Unowned(why=error.message.removeprefix(f"{path}: "))
    return Unowned(
        files={
            name: node.data.elf
            for name, node in sorted(merged.nodes.items())
            if node.kind is Kind.FILE and node.data.elf is not None and _unmerged(name) not in owned
        }
    )


def _owned(merged: Layers[_Kept]) -> Iterator[str]:
    """Every path that a package lists."""
    for name, node in merged.nodes.items():
        if node.data.record is None:
            continue
        text = node.data.record.decode("utf-8", "surrogateescape")
        if name in _APK:
            yield from _apk_files(text)
        elif name.endswith(".md5sums"):
            yield from (line.partition("  ")[2] for line in text.splitlines())
        else:
            # A package's list, or diversions: three lines each, of which two are paths.
            yield from text.splitlines()


def _unmerged(path: str) -> str:
    """A path as it was before `/bin`, `/sbin` and `/lib` led into `/usr`: lists may name either."""
    return _MERGED.sub("", path, count=1)


def _apk_files(text: str) -> Iterator[str]:
    folder = ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == "F":
            folder = value
        elif key == "R":
            yield f"{folder}/{value}"
