"""The one comment on a pull request: the decision, what the check says, whether it merges by itself.

Rules (each has a test with the same words):
- a comment is ours by its hidden first line and its author, both;
- it is never longer than GitHub takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hullmark.formats.decision_markdown import render_decision
from hullmark.text import ISSUE_BUDGET, cut_utf16, escape_markdown, utf16_length

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hullmark.decision import Decision
    from hullmark.image import Digest
    from hullmark.policy import Policy
    from hullmark.pull_requests.check import Conclusion

MARKER = "<!-- hullmark:gate -->"
MAX_LINES = 20
MAX_LINE = 400


def is_sticky(body: str, author: str, *, us: str) -> bool:
    """Whether a comment is the one that we keep up to date."""
    return author == us and body.startswith(MARKER)


def compose(
    head: str,
    conclusion: Conclusion,
    decision: tuple[Decision, Digest] | None,
    *,
    policy: Policy | None = None,
    merging: Sequence[str] | None = None,
    missing: Sequence[str] = (),
) -> str:
    """The comment about `head`.

    `merging` says why it does not merge by itself: nothing when it does, None when nobody expects it to.
    `missing` is what GitHub refused.
    """
    parts = [f"**Check `hullmark/gate`: {escape_markdown(conclusion.title)}** (head `{head[:12]}`)"]
    if conclusion.lines:
        parts.append(_list(conclusion.lines))
    if merging is not None and not merging:
        parts.append("It merges by itself as soon as everything that the branch requires is there.")
    elif merging:
        parts.append(f"It does not merge by itself:\n\n{_list(merging)}")
    if missing:
        parts.append(f"**What GitHub refused**, so that it is missing here:\n\n{_list(missing)}")
    tail = "\n\n".join(parts)
    if decision is None:
        return f"{MARKER}\n{tail}\n"
    room = ISSUE_BUDGET - utf16_length(tail) - len(MARKER) - 10
    return (
        f"{MARKER}\n{render_decision(decision[0], digest=decision[1], policy=policy, budget=room)}\n{tail}\n"
    )


def _list(lines: Sequence[str]) -> str:
    shown = [f"- {escape_markdown(cut_utf16(line, MAX_LINE))}" for line in lines[:MAX_LINES]]
    more = [f"- and {len(lines) - MAX_LINES} more"] if len(lines) > MAX_LINES else []
    return "\n".join([*shown, *more])
