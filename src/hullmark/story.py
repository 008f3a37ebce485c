"""The story of one vulnerability in words: when each image had it and why, and what the gate said about it.

Rules (each has a test with the same words):
- only what was recorded is told, and every sentence has its day;
- a decision is told with its verdict, its rule and the beginning of its digest, so that it can be replayed.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hullmark.decision import group_packages, parse_decision
from hullmark.errors import RepositoryError
from hullmark.finding import Cause
from hullmark.policy import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hullmark.decision import Concern, Decision, Outcome
    from hullmark.event import Decided
    from hullmark.history import Interval, Timeline
    from hullmark.image import Digest
    from hullmark.journal import Journal

SHORT = 12
"""Digits of a digest by which a decision is called here."""

_CAUSES = {
    Cause.IMAGE: "the image changed",
    Cause.REBUILD: "the image was built again and came out otherwise",
    Cause.DATABASE: "the database changed",
    Cause.RATING: "it was rated otherwise",
    Cause.SCANNER: "another version of the scanner looked",
    Cause.EXEMPTION: "an exemption began or ended",
    Cause.SCOPE: "nobody had looked there before",
}
_STATES = {
    State.INTRODUCED: "introduced",
    State.PERSISTING: "in base and in head",
    State.RESOLVED: "resolved",
    State.PRESENT: "in head",
}


class Step(NamedTuple):
    """One thing that happened, on its day."""

    at: str
    text: str


def tell_vulnerability(journal: Journal, id_: str) -> list[str]:
    """Everything that is recorded about the vulnerability `id_`, by image and day; nothing if nothing is."""
    runs = journal.runs()
    lines: list[str] = []
    for image in journal.subjects():
        for timeline in journal.timelines(image, runs).values():
            steps = list(_life(timeline, id_))
            if steps:
                lines.append(f"{image} ({timeline.platform}):")
                lines += [f"  {step.at[:10]}: {step.text}." for step in sorted(steps)]
    spoken = tell_decisions(journal, id_)
    if spoken:
        lines += ["The gate:", *(f"  {step.at[:10]}: {step.text}." for step in spoken)]
    return lines


def tell_decisions(journal: Journal, id_: str) -> list[Step]:
    """What every recorded decision says about the vulnerability `id_`, oldest first."""
    return [step for at, event in journal.decisions() for step in _decided(journal, at, event, id_)]


def _life(timeline: Timeline, id_: str) -> Iterator[Step]:
    """The life of a vulnerability in one image, packages of one source together."""
    groups: dict[tuple[object, ...], list[Interval]] = defaultdict(list)
    for interval in timeline.intervals:
        if interval.identity.id == id_:
            cause = interval.resolved_cause
            groups[interval.first_seen, interval.change.source, interval.resolved_at, cause].append(interval)
    for members in groups.values():
        yield from _interval(members)


def _interval(members: list[Interval]) -> Iterator[Step]:
    first = members[0]
    change = first.change
    names = ", ".join(sorted({member.identity.package for member in members}))
    source = f"{change.source} ({names})" if change.source and change.source != names else names
    where = f" at {first.identity.path}" if first.identity.path else ""
    versions = " and ".join(change.versions)
    severity = first.severities[0][1].value
    yield Step(
        first.first_seen,
        f"first seen, {severity}, in {source}{where} {versions}: {_CAUSES[first.cause]}",
    )
    for at, rated in first.severities[1:]:
        yield Step(at, f"rated {rated.value}")
    if first.resolved_cause is not None:
        yield Step(first.resolved_at, f"resolved in {source}: {_CAUSES[first.resolved_cause]}")


def _decided(journal: Journal, at: str, event: Decided, id_: str) -> Iterator[Step]:
    decision = load_decision(journal, event.decision)
    name = event.decision.removeprefix("sha256:")[:SHORT]
    said = f"decision {name} was {decision.verdict.value}"
    for outcome in decision.outcomes:
        where = f"{outcome.image} ({outcome.platform})"
        yield from (Step(at, f"{said}; {where}: {text}") for text in _about(decision, outcome, id_))


def _about(decision: Decision, outcome: Outcome, id_: str) -> Iterator[str]:
    """What a decision says of the vulnerability in one image."""
    rules: dict[State, list[str]] = defaultdict(list)
    for reason in decision.reasons_of(outcome):
        for concern in _concerning(reason.concerns, id_):
            if reason.rule not in rules[concern.state]:
                rules[concern.state].append(reason.rule)
    for state, names in rules.items():
        yield f"{_STATES[state]}, rule {', '.join(f'`{name}`' for name in names)}"
    yield from _moved(outcome, id_, {_STATES[state] for state in rules})
    for applied in outcome.exempted:
        if applied.exemption.id == id_:
            entry = applied.exemption
            yield f"left out by the exemption of {entry.owner} until {entry.expires.isoformat()}"
    if not rules and any(_concerning(outcome.disclosed, id_)):
        yield "learned since base was recorded, and not of the change"


def _moved(outcome: Outcome, id_: str, told: set[str]) -> Iterator[str]:
    """The packages that brought or resolved it, where no reason has told so."""
    for group in group_packages(outcome.packages):
        name = f"{group.source}, {_versions(group.base)} in base and {_versions(group.head)} in head"
        for word, ids in (("introduced", group.introduces), ("resolved", group.resolves)):
            if id_ in ids and word not in told:
                yield f"{word} by {name}"


def _versions(versions: tuple[str, ...]) -> str:
    return " and ".join(versions) or "nothing"


def _concerning(concerns: Iterable[Concern], id_: str) -> Iterator[Concern]:
    return (concern for concern in concerns if id_ in (concern.id, concern.renamed_from))


def load_decision(journal: Journal, digest: Digest) -> Decision:
    """A recorded decision, or RepositoryError when its evidence is gone or not what it should be."""
    try:
        return parse_decision(journal.evidence.get(digest))
    except msgspec.DecodeError as error:
        raise RepositoryError(
            f"{journal.evidence.path(digest)}: not a decision that this version reads: {error}",
            hint="It was written by another version, or is evidence of another kind.",
        ) from error
