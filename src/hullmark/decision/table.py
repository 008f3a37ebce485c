"""Read a table of rules: which match, and which vulnerabilities make them match."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - NamedTuple fields
from datetime import date  # noqa: TC003 - NamedTuple fields
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from hullmark.decision.concern import Comparison, Concern  # noqa: TC001 - NamedTuple fields
from hullmark.decision.facts import Facts  # noqa: TC001 - NamedTuple fields
from hullmark.decision.inputs import Age, Key  # noqa: TC001 - NamedTuple fields
from hullmark.finding import Cause, Kind
from hullmark.policy import Rule, Selector, State, Trend, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class View(NamedTuple):
    """What rules can ask about one image, or about the change as a whole."""

    facts: Facts
    comparison: Comparison | None
    today: date
    kev: frozenset[str]
    ages: Mapping[Key, Age]


class Hit(NamedTuple):
    """A rule that matches."""

    rule: Rule
    concerns: tuple[Concern, ...]
    details: tuple[str, ...]


class Reading(NamedTuple):
    """What a table says: nothing where `hits` is empty."""

    hits: tuple[Hit, ...]
    """Every rule that matches and has the verdict of the first that does."""
    later: tuple[Hit, ...]
    """The other rules that match."""
    unsure: tuple[Concern, ...]
    """Vulnerabilities whose unknown age keeps a rule above from being answered."""

    @property
    def verdict(self) -> Verdict | None:
        """The verdict of the first rule that matches."""
        return self.hits[0].rule.verdict if self.hits else None


def read_table(rules: Sequence[Rule], view: View) -> Reading:
    """Read `rules` from the top: the first that matches gives the verdict."""
    hits: list[Hit] = []
    unsure: set[Concern] = set()
    for rule in rules:
        hit, doubts = _evaluate(rule, view)
        if hit is not None:
            hits.append(hit)
        elif not hits:
            unsure.update(doubts)
    first = hits[0].rule.verdict if hits else None
    return Reading(
        tuple(hit for hit in hits if hit.rule.verdict is first),
        tuple(hit for hit in hits if hit.rule.verdict is not first),
        tuple(unsure),
    )


def _evaluate(rule: Rule, view: View) -> tuple[Hit | None, tuple[Concern, ...]]:
    """The hit, if `rule` matches; else the vulnerabilities that might make it match."""
    when = rule.when
    if not _may_match(rule, view):
        return None, ()
    details = view.facts[when.fact] if when.fact else ()
    if when.some is None:
        return Hit(rule, _explaining(rule, view.comparison), details), ()
    sure, unsure = select(when.some, view)
    if sure:
        return Hit(rule, sure, details), ()
    return None, unsure if rule.verdict is not Verdict.ALLOW else ()


def _may_match(rule: Rule, view: View) -> bool:
    """Whether every condition but `some` holds."""
    when, comparison = rule.when, view.comparison
    if when.fact is not None and when.fact not in view.facts:
        return False
    if not when.compares:
        return True
    return (
        comparison is not None
        and _moves(when.relevant, comparison.relevant)
        and when.differs in (None, comparison.differs)
        and (when.none is None or _is_none(when.none, view, lenient=rule.verdict is not Verdict.ALLOW))
    )


def _moves(trend: Trend | None, rise: int) -> bool:
    match trend:
        case None:
            return True
        case Trend.RISES:
            return rise > 0
        case Trend.FALLS:
            return rise < 0
        case Trend.DOES_NOT_RISE:
            return rise <= 0
        case Trend.DOES_NOT_FALL:
            return rise >= 0


def _is_none(selector: Selector, view: View, *, lenient: bool) -> bool:
    """Whether nothing is so; what allows a change must be sure of it."""
    sure, unsure = select(selector, view)
    return not sure and (lenient or not unsure)


def _explaining(rule: Rule, comparison: Comparison | None) -> tuple[Concern, ...]:
    """The vulnerabilities that explain a rule which asks for none in particular."""
    if comparison is None:
        return ()
    if rule.when.relevant in (Trend.RISES, Trend.FALLS):
        rises = rule.when.relevant is Trend.RISES
        return tuple(concern for concern in comparison.concerns if _shift(concern) == (1 if rises else -1))
    if rule.when.relevant is not None or rule.when.differs:
        return tuple(
            concern
            for concern in comparison.concerns
            if concern.differs and concern.kind is Kind.VULNERABILITY
        )
    return ()


def _shift(concern: Concern) -> int:
    """1 where a vulnerability becomes relevant, -1 where it ceases to be, else 0."""
    if concern.kind is not Kind.VULNERABILITY:
        return 0
    was = concern.was is not None and concern.was.is_relevant
    return (concern.state is not State.RESOLVED and concern.severity.is_relevant) - was


class _Answer(Enum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


def select(selector: Selector, view: View) -> tuple[tuple[Concern, ...], tuple[Concern, ...]]:
    """The vulnerabilities that are so, and those of which an unknown age keeps us from saying it."""
    candidates = [concern for concern in _in_state(selector, view) if _fits(selector, concern, view.kev)]
    answers = [(_is_old_enough(selector, concern, view), concern) for concern in candidates]
    return _pick(answers, _Answer.YES), _pick(answers, _Answer.UNKNOWN)


def _pick(answers: Iterable[tuple[_Answer, Concern]], wanted: _Answer) -> tuple[Concern, ...]:
    return tuple(concern for answer, concern in answers if answer is wanted)


def _fits(selector: Selector, concern: Concern, kev: frozenset[str]) -> bool:
    least = selector.at_least
    return (
        (not selector.severity or concern.severity in selector.severity)
        and (least is None or concern.severity.rank >= least.rank)
        and (selector.fix is None or selector.fix is bool(concern.fixed))
        and (selector.kind is None or selector.kind is concern.kind)
        and (selector.kev is None or selector.kev is not kev.isdisjoint({concern.id, concern.renamed_from}))
        and (not selector.package or _is_in_package(selector.package, concern))
    )


def _in_state(selector: Selector, view: View) -> Iterable[Concern]:
    """The vulnerabilities that are where `selector` says, for the cause that it names."""
    if view.comparison is None:
        return ()
    if selector.cause in (Cause.DATABASE, Cause.RATING):
        concerns = view.comparison.concerns
        return (concern for concern in concerns if concern.disclosed is selector.cause)
    concerns = view.comparison.by_state[selector.state]
    if selector.state in (State.PRESENT, State.PERSISTING):
        return concerns
    return (concern for concern in concerns if concern.cause is selector.cause)


def _is_in_package(pattern: str, concern: Concern) -> bool:
    names = {concern.source, *(place.package for place in concern.places)}
    if concern.kind is not Kind.VULNERABILITY:
        names.add(concern.path)
    return any(fnmatchcase(name, pattern) for name in names)


def _is_old_enough(selector: Selector, concern: Concern, view: View) -> _Answer:
    known = view.ages.get(concern.key)
    first = known.first_seen if known else None
    fix = known.fix_since if known else None
    answers = [
        _is_since(selector.age, first, concern, view.today),
        _is_since(selector.fix_age, fix, concern, view.today) if concern.fixed else _Answer.NO,
    ]
    asked = [answer for answer, days in zip(answers, (selector.age, selector.fix_age), strict=True) if days]
    for answer in (_Answer.NO, _Answer.UNKNOWN):
        if answer in asked:
            return answer
    return _Answer.YES


def _is_since(days: int | None, since: date | None, concern: Concern, today: date) -> _Answer:
    """Whether something has been so for `days`. What the change itself brings begins today."""
    if since is None:
        is_new = concern.state is State.INTRODUCED and concern.cause is Cause.IMAGE
        return _Answer.NO if is_new else _Answer.UNKNOWN
    return _Answer.YES if (today - since).days >= (days or 0) else _Answer.NO
