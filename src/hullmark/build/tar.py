"""A layer's tar, byte for byte as container engines write it.

Docker, buildah and podman share how they write a layer (Go's `archive/tar`, and what their storage adds).
Writing it the same way lets a Dockerfile's build give the same layer digest (law 9), without a further step.

- Entries stand in the order of a walk: a folder before its content, names by bytes.
- Headers are POSIX ustar; the mode carries the kind of file too; owners are numbers only.
- A path, target or owner that does not fit, or is not ASCII, stands in a PAX header (POSIX.1-2001).
- Two empty blocks end it, and no padding.
"""

from __future__ import annotations

import posixpath
import stat
from typing import TYPE_CHECKING, Protocol

from hullmark.build.tree import Entry, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

BLOCK = 512
NAME_SIZE = 100
PREFIX_SIZE = 155
MAX_OWNER = 0o7777777

_FOLDER, _FILE, _LINK, _PAX = b"5", b"0", b"2", b"x"
_TYPES = {Kind.FOLDER: _FOLDER, Kind.FILE: _FILE, Kind.LINK: _LINK}
_KINDS = {Kind.FOLDER: stat.S_IFDIR, Kind.FILE: stat.S_IFREG, Kind.LINK: stat.S_IFLNK}


class Writer(Protocol):
    """What takes bytes."""

    def write(self, data: bytes, /) -> int:
        """Take `data`."""
        ...


def write_tar(entries: Iterable[tuple[str, Entry]], epoch: int, file: Writer) -> None:
    """Write `entries` as a tar, in the one order, whatever order they come in."""
    for path, entry in sorted(entries, key=lambda item: item[0].split("/")):
        name = f"{path}/" if entry.kind is Kind.FOLDER else path
        file.write(_headers(name, entry, epoch))
        file.write(entry.data)
        file.write(_padding(len(entry.data)))
    file.write(bytes(2 * BLOCK))


def _headers(name: str, entry: Entry, epoch: int) -> bytes:
    """The header of an entry, after a PAX header if it needs one."""
    records: dict[str, str] = {}
    if _needs_record(entry.target):
        records["linkpath"] = entry.target
    if _needs_record(name):
        records["path"] = name
    for key, number in (("gid", entry.gid), ("uid", entry.uid)):
        if number > MAX_OWNER:
            records[key] = str(number)
    split = None if records else _split(name)
    prefix, short = split or ("", name)
    main = _block(
        name=_ascii(short),
        mode=entry.mode | _KINDS[entry.kind],
        owner=(entry.uid if "uid" not in records else 0, entry.gid if "gid" not in records else 0),
        size=len(entry.data),
        time=epoch,
        kind=_TYPES[entry.kind],
        target=_ascii(entry.target),
        devices=b"0000000\0" * 2,
        prefix=_ascii(prefix),
    )
    return (_pax(name, records) if records else b"") + main


def _needs_record(text: str) -> bool:
    """Whether ustar cannot hold `text`: a long one only if it can be split."""
    return not text.isascii() or (len(text) > NAME_SIZE and _split(text) is None)


def _split(name: str) -> tuple[str, str] | None:
    """`name` as prefix and name, where ustar needs both and can hold them."""
    if len(name) <= NAME_SIZE or not name.isascii():
        return None
    place = name.rstrip("/").rfind("/", 0, PREFIX_SIZE + 1)
    rest = len(name) - place - 1
    return (name[:place], name[place + 1 :]) if place > 0 and 0 < rest <= NAME_SIZE else None


def _pax(name: str, records: dict[str, str]) -> bytes:
    body = b"".join(_record(key, value) for key, value in sorted(records.items()))
    folder, base = posixpath.split(name)
    title = _ascii(posixpath.join(folder, "PaxHeaders.0", base))[:NAME_SIZE].rstrip(b"/")
    return _block(name=title, size=len(body), kind=_PAX) + body + _padding(len(body))


def _record(key: str, value: str) -> bytes:
    """`LENGTH key=value`, where LENGTH counts itself."""
    text = f" {key}={value}\n".encode()
    size = len(text)
    while size != len(text) + len(str(size)):
        size = len(text) + len(str(size))
    return str(size).encode() + text


def _block(
    *,
    name: bytes,
    size: int,
    kind: bytes,
    mode: int = 0,
    owner: tuple[int, int] = (0, 0),
    time: int = 0,
    target: bytes = b"",
    devices: bytes = bytes(16),
    prefix: bytes = b"",
) -> bytes:
    """One ustar header (POSIX.1-1988)."""
    numbers = b"".join((_octal(mode, 8), _octal(owner[0], 8), _octal(owner[1], 8), _octal(size, 12)))
    head = _field(name, NAME_SIZE) + numbers + _octal(time, 12)
    tail = (
        kind + _field(target, NAME_SIZE) + b"ustar\x0000" + bytes(64) + devices + _field(prefix, PREFIX_SIZE)
    )
    checksum = sum(head) + sum(b" " * 8) + sum(tail)
    return head + f"{checksum:06o}\0 ".encode() + tail + bytes(BLOCK - len(head) - 8 - len(tail))


def _octal(number: int, size: int) -> bytes:
    digits = f"{number:0{size - 1}o}"
    if len(digits) >= size:
        raise ValueError(f"{number} does not fit into a tar header")
    return digits.encode() + b"\0"


def _field(data: bytes, size: int) -> bytes:
    return data[:size].ljust(size, b"\0")


def _ascii(text: str) -> bytes:
    """What of `text` a header can show; the PAX header has all of it."""
    return text.encode("ascii", "ignore")


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)
