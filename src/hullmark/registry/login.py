"""Who we are in a registry.

Looked for in this order: HULLMARK_REGISTRY_USER with HULLMARK_REGISTRY_PASSWORD; what `docker login`,
`podman login` or `skopeo login` wrote; in a workflow, for GitHub's own registry, GITHUB_TOKEN.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import InputError
from hullmark.files import read_bounded
from hullmark.registry.place import GITHUB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_FILE = 1 << 20
USER, PASSWORD = "HULLMARK_REGISTRY_USER", "HULLMARK_REGISTRY_PASSWORD"


class Login(msgspec.Struct, frozen=True):
    """A name and its password. It is never printed."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.user!r}, ***)"

    @property
    def basic(self) -> str:
        """As the header `Authorization` holds it."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


class _Auth(msgspec.Struct):
    auth: str = ""


class _Document(msgspec.Struct):
    auths: dict[str, _Auth] = {}


def find_login(host: str, environ: Mapping[str, str]) -> Login | None:
    """The login for `host`; None where there is none. InputError when a file cannot be read."""
    if environ.get(USER) and environ.get(PASSWORD):
        return Login(environ[USER], environ[PASSWORD])
    for file in _files(environ):
        if file.is_file() and (found := _read(file, host)) is not None:
            return found
    if host == GITHUB and (token := environ.get("GITHUB_TOKEN", "")):
        return Login(environ.get("GITHUB_ACTOR") or "x-access-token", token)
    return None


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Where container tools keep their logins, in the order in which they look themselves."""
    if named := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers/auth.json"
    home = Path(environ.get("HOME") or "/nonexistent")
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "containers/auth.json"
    yield Path(environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"


def _read(file: Path, host: str) -> Login | None:
    try:
        document = msgspec.json.decode(read_bounded(file, MAX_FILE), type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(str(error), file=file, hint="Log in again with your container tool.") from error
    held = document.auths.get(host) or document.auths.get(f"https://{host}")
    if held is None or not held.auth:
        return None
    try:
        user, _, password = base64.b64decode(held.auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InputError("is no login", file=file, key=f"auths.{host}.auth") from error
    return Login(user, password)
