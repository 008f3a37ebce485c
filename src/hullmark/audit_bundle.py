"""The audit bundle: one zip that an auditor can keep, and check without this repository and without network.

    README.md        what it is, and how to check it
    SHA256SUMS       the hash of every other file, as `sha256sum --check` reads it
    audit-logs/      ledger and evidence
    …                whatever else was put in: baselines, policy, reports

Rules (each has a test with the same words):
- the same input gives the same bytes: sorted, one fixed date, one fixed permission, no comment;
- what cannot be packed smaller (evidence) is stored as it is, the rest deflated at level 6;
- a bundle is read without unpacking it blindly: no link, no path that escapes, no name twice, under limits;
- a file that SHA256SUMS does not name, or that is not as it says, is a fault; so is one that is missing.
"""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
import zlib
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from hullmark.errors import InputError, TamperedError
from hullmark.files import explained, replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

SUMS = "SHA256SUMS"
README = "README.md"
MAX_MEMBERS = 200_000
MAX_MEMBER = 512 << 20
MAX_TOTAL = 16 << 30
MAX_SUMS = 64 << 20
MAX_NAME = 4096
MAX_RATIO = 1200
"""No honest deflate stream grows more than 1,032 times (RFC 1951); evidence is stored."""

_DATE = (1980, 1, 1, 0, 0, 0)
"""The first date that a zip can name: a bundle has no time of its own, its entries have."""
_BLOCK = 1 << 20
_PACKED = (".gz", ".pdf", ".png", ".xlsx", ".woff2")
_UNIX = 3
_LINE = re.compile(r"([0-9a-f]{64})  ([^\0\r\n]+)")
_ABSOLUTE = re.compile(r"^(?:/|[A-Za-z]:)")


class Fault(NamedTuple):
    """A file of a bundle that is not what its list of hashes says."""

    name: str
    text: str
    is_damaged: bool = False
    """Whether its bytes cannot even be unpacked."""


def write_bundle(path: Path, contents: Mapping[str, bytes | Path]) -> None:
    """Write `contents`, by the name they have in the bundle, and the list of their hashes to `path`."""
    _refuse_names(contents, path)
    with replacing(path) as file, zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        sums: dict[str, str] = {}
        for name in sorted(contents):
            sums[name] = _add(archive, name, contents[name])
        _add(archive, SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode())


def _refuse_names(names: Iterable[str], path: Path) -> None:
    for name in names:
        if name == SUMS or not is_safe(name):
            raise InputError(f"cannot be named {name!r} in a bundle", file=path)


def is_safe(name: str) -> bool:
    """Whether `name` stays below the folder it is unpacked in, on every system, and fits a line of hashes."""
    parts = name.split("/")
    return (
        bool(name)
        and not _ABSOLUTE.match(name)
        and "\\" not in name
        and all(part not in ("", ".", "..") for part in parts)
        and name.isprintable()
        and len(name) <= MAX_NAME
    )


def _add(archive: zipfile.ZipFile, name: str, content: bytes | Path) -> str:
    member = zipfile.ZipInfo(name, _DATE)
    member.create_system = _UNIX
    member.external_attr = (stat.S_IFREG | 0o644) << 16
    stored = name.endswith(_PACKED)
    member.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    state = sha256()
    with archive.open(member, "w") as target:
        for block in _blocks(content):
            state.update(block)
            target.write(block)
    return state.hexdigest()


def _blocks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with explained(content), content.open("rb") as source:
        while block := source.read(_BLOCK):
            yield block


def check_bundle(path: Path) -> tuple[Fault, ...]:
    """Compare every file in the bundle with its hash; InputError when it cannot be read as a bundle."""
    with _opened(path) as archive:
        members = _members(archive, path)
        listed = _read_sums(archive, path)
        faults = [Fault(name, "is not listed in SHA256SUMS") for name in members.keys() - listed.keys()]
        for name, digest in listed.items():
            if name not in members:
                faults.append(Fault(name, "is missing"))
            elif not (found := _hash(archive, members[name], path)):
                faults.append(Fault(name, "cannot be unpacked: its bytes are damaged", is_damaged=True))
            elif found != digest:
                faults.append(Fault(name, f"was changed: its hash is {found}"))
    return tuple(sorted(faults))


def unpack_bundle(path: Path, folder: Path, *, without: frozenset[str] = frozenset()) -> None:
    """Unpack a bundle into the new folder `folder`, `without` the files that are damaged."""
    with _opened(path) as archive:
        for name, member in {**_members(archive, path), SUMS: archive.getinfo(SUMS)}.items():
            if name in without:
                continue
            target = folder / name
            with explained(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("xb") as file:
                    shutil.copyfileobj(source, file, _BLOCK)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise InputError("file not found", file=path) from error
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"not a bundle: {error}", file=path) from error


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Every file but the list of hashes, by name."""
    if len(archive.infolist()) > MAX_MEMBERS:
        raise InputError(f"has more than {MAX_MEMBERS:,} files", file=path)
    members: dict[str, zipfile.ZipInfo] = {}
    total = 0
    for member in archive.infolist():
        name = member.filename
        total += member.file_size
        if not is_safe(name) or not _is_regular(member) or member.flag_bits & 1:
            raise TamperedError(
                f"{path}: {name!r} is no plain file of a bundle", hint="It was not made by Hullmark."
            )
        if name in members:
            raise TamperedError(f"{path}: {name!r} is there twice", hint="It was not made by Hullmark.")
        if member.file_size > min(MAX_MEMBER, MAX_RATIO * member.compress_size + 1024) or total > MAX_TOTAL:
            raise InputError(f"{name!r} is larger than a bundle's files may be", file=path)
        members[name] = member
    if members.pop(SUMS, None) is None:
        raise InputError("has no list of hashes", file=path, key=SUMS, hint="It is not an audit bundle.")
    return members


def _is_regular(member: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(member.external_attr >> 16)
    return kind in (0, stat.S_IFREG) and not member.is_dir()


def _read_sums(archive: zipfile.ZipFile, path: Path) -> dict[str, str]:
    if archive.getinfo(SUMS).file_size > MAX_SUMS:
        raise InputError(f"larger than {MAX_SUMS:,} bytes", file=path, key=SUMS)
    try:
        text = archive.read(SUMS).decode()
    except (zipfile.BadZipFile, UnicodeDecodeError, zlib.error, OSError) as error:
        raise TamperedError(f"{path}: {SUMS} cannot be read: {error}") from error
    listed: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        found = _LINE.fullmatch(line)
        if found is None or found[2] in listed:
            raise TamperedError(f"{path}: {SUMS}:{number}: is no hash with a name, or names a file again")
        listed[found[2]] = found[1]
    return listed


def _hash(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> str:
    """The hash of a member; empty when its bytes cannot be unpacked, which is a fault as well."""
    state = sha256()
    try:
        with archive.open(member) as source:
            while block := source.read(_BLOCK):
                state.update(block)
    except (zipfile.BadZipFile, zlib.error, EOFError):
        return ""
    except (OSError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{member.filename!r} cannot be read: {error}", file=path) from error
    return state.hexdigest()
