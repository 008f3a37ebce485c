"""The table `[smoke]`: what an image is given when it is tested, and what it must then do.

Rules (each has a test with the same words):

1. There is at least one check, and the first is the ready condition: it is repeated until it passes.
2. What a check names must be declared: a password, or the certificates of a check over TLS.
3. Paths are absolute, and nothing is put into the image's root, `/proc`, `/sys` or `/dev`.
4. Names of checks are different from each other.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal

import msgspec

SMOKE_FILE = "smoke.toml"
SMOKE_FOLDER = "smoke"

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SQLSTATE = re.compile(r"[0-9A-Z]{5}")
_SEALED = frozenset({"proc", "sys", "dev"})

NonEmpty = Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=600)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table below `[smoke]`."""


class Made(StrEnum):
    """A secret that is made anew for each test and exists nowhere else."""

    PASSWORD = "password"  # noqa: S105 - the name of a kind
    CERTIFICATE = "certificate"
    """Of the names localhost and 127.0.0.1."""
    KEY = "key"
    """Of that certificate."""
    AUTHORITY = "authority"
    """The certificate that signed it."""
    STRANGER = "stranger"
    """The certificate of an authority that signed nothing."""


class _Check(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that the image must do."""

    name: NonEmpty
    mariadb: bool = False
    """Whether it needs the database server; where this machine has none, nobody knows."""


class Tcp(_Check, frozen=True, kw_only=True, tag_field="check", tag="tcp", forbid_unknown_fields=True):
    """A port takes connections."""

    port: Port


class Http(_Check, frozen=True, kw_only=True, tag_field="check", tag="http", forbid_unknown_fields=True):
    """An HTTP request is answered."""

    port: Port
    path: NonEmpty = "/"
    status: Annotated[int, msgspec.Meta(ge=100, le=599)] = 200
    answer: str = ""
    """Text that the body must contain."""

    def __post_init__(self) -> None:
        """Check that the path fits into the first line of a request."""
        if not self.path.startswith("/") or not self.path.isascii() or re.search(r"[\s\x00-\x1f]", self.path):
            raise ValueError(f"expected a path of a URL, as /health, got {self.path!r}")


class Redis(_Check, frozen=True, kw_only=True, tag_field="check", tag="redis", forbid_unknown_fields=True):
    """A command of Redis' protocol gets the expected answer."""

    port: Port = 6379
    command: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("PING",)
    answer: str = "PONG"


class FastCgi(
    _Check, frozen=True, kw_only=True, tag_field="check", tag="fastcgi", forbid_unknown_fields=True
):
    """A FastCGI request is answered."""

    port: Port = 9000
    script: NonEmpty
    """The script's path in the image, or the path of a status page."""
    query: str = ""
    status: Annotated[int, msgspec.Meta(ge=100, le=599)] = 200
    answer: str = ""
    """Text that the body must contain."""


class Postgres(
    _Check, frozen=True, kw_only=True, tag_field="check", tag="postgres", forbid_unknown_fields=True
):
    """A client of PostgreSQL logs in and asks, or is refused."""

    port: Port = 5432
    user: NonEmpty
    database: NonEmpty
    password: str = ""
    """The path of a secret; empty for a wrong password."""
    tls: bool = False
    """Whether the connection is encrypted, and the certificate verified in full."""
    sql: NonEmpty = "select 1"
    answer: str = ""
    """The first column of all rows, joined by line ends."""
    refused: str = ""
    """The SQLSTATE with which the login or the statement must be refused; empty when it must succeed."""

    def __post_init__(self) -> None:
        """Check what a type cannot say."""
        if self.refused and not _SQLSTATE.fullmatch(self.refused):
            raise ValueError(f"expected an SQLSTATE as 28P01, got {self.refused!r}")
        if not self.refused and not self.password:
            raise ValueError("`password` names no secret: only a check with `refused` may leave it out")


class Restart(
    _Check, frozen=True, kw_only=True, tag_field="check", tag="restart", forbid_unknown_fields=True
):
    """The image stops in order at its stop signal, and is ready again with the same data."""

    within: Seconds = 10
    """From the second start to ready."""


Check = Tcp | Http | Redis | FastCgi | Postgres | Restart


class MariaDb(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A database server of this machine beside the image, on port 3306, which takes only TLS."""

    user: NonEmpty = "smoke"
    database: NonEmpty = "smoke"
    password: NonEmpty
    """The path of a secret."""

    def __post_init__(self) -> None:
        """Check that the names need no quoting."""
        for name in (self.user, self.database):
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name):
                raise ValueError(f"expected a name of small letters, digits and _, got {name!r}")


class Smoke(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an image is started to see whether it does its job."""

    ready_within: Seconds = 30
    """From the first start until the first check passes."""
    check_within: Seconds = 20
    """For each other check."""
    stop_within: Seconds = 10
    """From the stop signal to the end."""
    arguments: tuple[str, ...] = ()
    """In place of the image's `cmd`."""
    env: dict[str, str] = {}
    secrets: dict[str, Made] = {}
    """Path in the image -> what is made for it; only the image's user can read it."""
    files: dict[str, NonEmpty] = {}
    """Path in the image -> file in the folder `smoke` beside the image's definition."""
    tmpfs: tuple[str, ...] = ()
    """Folders that may be written to and are forgotten."""
    mariadb: MariaDb | None = None
    checks: Annotated[tuple[Check, ...], msgspec.Meta(min_length=1)]

    def __post_init__(self) -> None:
        """Check what the tables say about each other."""
        for name in self.env:
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"expected the name of a variable, got {name!r}")
        for path in (*self.secrets, *self.files, *self.tmpfs):
            _check_path(path)
        for path in (*self.secrets, *self.files):
            if path.count("/") == 1:
                raise ValueError(f"{path!r} lies in the image's root, which is read-only")
        if both := self.secrets.keys() & self.files.keys():
            raise ValueError(f"{min(both)!r} is a secret and a file")
        for source in self.files.values():
            _check_path(f"/{source}")
        self._check_checks()

    def _check_checks(self) -> None:
        if isinstance(self.checks[0], Restart):
            raise ValueError("the first check is the ready condition, and cannot be a restart")  # noqa: TRY004
        names = [check.name for check in self.checks]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two checks are called {min(twice)!r}")
        made = set(self.secrets.values())
        for check in self.checks:
            if check.mariadb and self.mariadb is None:
                raise ValueError(f"{check.name!r} needs the table `mariadb`")
            if isinstance(check, Postgres):
                self._check_password(check.password)
                if check.tls and not {Made.CERTIFICATE, Made.KEY} <= made:
                    raise ValueError(f"{check.name!r} needs the secrets `certificate` and `key`")
        if self.mariadb:
            self._check_password(self.mariadb.password)

    def _check_password(self, path: str) -> None:
        if path and self.secrets.get(path) is not Made.PASSWORD:
            raise ValueError(f"`secrets` has no password at {path!r}")


class SmokeDocument(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`smoke.toml`, for an image that has no `image.toml`."""

    version: Literal[1]
    smoke: Smoke


def _check_path(path: str) -> None:
    parts = path.split("/")
    plain = parts[0] == "" and all(part not in ("", ".", "..") for part in parts[1:])
    if not plain or not path.isprintable() or ":" in path or "," in path or parts[1] in _SEALED:
        raise ValueError(f"expected a path from the image's root, as /run/secrets, got {path!r}")
