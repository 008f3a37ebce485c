"""A decision as plain text for a terminal or a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hullmark.decision import explain
from hullmark.text import escape_terminal

if TYPE_CHECKING:
    from hullmark.decision import Decision
    from hullmark.image import Digest
    from hullmark.policy import Policy


def render_decision(decision: Decision, *, digest: Digest, policy: Policy | None = None) -> str:
    """The story of a decision, one sentence a line, its name last. `policy` brings one's own rules' words."""
    lines = [*explain(decision, policy), f"Decision {digest}."]
    return "\n".join(map(escape_terminal, lines)) + "\n"
