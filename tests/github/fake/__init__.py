"""A strict GitHub for one repository: it keeps state, refuses what GitHub refuses, and can fail on demand.

Every request that it takes, and every answer that it gives, is held against GitHub's own description.
"""

from __future__ import annotations

from tests.github.fake.server import FakeGitHub, Fault
from tests.github.fake.world import Account, CheckRun, Comment, Issue, Pull, World

__all__ = ["Account", "CheckRun", "Comment", "FakeGitHub", "Fault", "Issue", "Pull", "World"]
