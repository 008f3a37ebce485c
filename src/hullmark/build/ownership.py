"""Programs and libraries in an image that no package owns: what a scanner of packages cannot name.

Rules (each has a test with the same words):
- what a later layer removes or replaces is not there;
- a file belongs to a package when the lists of dpkg or apk name it, on either side of a merged `/usr`;
- layers that cannot be read give no number, never zero.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from typing import TYPE_CHECKING

from hullmark.build.archive import image_members
from hullmark.build.container import open_container

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

    from hullmark.build.archive import ArchivedImage

MAGIC = b"\x7fELF"
MAX_FILES = 2_000_000
MAX_LIST = 16 << 20
"""Bytes of one list of files; a longer one owns nothing."""

_LISTS = re.compile(r"var/lib/dpkg/(?:info/.+\.(?:list|md5sums)|status\.d/.+\.md5sums)")
_APK = re.compile(r"(?:usr/)?lib/apk/db/installed")
_MERGED = re.compile(r"usr/(?=(?:bin|sbin|lib\w*)/)")
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


class _Tree:
    """What of an image's files matters here, after some of its layers."""

    def __init__(self) -> None:
        self.programs: set[str] = set()
        self.lists: dict[str, bytes] = {}

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all that is in it."""
        below = f"{path}/"
        self.programs = {each for each in self.programs if each != path and not each.startswith(below)}
        self.lists = {
            each: data for each, data in self.lists.items() if each != path and not each.startswith(below)
        }

    def clear(self, folder: str) -> None:
        """Remove all that is in a folder of a lower layer."""
        below = f"{folder}/" if folder else ""
        self.programs = {each for each in self.programs if not each.startswith(below)}
        self.lists = {each: data for each, data in self.lists.items() if not each.startswith(below)}


def count_unowned(path: Path, image: ArchivedImage) -> int | None:
    """How many ELF files of `image`, which lies in the archive or layout at `path`, no package owns.

    None where a layer cannot be read, as one that zstd compressed.
    """
    tree = _Tree()
    with open_container(path) as container:
        _, layers = image_members(container, image)
        for member in layers:
            with container.open(member) as stream:
                try:
                    _add_layer(tree, stream)
                except (tarfile.TarError, EOFError, zlib.error, OverflowError):
                    return None
    owned = {_merged(each) for name, data in tree.lists.items() for each in _named(name, data)}
    return sum(_merged(each) not in owned for each in tree.programs)


def _add_layer(tree: _Tree, stream: IO[bytes]) -> None:
    """Put one layer over `tree`. Nothing is extracted, no link is followed."""
    added = _Tree()
    with tarfile.open(fileobj=stream, mode="r|*") as tar:
        for number, member in enumerate(tar):
            if number >= MAX_FILES:
                raise tarfile.ReadError(f"more than {MAX_FILES:,} files")
            path = "/".join(part for part in member.name.split("/") if part not in ("", "."))
            folder, _, name = path.rpartition("/")
            if name == _OPAQUE:
                tree.clear(folder)
            elif name.startswith(_WHITEOUT):
                removed = name.removeprefix(_WHITEOUT)
                tree.remove(f"{folder}/{removed}" if folder else removed)
            elif not member.isdir():
                _add(tree, added, tar, member, path)
    tree.programs |= added.programs
    tree.lists |= added.lists


def _add(tree: _Tree, added: _Tree, tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    for one in (tree, added):
        one.programs.discard(path)
        one.lists.pop(path, None)
    if member.islnk():
        target = "/".join(part for part in member.linkname.split("/") if part not in ("", "."))
        if target in added.programs or target in tree.programs:
            added.programs.add(path)
    elif member.isreg() and (content := tar.extractfile(member)) is not None:
        if _LISTS.fullmatch(path) or _APK.fullmatch(path):
            added.lists[path] = content.read() if member.size <= MAX_LIST else b""
        elif content.read(len(MAGIC)) == MAGIC:
            added.programs.add(path)


def _named(name: str, data: bytes) -> Iterator[str]:
    """The files that a list names, without the first slash."""
    lines = data.decode(errors="surrogateescape").splitlines()
    if _APK.fullmatch(name):
        folder = ""
        for line in lines:
            if line.startswith("F:"):
                folder = line[2:]
            elif line.startswith("R:"):
                yield f"{folder}/{line[2:]}" if folder else line[2:]
    else:
        for line in lines:
            path = line.partition("  ")[2] if name.endswith(".md5sums") else line
            yield path.removeprefix("./").lstrip("/")


def _merged(path: str) -> str:
    """A path as it is where `/bin`, `/sbin` and `/lib` lead into `/usr`."""
    return _MERGED.sub("", path, count=1)
