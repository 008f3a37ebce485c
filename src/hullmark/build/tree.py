"""The files of an image before they are written: a mapping from path to entry.

Paths are relative, without `.` and `..`; parents are made as they are needed (0755, root). An entry lies
beneath folders only, never beneath a link, so that no path means two places.
"""

from __future__ import annotations

import posixpath
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

SET_ID = 0o6000


class Kind(Enum):
    """What an image may contain; devices, pipes and sockets it may not."""

    FOLDER = "folder"
    FILE = "file"
    LINK = "link"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One file, folder or symbolic link."""

    kind: Kind
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    data: bytes = b""
    target: str = ""


class ConflictError(ValueError):
    """Two owners want different things at one path."""


class Tree:
    """The entries of an image. Every entry's parents are in it."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def put(self, path: str, entry: Entry) -> None:
        """Add `entry`; the same content twice is fine, other content is a ConflictError."""
        self._make_parents(path)
        present = self._entries.get(path)
        if present is not None and present != entry:
            both_folders = present.kind is entry.kind is Kind.FOLDER
            if not both_folders:
                raise ConflictError(f"{path} is already there with other content")
        self._entries[path] = entry

    def take(self, path: str) -> Entry:
        """Remove the file or link at `path` and return it."""
        return self._entries.pop(path)

    def _make_parents(self, path: str) -> None:
        parent = posixpath.dirname(path)
        while parent:
            present = self._entries.setdefault(parent, Entry(kind=Kind.FOLDER))
            if present.kind is not Kind.FOLDER:
                raise ConflictError(f"{path} lies beneath {parent}, which is a {present.kind.value}")
            parent = posixpath.dirname(parent)

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def __getitem__(self, path: str) -> Entry:
        return self._entries[path]

    def items(self) -> Iterator[tuple[str, Entry]]:
        """Path and entry, by path."""
        for path in sorted(self._entries):
            yield path, self._entries[path]


def escapes(path: str, target: str) -> bool:
    """Whether a link at `path` climbs out of the image's root on its way to `target`."""
    depth = 0 if target.startswith("/") else path.count("/")
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in ("", "."):
            depth += 1
        if depth < 0:
            return True
    return False
