"""A pull request and the verdict on it: whether its check passes, and whether it merges by itself. Pure."""

from __future__ import annotations

from hullmark.pull_requests.automerge import Capabilities, Settings, obstacles
from hullmark.pull_requests.check import Conclusion, State, annotate, conclude
from hullmark.pull_requests.comment import MARKER, compose, is_sticky
from hullmark.pull_requests.pins import Step, pin_step
from hullmark.pull_requests.request import (
    ChangedFile,
    Commit,
    Person,
    PullRequest,
    Review,
    ReviewState,
    find_approval,
    judging_paths,
)

__all__ = [
    "MARKER",
    "Capabilities",
    "ChangedFile",
    "Commit",
    "Conclusion",
    "Person",
    "PullRequest",
    "Review",
    "ReviewState",
    "Settings",
    "State",
    "Step",
    "annotate",
    "compose",
    "conclude",
    "find_approval",
    "is_sticky",
    "judging_paths",
    "obstacles",
    "pin_step",
]
