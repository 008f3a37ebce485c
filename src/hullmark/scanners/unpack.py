"""A vulnerability database from a file or folder, for machines without network.

Accepted are a Trivy cache folder, a folder with the two files of a database, and the archive in which
databases are distributed (`db.tar.gz`: the layer of the OCI artifact); the main or the Java database.

Rules:
- Only files with the names of databases are taken from an archive, whatever their folder there is; nothing
  is extracted by its path, links and devices are never followed.
- What arrives is checked before it replaces anything; sizes have a limit.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from typing import IO, TYPE_CHECKING, Literal

from hullmark.errors import InputError
from hullmark.scanners import database
from hullmark.scanners.database import JAVA_FILE, PLACES
from hullmark.scanners.sample import DATABASE_FILE, METADATA_FILE

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 8 * 1024**3
MAX_MEMBERS = 1000
_GZIP = b"\x1f\x8b"
_SQLITE = b"SQLite format 3\0"
_EXPECTED = f"expected {DATABASE_FILE} or {JAVA_FILE}, and {METADATA_FILE}"


def import_database(source: Path, folder: Path) -> tuple[str, ...]:
    """Put the databases of `source` into `folder`, in place of what is there; returns their file names."""
    with database.staging(folder) as staged:
        found = _from_folder(source, staged) if source.is_dir() else _from_archive(source, staged)
        for name in found:
            _check(staged, name, source)
        database.install(staged, folder)
    return tuple(found)


def _from_folder(source: Path, staged: Path) -> list[str]:
    found: list[str] = []
    for name, place in PLACES.items():
        for candidate in (source / place, source):
            if not (candidate / name).is_file():
                continue
            (staged / place).mkdir()
            for part in (name, METADATA_FILE):
                try:
                    with (candidate / part).open("rb") as file:
                        _copy(file, staged / place / part, candidate / part)
                except FileNotFoundError as error:
                    raise InputError("file not found", file=candidate / part) from error
            found.append(name)
            break
    if not found:
        raise InputError(f"no database in this folder: {_EXPECTED}", file=source)
    return found


def _from_archive(source: Path, staged: Path) -> list[str]:
    names: set[str] = set()
    if source.exists() and not source.is_file():
        raise InputError("not a regular file", file=source)
    try:
        with source.open("rb") as raw, tarfile.open(fileobj=raw, mode=_mode(raw)) as archive:
            for count, member in enumerate(archive):
                if count >= MAX_MEMBERS:
                    raise InputError(f"more than {MAX_MEMBERS} files", file=source)
                name = member.name.rpartition("/")[2]
                if name not in {*PLACES, METADATA_FILE}:
                    continue
                content = archive.extractfile(member) if member.isreg() else None
                if content is None or name in names:
                    raise InputError(f"{name} is no regular file, or is there twice", file=source)
                names.add(name)
                _copy(content, staged / name, source)
    except FileNotFoundError as error:
        raise InputError("file not found", file=source) from error
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"not an archive, or a cut one: {error}", file=source) from error
    found = sorted(names - {METADATA_FILE})
    if len(found) != 1 or METADATA_FILE not in names:
        raise InputError(f"no database in this archive: {_EXPECTED}", file=source)
    place = staged / PLACES[found[0]]
    place.mkdir()
    for name in (found[0], METADATA_FILE):
        (staged / name).rename(place / name)
    return found


def _mode(raw: IO[bytes]) -> Literal["r:gz", "r:"]:
    magic = raw.read(len(_GZIP))
    raw.seek(0)
    return "r:gz" if magic == _GZIP else "r:"


def _copy(content: IO[bytes], target: Path, source: Path) -> None:
    with target.open("wb") as file:
        while piece := content.read(1 << 20):
            if file.tell() + len(piece) > MAX_BYTES:
                raise InputError(f"{target.name} is larger than {MAX_BYTES} bytes", file=source)
            file.write(piece)


def _check(staged: Path, name: str, source: Path) -> None:
    """Raise InputError about `source` when what was staged of it is not a whole database."""
    try:
        if name == DATABASE_FILE:
            database.inspect(staged)
            return
        place = staged / PLACES[name]
        database.read_metadata(place / METADATA_FILE)
        _check_sqlite(place / name)
    except InputError as error:
        # The staged copy is gone when this is read: say what is wrong with the file that was given.
        what = error.message.removeprefix(f"{error.file}: ")
        raise InputError(what, file=source, key=name, hint="Fetch or export it again.") from error


def _check_sqlite(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_SQLITE)) != _SQLITE:
            raise InputError("not a Java database", file=path)
