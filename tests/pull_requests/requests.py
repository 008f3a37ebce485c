"""Pull requests for tests."""
# ruff: noqa: ANN401 - fields of what is made

from __future__ import annotations

from typing import Any

from hullmark.pull_requests import (
    Capabilities,
    ChangedFile,
    Commit,
    Person,
    PullRequest,
    Review,
    ReviewState,
    Settings,
)

HEAD, OLD = "a" * 40, "0" * 40
RENOVATE = Person(login="renovate[bot]", is_bot=True)
ALICE = Person(login="alice")
BOB = Person(login="bob")
SETTINGS = Settings(bots=("renovate[bot]",))
READY = Capabilities(allows_merging=True, requires_check=True)
ONE, TWO = "1" * 64, "2" * 64
PIN = f"@@ -1 +1 @@\n-FROM debian:13.1@sha256:{ONE}\n+FROM debian:13.1@sha256:{TWO}\n RUN true"


def dockerfile(patch: str | None = PIN, path: str = "images/app/Dockerfile", **fields: Any) -> ChangedFile:
    """A Dockerfile that was changed."""
    return ChangedFile(path=path, patch=patch, **{"status": "modified", **fields})


def request(**fields: Any) -> PullRequest:
    """A pull request of the update bot, that moves one pin."""
    author = fields.get("author", RENOVATE)
    values = {
        "number": 1,
        "node": "PR_1",
        "author": author,
        "head": HEAD,
        "base": "main",
        "is_open": True,
        "is_draft": False,
        "from_here": True,
        "commits": (Commit(sha=HEAD, author=author.login, committer=author.login),),
        "files": (dockerfile(),),
        **fields,
    }
    return PullRequest(**values)


def approval(by: Person = BOB, commit: str = HEAD, state: ReviewState = ReviewState.APPROVED) -> Review:
    """A review."""
    return Review(author=by, state=state, commit=commit)
