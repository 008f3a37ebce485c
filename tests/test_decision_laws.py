"""The laws of DESIGN §12 that the gate has to keep."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hullmark.decision import (
    Absence,
    CanaryResult,
    GateInputs,
    Kev,
    KevState,
    Missing,
    Seen,
    SmokeResult,
    Touch,
    Touched,
    Unusable,
    decide,
    decide_with_evidence,
    format_decision,
    parse_decision,
    restore,
)
from hullmark.decision.inputs import Age, key_of
from hullmark.errors import RepositoryError
from hullmark.finding import Severity
from hullmark.policy import Preset, Verdict, parse_policy, preset
from hullmark.scan import Gap, GapReason, Note, NoteReason
from tests.gates import (
    DATABASE,
    DEBIAN,
    TODAY,
    content,
    exemption,
    finding,
    gate,
    image,
    npm,
    package_of,
    side,
)
from tests.strategies import finding_sets

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from hullmark.decision import ImageInputs, Side
    from hullmark.finding import Finding
    from hullmark.policy import Policy

change = msgspec.structs.replace
presets = st.sampled_from(list(Preset)).map(preset)
OWN = parse_policy(
    b"""preset = "strict"
    [[rules]]
    name = "old-and-fixable"
    verdict = "block"
    when.some = { state = "present", at_least = "MEDIUM", fix_age = 30 }
    """,
    file="policy.toml",
)


def changed(base: tuple[Finding, ...], head: tuple[Finding, ...], **fields: Any) -> ImageInputs:  # noqa: ANN401
    """An image whose packages are the same in base and head."""
    packages = tuple(map(package_of, (*base, *head)))
    return image(side(*base, packages=packages), side(*head, packages=packages), **fields)


@st.composite
def gates(draw: st.DrawFn) -> GateInputs:
    """A change to two images, with a little of everything."""
    images = []
    for name in ("app", "other"):
        base, head, recorded = draw(finding_sets), draw(finding_sets), draw(st.none() | finding_sets)
        ages = tuple(Age(key=key_of(one), first_seen=TODAY, fix_since=TODAY) for one in base)
        images.append(changed(base, head, name=name, recorded=recorded, ages=ages))
    ids = st.lists(st.sampled_from(["CVE-2026-1", "CVE-2026-2", "GHSA-aaaa"]), max_size=2)
    return gate(
        *images,
        policy=draw(presets | st.just(OWN)),
        exemptions=tuple(exemption(id_, package="") for id_ in draw(ids)),
        added_exemptions=tuple(exemption(id_, package="") for id_ in draw(ids)),
        kev=Kev(state=draw(st.sampled_from(list(KevState))), ids=tuple(draw(ids))),
        touched=tuple(draw(st.lists(st.builds(Touch, st.sampled_from(list(Touched)), st.just("x"))))),
        canary=draw(st.sampled_from(list(CanaryResult))),
    )


@settings(max_examples=40)
@given(gates())
def test_replaying_a_decision_from_its_evidence_gives_the_same_bytes(inputs: GateInputs) -> None:
    """Law 4: replaying a decision from its evidence gives the same verdict and reasons; the same bytes."""
    decision, evidence = decide_with_evidence(inputs)
    data = format_decision(decision)
    kept = parse_decision(data)

    assert kept == decision
    assert format_decision(decide(restore(kept.inputs, evidence.__getitem__))) == data
    assert all(f"sha256:{sha256(part).hexdigest()}" == digest for digest, part in evidence.items())


def test_evidence_that_is_something_else_is_refused() -> None:
    decision = decide(gate(changed((), ())))

    with pytest.raises(RepositoryError, match="is not what the decision says"):
        restore(decision.inputs, lambda _: b'{"not": "it"}')


@settings(max_examples=150)
@given(finding_sets, finding_sets, finding_sets, presets)
def test_more_findings_never_turn_block_into_allow_and_fewer_never_allow_into_block(
    base: tuple[Finding, ...], head: tuple[Finding, ...], more: tuple[Finding, ...], policy: Policy
) -> None:
    """Law 5: with packages and coverage equal, more findings in head never turn `block` into `allow`."""
    known = {one.identity for one in head}
    larger = (*head, *(one for one in more if one.identity not in known))
    packages = tuple(map(package_of, (*base, *larger)))

    def verdict(findings: tuple[Finding, ...]) -> Verdict:
        sides = side(*base, packages=packages), side(*findings, packages=packages)
        return decide(gate(image(*sides), policy=policy)).verdict

    few, many = verdict(head), verdict(larger)
    assert (few, many) != (Verdict.BLOCK, Verdict.ALLOW)
    assert policy.name != "ratchet" or few.rank <= many.rank


@given(
    finding_sets, st.none() | finding_sets, presets, st.sampled_from([(), (Gap(GapReason.NO_JAVA_DATABASE),)])
)
def test_comparing_an_image_with_itself_never_blocks(
    findings: tuple[Finding, ...],
    recorded: tuple[Finding, ...] | None,
    policy: Policy,
    gaps: tuple[Gap, ...],
) -> None:
    """Law 6: comparing an image with itself, under any two databases that pass the canary, never blocks."""
    same = side(*findings, coverage=change(DEBIAN, gaps=gaps))

    assert decide(gate(image(same, same, recorded=recorded), policy=policy)).verdict is not Verdict.BLOCK


GOOD = finding("CVE-1", Severity.MEDIUM)


def good_side(**fields: Any) -> Side:  # noqa: ANN401 - fields of the side
    return change(side(packages=[package_of(GOOD)]), **fields)


def _head(**fields: Any) -> Callable[[ImageInputs, dict[str, Any]], ImageInputs]:  # noqa: ANN401
    def take(one: ImageInputs, _: dict[str, Any]) -> ImageInputs:
        return one if isinstance(one.head, Missing) else change(one, head=change(one.head, **fields))

    return take


def _image(**fields: Any) -> Callable[[ImageInputs, dict[str, Any]], ImageInputs]:  # noqa: ANN401
    return lambda one, _: change(one, **fields)


def _gate(**fields: Any) -> Callable[[ImageInputs, dict[str, Any]], ImageInputs]:  # noqa: ANN401
    def take(one: ImageInputs, gate_fields: dict[str, Any]) -> ImageInputs:
        gate_fields.update(fields)
        return one

    return take


def _blind_base(one: ImageInputs, _: dict[str, Any]) -> ImageInputs:
    coverage = change(DEBIAN, gaps=(Gap(GapReason.NO_JAVA_DATABASE),))
    return one if isinstance(one.base, Missing) else change(one, base=change(one.base, coverage=coverage))


LOSSES = {
    "head was not built": _image(head=Missing(reason=Absence.NOT_BUILT)),
    "head was not scanned": _image(head=Missing(reason=Absence.NOT_SCANNED)),
    "there is no base": _image(base=Missing(reason=Absence.NEVER_RECORDED)),
    "the smoke test failed": _image(smoke=SmokeResult.FAILED),
    "the smoke test was not run": _image(smoke=SmokeResult.NOT_RUN),
    "the files were not seen": _head(unowned_elf=None),
    "head is an SBOM": _head(seen=Seen.SBOM),
    "head has no packages": _head(packages=()),
    "head has a gap": _head(coverage=change(DEBIAN, gaps=(Gap(GapReason.EMPTY_RESULTS),))),
    "head has no operating system": _head(coverage=change(DEBIAN, system=None)),
    "head gets no more advisories": _head(coverage=change(DEBIAN, notes=(Note(NoteReason.END_OF_LIFE),))),
    "base has a gap": _blind_base,
    "the canary is wrong": _gate(canary=CanaryResult.WRONG),
    "the canary was skipped": _gate(canary=CanaryResult.SKIPPED),
    "the policy cannot be read": _gate(policy=Unusable("hullmark.toml", "not TOML")),
    "the exemptions cannot be read": _gate(unusable=(Unusable("exemptions.toml", "not TOML"),)),
    "the database is old": _gate(database=change(DATABASE, updated_at="2026-01-01T00:00:00Z")),
    "the feed is stale": _gate(kev=Kev(state=KevState.STALE)),
    "a platform is missing": _gate(expected=("app linux/amd64", "app linux/arm64")),
}


def test_with_all_its_evidence_the_change_is_allowed() -> None:
    assert decide(gate(image(side(GOOD), good_side()))).verdict is Verdict.ALLOW


@given(st.sets(st.sampled_from(sorted(LOSSES)), min_size=1), presets)
def test_missing_evidence_never_yields_allow(losses: set[str], policy: Policy) -> None:
    """Law 7: missing evidence never yields `allow`, "better", a closed issue or a lower risk."""
    one, fields = image(side(GOOD), good_side()), {"policy": policy}
    for loss in sorted(losses):
        one = LOSSES[loss](one, fields)

    assert decide(gate(one, **fields)).verdict is not Verdict.ALLOW


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("name", list(Preset))
def test_each_missing_piece_of_evidence_alone_never_yields_allow(loss: str, name: Preset) -> None:
    """Law 7, one by one."""
    fields: dict[str, Any] = {"policy": preset(name)}
    one = LOSSES[loss](image(side(GOOD), good_side()), fields)

    assert decide(gate(one, **fields)).verdict is not Verdict.ALLOW


def test_an_age_that_nobody_recorded_never_passes_a_rule_that_asks_for_it() -> None:
    fixable = finding("CVE-2", Severity.MEDIUM, fixed="2.0")
    one = changed((GOOD, fixable), (fixable,))
    recent = Age(key=key_of(fixable), first_seen=TODAY, fix_since=TODAY)

    assert [reason.rule for reason in decide(gate(one, policy=OWN)).deciding] == ["age-unknown"]
    assert decide(gate(change(one, ages=(recent,)), policy=OWN)).verdict is Verdict.ALLOW


@settings(max_examples=40)
@given(gates(), st.randoms())
def test_order_of_findings_reports_and_images_never_changes_an_output_byte(
    inputs: GateInputs, random: Random
) -> None:
    """Law 8: order of findings, reports and images never changes an output byte."""

    def shuffled(values: tuple[Any, ...]) -> tuple[Any, ...]:
        copy = list(values)
        random.shuffle(copy)
        return tuple(copy)

    def mixed(one: Any) -> Any:  # noqa: ANN401 - a side or an image
        names = set(one.__struct_fields__) & {"findings", "packages", "ages", "recorded", "recorded_packages"}
        return change(
            one, **{name: shuffled(getattr(one, name) or ()) or getattr(one, name) for name in names}
        )

    images = tuple(mixed(change(one, base=mixed(one.base), head=mixed(one.head))) for one in inputs.images)
    mixture = change(
        inputs,
        images=shuffled(images),
        exemptions=shuffled(inputs.exemptions),
        added_exemptions=shuffled(inputs.added_exemptions),
        touched=shuffled(inputs.touched),
        expected=shuffled(inputs.expected),
        kev=change(inputs.kev, ids=shuffled(inputs.kev.ids)),
    )

    assert content(mixture) == content(inputs)


def test_the_same_findings_twice_are_the_same_findings() -> None:
    one = npm("CVE-1", Severity.HIGH, "app/a")

    assert content(gate(changed((), (one, one)))) == content(gate(changed((), (one,))))
