"""A decision as Markdown for a pull request: a sentence, a small table, the packages, and the rest folded.

Rules (each has a test with the same words):
- the text is never longer than GitHub takes, and says what it left out;
- all text from outside is escaped;
- the order of images and reasons is that of the decision, the worst first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hullmark.decision import (
    explain,
    group_packages,
    meaning,
    tell_concern,
    tell_packages,
    tell_remedy,
)
from hullmark.decision.explain import tell_detail, tell_outcome
from hullmark.formats.markdown import plural, table
from hullmark.policy import Verdict
from hullmark.text import ISSUE_BUDGET, cut_utf16, escape_markdown, markdown_code, utf16_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hullmark.decision import Concern, Decision, Outcome, Reason
    from hullmark.image import Digest
    from hullmark.policy import Policy

_SIGNS = {Verdict.ALLOW: "✅", Verdict.REVIEW: "👀", Verdict.BLOCK: "⛔"}
_ROWS = (200, 60, 20, 8, 3)
"""Rows a list may have, tried in this order until all fits."""
_OPEN = 8
"""Vulnerabilities of a reason that are shown without unfolding."""
_LINE = 500
"""UTF-16 units of one line from outside, before it is escaped."""


def render_decision(
    decision: Decision, *, digest: Digest, policy: Policy | None = None, budget: int = ISSUE_BUDGET
) -> str:
    """The decision for people who look at a pull request, in at most `budget` UTF-16 units."""
    for rows in _ROWS:
        text = "\n\n".join(_parts(decision, digest, policy, rows)) + "\n"
        if utf16_length(text) <= budget:
            return text
    # Whatever is left is the head: a sentence and whole lines.
    head = "\n\n".join(_head(decision, policy)) + "\n"
    note = f"\nThe rest does not fit here; see decision {markdown_code(digest)}.\n"
    return cut_utf16(head, budget - utf16_length(note), mark="…\n") + note


def _parts(decision: Decision, digest: Digest, policy: Policy | None, rows: int) -> Iterator[str]:
    yield from _head(decision, policy)
    yield _images(decision, rows)
    yield from _reasons(decision.deciding, policy, rows)
    others = [reason for reason in decision.reasons if reason.verdict is not decision.verdict]
    if others:
        yield _folded("Beside that", "\n\n".join(_reasons(others, policy, rows)))
    yield from _packages(decision, rows)
    yield from _notes(decision, policy, rows)
    yield _folded("How it was decided", _origin(decision, digest, policy))


def _head(decision: Decision, policy: Policy | None) -> Iterator[str]:
    sentence = escape_markdown(explain(decision, policy)[0])
    yield f"### {_SIGNS[decision.verdict]} {sentence}"
    if decision.inputs.database.sample:
        yield (
            "> **Sample.** Decided with a small demonstration database: it shows how the gate works, "
            "not how secure these images are."
        )


def _images(decision: Decision, rows: int) -> str:
    head = ("Image", "Verdict", "Relevant: base", "head", "All: base", "head", "Packages changed")
    ranked = sorted(decision.outcomes, key=lambda outcome: -outcome.verdict.rank if outcome.verdict else 1)
    cells = [_image(outcome) for outcome in ranked[:rows]]
    return table(head, cells, numbers=range(2, 7)) + _left_out(len(ranked) - rows, "image")


def _image(outcome: Outcome) -> tuple[str, ...]:
    name = f"{escape_markdown(outcome.image)} {escape_markdown(outcome.platform)}"
    verdict = f"**{outcome.verdict.value}**" if outcome.verdict else "not judged"
    counts = [
        f"{number:,}" if side else "-"
        for number, side in (
            (outcome.before.relevant if outcome.before else 0, outcome.before),
            (outcome.after.relevant if outcome.after else 0, outcome.after),
            (outcome.before.total if outcome.before else 0, outcome.before),
            (outcome.after.total if outcome.after else 0, outcome.after),
        )
    ]
    return name, verdict, *counts, f"{len(outcome.packages):,}"


def _reasons(reasons: Iterable[Reason], policy: Policy | None, rows: int) -> Iterator[str]:
    told: set[tuple[Concern, ...]] = set()
    listed = list(reasons)
    for reason in listed[:rows]:
        where = f"{escape_markdown(reason.image)}: " if reason.image else ""
        lines = [f"**{where}{escape_markdown(meaning(reason.rule, policy))}** {markdown_code(reason.rule)}"]
        if reason.concerns and reason.concerns in told:
            lines.append("The same as above.")
        else:
            told.add(reason.concerns)
            lines += _concerns(reason.concerns, rows)
            lines += [f"- {_outside(tell_detail(detail))}" for detail in reason.details[:rows]]
            if reason.remedies:
                remedies = "; or ".join(tell_remedy(remedy) for remedy in reason.remedies)
                lines += ["", f"To satisfy it: {remedies}."]
        yield "\n".join([lines[0], "", *lines[1:]])
    if len(listed) > rows:
        yield _left_out(len(listed) - rows, "reason").strip()


def _concerns(concerns: Sequence[Concern], rows: int) -> Iterator[str]:
    lines = [f"- {_outside(tell_concern(concern))}" for concern in concerns[:rows]]
    yield from lines[:_OPEN]
    if len(lines) > _OPEN:
        more = "\n".join(lines[_OPEN:]) + _left_out(len(concerns) - rows, "vulnerability", "vulnerabilities")
        yield "\n" + _folded(f"{len(concerns) - _OPEN:,} more", more)
    elif len(concerns) > rows:
        yield _left_out(len(concerns) - rows, "vulnerability", "vulnerabilities")


def _packages(decision: Decision, rows: int) -> Iterator[str]:
    for outcome in decision.outcomes[:rows]:
        groups = group_packages(outcome.packages)
        explaining = [group for group in groups if group.explains]
        if not groups:
            continue
        lines = [f"- {_outside(tell_packages(group))}" for group in explaining[:rows]]
        body = "\n".join(lines) + _left_out(len(explaining) - rows, "package change")
        others = [f"- {_outside(tell_packages(group))}" for group in groups if not group.explains]
        title = f"#### Packages of {escape_markdown(outcome.image)} {escape_markdown(outcome.platform)}"
        parts = [title, *([body] if body else [])]
        if others:
            rest = "\n".join(others[:rows]) + _left_out(len(others) - rows, "package change")
            parts.append(_folded(f"{plural(len(others), 'change')} without a vulnerability", rest))
        yield "\n\n".join(parts)


def _notes(decision: Decision, policy: Policy | None, rows: int) -> Iterator[str]:
    """What else is to be known of each image: counts, exemptions, disclosures, missing evidence."""
    told = [line for outcome in decision.outcomes for line in tell_outcome(outcome, decision, policy)]
    if told:
        lines = "\n".join(f"- {_outside(line)}" for line in told[:rows])
        yield _folded("Counts, exemptions, disclosures", lines + _left_out(len(told) - rows, "line"))


def _origin(decision: Decision, digest: Digest, policy: Policy | None) -> str:
    last = escape_markdown(explain(decision, policy)[-1])
    return f"{last}\n\nDecision {markdown_code(digest)}."


def _folded(title: str, body: str) -> str:
    """A part that is unfolded by a click. `title` is ours."""
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _left_out(number: int, one: str, many: str = "") -> str:
    """What is said below a list of which `number` do not stand here."""
    return f"\n\n{plural(number, one, many)} more, left out here." if number > 0 else ""


def _outside(text: str) -> str:
    """One line that holds text from outside."""
    return escape_markdown(cut_utf16(text, _LINE))
