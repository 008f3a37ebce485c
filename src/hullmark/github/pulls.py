"""Pull requests: what GitHub says of them, and what is written to them.

Rules (each has a test with the same words):
- a comment is created once, and updated in place after that;
- the check is written for one commit, and found again before it is written;
- auto-merge is asked for with the head that was judged, so that a later push cannot slip in;
- a refusal is an error that names what is missing, for the caller to report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from hullmark.errors import NetworkError
from hullmark.github.faults import AbsentError
from hullmark.github.repository import convert
from hullmark.pull_requests import (
    Capabilities,
    ChangedFile,
    Commit,
    Person,
    PullRequest,
    Review,
    ReviewState,
    is_sticky,
)
from hullmark.text import cut_utf16

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hullmark.github.client import Client
    from hullmark.github.repository import Repository
    from hullmark.pull_requests.check import Annotation, Conclusion

CHECK = "hullmark/gate"
BY_REQUEST = "workflow_dispatch"
MAX_COMMITS = 250
MAX_FILES = 3_000
"""Of one pull request, that GitHub shows."""
MAX_SUMMARY = 60_000
ENDED = ("success", "failure")
"""How a run is called that came to its end."""
WRITING = ("write", "maintain", "admin")

_ALLOWED = (
    "query ($owner: String!, $name: String!) { repository(owner: $owner, name: $name) { autoMergeAllowed } }"
)
_ENABLE = """mutation ($id: ID!, $head: GitObjectID!, $method: PullRequestMergeMethod!) {
  enablePullRequestAutoMerge(input: {pullRequestId: $id, expectedHeadOid: $head, mergeMethod: $method}) {
    pullRequest { number }
  }
}"""
_DISABLE = """mutation ($id: ID!) {
  disablePullRequestAutoMerge(input: {pullRequestId: $id}) { pullRequest { number } }
}"""
_MERGE_NEEDS = "contents: write, pull_requests: write"


class _User(msgspec.Struct):
    login: str = ""
    type: str = "User"


class _Repo(msgspec.Struct):
    full_name: str = ""


class _Side(msgspec.Struct):
    sha: str
    ref: str
    repo: _Repo | None = None


class _AutoMerge(msgspec.Struct):
    enabled_by: _User | None = None


class _Pull(msgspec.Struct):
    number: int
    node_id: str
    state: str
    head: _Side
    base: _Side
    user: _User | None = None
    draft: bool = False
    auto_merge: _AutoMerge | None = None
    commits: int = 0
    changed_files: int = 0


class _Listed(msgspec.Struct):
    number: int
    head: _Side


class _Commit(msgspec.Struct):
    sha: str
    author: _User | None = None
    committer: _User | None = None


class _File(msgspec.Struct):
    filename: str
    status: str
    previous_filename: str = ""
    patch: str | None = None


class _Review(msgspec.Struct):
    state: ReviewState
    user: _User | None = None
    commit_id: str | None = None


class _Comment(msgspec.Struct):
    id: int
    body: str | None = None
    user: _User | None = None
    html_url: str = ""


class _App(msgspec.Struct):
    slug: str = ""


class _Check(msgspec.Struct):
    id: int
    status: str = ""
    app: _App | None = None
    html_url: str | None = None


class _Run(msgspec.Struct):
    id: int
    event: str = ""
    conclusion: str | None = None


class _Level(msgspec.Struct):
    permission: str
    role_name: str = ""


class Pulls:
    """The pull requests of one repository; `us` is who writes."""

    def __init__(self, client: Client, repository: Repository, us: str) -> None:
        self._client = client
        self._repository = repository
        self._us = us

    def find(self, head: str) -> tuple[int, ...]:
        """Numbers of the open pull requests with this head, also from forks."""
        pages = self._client.pages(self._path("pulls"), {"state": "open"}, needs="pull_requests: read")
        listed = (convert(each, _Listed) for each in pages)
        return tuple(sorted(each.number for each in listed if each.head.sha == head))

    def read(self, number: int) -> PullRequest:
        """Everything about one pull request that its check depends on."""
        path = self._path(f"pulls/{number}")
        needs = "pull_requests: read"
        pull = convert(self._client.get(path, needs=needs), _Pull)
        commits = [convert(each, _Commit) for each in self._client.pages(f"{path}/commits", needs=needs)]
        files = [convert(each, _File) for each in self._client.pages(f"{path}/files", needs=needs)]
        reviews = [convert(each, _Review) for each in self._client.pages(f"{path}/reviews", needs=needs)]
        reviewers = {each.user.login for each in reviews if each.user and each.state is ReviewState.APPROVED}
        repo = pull.head.repo
        return PullRequest(
            number=pull.number,
            node=pull.node_id,
            author=_person(pull.user),
            head=pull.head.sha,
            base=pull.base.ref,
            is_open=pull.state == "open",
            is_draft=pull.draft,
            from_here=repo is not None and repo.full_name.lower() == self._repository.name.lower(),
            commits=tuple(map(_commit, commits)),
            files=tuple(map(_file, files)),
            is_whole=len(commits) == pull.commits < MAX_COMMITS
            and len(files) == pull.changed_files < MAX_FILES,
            reviews=tuple(_review(each) for each in reviews),
            writers=frozenset(login for login in sorted(reviewers) if self._may_write(login)),
            merging_for=pull.auto_merge.enabled_by.login
            if pull.auto_merge and pull.auto_merge.enabled_by
            else "",
        )

    def capabilities(self, branch: str) -> Capabilities:
        """Whether the repository allows auto-merge, and requires the check on `branch`."""
        owner, _, name = self._repository.name.partition("/")
        found = self._client.graphql(_ALLOWED, {"owner": owner, "name": name}, needs="contents: read")
        return Capabilities(
            allows_merging=bool(found["repository"]["autoMergeAllowed"]),
            requires_check=CHECK in set(self._required(branch)),
        )

    def comment(self, number: int, body: str) -> str:
        """Bring the one comment up to date; return its address."""
        needs = "pull_requests: write"
        path = self._path(f"issues/{number}/comments")

        def find() -> _Comment | None:
            comments = (convert(each, _Comment) for each in self._client.pages(path, needs="issues: read"))
            return next(
                (
                    each
                    for each in comments
                    if is_sticky(each.body or "", each.user.login if each.user else "", us=self._us)
                ),
                None,
            )

        found = find()
        if found is None:
            found = self._client.create(
                path, {"body": body}, find, lambda document: convert(document, _Comment), needs=needs
            )
        if (found.body or "").strip() != body.strip():
            address = self._path(f"issues/comments/{found.id}")
            found = convert(self._client.change("PATCH", address, {"body": body}, needs=needs), _Comment)
        return found.html_url

    def is_reported(self, head: str) -> bool:
        """Whether what our check of `head` came to was said before."""
        return any(each.status == "completed" for each in self._own_checks(head))

    def begin_check(self, head: str) -> int:
        """Say that `head` is being judged; return the check to end."""
        state = {"name": CHECK, "status": "in_progress", "external_id": CHECK}
        needs = "checks: write"
        if (found := self._find_check(head)) is not None:
            address = self._path(f"check-runs/{found}")
            return convert(self._client.change("PATCH", address, state, needs=needs), _Check).id
        return self._client.create(
            self._path("check-runs"),
            {**state, "head_sha": head},
            lambda: self._find_check(head),
            lambda document: convert(document, _Check).id,
            needs=needs,
        )

    def end_check(
        self, check: int, conclusion: Conclusion, summary: str, annotations: Sequence[Annotation] = ()
    ) -> None:
        """Say what `check` came to."""
        output: dict[str, Any] = {
            "title": cut_utf16(conclusion.title, 250),
            "summary": cut_utf16(summary, MAX_SUMMARY),
            "annotations": annotations,
        }
        body = {"status": "completed", "conclusion": conclusion.state, "output": output}
        self._client.change("PATCH", self._path(f"check-runs/{check}"), body, needs="checks: write")

    def enable_merging(self, request: PullRequest, method: str) -> None:
        """Let GitHub merge `request` once all that the branch requires is there, and only at this head."""
        given = {"id": request.node, "head": request.head, "method": method}
        self._client.graphql(_ENABLE, given, needs=_MERGE_NEEDS)

    def disable_merging(self, request: PullRequest) -> None:
        """Take that back."""
        self._client.graphql(_DISABLE, {"id": request.node}, needs=_MERGE_NEEDS)

    def _find_check(self, head: str) -> int | None:
        return max((each.id for each in self._own_checks(head)), default=None)

    def _own_checks(self, head: str) -> list[_Check]:
        """Our own checks of `head`: one of another app cannot be changed, and is not ours."""
        path = self._path(f"commits/{head}/check-runs")
        query = {"check_name": CHECK, "filter": "all"}
        pages = self._client.pages(path, query, key="check_runs", needs="checks: read")
        checks = [convert(each, _Check) for each in pages]
        slug = self._us.removesuffix("[bot]")
        return [each for each in checks if each.app and each.app.slug == slug]

    def _required(self, branch: str) -> Iterator[str]:
        """The checks that rulesets and branch protection ask for on `branch`."""
        path = self._path(f"rules/branches/{quote(branch, safe='')}")
        for rule in self._client.pages(path, needs="metadata: read"):
            if rule.get("type") == "required_status_checks":
                for check in rule.get("parameters", {}).get("required_status_checks", ()):
                    yield str(check["context"])
        document = self._client.get(self._path(f"branches/{quote(branch, safe='')}"), needs="contents: read")
        protection = document.get("protection") or {}
        yield from (protection.get("required_status_checks") or {}).get("contexts", ())

    def _may_write(self, login: str) -> bool:
        path = self._path(f"collaborators/{quote(login, safe='')}/permission")
        try:
            level = convert(self._client.get(path, needs="metadata: read"), _Level)
        except AbsentError:
            return False  # no collaborator at all
        return level.permission in WRITING or level.role_name in WRITING

    def _path(self, rest: str) -> str:
        return f"{self._repository.path}/{rest}"


def _person(user: _User | None) -> Person:
    return Person(login=user.login, is_bot=user.type == "Bot") if user else Person(login="")


def _commit(commit: _Commit) -> Commit:
    return Commit(
        sha=commit.sha, author=_person(commit.author).login, committer=_person(commit.committer).login
    )


def _file(file: _File) -> ChangedFile:
    return ChangedFile(
        path=file.filename, status=file.status, before=file.previous_filename, patch=file.patch
    )


def _review(review: _Review) -> Review:
    return Review(author=_person(review.user), state=review.state, commit=review.commit_id or "")


def newest_run(client: Client, repository: Repository, workflow: str, head: str) -> int:
    """The newest run of `workflow` (its file's name) for the commit `head` that came to its end.

    One that was cut off does not count: what it left behind need not be of its last job. One that was
    started by request counts only where no other was started: with whom that compares, its own pull request
    does not say.
    """
    path = f"{repository.path}/actions/workflows/{quote(workflow, safe='')}/runs"
    pages = client.pages(path, {"head_sha": head}, key="workflow_runs", needs="actions: read")
    runs = [convert(each, _Run) for each in pages]
    runs = [each for each in runs if each.event != BY_REQUEST] or runs
    newest = max((each.id for each in runs if each.conclusion in ENDED), default=0)
    if not newest:
        raise NetworkError(f"no run of {workflow} ended for {head[:12]}", hint="Wait for it, or start it.")
    return newest
