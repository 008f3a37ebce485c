"""What the fake knows: one repository, its people, its issues."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    last_id: int = 1000

    def __post_init__(self) -> None:
        self.join(Account(BOT, kind="Bot"), token=TOKEN)

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

    def open_issues(self) -> list[Issue]:
        return [issue for issue in self.issues.values() if issue.state == "open" and not issue.is_pull]
