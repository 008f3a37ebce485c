"""`images/<name>/image.toml`: what an image is made of, in one file that a person can read.

Rules (each has a test with the same words):

1. An unknown key, a wrong type or a missing key is refused with file, key path and what was expected.
2. The user is two numbers and never 0: a name would need a lookup, and 0 is root.
3. Every path is relative to the image's root and stays inside it.
4. Every package says why it is there.

Patterns: `*` and `?` stop at `/`, `**` does not; `{triplet}` is the platform's library folder. They are
explained where they are matched, in `slices.py`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from hullmark.build.smoke import Smoke
from hullmark.errors import InputError, UsageError
from hullmark.image import ImageName, parse_name, parse_platform
from hullmark.toml import read_toml

if TYPE_CHECKING:
    from pathlib import Path

DEFINITION_FILE = "image.toml"
LOCK_FILE = "packages.lock"
FILES_FOLDER = "files"
HELPERS_FOLDER = "helpers"

_USER = re.compile(r"([1-9][0-9]{0,8}):([1-9][0-9]{0,8})")
_OWNER = re.compile(r"[0-9]{1,9}:[0-9]{1,9}")
_MODE = re.compile(r"[01]?[0-7]{3}")
_PORT = re.compile(r"[1-9][0-9]{0,4}/(tcp|udp)")
_SIGNAL = re.compile(r"SIG[A-Z]{2,8}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SUITE = re.compile(r"[a-z][a-z0-9.-]*")

NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]
Command = Annotated[tuple[NonEmpty, ...], msgspec.Meta(min_length=1)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=3600)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of `image.toml`."""


class HealthCheck(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an engine asks the running image whether it works (Docker's HEALTHCHECK, without a shell)."""

    command: Command
    interval: Seconds = 30
    timeout: Seconds = 5
    start_period: Seconds = 0
    retries: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3


class Config(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the image is started (OCI image configuration, `config`)."""

    user: str
    entrypoint: Command
    cmd: tuple[str, ...] = ()
    workdir: str = "/"
    env: dict[str, str] = {}
    labels: dict[NonEmpty, str] = {}
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"
    healthcheck: HealthCheck | None = None

    def __post_init__(self) -> None:
        """Check what a type cannot say."""
        _match(_USER, self.user, "expected two numbers, neither of them 0, as 999:999, got {!r}")
        for port in self.ports:
            _match(_PORT, port, "expected a port as 5432/tcp, got {!r}")
        _match(_SIGNAL, self.stop_signal, "expected a signal as SIGTERM, got {!r}")
        for name in self.env:
            _match(_VARIABLE, name, "expected the name of a variable, got {!r}")
        for path in (self.workdir, *self.volumes):
            if not path.startswith("/"):
                raise ValueError(f"expected a path from the root, as /data, got {path!r}")
            check_path(path.strip("/") or ".")


class Package(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Debian package: which of its files are shipped, and why."""

    reason: NonEmpty
    keep: tuple[str, ...] = ()
    """Patterns of its files; without any only its licence is shipped, and the package is recorded."""

    def __post_init__(self) -> None:
        """Check that no pattern leaves the image."""
        for pattern in self.keep:
            check_path(pattern)


class Removal(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files that patterns of packages matched and that are left out all the same."""

    paths: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    reason: NonEmpty

    def __post_init__(self) -> None:
        """Check that no pattern leaves the image."""
        for pattern in self.paths:
            check_path(pattern)


class OwnFile(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of the image's author: `source` is its name in the folder `files`."""

    source: str
    mode: str = "0644"
    owner: str = "0:0"

    def __post_init__(self) -> None:
        """Check source, mode and owner."""
        check_path(self.source)
        _match(_MODE, self.mode, "expected a mode as 0644 without setuid and setgid, got {!r}")
        _match(_OWNER, self.owner, "expected two numbers, as 0:0, got {!r}")


class Directory(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A folder that the image's user writes to, or that must be there."""

    mode: str = "0755"
    owner: str = "0:0"

    def __post_init__(self) -> None:
        """Check mode and owner."""
        _match(_MODE, self.mode, "expected a mode as 0755 without setuid and setgid, got {!r}")
        _match(_OWNER, self.owner, "expected two numbers, as 0:0, got {!r}")


class Helper(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A C source of the image's author, compiled: `source` is its name in the folder `helpers`."""

    source: str
    kind: Literal["program", "library"] = "program"

    def __post_init__(self) -> None:
        """Check the source."""
        check_path(self.source)


class Join(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one transform: text files joined in the order of their paths; the parts are not shipped."""

    parts: str

    def __post_init__(self) -> None:
        """Check that the pattern stays inside."""
        check_path(self.parts)


class Definition(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One image, as its `image.toml` says."""

    version: Literal[1]
    title: NonEmpty
    description: NonEmpty
    licenses: NonEmpty
    """An SPDX licence expression of the main program."""
    version_from: str = ""
    """The package whose version is the image's (`org.opencontainers.image.version`)."""
    platforms: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("linux/amd64",)
    suites: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """Debian's suites; the newest version over all of them is taken."""
    config: Config
    packages: dict[str, Package]
    remove: tuple[Removal, ...] = ()
    files: dict[str, OwnFile] = {}
    helpers: dict[str, Helper] = {}
    directories: dict[str, Directory] = {}
    join: dict[str, Join] = {}
    smoke: Smoke | None = None
    """How the built image is tested; None when it is not."""

    def __post_init__(self) -> None:
        """Check names and paths of the tables."""
        for suite in self.suites:
            _match(_SUITE, suite, "expected the name of a suite, as trixie, got {!r}")
        if not self.packages:
            raise ValueError("`packages` names no package")
        for name in self.packages:
            _match(_PACKAGE, name, "expected the name of a Debian package, got {!r}")
        for path in (*self.files, *self.helpers, *self.directories, *self.join):
            check_path(path)
        for platform in self.platforms:
            try:
                parse_platform(platform)
            except UsageError as error:
                raise ValueError(error.message) from error
        if self.version_from and self.version_from not in self.packages:
            raise ValueError(f"`version_from` names {self.version_from!r}, which `packages` has not")


def load_definition(folder: Path) -> Definition:
    """The definition in `folder`, or InputError with file, key path and what was expected."""
    return read_toml(folder / DEFINITION_FILE, Definition)


def image_name(folder: Path) -> ImageName:
    """The image's name: its folder's."""
    try:
        return parse_name(folder.name)
    except UsageError as error:
        raise InputError(error.message, file=str(folder), hint=error.hint) from error


def check_path(path: str) -> None:
    """Raise ValueError unless `path` is relative, stays inside and has no empty, `.` or `..` part."""
    if path == ".":
        return
    parts = path.split("/")
    plain = all(part not in ("", ".", "..") for part in parts)
    if not plain or not path.isprintable():
        raise ValueError(f"expected a path inside the image without leading /, as etc/passwd, got {path!r}")


def _match(pattern: re.Pattern[str], text: str, message: str) -> None:
    if not pattern.fullmatch(text):
        raise ValueError(message.format(text))
