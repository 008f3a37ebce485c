"""What the fake knows: one repository, its people, its issues and pull requests."""
# ruff: noqa: ANN401 - fields of what is made

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "acme/images"
BOT = "github-actions[bot]"
TOKEN = "ghs_0123456789abcdef"
WRITERS = ("write", "maintain", "admin")


@dataclass
class Account:
    """Somebody with a token, and what the token may do here."""

    login: str
    kind: str = "User"
    role: str = "write"
    """`none`, `read`, `triage`, `write`, `maintain` or `admin`."""
    permissions: dict[str, str] | None = None
    """Of a workflow's token: `{"issues": "write"}`; None for everything that the role may do."""
    id: int = 7

    @property
    def mail(self) -> str:
        """By which git's commits are known as theirs."""
        return f"{self.id}+{self.login}@users.noreply.github.com"

    @property
    def may_push(self) -> bool:
        return self.role in WRITERS

    def may(self, permission: str, level: str) -> bool:
        """Whether the token has `permission` at `level`."""
        if self.permissions is None:
            return level == "read" or self.may_push
        held = self.permissions.get(permission, "none")
        return held in ("write", level)


@dataclass
class Comment:
    """A comment on an issue or a pull request."""

    id: int
    author: str
    body: str


@dataclass
class Issue:
    """An issue, or the issue's side of a pull request."""

    number: int
    title: str
    body: str
    author: str
    labels: list[str] = field(default_factory=list)
    state: str = "open"
    reason: str | None = None
    locked: bool = False
    is_pull: bool = False
    is_deleted: bool = False
    moved_to: str = ""
    comments: list[Comment] = field(default_factory=list)
    edits: int = 0


@dataclass
class Pull:
    """A pull request; its title, text and comments are those of the issue with its number."""

    number: int
    author: str
    head: str
    branch: str
    base: str = "main"
    from_fork: bool = False
    draft: bool = False
    commits: list[tuple[str, str, str]] = field(default_factory=list)
    """Each with its author and its committer."""
    files: list[dict[str, Any]] = field(default_factory=list)
    reviews: list[tuple[str, str, str]] = field(default_factory=list)
    """Who, what (`APPROVED`), and at which commit."""
    merging_for: str = ""
    method: str = ""
    merged: bool = False
    is_followed: bool = False
    """Whether head, commits and files are those of its branch in the repository."""


@dataclass
class CheckRun:
    """A check of one commit."""

    id: int
    name: str
    head: str
    app: str
    status: str = "queued"
    conclusion: str | None = None
    title: str = ""
    summary: str = ""
    annotations: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class World:
    """One repository and everything on GitHub that belongs to it."""

    name: str = NAME
    now: float = 1_767_225_600.0
    archived: bool = False
    has_issues: bool = True
    private: bool = False
    renamed_from: str = ""
    accounts: dict[str, Account] = field(default_factory=dict)
    """By their token."""
    people: dict[str, Account] = field(default_factory=dict)
    """By their name, lower case; those with a token among them."""
    issues: dict[int, Issue] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)
    pulls: dict[int, Pull] = field(default_factory=dict)
    checks: list[CheckRun] = field(default_factory=list)
    required: list[str] = field(default_factory=lambda: ["hullmark/gate"])
    """Checks that a rule of main requires."""
    allows_merging: bool = True
    has_code_scanning: bool = True
    sarifs: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    """Runs of workflows: `id`, `path`, `head_sha`, `status`."""
    repository: Path | None = None
    """The bare repository behind it, where pull requests are opened from its branches."""
    may_propose: bool = True
    """Whether workflows may open pull requests."""
    started_by_hand: set[str] = field(default_factory=lambda: {"pr-compare.yml", "scan-main.yml"})
    """Workflows that may be started by request."""
    merge: Callable[[Pull], None] = lambda _: None
    """Brings a pull request into its base, in a test with a real repository."""
    last_id: int = 1000

    def __post_init__(self) -> None:
        self.join(Account(BOT, kind="Bot", id=41_898_282), token=TOKEN)

    def join(self, account: Account, *, token: str = "") -> Account:
        """Let somebody take part."""
        self.people[account.login.lower()] = account
        if token:
            self.accounts[token] = account
        return account

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def add_issue(self, title: str, body: str, author: str, labels: list[str]) -> Issue:
        """Open an issue; labels that nobody knows come into being."""
        number = max(self.issues, default=0) + 1
        self.issues[number] = Issue(number=number, title=title, body=body, author=author, labels=labels)
        self.labels |= set(labels)
        return self.issues[number]

    def add_pull(self, author: str, head: str, files: list[dict[str, Any]], **fields: Any) -> Pull:
        """Open a pull request with one commit by its author."""
        issue = self.add_issue("A change", "", author, [])
        issue.is_pull = True
        pull = Pull(number=issue.number, author=author, head=head, branch=f"change-{issue.number}", **fields)
        pull.files = [{"status": "modified", **file} for file in files]
        pull.commits = pull.commits or [(head, author, author)]
        self.pulls[pull.number] = pull
        return pull

    def push(self, pull: Pull, head: str, author: str) -> None:
        """Add a commit to a pull request."""
        pull.head = head
        pull.commits.append((head, author, author))

    def unmet(self, pull: Pull) -> list[str]:
        """Required checks that do not pass at the head of `pull`."""
        newest = {run.name: run for run in self.checks if run.head == pull.head}
        passing = {
            name for name, run in newest.items() if run.conclusion in ("success", "neutral", "skipped")
        }
        return [name for name in self.required if name not in passing]

    def merge_what_may(self) -> None:
        """What GitHub does by itself: merge where auto-merge is on and nothing is missing."""
        for pull in self.pulls.values():
            issue = self.issues[pull.number]
            if pull.merging_for and not pull.merged and issue.state == "open" and not self.unmet(pull):
                self.merge(pull)
                pull.merged, issue.state, pull.merging_for = True, "closed", ""

    def open_issues(self) -> list[Issue]:
        return [issue for issue in self.issues.values() if issue.state == "open" and not issue.is_pull]
