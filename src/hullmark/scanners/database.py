"""The vulnerability database on disk: what it is, how old it is, and putting another in its place.

A database is a Trivy cache folder: `db/trivy.db` with `db/metadata.json`, and for Java archives
`java-db/trivy-java.db` with its own metadata.

Rules:
- A folder that `--db` or HULLMARK_DB names is used as it is, never updated.
- A missing, damaged, cut or too new database is an error that names the file, before Trivy is started on it.
- Only the bytes of `trivy.db` identify a database (`Database.digest`).
- A sample has no age: it is a fixed set of facts. A real one from the future is as doubtful as an old one.
- A database is replaced only by a complete and checked one; a failure before leaves the old one as it was.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import EnvironmentFaultError, InputError, UsageError
from hullmark.filehash import hash_file
from hullmark.scan import Database, Note, NoteReason
from hullmark.scanners import bolt
from hullmark.scanners.sample import DATABASE_FILE, MARK, METADATA_FILE, SCHEMA_VERSION, refuse_real

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VARIABLE = "HULLMARK_DB"
DIGESTS = Path(".hullmark/digests.json")
"""Where a project remembers the digests of big files."""

JAVA_FILE = "trivy-java.db"
MAX_METADATA_BYTES = 64 * 1024
MAX_FUTURE = timedelta(days=1)

# Where each database file lies in a cache folder.
PLACES = {DATABASE_FILE: "db", JAVA_FILE: "java-db"}
_NOT_ADVISORIES = frozenset({"data-source", "vulnerability", "trivy", MARK})
_UPDATE = "Fetch one with: hullmark db update"


class Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Trivy's `metadata.json`. Unknown keys are Trivy's own business."""

    version: int
    updated_at: str
    next_update: str = ""
    downloaded_at: str = ""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The cache folder of this run."""

    folder: Path
    named: bool
    """Whether `--db` or HULLMARK_DB named it: then it is never updated."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A database that was found and looks whole."""

    folder: Path
    database: Database
    size: int
    """Bytes of `trivy.db`."""
    next_update: str
    systems: tuple[str, ...]
    """Names of the buckets with advisories: releases as `debian 13`, ecosystems as `npm::…`; sorted."""
    java_updated_at: str
    """Date of the Java database; empty when there is none."""

    @property
    def has_java(self) -> bool:
        """Whether JAR files can be named."""
        return bool(self.java_updated_at)


def choose(option: Path | None, environment: Mapping[str, str], *, default: Path) -> Place:
    """The cache folder to use: the one that `--db` names, else HULLMARK_DB, else `default`."""
    if option is not None:
        return Place(folder=option, named=True)
    if named := environment.get(VARIABLE, ""):
        return Place(folder=Path(named), named=True)
    return Place(folder=default, named=False)


def inspect(folder: Path, *, cache: Path | None = None) -> Held:
    """Look at the database in `folder`; `cache` remembers the digests of big files.

    Raises InputError naming the file that is missing, damaged, cut or written for another Trivy.
    """
    path = folder / PLACES[DATABASE_FILE] / DATABASE_FILE
    if not path.exists():
        beside = (folder / DATABASE_FILE).exists()
        raise InputError(
            "no vulnerability database",
            file=path,
            hint=f"Name the folder above: {folder.parent}" if beside else _UPDATE,
        )
    metadata = read_metadata(path.with_name(METADATA_FILE))
    check_schema(metadata, path.with_name(METADATA_FILE))
    bolt.check(path)
    names = bolt.names(path)
    if "vulnerability" not in names:
        raise InputError("a database, but not one of vulnerabilities", file=path, hint=_UPDATE)
    return Held(
        folder=folder,
        database=Database(
            digest=hash_file(path, cache=cache),
            updated_at=metadata.updated_at,
            sample=MARK in names,
        ),
        size=path.stat().st_size,
        next_update=metadata.next_update,
        systems=tuple(name for name in names if name not in _NOT_ADVISORIES),
        java_updated_at=_java_date(folder),
    )


def _java_date(folder: Path) -> str:
    place = folder / PLACES[JAVA_FILE]
    if not (place / JAVA_FILE).exists():
        return ""
    return read_metadata(place / METADATA_FILE).updated_at


def read_metadata(path: Path) -> Metadata:
    """Read a `metadata.json`, its dates as whole seconds in UTC."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_METADATA_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path, hint=_UPDATE) from error
    if len(raw) > MAX_METADATA_BYTES:
        raise InputError(f"longer than {MAX_METADATA_BYTES} bytes", file=path)
    try:
        metadata = msgspec.json.decode(raw, type=Metadata)
        return msgspec.structs.replace(
            metadata,
            updated_at=_seconds(metadata.updated_at),
            next_update=_seconds(metadata.next_update) if metadata.next_update else "",
        )
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"not the metadata of a database: {error}", file=path, hint=_UPDATE) from error


def check_schema(metadata: Metadata, file: Path) -> None:
    """Raise InputError when the database has another layout than the one we know."""
    if metadata.version == SCHEMA_VERSION:
        return
    newer = metadata.version > SCHEMA_VERSION
    raise InputError(
        f"a database of schema {metadata.version}, {'newer' if newer else 'older'} than {SCHEMA_VERSION}",
        file=file,
        key="Version",
        hint="Install a newer Hullmark." if newer else _UPDATE,
    )


def _seconds(text: str) -> str:
    """An RFC 3339 time as whole seconds in UTC; ValueError when it is none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def age(database: Database, now: datetime) -> timedelta:
    """Time since the database's own date; negative when that lies in the future."""
    return now - datetime.fromisoformat(database.updated_at)


def staleness(database: Database, now: datetime, max_days: int) -> Note | None:
    """A note that the database is too old to be trusted with what is new, or None. Samples are exempt."""
    if database.sample:
        return None
    passed = age(database, now)
    if passed > timedelta(days=max_days):
        return Note(NoteReason.STALE_DATABASE, f"{passed.days} days old, at most {max_days} are allowed")
    if passed < -MAX_FUTURE:
        return Note(NoteReason.STALE_DATABASE, f"dated {database.updated_at}, in the future")
    return None


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """An empty folder inside `folder` to prepare a database in; removed at the end, whatever happens.

    One process at a time: another one gets EnvironmentFaultError at once.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("wb") as lock:
            _lock(lock.fileno(), folder)
            for left in folder.glob(".new-*"):  # of a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            # Absolute: Trivy runs inside it.
            staged = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.absolute()))
            try:
                yield staged
            finally:
                shutil.rmtree(staged, ignore_errors=True)
    except OSError as error:
        raise EnvironmentFaultError(f"{error.filename or folder}: {error.strerror or error}") from error


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise EnvironmentFaultError(
            f"another process is updating {folder}", hint="Wait until it is done, and try again."
        ) from error


def install(staged: Path, folder: Path) -> None:
    """Move the databases prepared in `staged` into `folder`, which is on the same file system.

    The database comes first and its date last: cut in between, it claims to be older than it is, never newer.
    A sample never replaces a real database (UsageError).
    """
    prepared = staged / PLACES[DATABASE_FILE] / DATABASE_FILE
    if prepared.exists() and MARK in bolt.names(prepared):
        refuse_real(folder / PLACES[DATABASE_FILE] / DATABASE_FILE)
    for name, place in PLACES.items():
        if not (staged / place / name).exists():
            continue
        target = folder / place
        target.mkdir(exist_ok=True)
        if _is_newer(target / METADATA_FILE, staged / place / METADATA_FILE):
            (target / METADATA_FILE).unlink()
        (staged / place / name).replace(target / name)
        (staged / place / METADATA_FILE).replace(target / METADATA_FILE)


def _is_newer(one: Path, other: Path) -> bool:
    if not one.exists():
        return False
    try:
        return read_metadata(one).updated_at > read_metadata(other).updated_at
    except InputError:
        return True


def refuse_named(place: Place) -> None:
    """Raise UsageError when the folder was named by `--db` or HULLMARK_DB: such a one is never updated."""
    if place.named:
        raise UsageError(
            f"{place.folder} is named by --db or {VARIABLE}, and so is never changed",
            hint=f"Unset {VARIABLE}, or prepare another folder with --out.",
        )
