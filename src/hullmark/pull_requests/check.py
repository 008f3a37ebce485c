"""Whether the required check of a pull request passes.

Rules (DESIGN §5; each has a test with the same words):
- block never passes, and neither does a comparison that gave no decision;
- review waits for an approval where an update bot asks, or where the change touches what judges;
- a change that touches what judges waits for an approval, whatever its verdict says;
- on other pull requests review passes, and says so;
- `self_review` lets a person's own change pass without another person, and says so;
- in a merge group only block fails.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal

import msgspec

from hullmark.decision import meaning, tell_concern
from hullmark.policy import Verdict
from hullmark.pull_requests.request import find_approval, judging_paths
from hullmark.text import cut_utf16, escape_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hullmark.decision import Decision, Reason
    from hullmark.policy import Policy
    from hullmark.pull_requests.request import PullRequest

MAX_ANNOTATIONS = 50
"""That GitHub takes with one request."""
MAX_SAID = 3_000
SHOWN = 5
"""Names that a sentence lists."""


class State(StrEnum):
    """What a check says, in GitHub's words."""

    PASS = "success"  # noqa: S105 - a state, no secret
    WAIT = "action_required"
    FAIL = "failure"


class Conclusion(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the check passes, and why."""

    state: State
    title: str
    """One line."""
    lines: tuple[str, ...] = ()
    """Sentences, without markup. Paths from outside stand in them: who prints escapes."""


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """A remark at a file of the pull request."""

    path: str
    annotation_level: Literal["notice", "warning", "failure"]
    message: str
    title: str
    start_line: int = 1
    end_line: int = 1


def conclude(
    request: PullRequest | None,
    decision: Decision | None,
    *,
    is_bot: bool = False,
    self_review: bool = False,
    fault: str = "",
) -> Conclusion:
    """Whether the check passes. Without a `request` it is a merge group's.

    `fault` says why there is no decision.
    """
    if decision is None:
        lines = (fault or "The comparison ended without a decision.", "Run it again.")
        return Conclusion(state=State.FAIL, title="No decision", lines=lines)
    if decision.verdict is Verdict.BLOCK:
        rules = ", ".join(dict.fromkeys(reason.rule for reason in decision.deciding))
        return Conclusion(state=State.FAIL, title=f"Block: {rules}")
    word = "Allow" if decision.verdict is Verdict.ALLOW else "Review"
    if request is None:
        line = "A merge group: its members passed at their own heads, only a block would fail."
        return Conclusion(state=State.PASS, title=word, lines=(line,))
    why = _waits_for(request, decision, is_bot=is_bot)
    if not why:
        title = word if decision.verdict is Verdict.ALLOW else "Review: a person decides, the check passes"
        return Conclusion(state=State.PASS, title=title)
    return _approved(request, word, why, is_bot=is_bot, self_review=self_review)


def _waits_for(request: PullRequest, decision: Decision, *, is_bot: bool) -> tuple[str, ...]:
    """Why a person must approve; nothing when nobody must."""
    why = []
    if is_bot and decision.verdict is Verdict.REVIEW:
        why.append("An update bot asks, and the verdict is review.")
    if paths := judging_paths(request):
        why.append(f"The change touches what judges: {_few(paths)}.")
    elif decision.inputs.touched and decision.verdict is Verdict.REVIEW:
        what = sorted({touch.what.value for touch in decision.inputs.touched})
        why.append(f"The change touches what judges: {_few(what)}.")
    return tuple(why)


def _approved(
    request: PullRequest, word: str, why: tuple[str, ...], *, is_bot: bool, self_review: bool
) -> Conclusion:
    if approver := find_approval(request):
        line = f"Approved by {approver} at exactly this head."
        return Conclusion(state=State.PASS, title=f"{word}: approved by {approver}", lines=(*why, line))
    if self_review and not is_bot:
        line = "No other person approved it: `gate.self_review` waives that here."
        return Conclusion(state=State.PASS, title=f"{word}: approval waived", lines=(*why, line))
    line = (
        "It waits until a person who may write here, and is not its author, has approved exactly the head "
        f"{request.head[:12]}."
    )
    return Conclusion(state=State.WAIT, title=f"{word}: waits for an approval", lines=(*why, line))


def annotate(
    decision: Decision, places: Mapping[str, str], policy: Policy | None = None
) -> tuple[Annotation, ...]:
    """The deciding reasons about images, each at the file that the image is made from."""
    told = (
        Annotation(
            path=places[reason.image],
            annotation_level="failure" if reason.verdict is Verdict.BLOCK else "warning",
            title=f"{reason.image}: {reason.rule}",
            message=cut_utf16("\n".join(_tell(reason, policy)), MAX_SAID),
        )
        for reason in decision.deciding
        if reason.image in places and reason.verdict is not Verdict.ALLOW
    )
    return tuple(told)[:MAX_ANNOTATIONS]


def _tell(reason: Reason, policy: Policy | None) -> list[str]:
    lines = [
        meaning(reason.rule, policy),
        *map(tell_concern, reason.concerns[:SHOWN]),
        *reason.details[:SHOWN],
    ]
    return [escape_terminal(line) for line in lines]


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
