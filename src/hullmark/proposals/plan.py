"""What is to be done about the pull request of one image. Pure.

Rules (each has a test with the same words):
- there is one pull request an image, opened once and brought up to date in place after that;
- a branch with a commit of somebody else is never overwritten, and this is said;
- a pull request of somebody else from our branch is left alone;
- where nothing is newer any more, ours is closed, and nothing is opened;
- what a person closed is proposed again only when there is something newer;
- the same packages from newer lists are written anew, so that they can be proved; not when somebody has
  reviewed them, or they are about to merge.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Act(StrEnum):
    """What is done."""

    OPEN = "opened"
    UPDATE = "updated"
    """Its branch is written anew."""
    KEEP = "unchanged"
    """The branch stays; title and text are brought up to date."""
    CLOSE = "closed"
    LEAVE = "left alone"
    """Something of a person's is in the way."""
    NOTHING = "up to date"


class Ours(msgspec.Struct, frozen=True, kw_only=True):
    """Our open pull request."""

    number: int
    content: str
    """What it proposes, by its hidden line."""
    is_held: bool
    """Whether somebody reviewed it, or it merges as soon as it may."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How branch and pull request of an image are."""

    ours: Ours | None = None
    stranger: str = ""
    """Who opened a pull request from our branch; empty for nobody."""
    editor: str = ""
    """Whose commit is on our branch; empty where there is none but ours."""
    refused: str = ""
    """What our newest pull request proposed when a person closed it."""
    lock: str = ""
    """The lock on our branch; empty without a branch."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done, and why."""

    act: Act
    number: int = 0
    why: str = ""


def choose(standing: Standing, *, content: str = "", lock: str = "") -> Step:
    """What is to be done to propose `content`, which `lock` names; without them nothing is newer."""
    ours = standing.ours
    if standing.stranger:
        return Step(act=Act.LEAVE, why=f"its branch has a pull request by {standing.stranger}")
    if not content and ours is None:
        return Step(act=Act.NOTHING)
    if standing.editor:
        why = f"its branch has a commit by {standing.editor}; without that commit it is kept up to date again"
        return Step(act=Act.LEAVE, number=ours.number if ours else 0, why=why)
    return _first(standing, content) if ours is None else _next(ours, standing.lock, content, lock)


def _first(standing: Standing, content: str) -> Step:
    if standing.refused == content:
        return Step(act=Act.LEAVE, why="somebody closed it; it comes back when something is newer")
    return Step(act=Act.OPEN)


def _next(ours: Ours, present: str, content: str, lock: str) -> Step:
    if not content:
        return Step(act=Act.CLOSE, number=ours.number, why="nothing is newer any more")
    is_same = ours.content == content and (present == lock or ours.is_held)
    return Step(act=Act.KEEP if is_same else Act.UPDATE, number=ours.number)
