"""`packages.lock`: the exact packages of an image, and the indexes they were chosen from.

    hullmark-lock 1
    index   ARCHIVE SUITE sha256:INRELEASE DATE
    package ARCHITECTURE NAME VERSION sha256:DEB SIZE SUITE PATH SOURCE SOURCE-VERSION
    helper  ARCHITECTURE PATH sha256:OBJECT SIZE COMPILER

One fact a line and words between single spaces, so that a change reads well in review and a shell can read
it. The newest DATE of the indexes is the image's only clock (`epoch`): the lock alone decides every byte.

`parse(format(lock)) == lock` for every lock that `resolve` makes.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import InputError, UsageError
from hullmark.files import read_bounded
from hullmark.image import Digest, parse_digest

if TYPE_CHECKING:
    from pathlib import Path

ARCHIVES = ("debian", "debian-security")
MAX_LOCK_BYTES = 4 << 20
MAX_DEB_BYTES = 512 << 20
HEADER = "hullmark-lock 1"
NOTE = "# Written by `hullmark lock`; each package is fetched by this hash and no other."

_DATE = "%Y-%m-%dT%H:%M:%SZ"
_WORD = re.compile(r"[!-~]+")
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_VERSION = re.compile(r"(?:[0-9]+:)?[A-Za-z0-9.+:~-]+")
"""Debian Policy §5.6.12."""


class Index(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A signed list of packages, as it was when the lock was made."""

    archive: str
    """`debian` or `debian-security`: which address it is under."""
    suite: str
    release: Digest
    """Of the file `InRelease`."""
    date: int
    """The `Date` it states, in seconds since 1970."""


class LockedPackage(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One .deb file, by hash."""

    architecture: str
    """The image's, in Debian's words; the package itself may be for all."""
    name: str
    version: str
    digest: Digest
    size: int
    suite: str
    path: str
    """Below the archive's address."""
    source: str
    source_version: str


class LockedHelper(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What a C source of the image compiles to."""

    architecture: str
    path: str
    """In the image."""
    digest: Digest
    size: int
    compiler: str
    """With its version."""


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """The packages of one image for all its platforms."""

    indexes: tuple[Index, ...]
    packages: tuple[LockedPackage, ...]
    helpers: tuple[LockedHelper, ...] = ()

    @property
    def epoch(self) -> int:
        """The time of everything in the image (SOURCE_DATE_EPOCH)."""
        return max(index.date for index in self.indexes)

    def archive_of(self, package: LockedPackage) -> str:
        """The archive that `package` lies in."""
        return next(index.archive for index in self.indexes if index.suite == package.suite)

    def for_architecture(self, architecture: str) -> tuple[LockedPackage, ...]:
        """The packages of one platform, by name."""
        return tuple(sorted(package for package in self.packages if package.architecture == architecture))


def format_lock(lock: Lock) -> str:
    """The text of `packages.lock`, the same for the same content in any order."""
    indexes = (
        ("index", index.archive, index.suite, index.release, _format_date(index.date))
        for index in sorted(lock.indexes)
    )
    packages = (("package", *map(str, msgspec.structs.astuple(package))) for package in sorted(lock.packages))
    helpers = (("helper", *map(str, msgspec.structs.astuple(helper))) for helper in sorted(lock.helpers))
    lines = (" ".join(words) for words in (*indexes, *packages, *helpers))
    return "\n".join([HEADER, NOTE, *lines]) + "\n"


def _format_date(date: int) -> str:
    return datetime.fromtimestamp(date, UTC).strftime(_DATE)


def load_lock(path: Path) -> Lock:
    """The lock at `path`, or InputError."""
    data = read_bounded(path, MAX_LOCK_BYTES)
    try:
        return parse_lock(data.decode(), file=path)
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}", file=path) from error


def parse_lock(text: str, *, file: Path | str = "packages.lock") -> Lock:
    """The lock that `text` holds, or InputError with the line's number."""
    lines = text.split("\n")
    if lines[0] != HEADER:
        raise InputError(f"expected `{HEADER}`", file=file, key="line 1", hint="Run `hullmark lock`.")
    indexes: list[Index] = []
    packages: list[LockedPackage] = []
    helpers: list[LockedHelper] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line or line.startswith("#"):
            continue
        try:
            match line.split(" "):
                case ["index", *words]:
                    indexes.append(_index(words))
                case ["helper", *words]:
                    helpers.append(_helper(words))
                case words:
                    packages.append(_package(words))
        except (ValueError, UsageError) as error:
            raise InputError(str(error), file=file, key=f"line {number}") from error
    _check_whole(indexes, packages, file)
    _check_once([(helper.architecture, helper.path) for helper in helpers], file)
    return Lock(
        indexes=tuple(sorted(indexes)), packages=tuple(sorted(packages)), helpers=tuple(sorted(helpers))
    )


def _check_whole(indexes: list[Index], packages: list[LockedPackage], file: Path | str) -> None:
    suites = [index.suite for index in indexes]
    if not indexes or not packages:
        raise InputError("names no index or no package", file=file, hint="Run `hullmark lock --refresh`.")
    for package in packages:
        if package.suite not in suites:
            raise InputError(f"no index for suite {package.suite!r}", file=file, key=package.name)
    _check_once([(package.architecture, package.name) for package in packages], file)
    if len(set(suites)) != len(suites):
        raise InputError("names a suite twice", file=file)


def _check_once(keys: list[tuple[str, str]], file: Path | str) -> None:
    """Check that nothing is locked twice for one architecture."""
    seen: set[tuple[str, str]] = set()
    for key in keys:
        if key in seen:
            raise InputError("locked twice", file=file, key=key[1])
        seen.add(key)


def _index(words: list[str]) -> Index:
    archive, suite, release, text = _words(words, 4, "index")
    if archive not in ARCHIVES:
        raise ValueError(f"expected one of {', '.join(ARCHIVES)}, got {archive!r}")
    date = int(datetime.strptime(text, _DATE).replace(tzinfo=UTC).timestamp())
    return Index(archive=archive, suite=_name(suite), release=parse_digest(release), date=date)


def _package(words: list[str]) -> LockedPackage:
    if words[0] != "package":
        raise ValueError(f"expected `index`, `package` or `helper`, got {words[0]!r}")
    architecture, name, version, digest, size, suite, path, source, source_version = _words(
        words[1:], 9, "package"
    )
    return LockedPackage(
        architecture=_name(architecture),
        name=_name(name),
        version=check_version(version),
        digest=parse_digest(digest),
        size=_size(size),
        suite=_name(suite),
        path=_path(path),
        source=_name(source),
        source_version=check_version(source_version),
    )


def _helper(words: list[str]) -> LockedHelper:
    architecture, path, digest, size, compiler = _words(words, 5, "helper")
    return LockedHelper(
        architecture=_name(architecture),
        path=_path(path),
        digest=parse_digest(digest),
        size=_size(size),
        compiler=compiler,
    )


def _words(words: list[str], expected: int, kind: str) -> list[str]:
    """The words, if they are as many as `kind` has and all visible ASCII."""
    if len(words) != expected:
        raise ValueError(f"expected {expected} words after `{kind}`, got {len(words)}")
    for word in words:
        if not _WORD.fullmatch(word):
            raise ValueError(f"expected a word of visible ASCII, got {word!r}")
    return words


def _size(text: str) -> int:
    size = int(text) if text.isdigit() else 0
    if not 0 < size <= MAX_DEB_BYTES:
        raise ValueError(f"expected a size up to {MAX_DEB_BYTES:,}, got {text!r}")
    return size


def check_version(text: str) -> str:
    """`text`, if it is a version that can be compared by Debian's rules, or ValueError."""
    if not _VERSION.fullmatch(text) or text.endswith("-"):
        raise ValueError(f"expected a version, got {text!r}")
    return text


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"expected a name, got {text!r}")
    return text


def _path(text: str) -> str:
    parts = PurePosixPath(text).parts
    if not parts or parts[0] == "/" or ".." in parts or "//" in text:
        raise ValueError(f"expected a relative path that stays inside, got {text!r}")
    return text


def archive_of_suite(suite: str) -> str:
    """Which of Debian's archives holds `suite`: security updates have their own."""
    return "debian-security" if suite.endswith("-security") else "debian"
