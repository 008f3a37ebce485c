"""Find rules that can never do anything, and rules that contradict each other.

Rules (each has a test with the same words):
- a rule without a condition is refused: it would decide everything;
- a rule whose conditions exclude each other can never match;
- a rule below one that matches whenever it does, with another verdict, can never decide;
- two rules with the same conditions and different verdicts contradict each other;
- what the database disclosed or rated higher never blocks a change (DESIGN §4);
- beside a preset, a rule that allows could only make it more lenient;
- a table that never allows, reviews or blocks anything is empty, and an empty policy never passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hullmark.finding import Cause, Severity
from hullmark.policy.rule import Fact, Rule, Selector, State, Trend, Verdict, When

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ALL = tuple(Severity)
_GROUND_ONLY = frozenset({Fact.EXEMPTED_BY_CHANGE, Fact.UNJUDGED, Fact.NOTHING_CHANGED, Fact.AGE_UNKNOWN})
_JUDGED_CAUSES = (Cause.IMAGE, Cause.DATABASE, Cause.RATING, Cause.SCOPE)
_WIDER_TREND = {Trend.RISES: Trend.DOES_NOT_FALL, Trend.FALLS: Trend.DOES_NOT_RISE}


def faults(rules: Sequence[Rule], *, beside_preset: bool) -> Iterator[tuple[str, str]]:
    """Every fault of `rules`, as the key path below the policy and what is wrong."""
    names: dict[str, int] = {}
    for place, rule in enumerate(rules):
        key = f"rules[{place}]"
        if (twin := names.setdefault(rule.name, place)) != place:
            yield f"{key}.name", f"rules[{twin}] has the name `{rule.name}` too"
        for part, message in _of_rule(rule, beside_preset=beside_preset):
            yield f"{key}.{part}", message
        if (shadow := _shadow(rules[:place], rule)) is not None:
            yield key, shadow


def _of_rule(rule: Rule, *, beside_preset: bool) -> Iterator[tuple[str, str]]:
    when = rule.when
    if when.is_empty:
        yield "when", "expected at least one condition: fact, some, none, relevant or differs"
    if when.fact in _GROUND_ONLY:
        yield "when.fact", f"`{when.fact}` is found by Hullmark itself; a rule about it can never match"
    if beside_preset and rule.verdict is Verdict.ALLOW:
        yield "verdict", "rules beside a preset can only make it stricter: `review` or `block`"
    for name, selector in (("some", when.some), ("none", when.none)):
        if selector is not None:
            for key, message in _of_selector(selector, rule.verdict):
                yield f"when.{name}.{key}", message
    if when.differs is False and when.relevant in (Trend.RISES, Trend.FALLS):
        yield "when", "can never match: where no finding differs, nothing rises or falls"
    if when.differs is False and _is_change(when.some):
        yield "when", "can never match: where no finding differs, nothing is introduced or resolved"
    if when.some and when.none and covers(when.none, when.some):
        yield "when", "can never match: `none` excludes everything that `some` asks for"


def _is_change(selector: Selector | None) -> bool:
    return (
        selector is not None
        and selector.state in (State.INTRODUCED, State.RESOLVED)
        and selector.cause in (Cause.IMAGE, Cause.SCOPE)
    )


def _of_selector(selector: Selector, verdict: Verdict) -> Iterator[tuple[str, str]]:
    if selector.cause not in _JUDGED_CAUSES:
        known = ", ".join(f"`{cause.value}`" for cause in _JUDGED_CAUSES)
        yield "cause", f"`{selector.cause.value}` is never judged; known are {known}"
    if selector.cause is not Cause.IMAGE and selector.state is not State.INTRODUCED:
        yield "cause", f"can never match: only what is introduced can be of cause `{selector.cause.value}`"
    if selector.cause is not Cause.IMAGE and verdict is Verdict.BLOCK:
        yield "cause", "only what the change did may block it; use verdict `review`"
    if selector.at_least is not None and not selector.at_least.rank:
        yield "at_least", "UNKNOWN has no rank; use severity"
    elif selector.at_least and selector.severity and not _severities(selector):
        yield "severity", f"can never match: none of these is at least {selector.at_least.value}"
    if selector.fix is False and selector.fix_age is not None:
        yield "fix_age", "can never match: what has no fix has none for any time"
    if selector.age is not None and selector.state is State.INTRODUCED and selector.cause is not Cause.SCOPE:
        yield "age", "can never match: what is introduced is new"
    if selector.state is State.RESOLVED and (selector.age or selector.fix_age):
        yield "state", "can never match: ages are those of what is still there"


def _severities(selector: Selector) -> frozenset[str]:
    chosen = selector.severity or _ALL
    least = selector.at_least.rank if selector.at_least else -1
    return frozenset(severity.value for severity in chosen if severity.rank >= least)


def _shadow(above: Sequence[Rule], rule: Rule) -> str | None:
    """Why a rule above keeps `rule` from ever deciding, or None."""
    for other in above:
        if other.verdict is rule.verdict or not implies(rule.when, other.when):
            continue
        if other.when == rule.when:
            return f"contradicts `{other.name}`, which has the same conditions"
        return f"can never decide: `{other.name}` above it matches whenever it does"
    return None


def implies(narrow: When, wide: When) -> bool:
    """Whether `wide` surely holds where `narrow` does. False where that cannot be told."""
    return (
        wide.fact in (None, narrow.fact)
        and (wide.some is None or (narrow.some is not None and covers(wide.some, narrow.some)))
        and (wide.none is None or (narrow.none is not None and covers(narrow.none, wide.none)))
        and (
            wide.relevant in (None, narrow.relevant)
            or (narrow.relevant is not None and _WIDER_TREND.get(narrow.relevant) is wide.relevant)
        )
        and (
            wide.differs in (None, narrow.differs)
            or (
                wide.differs is True
                and (_is_change(narrow.some) or narrow.relevant in (Trend.RISES, Trend.FALLS))
            )
        )
    )


def covers(wide: Selector, narrow: Selector) -> bool:
    """Whether every vulnerability of `narrow` is one of `wide`. False where that cannot be told."""
    states = {wide.state, State.INTRODUCED, State.PERSISTING} if wide.state is State.PRESENT else {wide.state}
    return (
        narrow.state in states
        and (wide.cause is narrow.cause or wide.state is State.PRESENT)
        and _severities(narrow) <= _severities(wide)
        and wide.fix in (None, narrow.fix)
        and wide.kev in (None, narrow.kev)
        and wide.kind in (None, narrow.kind)
        and wide.package in ("", "*", narrow.package)
        and (wide.age is None or (narrow.age is not None and narrow.age >= wide.age))
        and (wide.fix_age is None or (narrow.fix_age is not None and narrow.fix_age >= wide.fix_age))
    )
