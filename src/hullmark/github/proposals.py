"""Pull requests that we open ourselves: listed by their branch, opened once, brought up to date, closed.

Rules (each has a test with the same words):
- a pull request is opened once, also when the answer is lost;
- where the repository does not let workflows open one, the setting is named;
- a run is started once for a head, also when the answer is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from hullmark.github.faults import DeniedError
from hullmark.github.repository import convert

if TYPE_CHECKING:
    from hullmark.github.client import Client
    from hullmark.github.repository import Repository

NEEDS = "pull_requests: write"

_WHO = "query { viewer { login databaseId } }"
_NOT_PERMITTED = "not permitted to create"
_SETTING = (
    "Allow it (Settings, Actions, General: GitHub Actions may create and approve pull requests), or give the "
    "workflow the token of an App."
)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Who we are on GitHub."""

    login: str
    id: int

    @property
    def identity(self) -> dict[str, str]:
        """What git is given so that GitHub knows our commits as ours."""
        mail = f"{self.id}+{self.login}@users.noreply.github.com"
        given = {"AUTHOR_NAME": self.login, "AUTHOR_EMAIL": mail}
        given |= {"COMMITTER_NAME": self.login, "COMMITTER_EMAIL": mail}
        return {f"GIT_{key}": value for key, value in given.items()}


class _User(msgspec.Struct):
    login: str = ""


class _Head(msgspec.Struct):
    sha: str
    ref: str


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request as lists show it."""

    number: int
    state: str
    head: _Head
    title: str = ""
    body: str | None = None
    user: _User | None = None
    merged_at: str | None = None
    auto_merge: dict[str, object] | None = None
    html_url: str = ""

    @property
    def author(self) -> str:
        """Who opened it."""
        return self.user.login if self.user else ""

    @property
    def is_open(self) -> bool:
        """Whether it is neither merged nor closed."""
        return self.state == "open"


class PullRequests:
    """The pull requests of one repository, for whoever proposes something by itself."""

    def __init__(self, client: Client, repository: Repository) -> None:
        self._client = client
        self.repository = repository

    def from_branch(self, branch: str) -> tuple[Listed, ...]:
        """Every pull request from a branch of the repository, newest first, with those that are closed."""
        owner = self.repository.name.partition("/")[0]
        query = {"state": "all", "head": f"{owner}:{branch}"}
        pages = self._client.pages(self._path("pulls"), query, needs="pull_requests: read")
        found = (convert(each, Listed) for each in pages)
        return tuple(sorted((each for each in found if each.head.ref == branch), key=lambda one: -one.number))

    def is_reviewed(self, number: int) -> bool:
        """Whether somebody has reviewed it."""
        pages = self._client.pages(self._path(f"pulls/{number}/reviews"), needs="pull_requests: read")
        return next(pages, None) is not None

    def open(self, branch: str, *, title: str, body: str) -> Listed:
        """Propose `branch` for the default branch."""
        asked = {"title": title, "body": body, "head": branch, "base": self.repository.default_branch}

        def find() -> Listed | None:
            return next((each for each in self.from_branch(branch) if each.is_open), None)

        try:
            return self._client.create(
                self._path("pulls"), asked, find, lambda found: convert(found, Listed), needs=NEEDS
            )
        except DeniedError as error:
            if _NOT_PERMITTED in error.message:
                error.hint = _SETTING
            raise

    def edit(self, pull: Listed, *, title: str, body: str) -> Listed:
        """Bring title and text up to date, if they differ."""
        if (pull.title, (pull.body or "").strip()) == (title, body.strip()):
            return pull
        return self._change(pull.number, {"title": title, "body": body})

    def close(self, pull: Listed, *, why: str, body: str) -> Listed:
        """Say why, and close it with its text set to `body`."""
        path = self._path(f"issues/{pull.number}/comments")

        def find() -> int | None:
            pages = self._client.pages(path, needs="pull_requests: read")
            return next(
                (int(each["id"]) for each in pages if (each["body"] or "").strip() == why.strip()), None
            )

        if find() is None:
            self._client.create(path, {"body": why}, find, lambda found: int(found["id"]), needs=NEEDS)
        return self._change(pull.number, {"state": "closed", "body": body})

    def start(self, workflow: str, branch: str, head: str) -> bool:
        """Run `workflow` (its file's name) on `branch`, unless it ran for `head` before; whether it did."""
        runs = self._path(f"actions/workflows/{quote(workflow, safe='')}/runs")

        def find() -> bool | None:
            pages = self._client.pages(runs, {"head_sha": head}, key="workflow_runs", needs="actions: read")
            return None if next(pages, None) is None else True

        if find():
            return False
        path = self._path(f"actions/workflows/{quote(workflow, safe='')}/dispatches")
        return self._client.create(path, {"ref": branch}, find, lambda _: True, needs="actions: write")

    def _change(self, number: int, change: dict[str, str]) -> Listed:
        changed = self._client.change("PATCH", self._path(f"pulls/{number}"), change, needs=NEEDS)
        return convert(changed, Listed)

    def _path(self, rest: str) -> str:
        return f"{self.repository.path}/{rest}"


def find_account(client: Client) -> Account:
    """Who we are."""
    viewer = client.graphql(_WHO, {})["viewer"]
    return Account(login=str(viewer["login"]), id=int(viewer["databaseId"] or 0))
