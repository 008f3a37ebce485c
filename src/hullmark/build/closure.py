"""Whether an image is complete: every program that it starts and every library that it needs is in it.

Rules (each has a test with the same words):

1. The first word of `entrypoint` and of `healthcheck` is a program in the image, links followed.
2. Every library and loader that a program or library names is in the image.

What a program opens by a name of its own making (plugins, data) cannot be seen here; a smoke test can.
"""

from __future__ import annotations

import posixpath
import re
import struct
from typing import TYPE_CHECKING, NamedTuple

from hullmark.build.definition import DEFINITION_FILE
from hullmark.build.tree import Kind
from hullmark.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hullmark.build.deb import Deb
    from hullmark.build.definition import Definition
    from hullmark.build.tree import Entry, Tree

MAX_HOPS = 40
SHOWN = 12
MAX_SEGMENTS = 512
MAX_DYNAMIC = 1 << 16

# System V ABI, 64-bit little-endian: the ELF header, a program header, a dynamic entry.
_HEADER = struct.Struct("<4sBB10xHH4x8xQ8x4xHHH")
_SEGMENT = struct.Struct("<II4Q")
_ENTRY = struct.Struct("<qQ")
_MAGIC = (b"\x7fELF", 2, 1)
_PROGRAM_TYPES = (2, 3)
_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3
_NEEDED, _STRINGS = 1, 5


class _Segment(NamedTuple):
    kind: int
    flags: int
    offset: int
    virtual: int
    physical: int
    size: int


def check_closure(tree: Tree, definition: Definition, folder: Path, debs: Mapping[str, Deb]) -> None:
    """Raise InputError that names what the image in `tree` lacks."""
    file = folder / DEFINITION_FILE
    commands = {"config.entrypoint": definition.config.entrypoint}
    if definition.config.healthcheck:
        commands["config.healthcheck.command"] = definition.config.healthcheck.command
    for key, command in commands.items():
        entry = _resolve(tree, command[0]) if command[0].startswith("/") else None
        if command[0].startswith("/") and (entry is None or not entry.mode & 0o111):
            raise InputError(
                f"{command[0]} is no program in the image",
                file=file,
                key=key,
                hint="Is it a link whose target another package has? `dpkg-deb -c` lists what a package has.",
            )
    if missing := _missing(tree):
        shown = [f"{name} (for {path})" for name, path in sorted(missing.items())[:SHOWN]]
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise InputError(
            f"needed and not there: {', '.join(shown)}{more}",
            file=file,
            key="packages",
            hint=_dependencies(debs, set(missing.values())) or "Add the packages that have them.",
        )


def _dependencies(debs: Mapping[str, Deb], paths: set[str]) -> str:
    """What the packages of `paths` depend on, as Debian says: one of these has what is missing."""
    found = []
    for name, deb in sorted(debs.items()):
        depends = re.search(r"^Depends: (.*)$", deb.control, re.MULTILINE)
        if depends and paths & deb.files.keys():
            names = (part.split("(")[0].strip() for part in depends[1].split(","))
            found.append(f"{name} depends on {', '.join(names)}.")
    return " ".join(found[:SHOWN])


def _missing(tree: Tree) -> dict[str, str]:
    """Each library that is needed and not there, with the first that needs it."""
    names = {posixpath.basename(path) for path, _ in tree.items()}
    missing: dict[str, str] = {}
    for path, entry in tree.items():
        if entry.kind is Kind.FILE:
            for name in needed_by(entry.data):
                if name not in names:
                    missing.setdefault(name, path)
    return missing


def _resolve(tree: Tree, path: str) -> Entry | None:
    """The file at `path`, links on the way and at its end followed inside the image."""
    waiting, done = list(reversed(path.strip("/").split("/"))), list[str]()
    for _ in range(MAX_HOPS * 8):
        if not waiting:
            found = "/".join(done)
            return tree[found] if found in tree and tree[found].kind is Kind.FILE else None
        part = waiting.pop()
        if part in ("", "."):
            continue
        if part == "..":
            done = done[:-1]
            continue
        place = "/".join((*done, part))
        if place in tree and tree[place].kind is Kind.LINK:
            target = tree[place].target
            done = [] if target.startswith("/") else done
            waiting += reversed(target.split("/"))
        else:
            done.append(part)
    return None


def needed_by(data: bytes) -> tuple[str, ...]:
    """File names of the loader and the libraries that a program or library names; empty for all else."""
    try:
        return tuple(_needed(data))
    except (struct.error, ValueError, IndexError):
        return ()  # cut off or no ELF after all: nothing that a loader would take


def _needed(data: bytes) -> Iterator[str]:
    if not data.startswith(_MAGIC[0]):
        return
    magic, width, order, kind, _, offset, _, size, count = _HEADER.unpack_from(data)
    if (magic, width, order) != _MAGIC or kind not in _PROGRAM_TYPES or count > MAX_SEGMENTS:
        return
    segments = [_Segment(*_SEGMENT.unpack_from(data, offset + number * size)) for number in range(count)]
    for segment in segments:
        if segment.kind == _INTERPRETER:
            text = data[segment.offset : segment.offset + segment.size].rstrip(b"\0")
            yield posixpath.basename(text.decode())
        elif segment.kind == _DYNAMIC:
            yield from _libraries(data, segment, segments)


def _libraries(data: bytes, dynamic: _Segment, segments: list[_Segment]) -> Iterator[str]:
    part = data[dynamic.offset : dynamic.offset + min(dynamic.size, MAX_DYNAMIC)]
    entries = list(_ENTRY.iter_unpack(part[: len(part) // _ENTRY.size * _ENTRY.size]))
    table = next((value for tag, value in entries if tag == _STRINGS), 0)
    start = next(
        (
            table - segment.virtual + segment.offset
            for segment in segments
            if segment.kind == _LOAD and segment.virtual <= table < segment.virtual + segment.size
        ),
        0,
    )
    for tag, value in entries:
        if tag == _NEEDED:
            yield data[start + value : data.index(b"\0", start + value)].decode()
