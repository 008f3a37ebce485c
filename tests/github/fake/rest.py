"""Issues, labels and comments, as GitHub's REST interface has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from hullmark.text import ISSUE_BUDGET, utf16_length
from tests.github.contract import contract
from tests.github.fake.world import Comment

if TYPE_CHECKING:
    from tests.github.fake.world import Account, Issue, World

MAX_LABEL, MAX_LABELS, MAX_TITLE = 50, 100, 256


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of the fake
    """An answer that is no success."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass
class Call:
    """A request that fits the description."""

    world: World
    account: Account
    names: dict[str, str]
    query: dict[str, str]
    body: Any
    base: str

    def need(self, permission: str, level: str = "write") -> None:
        """Refuse, as GitHub does, when the token lacks a permission."""
        if not self.account.may(permission, level):
            accepted = f"{permission}={level}"
            raise Refusal(
                403, "Resource not accessible by integration", x_accepted_github_permissions=accepted
            )

    def issue(self) -> Issue:
        """The issue that the path names."""
        issue = self.world.issues.get(int(self.names["issue_number"]))
        if issue is None:
            raise Refusal(404, "Not Found")
        if issue.is_deleted:
            raise Refusal(410, "This issue was deleted")
        if issue.moved_to:
            raise Refusal(301, "Moved Permanently", location=issue.moved_to)
        return issue


@dataclass
class Reply:
    """A success."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    key: str = ""
    """The list in `body` that is given out page by page, where the body is no list itself."""


Handler = Callable[[Call], Reply]


def show_user(account: Account | None, login: str = "") -> dict[str, Any]:
    """Somebody, as answers show them."""
    kind = account.kind if account else "User"
    return contract().fill("simple-user", login=account.login if account else login, type=kind, id=7)


def show_issue(call: Call, issue: Issue) -> dict[str, Any]:
    """An issue, as answers show it."""
    world = call.world
    url = f"{call.base}/repos/{world.name}/issues/{issue.number}"
    shown = contract().fill(
        "issue",
        number=issue.number,
        id=issue.number,
        title=issue.title,
        body=issue.body,
        state=issue.state,
        state_reason=issue.reason,
        locked=issue.locked,
        url=url,
        html_url=f"https://github.example/{world.name}/issues/{issue.number}",
        comments=len(issue.comments),
        user=show_user(world.people.get(issue.author.lower()), issue.author),
        labels=[contract().fill("label", name=name, color="ededed") for name in issue.labels],
    )
    if issue.is_pull:
        shown["pull_request"] = dict.fromkeys(("url", "html_url", "diff_url", "patch_url"), url)
    return shown


def show_comment(call: Call, comment: Comment) -> dict[str, Any]:
    """A comment, as answers show it."""
    people = call.world.people
    user = show_user(people.get(comment.author.lower()), comment.author)
    return contract().fill("issue-comment", id=comment.id, body=comment.body, user=user)


def get_repository(call: Call) -> Reply:
    world = call.world
    shown = contract().fill(
        "full-repository",
        full_name=world.name,
        name=world.name.partition("/")[2],
        archived=world.archived,
        has_issues=world.has_issues,
        private=world.private,
        default_branch="main",
        html_url=f"https://github.example/{world.name}",
    )
    return Reply(200, shown)


def list_issues(call: Call) -> Reply:
    call.need("issues", "read")
    _refuse_without_issues(call)
    labels = {name for name in call.query.get("labels", "").split(",") if name}
    state = call.query.get("state", "open")
    found = [
        issue
        for issue in reversed(call.world.issues.values())
        if state in ("all", issue.state)
        and labels <= set(issue.labels)
        and call.query.get("creator", issue.author) == issue.author
        and not (issue.is_deleted or issue.moved_to)
    ]
    return Reply(200, [show_issue(call, issue) for issue in found])


def create_issue(call: Call) -> Reply:
    call.need("issues")
    _refuse_without_issues(call)
    check_text(call.body)
    labels = [str(name) for name in call.body.get("labels", ())]
    _check_labels(labels)
    # Labels of somebody who may not set them are dropped without a word.
    kept = labels if call.account.role != "read" else []
    issue = call.world.add_issue(
        call.body["title"], call.body.get("body") or "", call.account.login, list(dict.fromkeys(kept))
    )
    return Reply(201, show_issue(call, issue))


def get_issue(call: Call) -> Reply:
    call.need("issues", "read")
    return Reply(200, show_issue(call, call.issue()))


def update_issue(call: Call) -> Reply:
    call.need("issues")
    issue, body = call.issue(), call.body
    _refuse_without_issues(call)
    check_text(body)
    if "labels" in body:
        _check_labels(body["labels"])
        issue.labels = list(dict.fromkeys(body["labels"]))
        call.world.labels |= set(issue.labels)
    issue.title = body.get("title", issue.title)
    issue.body = body.get("body", issue.body) or ""
    if body.get("state", issue.state) != issue.state:
        issue.state = body["state"]
        issue.reason = "reopened" if issue.state == "open" else "completed"
    if "state_reason" in body and issue.state == "closed":
        issue.reason = body["state_reason"]
    issue.edits += 1
    return Reply(200, show_issue(call, issue))


def list_comments(call: Call) -> Reply:
    call.need("issues", "read")
    return Reply(200, [show_comment(call, comment) for comment in call.issue().comments])


def create_comment(call: Call) -> Reply:
    issue = call.issue()
    if call.account.permissions is not None:  # anybody with an account may comment in a public repository
        call.need("pull_requests" if issue.is_pull else "issues")
    check_text(call.body)
    if issue.locked and not call.account.may_push:
        raise Refusal(403, "Unable to create comment because issue is locked.")
    comment = Comment(call.world.next_id(), call.account.login, call.body["body"])
    issue.comments.append(comment)
    return Reply(201, show_comment(call, comment))


def update_comment(call: Call) -> Reply:
    wanted = int(call.names["comment_id"])
    for issue in call.world.issues.values():
        for comment in issue.comments:
            if comment.id == wanted:
                call.need("pull_requests" if issue.is_pull else "issues")
                check_text(call.body)
                comment.body = call.body["body"]
                return Reply(200, show_comment(call, comment))
    raise Refusal(404, "Not Found")


def get_label(call: Call) -> Reply:
    name = unquote(call.names["name"])
    if name not in call.world.labels:
        raise Refusal(404, "Not Found")
    return Reply(200, contract().fill("label", name=name, color="ededed"))


def create_label(call: Call) -> Reply:
    call.need("issues")
    name = call.body["name"]
    _check_labels([name])
    if name in call.world.labels:
        raise Refusal(422, "Validation Failed")
    call.world.labels.add(name)
    return Reply(201, contract().fill("label", name=name, color=call.body.get("color", "ededed")))


def _refuse_without_issues(call: Call) -> None:
    if not call.world.has_issues:
        raise Refusal(410, "Issues has been disabled in this repository.")


def check_text(body: dict[str, Any]) -> None:
    """Refuse a title or text that is too long."""
    if utf16_length(body.get("body") or "") > ISSUE_BUDGET:
        raise Refusal(422, "Validation Failed: body is too long (maximum is 65536 characters)")
    if "title" in body and not 0 < len(body["title"]) <= MAX_TITLE:
        raise Refusal(422, "Validation Failed: title")


def _check_labels(labels: list[str]) -> None:
    if len(labels) > MAX_LABELS or any(not 0 < len(name) <= MAX_LABEL for name in labels):
        raise Refusal(422, "Validation Failed: label")


HANDLERS: dict[str, Handler] = {
    "repos/get": get_repository,
    "issues/list-for-repo": list_issues,
    "issues/create": create_issue,
    "issues/get": get_issue,
    "issues/update": update_issue,
    "issues/list-comments": list_comments,
    "issues/create-comment": create_comment,
    "issues/update-comment": update_comment,
    "issues/get-label": get_label,
    "issues/create-label": create_label,
}
"""By the name that GitHub's description gives the operation."""
