"""Decide: inputs in, decision out. No clock, no file, no network.

Rules (DESIGN §5; each has a test with the same words):
- for each image the first matching rule gives the verdict; every matching one of that verdict is a reason;
- exemptions that the change adds turn a block into a review when they cover all that causes it;
- what judges is about the change as a whole, and votes beside the images;
- an image whose inputs are unchanged, or of which nothing differs, does not vote;
- the worst vote wins, and where nobody votes a person looks;
- missing evidence never yields `allow`;
- the order of inputs never changes a byte.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from hullmark import __version__
from hullmark.decision.comparison import compare_image
from hullmark.decision.concern import Comparison, Concern, worst_first
from hullmark.decision.facts import Facts, change_facts, image_facts
from hullmark.decision.inputs import Age, GateInputs, ImageInputs, Key, Missing, Unusable, arranged
from hullmark.decision.packages import PackageChange, compare_packages
from hullmark.decision.record import record
from hullmark.decision.result import Decision, Outcome, Reason, Silence
from hullmark.decision.table import Hit, View, read_table
from hullmark.exemptions import applies_to, is_complete, names
from hullmark.policy import Fact, Policy, Remedy, Verdict, ground_policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from hullmark.exemptions import Exemption
    from hullmark.image import Digest


class _Bench(NamedTuple):
    """What every image is judged with."""

    inputs: GateInputs
    policy: Policy
    today: date
    kev: frozenset[str]
    added: tuple[Exemption, ...]
    """Complete exemptions that the change adds."""
    order: Mapping[str, int]
    """The place of each rule."""

    def place(self, reason: Reason) -> tuple[int, int, str, str]:
        """The order of reasons: the worst first, by rule, by image."""
        return -reason.verdict.rank, self.order[reason.rule], reason.image, reason.platform


def decide(inputs: GateInputs) -> Decision:
    """Judge one change. Equal inputs, in whatever order, give equal bytes."""
    decision, _ = decide_with_evidence(inputs)
    return decision


def decide_with_evidence(inputs: GateInputs) -> tuple[Decision, dict[Digest, bytes]]:
    """Judge one change; also return the evidence that the decision names, for `record.restore`."""
    inputs = arranged(inputs)
    bench = _bench(inputs)
    reasons = _judge_change(bench)
    outcomes = []
    for image in inputs.images:
        outcome, why = _judge_image(image, bench)
        outcomes.append(outcome)
        reasons += why
    reasons = reasons or _nothing_changed(bench)
    kept, evidence = record(inputs)
    decision = Decision(
        verdict=worst(reason.verdict for reason in reasons),
        reasons=tuple(sorted(reasons, key=bench.place)),
        policy=bench.policy.name,
        outcomes=tuple(outcomes),
        inputs=kept,
        hullmark=__version__,
    )
    return decision, evidence


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of `verdicts`, of which there is at least one."""
    return max(verdicts, key=lambda verdict: verdict.rank)


def _bench(inputs: GateInputs) -> _Bench:
    policy = ground_policy() if isinstance(inputs.policy, Unusable) else inputs.policy
    today = inputs.now.astimezone(UTC).date()
    images = {image.image for image in inputs.images}
    return _Bench(
        inputs=inputs,
        policy=policy,
        today=today,
        kev=frozenset(inputs.kev.ids),
        added=tuple(e for e in inputs.added_exemptions if is_complete(e, today, images)),
        order={
            rule.name: place
            for place, rule in enumerate((*policy.ground, *policy.rules, *policy.extra, *policy.caps))
        },
    )


def _judge_change(bench: _Bench) -> list[Reason]:
    """What is true of the change as a whole votes beside the images."""
    view = View(change_facts(bench.inputs), None, bench.today, bench.kev, {})
    reasons: list[Reason] = []
    for rules in (bench.policy.ground, bench.policy.rules, bench.policy.extra):
        reading = read_table(rules, view)
        # Whatever the verdict: an edited policy is worth saying beside a wrong canary.
        reasons += [_reason(hit) for hit in (*reading.hits, *reading.later)]
    return [reason for reason in reasons if reason.verdict is not Verdict.ALLOW]


def _nothing_changed(bench: _Bench) -> list[Reason]:
    facts: Facts = {Fact.NOTHING_CHANGED: ()}
    reading = read_table(bench.policy.ground, View(facts, None, bench.today, bench.kev, {}))
    return [_reason(hit) for hit in reading.hits]


def _judge_image(image: ImageInputs, bench: _Bench) -> tuple[Outcome, list[Reason]]:
    facts = image_facts(image, bench.inputs.canary)
    is_judged = not image.unchanged and Fact.NO_BASE not in facts and Fact.RETIRED not in facts
    comparison = compare_image(image, bench.inputs.exemptions, bench.today) if is_judged else None
    reasons = _vote(image, facts, comparison, bench)
    silence = Silence.INPUTS_UNCHANGED if image.unchanged else Silence.NOTHING_DIFFERS
    outcome = Outcome(
        image=image.image,
        platform=image.platform,
        verdict=reasons[0].verdict if reasons else None,
        silence=None if reasons else silence,
        notes=tuple(sorted(facts.keys() & {rule.when.fact for rule in bench.policy.caps})),
    )
    if comparison is not None:
        outcome = replace(
            outcome,
            before=comparison.before,
            after=comparison.after,
            findings_before=comparison.findings_before,
            findings_after=comparison.findings_after,
            others=comparison.others,
            exempted=comparison.exempted,
            expired=comparison.expired,
            disclosed=tuple(concern for concern in comparison.concerns if concern.disclosed),
            now_fixable=tuple(concern for concern in comparison.concerns if concern.now_fixable),
            drift=comparison.drift,
            packages=_package_changes(image, comparison),
        )
    return outcome, reasons


def _package_changes(image: ImageInputs, comparison: Comparison) -> tuple[PackageChange, ...]:
    if isinstance(image.base, Missing) or isinstance(image.head, Missing):
        return ()
    return compare_packages(image.base.packages, image.head.packages, comparison.concerns)


def _vote(image: ImageInputs, facts: Facts, comparison: Comparison | None, bench: _Bench) -> list[Reason]:
    """The worst verdict of all tables about one image, with every reason for it; none if it does not vote."""
    view = View(facts, comparison, bench.today, bench.kev, _ages(image.ages))
    hits: list[Hit] = []
    found: Facts = {}
    for rules in (bench.policy.rules, bench.policy.extra):
        reading = read_table(rules, view)
        if reading.verdict is Verdict.BLOCK and (covered := _covered(reading.hits, image, comparison, bench)):
            # DESIGN §5, third row: a review above the rows that block.
            found[Fact.EXEMPTED_BY_CHANGE] = _ids(covered)
            hits += [hit for hit in reading.later if hit.rule.verdict is Verdict.REVIEW]
        else:
            hits += reading.hits
        if reading.unsure:
            found[Fact.AGE_UNKNOWN] = _ids(reading.unsure)
    if comparison is not None and comparison.unjudged and not hits and not found:
        found[Fact.UNJUDGED] = _ids(comparison.unjudged)
    hits += read_table(bench.policy.ground, view._replace(facts=facts | found)).hits
    if hits and worst(hit.rule.verdict for hit in hits) is Verdict.ALLOW:
        hits += read_table(bench.policy.caps, view).hits
    verdict = worst(hit.rule.verdict for hit in hits) if hits else None
    return [_reason(hit, image) for hit in hits if hit.rule.verdict is verdict]


def _covered(
    hits: tuple[Hit, ...], image: ImageInputs, comparison: Comparison | None, bench: _Bench
) -> tuple[Concern, ...]:
    """All vulnerabilities that block, if exemptions which the change adds cover every one; else none."""
    if comparison is None or not all(hit.concerns for hit in hits):
        return ()
    concerns = {concern for hit in hits for concern in hit.concerns}
    added = [entry for entry in bench.added if applies_to(entry, image.image)]
    for concern in concerns:
        findings = comparison.findings.get(concern.key, ())
        if not findings or not all(any(names(entry, finding) for entry in added) for finding in findings):
            return ()
    return tuple(concerns)


def _ids(concerns: Iterable[Concern]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(concern.id for concern in sorted(concerns, key=worst_first)))


def _ages(ages: Iterable[Age]) -> dict[Key, Age]:
    """One age for each vulnerability: the longest, where a ledger gives several."""
    return {age.key: age for age in sorted(ages, key=lambda age: age.first_seen, reverse=True)}


def _reason(hit: Hit, image: ImageInputs | None = None) -> Reason:
    return Reason(
        rule=hit.rule.name,
        verdict=hit.rule.verdict,
        image=image.image if image else "",
        platform=image.platform if image else "",
        concerns=hit.concerns,
        details=hit.details,
        remedies=tuple(remedy for remedy in hit.rule.remedies if _helps(remedy, hit.concerns)),
    )


def _helps(remedy: Remedy, concerns: tuple[Concern, ...]) -> bool:
    """Whether `remedy` can be had for at least one of `concerns`."""
    if not concerns:
        return True
    if remedy is Remedy.UPGRADE:
        return any(concern.fixed for concern in concerns)
    if remedy is Remedy.KEEP_BASE_VERSION:
        return any(place.base and place.base != place.head for c in concerns for place in c.places)
    return True
