"""The issues of a repository: read as the plan needs them, changed as it says.

Rules (each has a test with the same words):
- a pull request is never taken for an issue;
- an issue that vanished meanwhile is planned for anew;
- labels that GitHub drops without a word are noticed.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, assert_never

import msgspec

from hullmark.github.faults import AbsentError, DeniedError, RefusedError
from hullmark.github.repository import convert
from hullmark.issues import Action, Edit, Leave, Open, Posted, State, label_of, plan

if TYPE_CHECKING:
    from hullmark.github.client import Client
    from hullmark.github.repository import Repository
    from hullmark.issues import ImageFacts, Rules

NEEDS = "issues: write"
ATTEMPTS = 3
"""How often an image is planned for when its issues change meanwhile."""


class _Named(msgspec.Struct):
    name: str = ""


class _User(msgspec.Struct):
    login: str = ""


class _Issue(msgspec.Struct):
    number: int
    title: str = ""
    body: str | None = None
    labels: list[_Named] = []
    user: _User | None = None
    state: State = State.OPEN
    state_reason: str | None = None
    html_url: str = ""
    pull_request: dict[str, object] | None = None


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """An action, and the issue that it was about."""

    action: Action
    number: int
    """0 for an issue that was not opened, as in a dry run."""
    url: str = ""


class Tracker:
    """The issues of one repository, written by `author`."""

    def __init__(self, client: Client, repository: Repository, author: str) -> None:
        self._client = client
        self._repository = repository
        self._author = author

    def posted(self, image: str) -> tuple[Posted, ...]:
        """Every issue that could be that of `image`: with its label, or open and written by us."""
        found = self._list({"state": "all", "labels": label_of(image)})
        if not any(each.author == self._author for each in found):
            found += self._list({"state": "open", "creator": self._author})
        return tuple(found)

    def _list(self, query: dict[str, str]) -> list[Posted]:
        pages = self._client.pages(f"{self._repository.path}/issues", query, needs="issues: read")
        issues = (convert(document, _Issue) for document in pages)
        return [_posted(issue) for issue in issues if issue.pull_request is None]

    def sync(self, facts: ImageFacts, rules: Rules, *, dry_run: bool = False) -> tuple[Done, ...]:
        """Do what the plan says about one image; say what was done, or would be."""
        for attempt in range(ATTEMPTS):
            actions = plan(facts, self.posted(facts.image), rules)
            if dry_run:
                return tuple(Done(action=action, number=getattr(action, "number", 0)) for action in actions)
            try:
                return tuple(self._apply(action) for action in actions)
            except RefusedError as error:
                is_gone = isinstance(error, AbsentError) or error.status == HTTPStatus.MOVED_PERMANENTLY
                if not is_gone or attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")  # pragma: no cover

    def _apply(self, action: Action) -> Done:
        if isinstance(action, Open):
            return self._open(action)
        if isinstance(action, Edit):
            return self._edit(action)
        if isinstance(action, Leave):
            return Done(action=action, number=action.number)
        assert_never(action)

    def _open(self, action: Open) -> Done:
        body = {"title": action.title, "body": action.body, "labels": action.labels}

        def find() -> Posted | None:
            """The issue, should it have been opened although no answer came."""
            same = (each for each in self.posted(action.image) if each.author == self._author)
            return next((each for each in same if each.body.strip() == action.body.strip()), None)

        opened = self._client.create(
            f"{self._repository.path}/issues",
            body,
            find,
            lambda document: _posted(convert(document, _Issue)),
            needs=NEEDS,
        )
        if not set(action.labels) <= set(opened.labels):
            # Without its label we would not know it again, and open the next one.
            self._patch(opened.number, {"state": "closed", "state_reason": "not_planned"})
            raise DeniedError(
                f"GitHub dropped the labels of issue {opened.number}: it was closed again",
                needs=NEEDS,
                status=HTTPStatus.FORBIDDEN,
            )
        return Done(action=action, number=opened.number, url=opened.url)

    def _edit(self, action: Edit) -> Done:
        parts = {"body": action.body, "labels": action.labels, "state": action.state}
        change: dict[str, object] = {name: part for name, part in parts.items() if part is not None}
        if action.reason is not None:
            change["state_reason"] = action.reason
        edited = self._patch(action.number, change)
        return Done(action=action, number=edited.number, url=edited.html_url)

    def _patch(self, number: int, change: dict[str, object]) -> _Issue:
        path = f"{self._repository.path}/issues/{number}"
        return convert(self._client.change("PATCH", path, change, needs=NEEDS), _Issue)


def _posted(issue: _Issue) -> Posted:
    return Posted(
        number=issue.number,
        title=issue.title,
        body=issue.body or "",
        labels=tuple(label.name for label in issue.labels),
        author=issue.user.login if issue.user else "",
        state=issue.state,
        reason=issue.state_reason or "",
        url=issue.html_url,
    )
