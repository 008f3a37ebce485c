"""The repository on GitHub that we work for, and who we are there."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import msgspec

from hullmark.errors import NetworkError, UsageError
from hullmark.github.faults import RefusedError

if TYPE_CHECKING:
    from hullmark.github.client import Client

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
_Kind = TypeVar("_Kind")
_VIEWER = "query { viewer { login } }"


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """A repository as GitHub describes it."""

    name: str
    """`owner/name`."""
    default_branch: str
    has_issues: bool
    archived: bool
    private: bool
    url: str
    """Where people see it."""

    @property
    def path(self) -> str:
        """The beginning of every REST path about it."""
        return f"/repos/{self.name}"

    def file_url(self, branch: str, path: str) -> str:
        """Where people see a file of a branch."""
        return f"{self.url}/blob/{quote(branch)}/{quote(path)}"


class _Described(msgspec.Struct):
    full_name: str
    default_branch: str
    html_url: str
    has_issues: bool = True
    archived: bool = False
    private: bool = False


def find_repository(client: Client, name: str) -> Repository:
    """The repository called `name`. Errors when it moved, is not there, or is closed for writing."""
    if not _NAME.fullmatch(name) or name.endswith(("/.", "/..")):
        raise UsageError(
            f"{name!r} is no repository" if name else "no repository on GitHub is named",
            hint="Name it as OWNER/NAME with --repository, or in GITHUB_REPOSITORY.",
        )
    try:
        found = convert(client.get(f"/repos/{name}", needs="metadata: read"), _Described)
    except RefusedError as error:
        if error.status == HTTPStatus.MOVED_PERMANENTLY:
            raise RefusedError(
                f"{name} was renamed or moved", status=error.status, hint="Use the repository's new name."
            ) from error
        raise
    if found.archived:
        raise RefusedError(
            f"{found.full_name} is archived: nothing can be written",
            status=HTTPStatus.FORBIDDEN,
            hint="Unarchive it, or turn its workflows off.",
        )
    return Repository(
        name=found.full_name,
        default_branch=found.default_branch,
        has_issues=found.has_issues,
        archived=found.archived,
        private=found.private,
        url=found.html_url,
    )


def find_author(client: Client) -> str:
    """Our own name: that of the author of what we write."""
    return str(client.graphql(_VIEWER, {})["viewer"]["login"])


def convert(value: object, kind: type[_Kind]) -> _Kind:
    """`value`, an answer of GitHub's, as `kind`."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise NetworkError(f"GitHub answered otherwise than it describes: {error}") from error
