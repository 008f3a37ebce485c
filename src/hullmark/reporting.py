"""Report a decision on its pull request.

Rules (each has a test with the same words):
- the verdict is computed again from the evidence, under the policy and exemptions that lie here;
- exemptions count as added only where the pull request changes their file;
- a pull request that was pushed to meanwhile is left to the run of its newest head;
- auto-merge is asked for before the check passes, and taken back where a condition no longer holds;
- the check is ended last, when everything else was said;
- what GitHub refuses is told in the comment and to the caller, and keeps nothing else back.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from hullmark.decision import GateInputs, Unusable, decide_with_evidence, restore
from hullmark.errors import InputError
from hullmark.exemptions import EXEMPTIONS_FILE, Exemption
from hullmark.gate import Judgement
from hullmark.github.faults import GitHubError
from hullmark.policy import Policy, Verdict
from hullmark.pull_requests import (
    Conclusion,
    PullRequest,
    Settings,
    annotate,
    compose,
    conclude,
    obstacles,
)
from hullmark.text import escape_markdown

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from hullmark.bundle import Bundle
    from hullmark.github.pulls import Pulls
    from hullmark.pull_requests.check import Annotation

_Answer = TypeVar("_Answer")

LEAD = timedelta(hours=1)
"""How far a decision's time may lie ahead of ours: clocks of two machines differ a little."""


class Prove(Protocol):
    """Resolves the locks of a pull request again."""

    def __call__(self, request: PullRequest, /, *, was_proved: bool) -> dict[str, str]:
        """Each lock by path, with why it is not proved, empty where it is.

        `was_proved` says that they were proved before, at the same head.
        """


def _prove_nothing(_: PullRequest, *, was_proved: bool) -> dict[str, str]:
    del was_proved
    return {}


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """What judges here, whatever the artefact says."""

    policy: Policy | Unusable
    exemptions: tuple[Exemption, ...]
    unusable: tuple[Unusable, ...]
    max_age: int
    self_review: bool
    settings: Settings
    places: dict[str, str]
    """Of each image the file that it is made from."""
    prove: Prove = _prove_nothing
    """Asked only where the verdict is allow: it needs a mirror."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was written about one head."""

    head: str
    pull_request: int = 0
    """0 for a merge group, or where no pull request has this head any more."""
    conclusion: Conclusion | None = None
    """None where nothing was written."""
    merges: bool = False
    """Whether it merges by itself."""
    obstacles: tuple[str, ...] = ()
    comment: str = ""
    refused: tuple[str, ...] = ()
    """What GitHub did not let us do."""
    is_told: bool = True
    """Whether check and comment could be written."""


def rejudge(bundle: Bundle, bench: Bench, *, now: datetime, request: PullRequest | None = None) -> Judgement:
    """Decide again from the evidence of `bundle`, with what judges here."""
    inputs = restore(bundle.decision.inputs, bundle.load)
    if inputs.now > now + LEAD:
        raise InputError(f"was decided at {inputs.now.isoformat()}, which is yet to come", file="the bundle")
    decision, evidence = decide_with_evidence(_on_bench(inputs, bench, request))
    return Judgement(decision=decision, evidence={**bundle.evidence, **evidence})


def _on_bench(inputs: GateInputs, bench: Bench, request: PullRequest | None) -> GateInputs:
    paths = {path for file in request.files for path in (file.path, file.before)} if request else set()
    is_changed = request is None or any(path.endswith(EXEMPTIONS_FILE) for path in paths)
    return msgspec.structs.replace(
        inputs,
        policy=bench.policy,
        exemptions=bench.exemptions,
        added_exemptions=inputs.added_exemptions if is_changed else (),
        unusable=tuple({*inputs.unusable, *bench.unusable}),
        max_age=bench.max_age,
    )


def report_group(pulls: Pulls, head: str, judgement: Judgement | None, bench: Bench, *, fault: str) -> Report:
    """Write the check of a merge group: there is nobody to comment to."""
    conclusion = conclude(None, judgement.decision if judgement else None, fault=fault)
    pulls.end_check(pulls.begin_check(head), conclusion, _summary(conclusion), _annotations(judgement, bench))
    return Report(head=head, conclusion=conclusion)


def report_request(
    pulls: Pulls, request: PullRequest, judgement: Judgement | None, bench: Bench, *, us: str, fault: str
) -> Report:
    """Write check and comment of a pull request, and let it merge by itself where it may."""
    is_bot = request.author.is_bot or request.author.login in bench.settings.bots
    decision = judgement.decision if judgement else None
    conclusion = conclude(request, decision, is_bot=is_bot, self_review=bench.self_review, fault=fault)
    refused: list[str] = []
    # Where a report of this very head left auto-merge on, every condition held.
    held = request.merging_for == us and bool(_try(refused, lambda: pulls.is_reported(request.head)))
    check = _try(refused, lambda: pulls.begin_check(request.head))
    why = None
    if is_bot:
        why = _merge(pulls, request, judgement, conclusion, bench, us=us, held=held, refused=refused)
    merges = why == ()
    text = compose(
        request.head,
        conclusion,
        (judgement.decision, judgement.digest) if judgement else None,
        policy=bench.policy if isinstance(bench.policy, Policy) else None,
        merging=why,
        missing=refused,
    )
    comment = _try(refused, lambda: pulls.comment(request.number, text))
    annotations = _annotations(judgement, bench)
    if check is not None:
        summary = _summary(conclusion, comment or "")
        _try(refused, lambda: pulls.end_check(check, conclusion, summary, annotations))
    return Report(
        head=request.head,
        pull_request=request.number,
        conclusion=conclusion,
        merges=merges,
        obstacles=why or (),
        comment=comment or "",
        refused=tuple(refused),
        is_told=check is not None and comment is not None,
    )


def _merge(
    pulls: Pulls,
    request: PullRequest,
    judgement: Judgement | None,
    conclusion: Conclusion,
    bench: Bench,
    *,
    us: str,
    held: bool,
    refused: list[str],
) -> tuple[str, ...]:
    """Turn auto-merge on or off; return why it does not merge by itself. `held` says that it did before."""
    capabilities = _try(refused, lambda: pulls.capabilities(request.base))
    if capabilities is None:
        why: tuple[str, ...] = ("what the repository allows could not be read",)
    else:
        decision = judgement.decision if judgement else None
        may = decision is not None and decision.verdict is Verdict.ALLOW
        locks = bench.prove(request, was_proved=held) if may else {}
        why = obstacles(request, decision, conclusion, bench.settings, capabilities, locks=locks)
    before = len(refused)
    if not why and not request.merging_for:
        _try(refused, lambda: pulls.enable_merging(request, bench.settings.method))
        return ("GitHub refused to",) if len(refused) > before else ()
    if why and request.merging_for == us:
        # Somebody else's wish to merge is theirs: the required check holds it back.
        _try(refused, lambda: pulls.disable_merging(request))
    return why


def _try(refused: list[str], act: Callable[[], _Answer]) -> _Answer | None:
    """What `act` gives; None where GitHub refused, which is kept in `refused`."""
    try:
        return act()
    except GitHubError as error:
        refused.append(f"{error.message}. {error.hint}".strip())
        return None


def _summary(conclusion: Conclusion, comment: str = "") -> str:
    lines = [f"- {escape_markdown(line)}" for line in conclusion.lines]
    more = [f"\nThe reasons: {comment}"] if comment else []
    return "\n".join([*lines, *more]) or escape_markdown(conclusion.title)


def _annotations(judgement: Judgement | None, bench: Bench) -> tuple[Annotation, ...]:
    if judgement is None:
        return ()
    policy = bench.policy if isinstance(bench.policy, Policy) else None
    return annotate(judgement.decision, bench.places, policy)
