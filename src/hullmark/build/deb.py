"""Reading a .deb file (deb(5)): an `ar` archive with a control and a data tar inside.

Nothing is extracted to disk. Rules (each has a test with the same words):

1. Devices, pipes and sockets are refused.
2. A path or link that leaves the root is refused.
3. What unpacks to more than the limit is refused, before it fills the memory.
4. setuid and setgid bits are dropped while reading.
"""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zlib
from typing import TYPE_CHECKING

import msgspec

from hullmark.build.tree import SET_ID, Entry, Kind, escapes
from hullmark.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_UNPACKED = 1 << 30
MAX_CONTROL = 32 << 20
MAX_MEMBERS = 200_000
USR_MERGED = frozenset({"bin", "sbin", "lib", "lib64"})
"""These are links to their namesakes in usr/ (Debian since 12); files that still name them belong there."""

_READERS: dict[str, Callable[[io.BytesIO], io.BufferedIOBase]] = {
    "": lambda stream: stream,
    ".gz": lambda stream: gzip.GzipFile(fileobj=stream),
    ".xz": lzma.LZMAFile,
}
_AR_MAGIC = b"!<arch>\n"
_AR_HEADER = 60


class Deb(msgspec.Struct, frozen=True, kw_only=True):
    """A package's description and all its files."""

    control: str
    """The paragraph of `control`, with its line end."""
    md5sums: dict[str, str]
    """Path to md5, as the package states; configuration files are not in it."""
    files: dict[str, Entry]
    """The wanted files and links by path, folders left out."""
    paths: frozenset[str]
    """All its files and links, wanted or not."""


def read_deb(data: bytes, *, file: str, wanted: Callable[[str], bool]) -> Deb:
    """The package in `data`; only the content of paths that are `wanted` is kept.

    `file` is how errors call it.
    """
    members = dict(_ar_members(data, file))
    if members.get("debian-binary", b"")[:2] != b"2.":
        raise InputError("not a Debian package of format 2", file=file)
    control = _control_files(_part(members, "control.tar", MAX_CONTROL, file), file)
    if not control.get("control"):
        raise InputError("has no control file", file=file)
    files, paths = _data_files(_part(members, "data.tar", MAX_UNPACKED, file), file, wanted)
    return Deb(
        control=control["control"].strip("\n") + "\n",
        md5sums=_md5sums(control.get("md5sums", "")),
        files=files,
        paths=frozenset(paths),
    )


def _ar_members(data: bytes, file: str) -> Iterator[tuple[str, bytes]]:
    if not data.startswith(_AR_MAGIC):
        raise InputError("not an ar archive", file=file)
    place = len(_AR_MAGIC)
    while place < len(data):
        header = data[place : place + _AR_HEADER]
        size_text = header[48:58].strip()
        if len(header) < _AR_HEADER or header[58:60] != b"`\n" or not size_text.isdigit():
            raise InputError(f"damaged ar header at byte {place}", file=file)
        start, size = place + _AR_HEADER, int(size_text)
        if start + size > len(data):
            raise InputError("truncated", file=file)
        yield header[:16].decode("ascii", "replace").strip().rstrip("/"), data[start : start + size]
        place = start + size + size % 2


def _part(members: dict[str, bytes], name: str, limit: int, file: str) -> bytes:
    found = [member for member in members if member == name or member.startswith(f"{name}.")]
    if len(found) != 1:
        raise InputError(f"expected one {name}, got {len(found)}", file=file)
    return _unpack(members[found[0]], found[0], limit, file)


def _unpack(data: bytes, name: str, limit: int, file: str) -> bytes:
    suffix = name.rpartition(".tar")[2]
    if suffix not in _READERS:
        hint = "Debian's own packages use xz; this one was made for another system."
        raise InputError(f"unknown compression {suffix!r}", file=file, key=name, hint=hint)
    try:
        with _READERS[suffix](io.BytesIO(data)) as stream:
            content = stream.read(limit + 1)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"damaged: {error}", file=file, key=name) from error
    if len(content) > limit:
        raise InputError(f"unpacks to more than {limit:,} bytes", file=file, key=name)
    return content


def _tar_members(content: bytes, file: str) -> Iterator[tuple[str, tarfile.TarInfo, tarfile.TarFile]]:
    """Path inside the root and member, of each member that is neither the root nor a folder."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for number, member in enumerate(tar):
                if number >= MAX_MEMBERS:
                    raise InputError(f"more than {MAX_MEMBERS:,} members", file=file)
                yield _inside(member.name, file), member, tar
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise InputError(f"damaged tar: {error}", file=file) from error


def _inside(name: str, file: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise InputError("path leaves the root", file=file, key=repr(name))
    return _merged("/".join(parts))


def _merged(path: str) -> str:
    return f"usr/{path}" if "/" in path and path.split("/", 1)[0] in USR_MERGED else path


def _control_files(content: bytes, file: str) -> dict[str, str]:
    texts = {}
    for path, member, tar in _tar_members(content, file):
        if member.isreg() and path in ("control", "md5sums"):
            texts[path] = _content(tar, member).decode(errors="replace")
    return texts


def _data_files(
    content: bytes, file: str, wanted: Callable[[str], bool]
) -> tuple[dict[str, Entry], set[str]]:
    """The wanted files, and the paths of all."""
    files: dict[str, Entry] = {}
    paths: set[str] = set()
    for path, member, tar in _tar_members(content, file):
        if member.isdir():
            continue
        if not (member.isreg() or member.issym() or member.islnk()):
            raise InputError("a device, pipe or socket", file=file, key=path)
        if member.issym() and escapes(path, member.linkname):
            raise InputError(f"link leaves the root: {member.linkname!r}", file=file, key=path)
        if member.islnk():
            _inside(member.linkname, file)
        paths.add(path)
        if wanted(path):
            files[path] = _entry(tar, member, file, path)
    return files, paths


def _entry(tar: tarfile.TarFile, member: tarfile.TarInfo, file: str, path: str) -> Entry:
    if member.issym():
        return Entry(kind=Kind.LINK, mode=0o777, target=member.linkname)
    try:
        data = _content(tar, member)  # of a hard link: what it is linked to
    except KeyError as error:
        raise InputError(f"hard link to nothing: {member.linkname!r}", file=file, key=path) from error
    mode = member.mode & 0o7777 & ~SET_ID
    return Entry(kind=Kind.FILE, mode=mode, uid=member.uid, gid=member.gid, data=data)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    if stream is None:
        raise ValueError(f"{member.name} has no content")
    return stream.read()


def _md5sums(text: str) -> dict[str, str]:
    lines = (line.split(None, 1) for line in text.splitlines())
    return {_merged(words[1]): words[0] for words in lines if len(words) == 2}  # noqa: PLR2004 - hash and path
