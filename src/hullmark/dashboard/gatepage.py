"""The pages about decisions and accepted risks: what was decided, why, and what ends when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from hullmark.dashboard import links
from hullmark.decision import explain, meaning
from hullmark.exemptions import SOON_DAYS, is_in_force
from hullmark.fleet import RecordedDecision
from hullmark.formats.markdown import in_words, plural
from hullmark.image import REPOSITORY

if TYPE_CHECKING:
    from hullmark.exemptions import Exemption
    from hullmark.fleet import Fleet


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One decision in sentences."""

    number: int
    """Counted from the first one ever, so that its place on the page never changes."""
    judgement: RecordedDecision
    title: str
    lines: tuple[tuple[bool, str], ...]
    """Each sentence, and whether it belongs to the one before."""


def gate_values(fleet: Fleet) -> dict[str, Any]:
    """What the page Gate shows."""
    number = len(fleet.judgements)
    return {
        "told": [_tell(each, number - place) for place, each in enumerate(fleet.judgements)],
        "verdicts": {
            verdict: sum(each.event.verdict.value == verdict for each in fleet.judgements)
            for verdict in ("allow", "review", "block")
        },
        **exemption_words(fleet),
    }


def _tell(judgement: RecordedDecision, number: int) -> Told:
    lines = explain(judgement.decision, judgement.policy)
    return Told(
        number=number,
        judgement=judgement,
        title=judgement_title(judgement),
        lines=tuple((line.startswith("  "), line.strip()) for line in lines[1:]),
    )


def judgement_title(judgement: RecordedDecision) -> str:
    """What was judged, as a title."""
    event = judgement.event
    names = sorted({label.partition(" ")[0] for label in event.images})
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")  # noqa: PLR2004
    where = f" in pull request {event.pull_request}" if event.pull_request else ""
    return f"{shown or 'no image'}{where}"


def judgement_reason(judgement: RecordedDecision) -> str:
    """The first reason of a decision, in a sentence."""
    deciding = judgement.decision.deciding
    if not deciding:
        return "No rule had anything to say."
    first = deciding[0]
    names = ", ".join(dict.fromkeys(concern.id for concern in first.concerns[:3]))
    more = f" And {plural(len(deciding) - 1, 'other reason')}." if len(deciding) > 1 else ""
    return f"{meaning(first.rule, judgement.policy)}{f' ({names})' if names else ''}{more}"


def exemption_words(fleet: Fleet) -> dict[str, Any]:
    """How the end of an accepted risk is told, and where what it covers is listed."""

    def end(entry: Exemption) -> str:
        days = (entry.expires - fleet.today).days
        if not is_in_force(entry, fleet.today):
            return f"ended {in_words(entry.expires)}"
        return f"in {plural(days, 'day')}" if days <= SOON_DAYS else in_words(entry.expires)

    def tone(entry: Exemption) -> str:
        if not is_in_force(entry, fleet.today):
            return "bad"
        return "warn" if (entry.expires - fleet.today).days <= SOON_DAYS else "calm"

    rules = {each.finding.id for member in fleet.repository for each in member.findings}

    def link(entry: Exemption) -> str:
        # A rule that matches in the repository's files is no vulnerability, and has no page among them.
        return "checks.html" if entry.id in rules or REPOSITORY in entry.images else links.cve(entry.id)

    return {"exemption_end": end, "exemption_tone": tone, "exemption_link": link}
