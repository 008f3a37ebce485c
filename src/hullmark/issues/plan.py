"""What must be done on GitHub so that each image has the issue that it should have. Pure: nothing is done.

Rules (each has a test with the same words):
- one issue for each image with relevant findings; none is opened where there are none;
- an issue is ours by its label, its hidden marker and its author, all three;
- of several, the one with the lowest number stays, the others are closed as duplicates of it;
- it is closed with proof when enough complete scans in a row found nothing to keep it open;
- an UNKNOWN, a gap or a scan that is missing keeps it open;
- an image that the configuration no longer has was not found clean: its issue is closed as not planned;
- it is reopened, never opened again;
- the repository's own files have an issue as an image has one, and are never retired;
- labels of others stay; a second run changes nothing.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from hullmark.finding import Severity
from hullmark.image import REPOSITORY
from hullmark.issues.body import END, Others, begin, compose, normal, split, tell_proof, worst
from hullmark.text import escape_markdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hullmark.issues.facts import ImageFacts

MAX_LABEL = 50
"""Characters that GitHub takes in the name of a label."""
SEVERITY_LABEL = "severity:"


class State(StrEnum):
    """Whether an issue is open."""

    OPEN = "open"
    CLOSED = "closed"


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """An issue as GitHub has it."""

    number: int
    title: str = ""
    body: str = ""
    labels: tuple[str, ...] = ()
    author: str = ""
    state: State = State.OPEN
    reason: str = ""
    """Why it is closed: `completed`, `not_planned` or `duplicate`."""
    url: str = ""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What is the same for all images."""

    author: str
    """Who we are on GitHub."""
    labels: tuple[str, ...] = ("security", "trivy")
    close_after: int = 1
    commit: str = ""
    """The commit whose configuration this is."""
    logs: str = ""
    """Address of the folder with the audit logs."""


class Why(StrEnum):
    """Why an issue is edited."""

    UPDATED = "updated"
    REOPENED = "reopened"
    CLEAN = "clean"
    RETIRED = "retired"
    DUPLICATE = "duplicate"


class Open(msgspec.Struct, frozen=True, kw_only=True, tag_field="action", tag="open"):
    """Open an issue."""

    image: str
    title: str
    body: str
    labels: tuple[str, ...]


class Edit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="action", tag="edit"):
    """Change an issue; what is None stays as it is."""

    image: str
    number: int
    why: Why
    body: str | None = None
    labels: tuple[str, ...] | None = None
    state: State | None = None
    reason: str | None = None


class Leave(msgspec.Struct, frozen=True, kw_only=True, tag_field="action", tag="leave"):
    """Nothing can be done before a person acts."""

    image: str
    number: int
    reason: str


Action = Open | Edit | Leave


def label_of(image: str) -> str:
    """The label that names `image`; shortened where GitHub's limit asks for it."""
    label = f"image:{image}"
    if len(label) <= MAX_LABEL:
        return label
    return f"{label[: MAX_LABEL - 9]}-{sha256(image.encode()).hexdigest()[:8]}"


def plan(facts: ImageFacts, posted: Iterable[Posted], rules: Rules) -> tuple[Action, ...]:
    """What must be done about the issue of one image, given what GitHub has."""
    label = label_of(facts.image)
    own = sorted((each for each in posted if _is_own(each, facts.image, rules)), key=lambda each: each.number)
    ours = [each for each in own if label in each.labels]
    alive = [each for each in ours if each.state is State.OPEN or each.reason != "duplicate"]
    if not alive:
        return _begin(facts, [each for each in own if each not in ours and each.state is State.OPEN], rules)
    first, *others = alive
    healed = tuple(_duplicate(each, first, facts.image) for each in others if each.state is State.OPEN)
    return (*_continue(facts, first, rules), *healed)


def _is_own(posted: Posted, image: str, rules: Rules) -> bool:
    return posted.author == rules.author and split(posted.body, image) is not None


def _begin(facts: ImageFacts, strays: Sequence[Posted], rules: Rules) -> tuple[Action, ...]:
    if facts.retired or not facts.is_relevant:
        return ()
    if strays:
        reason = f"it has lost its label {label_of(facts.image)}: put it back, or close the issue"
        return (Leave(image=facts.image, number=strays[0].number, reason=reason),)
    body = compose(facts, _status(facts, rules, closed=False), Others(), log=_log(facts, rules))
    return (
        Open(
            image=facts.image,
            title=f"Security findings in {_subject(facts)}",
            body=body or "",
            labels=_labels((), facts, rules),
        ),
    )


def _continue(facts: ImageFacts, issue: Posted, rules: Rules) -> tuple[Action, ...]:
    closing = _closing(facts, rules)
    if issue.state is State.CLOSED and (closing or not facts.is_relevant):
        return ()
    others = split(issue.body, facts.image) or Others()
    body = compose(facts, _status(facts, rules, closed=bool(closing)), others, log=_log(facts, rules))
    if body is None:
        reason = "the text that others wrote into it leaves no room for ours: shorten it"
        return (Leave(image=facts.image, number=issue.number, reason=reason),)
    labels = _labels(issue.labels, facts, rules)
    edit = Edit(
        image=facts.image,
        number=issue.number,
        why=closing or (Why.REOPENED if issue.state is State.CLOSED else Why.UPDATED),
        body=body if normal(body) != normal(issue.body) else None,
        labels=labels if labels != issue.labels else None,
        state=State.CLOSED if closing else State.OPEN if issue.state is State.CLOSED else None,
        reason={Why.CLEAN: "completed", Why.RETIRED: "not_planned"}.get(closing) if closing else None,
    )
    is_needed = any(part is not None for part in (edit.body, edit.labels, edit.state))
    return (edit,) if is_needed else ()


def _closing(facts: ImageFacts, rules: Rules) -> Why | None:
    """Why the issue is to be closed; None while it must be open."""
    if facts.retired:
        return Why.RETIRED
    if facts.is_relevant or facts.uncovered or facts.counts.unknown:
        return None
    return Why.CLEAN if facts.clean_scans >= rules.close_after else None


def _status(facts: ImageFacts, rules: Rules, *, closed: bool) -> str:
    """What the state of the issue is, and why, as Markdown."""
    if facts.retired:
        commit = f" by commit `{rules.commit[:12]}`" if rules.commit else ""
        return (
            f"**Closed as not planned.** `{facts.image}` was retired{commit}: the configuration no longer "
            "has it, and nobody looks at it any more. It was not found clean; what was known last is below."
        )
    if closed:
        proofs = "\n".join(f"- {proof.platform}: {tell_proof(proof)}" for proof in facts.proofs)
        scans = (
            "1 complete scan" if rules.close_after == 1 else f"{rules.close_after} complete scans in a row"
        )
        return f"**Closed with proof.** {scans} found nothing of MEDIUM or worse:\n\n{proofs}"
    if facts.is_relevant:
        return (
            f"Findings of MEDIUM or worse are open in `{facts.image}`. This issue is kept up to date, and is "
            "closed when a complete scan no longer finds any. Write above or below this part: in between, "
            "everything is written anew."
        )
    if facts.uncovered:
        return f"Nothing of MEDIUM or worse is known, but not everything was looked at: {_reason(facts)}."
    if facts.counts.unknown:
        return "Nothing of MEDIUM or worse is open; findings that nobody has rated yet keep this issue open."
    return f"Clean in {facts.clean_scans} of {rules.close_after} complete scans in a row; then it is closed."


def _reason(facts: ImageFacts) -> str:
    return escape_markdown(facts.uncovered[0][:300])


def _duplicate(issue: Posted, first: Posted, image: str) -> Edit:
    others = split(issue.body, image) or Others()
    ours = f"{begin(image)}\n\nDuplicate of #{first.number}.\n\n{END}"
    return Edit(
        image=image,
        number=issue.number,
        why=Why.DUPLICATE,
        body="\n\n".join(part for part in (others.above, ours, others.below) if part),
        state=State.CLOSED,
        reason="duplicate",
    )


def _labels(present: Sequence[str], facts: ImageFacts, rules: Rules) -> tuple[str, ...]:
    """The labels that it should have: those of others as they are, ours as they must be."""
    severity = worst(facts.counts)
    wanted = [*rules.labels, label_of(facts.image)]
    if severity is not None:
        wanted.append(SEVERITY_LABEL + severity.value.lower())
    known = {SEVERITY_LABEL + each.value.lower() for each in Severity}
    kept = [each for each in present if each not in known or each in wanted]
    return tuple(dict.fromkeys([*kept, *wanted]))


def _subject(facts: ImageFacts) -> str:
    return "this repository's own files" if facts.image == REPOSITORY else facts.image


def _log(facts: ImageFacts, rules: Rules) -> str:
    return f"{rules.logs}/{facts.image}.md"
