"""A pull request as GitHub describes it, and who approved it.

Rules (each has a test with the same words):
- an approval counts for exactly the head that it was given for;
- it counts from a person with write access who is not the author;
- of several reviews by one person the last one that decides counts, and a dismissed one does not;
- a file that judges is told by its path, whatever the comparison said of it.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

_JUDGING = re.compile(
    r"\.github/.*|(?:docs/)?CODEOWNERS|\.?renovate(?:rc)?(?:\.json5?)?|(?:.+/)?(?:hullmark|exemptions)\.toml"
    r"|(?:.+/)?(?:audit-logs|cve-baseline)/.*|(?:.+/)?smoke(?:\.toml|/.*)|\.gitattributes"
)
WORKFLOWS = ".github/"
WORKFLOW_BOT = "github-actions[bot]"
"""Who a workflow's own token is. What it opens or pushes starts no other workflow."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody on GitHub."""

    login: str
    is_bot: bool = False


class ReviewState(StrEnum):
    """What a review says."""

    APPROVED = "APPROVED"
    CHANGES_REQUESTED = "CHANGES_REQUESTED"
    COMMENTED = "COMMENTED"
    DISMISSED = "DISMISSED"
    PENDING = "PENDING"


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """A review of the pull request at one commit."""

    author: Person
    state: ReviewState
    commit: str


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """A commit of the pull request; an empty name is an account that GitHub does not know."""

    sha: str
    author: str
    committer: str


class ChangedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the pull request changes."""

    path: str
    status: str
    """`added`, `modified`, `removed`, `renamed`, …"""
    before: str = ""
    """Its path before it was renamed."""
    patch: str | None = None
    """The lines that differ; None where GitHub does not show them."""


class PullRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request, read at one moment."""

    number: int
    node: str
    """Its id in GraphQL."""
    author: Person
    head: str
    """The newest commit."""
    base: str
    """The branch that it is to be merged into."""
    is_open: bool
    is_draft: bool
    from_here: bool
    """Whether its branch is one of this repository, and not of a fork."""
    commits: tuple[Commit, ...]
    files: tuple[ChangedFile, ...]
    is_whole: bool = True
    """Whether all commits and files are here: GitHub shows only so many."""
    reviews: tuple[Review, ...] = ()
    """Oldest first."""
    writers: frozenset[str] = frozenset()
    """Those who reviewed it and may write here."""
    merging_for: str = ""
    """Who turned auto-merge on; empty where it is off."""


def find_approval(request: PullRequest) -> str:
    """Who approved exactly this head, may write here, is a person and not the author; empty for nobody."""
    last: dict[str, Review] = {}
    for review in request.reviews:
        if review.state not in (ReviewState.COMMENTED, ReviewState.PENDING):
            last[review.author.login] = review
    return next(
        (
            login
            for login, review in sorted(last.items())
            if review.state is ReviewState.APPROVED
            and review.commit == request.head
            and login in request.writers
            and not review.author.is_bot
            and login.lower() != request.author.login.lower()
        ),
        "",
    )


def judging_paths(request: PullRequest) -> tuple[str, ...]:
    """Files that judge, or may, and that the pull request changes, moves or removes; sorted."""
    paths = {path for file in request.files for path in (file.path, file.before) if path}
    return tuple(sorted(path for path in paths if _JUDGING.fullmatch(path)))
