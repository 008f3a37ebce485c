"""What GitHub reads from the branches of the repository behind it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.github.fake.world import Pull, World


def find_branch(world: World, name: str) -> str:
    """The newest commit of a branch; empty where there is none."""
    return _git(world, "rev-parse", "--verify", "--quiet", f"refs/heads/{name}").strip()


def count_ahead(world: World, base: str, head: str) -> int:
    """Commits of `head` that `base` lacks."""
    return len(_git(world, "rev-list", f"{base}..{head}").split())


def follow(world: World, pull: Pull) -> None:
    """Bring an open pull request up to date with its branch."""
    if not pull.is_followed or world.issues[pull.number].state != "open":
        return
    if not (head := find_branch(world, pull.branch)):
        return
    base = _git(world, "merge-base", pull.base, head).strip()
    pull.head = head
    log = _git(world, "log", "--reverse", "--format=%H %ae %ce", f"{base}..{head}")
    pull.commits = [
        (sha, _login(world, author), _login(world, committer))
        for sha, author, committer in (line.split(" ") for line in log.splitlines())
    ]
    changed = _git(world, "diff", "--no-renames", "--name-status", base, head)
    pull.files = [_file(world, base, head, *line.split("\t")) for line in changed.splitlines()]


def _file(world: World, base: str, head: str, status: str, name: str) -> dict[str, Any]:
    patch = _git(world, "diff", base, head, "--", name)
    words = {"A": "added", "M": "modified", "D": "removed", "T": "changed"}
    return {"filename": name, "status": words[status], "patch": patch[patch.index("@@") :]}


def _login(world: World, mail: str) -> str:
    """Whose commits have this address; empty for nobody that GitHub knows."""
    return next((each.login for each in world.people.values() if each.mail == mail), "")


def _git(world: World, *arguments: str) -> str:
    assert world.repository is not None
    done = subprocess.run(
        ["git", *arguments], cwd=world.repository, capture_output=True, text=True, check=False
    )
    return done.stdout
