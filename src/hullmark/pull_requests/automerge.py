"""Whether a pull request may merge by itself: every condition must hold, and each that does not is said.

Rules (each has a test with the same words):
- only on allow, and only with a check that passes;
- only of an update bot that is configured, and a bot on GitHub too;
- only from a branch of this repository, with every commit by that bot;
- only when nothing but pins moves, by digests and patch versions, or locks that resolving gives again,
  byte for byte;
- of a workflow's own bot, whom everybody who may write can act as, only such locks;
- never when it touches what judges, leaves a CRITICAL, or lets any severity rise;
- only where the repository allows auto-merge and requires the check: GitHub would merge at once otherwise;
- only where everything about the pull request could be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from hullmark.policy import Verdict
from hullmark.pull_requests.check import State
from hullmark.pull_requests.pins import Step, pin_step
from hullmark.pull_requests.request import WORKFLOW_BOT, judging_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hullmark.decision import Decision, Outcome
    from hullmark.pull_requests.check import Conclusion
    from hullmark.pull_requests.request import PullRequest

SELF_COMMITTER = "web-flow"
"""GitHub itself, where a commit was made through its interface."""
SHOWN = 5


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says."""

    bots: tuple[str, ...]
    is_on: bool = True
    method: Literal["MERGE", "REBASE", "SQUASH"] = "SQUASH"


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What the repository offers."""

    allows_merging: bool
    requires_check: bool


def obstacles(
    request: PullRequest,
    decision: Decision | None,
    conclusion: Conclusion,
    settings: Settings,
    capabilities: Capabilities,
    *,
    locks: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Why it does not merge by itself; nothing when it does.

    `locks` are those that were resolved again, by path, each with why it is not proved, empty where it is.
    """
    return (
        *_of_verdict(decision, conclusion),
        *_of_origin(request, settings),
        *_of_content(request, locks or {}),
        *(_of_outcome(decision) if decision else ()),
        *_of_repository(settings, capabilities),
    )


def _of_verdict(decision: Decision | None, conclusion: Conclusion) -> Iterator[str]:
    if decision is None or decision.verdict is not Verdict.ALLOW:
        yield f"the verdict is {decision.verdict.value if decision else 'missing'}, not allow"
    if conclusion.state is not State.PASS:
        yield "the check does not pass"


def _of_origin(request: PullRequest, settings: Settings) -> Iterator[str]:
    author = request.author
    if author.login not in settings.bots or not author.is_bot:
        yield f"{author.login} is not one of the update bots of the configuration"
    if not request.from_here:
        yield "its branch is one of a fork"
    if request.is_draft:
        yield "it is a draft"
    known = {author.login, SELF_COMMITTER}
    others = [each for each in request.commits if each.author != author.login or each.committer not in known]
    if others or not request.commits:
        yield f"not every commit is by {author.login}"


def _of_content(request: PullRequest, locks: Mapping[str, str]) -> Iterator[str]:
    if not request.is_whole:
        yield "it is too large to be read whole"
    if paths := judging_paths(request):
        yield f"it touches what judges: {', '.join(paths[:SHOWN])}"
    unlocked = [each.path for each in request.files if each.path not in locks]
    if unlocked and request.author.login == WORKFLOW_BOT:
        yield f"of {WORKFLOW_BOT} only proved locks merge by themselves: {', '.join(unlocked[:SHOWN])}"
    steps = {each.path: pin_step(each) for each in request.files if each.path not in locks}
    yield from (f"{path} is not proved: {fault}" for path, fault in sorted(locks.items()) if fault)
    if others := [path for path, step in steps.items() if step is None]:
        yield f"more than pins differs: {', '.join(others[:SHOWN])}"
    if far := [path for path, step in steps.items() if step is Step.MINOR]:
        yield f"more than a patch version differs: {', '.join(far[:SHOWN])}"
    if not request.files:
        yield "it changes no file"


def _of_outcome(decision: Decision) -> Iterator[str]:
    for outcome in decision.outcomes:
        where = f"{outcome.image} ({outcome.platform})"
        if outcome.after is None or outcome.before is None:
            continue
        if outcome.after.critical:
            yield f"{where} still has a CRITICAL"
        if rises := _rising(outcome):
            yield f"{where} has more of {rises}"


def _rising(outcome: Outcome) -> str:
    names = ("critical", "high", "medium", "unknown")
    return ", ".join(
        name.upper() for name in names if getattr(outcome.after, name, 0) > getattr(outcome.before, name, 0)
    )


def _of_repository(settings: Settings, capabilities: Capabilities) -> Iterator[str]:
    if not settings.is_on:
        yield "`pull_requests.auto_merge` is off"
    if not capabilities.allows_merging:
        yield "the repository does not allow auto-merge (Settings, General)"
    if not capabilities.requires_check:
        yield "no rule of the branch requires the check `hullmark/gate`"
