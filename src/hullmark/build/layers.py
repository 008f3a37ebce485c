"""The layers of an image laid over each other, read in place.

Rules (each has a test with the same words):

1. A path or link never leads out of the image: a link on the way is followed inside it only.
2. A later layer replaces, and whiteouts remove, what earlier layers brought.
3. Devices and pipes are left out.
4. What is kept of a file is the caller's choice; everything has a limit.
"""

from __future__ import annotations

import tarfile
import zlib
from enum import Enum
from typing import IO, TYPE_CHECKING, Generic, TypeVar

from hullmark.build.container import open_container
from hullmark.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

MAX_FILES = 400_000
MAX_BYTES = 16 << 30
MAX_HOPS = 40
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"

Data = TypeVar("Data")


class Kind(Enum):
    """What lies at a path."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"


class Node(Generic[Data]):
    """A file, folder or link, with what the caller keeps of it."""

    def __init__(self, member: tarfile.TarInfo, data: Data) -> None:
        self.kind = Kind.FOLDER if member.isdir() else Kind.LINK if member.issym() else Kind.FILE
        self.target = member.linkname
        self.data = data


class Layers(Generic[Data]):
    """The merged layers: path -> node.

    `keep` is given each member, and the content of each file, and returns what is kept of it.
    """

    def __init__(self, path: Path, keep: Callable[[tarfile.TarInfo, IO[bytes] | None], Data]) -> None:
        self._path = path
        self._keep = keep
        self._bytes = 0
        self.nodes: dict[str, Node[Data]] = {}

    def add(self, layer: IO[bytes]) -> None:
        """Lay one more layer over what is there."""
        before = set(self.nodes)
        with tarfile.open(fileobj=layer, mode="r|*") as tar:
            for member in tar:
                self._add(tar, member, before)
                if len(self.nodes) > MAX_FILES:
                    raise InputError(f"more than {MAX_FILES:,} files", file=self._path)

    def _add(self, tar: tarfile.TarFile, member: tarfile.TarInfo, before: set[str]) -> None:
        parts = split(member.name)
        if ".." in parts or "\0" in member.name:
            raise InputError("path leaves the image", file=self._path, key=repr(member.name))
        if not parts:
            return
        place = self.resolve(parts[:-1])
        if any(self._is_file(place[:count]) for count in range(1, len(place) + 1)):
            raise InputError("lies beneath a file", file=self._path, key=repr(member.name))
        path = "/".join((*place, parts[-1]))
        if parts[-1].startswith(WHITEOUT):
            self._white_out(place, parts[-1], before)
        elif member.isdir():
            self.nodes[path] = Node(member, self._keep(member, None))
        elif member.islnk():
            found = self.nodes.get("/".join(self.resolve(split(member.linkname))))
            if found is None:
                raise InputError(f"link to nothing: {member.linkname!r}", file=self._path, key=path)
            self.nodes[path] = found
        elif member.issym() or member.isreg():
            if path in self.nodes and self.nodes[path].kind is Kind.FOLDER:
                self._remove(path, set(self.nodes))
            self.nodes[path] = Node(member, self._keep(member, self._content(tar, member)))

    def _content(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes] | None:
        if not member.isreg():
            return None
        self._bytes += member.size
        if self._bytes > MAX_BYTES:
            raise InputError(f"more than {MAX_BYTES:,} bytes", file=self._path)
        return tar.extractfile(member)

    def resolve(self, parts: list[str]) -> list[str]:
        """`parts` without links on the way; a link never leads out of the image."""
        waiting, done, hops = list(reversed(parts)), list[str](), 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                done = done[:-1]
                continue
            node = self.nodes.get("/".join((*done, part)))
            if node is None or node.kind is not Kind.LINK:
                done.append(part)
                continue
            hops += 1
            if hops > MAX_HOPS:
                raise InputError("links in a circle", file=self._path, key="/".join(parts))
            done = [] if node.target.startswith("/") else done
            waiting += reversed(split(node.target))
        return done

    def place(self, path: str) -> str:
        """The key in `nodes` of what lies at `path`. Links on the way are followed, one at its end is not."""
        parts = split(path)
        return "/".join((*self.resolve(parts[:-1]), *parts[-1:]))

    def find(self, path: str) -> Node[Data] | None:
        """What lies at `path`, with every link followed."""
        return self.nodes.get("/".join(self.resolve(split(path))))

    def _is_file(self, parts: list[str]) -> bool:
        node = self.nodes.get("/".join(parts))
        return node is not None and node.kind is Kind.FILE

    def _white_out(self, place: list[str], name: str, before: set[str]) -> None:
        """Remove what earlier layers brought: one name, or all that is in a folder."""
        if name == OPAQUE:
            self._remove("/".join(place), before, keep=True)
        else:
            self._remove("/".join((*place, name.removeprefix(WHITEOUT))), before)

    def _remove(self, path: str, only: set[str], *, keep: bool = False) -> None:
        """Remove `path` (not with `keep`) and what lies beneath it, as far as it is in `only`."""
        beneath = [name for name in self.nodes if name.startswith(f"{path}/" if path else "")]
        for name in (*beneath, *(() if keep else (path,))):
            if name in only:
                self.nodes.pop(name, None)


def split(path: str) -> list[str]:
    """The steps of a path."""
    return [part for part in path.split("/") if part not in ("", ".")]


def merge_layers(
    path: Path, members: Iterable[str], keep: Callable[[tarfile.TarInfo, IO[bytes] | None], Data]
) -> Layers[Data]:
    """Merge the layers `members` of the archive or layout at `path`, the lowest first."""
    merged = Layers(path, keep)
    with open_container(path) as container:
        for member in members:
            try:
                with container.open(member) as stream:
                    merged.add(stream)
            except (tarfile.TarError, EOFError, zlib.error) as error:
                raise InputError(f"damaged layer: {error}", file=path, key=member) from error
    return merged
