"""A recorded decision, made again from its evidence."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from hullmark.bundle import format_bundle, read_bundle
from hullmark.decision import Decision, GateInputs, decide_with_evidence, format_decision, parse_decision
from hullmark.errors import InputError, RepositoryError
from hullmark.finding import Severity
from hullmark.image import Digest
from hullmark.policy import Verdict
from hullmark.replay import Agreement, replay
from tests.gates import finding, gate, image, side
from tests.test_decision_laws import gates

if TYPE_CHECKING:
    from collections.abc import Callable

change = msgspec.structs.replace
SBOM = b'{"bomFormat": "CycloneDX"}'
"""What an SBOM says is asked when it is matched again, and not before."""


def digest(content: bytes) -> Digest:
    return Digest(f"sha256:{sha256(content).hexdigest()}")


WORSE = gate(
    image(
        change(side(), sbom=digest(SBOM)),
        change(side(finding(severity=Severity.CRITICAL)), sbom=digest(SBOM)),
    )
)


class Store:
    """Evidence of one decision, of which parts can be lost."""

    def __init__(self, inputs: GateInputs, edit: Callable[[Decision], Decision] = lambda one: one) -> None:
        decision, self.contents = decide_with_evidence(inputs)
        for one in decision.inputs.images:
            for part in (one.base, one.head):
                if hasattr(part, "sbom"):
                    self.contents[part.sbom] = SBOM
        self.decision = edit(decision)
        self.content = format_decision(self.decision)
        self.contents[digest(self.content)] = self.content

    def load(self, name: Digest) -> bytes:
        if name not in self.contents:
            raise RepositoryError(f"{name}: evidence is missing")
        return self.contents[name]

    def replay(self) -> Agreement:
        return replay(digest(self.content), self.load).agreement


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(gates())
def test_under_the_version_that_decided_the_same_inputs_give_the_same_bytes(inputs: GateInputs) -> None:
    assert Store(inputs).replay() is Agreement.SAME_BYTES


def test_under_another_version_verdict_and_reasons_are_compared() -> None:
    assert Store(WORSE, lambda one: change(one, hullmark="0.0.9")).replay() is Agreement.SAME_VERDICT


def test_under_another_version_the_difference_is_named() -> None:
    def edit(one: Decision) -> Decision:
        reasons = (change(one.reasons[0], rule="some-old-rule", verdict=Verdict.REVIEW), *one.reasons[1:])
        return change(one, hullmark="0.0.9", verdict=Verdict.REVIEW, reasons=reasons)

    store = Store(WORSE, edit)
    found = replay(digest(store.content), store.load)

    assert (found.agreement, found.recorded_by, found.verdict) == (
        Agreement.DIFFERENT,
        "0.0.9",
        Verdict.REVIEW,
    )
    assert found.differences == (
        "the verdict was review, and is block",
        "`introduces-critical` is a reason for app linux/amd64, and was none",
        "`some-old-rule` was a reason for app linux/amd64, and is none",
    )


def test_an_edited_decision_is_not_the_same_under_its_own_version() -> None:
    store = Store(WORSE, lambda one: change(one, policy="another"))
    found = replay(digest(store.content), store.load)

    assert (found.agreement, found.is_same_version) == (Agreement.DIFFERENT, True)
    assert "other bytes" in found.differences[0]


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ("findings", "the findings of head of app linux/amd64"),
        ("packages", "the packages of head of app linux/amd64"),
        ("sbom", "the SBOM of base of app linux/amd64"),
    ],
)
def test_when_inputs_are_gone_it_says_which_and_nothing_is_concluded(part: str, what: str) -> None:
    store = Store(WORSE)
    image_ = store.decision.inputs.images[0]
    del store.contents[getattr(image_.base if part == "sbom" else image_.head, part)]
    found = replay(digest(store.content), store.load)

    assert found.agreement is Agreement.INPUTS_GONE
    assert any(line.startswith(f"{what}: ") for line in found.gone)


def test_what_is_no_decision_is_refused() -> None:
    store = Store(WORSE)
    with pytest.raises(RepositoryError, match="is no decision that this version reads"):
        replay(digest(b"[]"), {**store.contents, digest(b"[]"): b"[]"}.__getitem__)


def bundle_of(store: Store) -> bytes:
    return format_bundle(store.content, store.decision, store.load)


def test_a_bundle_is_read_back_as_it_was() -> None:
    store = Store(WORSE)
    bundle = read_bundle(bundle_of(store), file="bundle.json")

    assert (bundle.decision, bundle.content) == (parse_decision(store.content), store.content)
    assert {**bundle.evidence, bundle.digest: bundle.content} == store.contents
    assert replay(bundle.digest, bundle.load).agreement is Agreement.SAME_BYTES


def test_reading_a_bundle_checks_every_digest() -> None:
    data = bundle_of(Store(WORSE)).replace(b"libxml2", b"libxml3")

    with pytest.raises(InputError, match=r"evidence\.sha256:[0-9a-f]+: holds other content"):
        read_bundle(data, file="bundle.json")


def test_a_bundle_that_lacks_evidence_which_its_decision_names_is_refused() -> None:
    store = Store(WORSE)
    document = msgspec.json.decode(bundle_of(store))
    del document["evidence"][store.decision.inputs.exemptions]
    # The exemptions of base and those that the change adds are the same empty list.
    with pytest.raises(InputError, match="lacks the exemptions"):
        read_bundle(msgspec.json.encode(document), file="bundle.json")


@pytest.mark.parametrize("data", [b"", b"{}", b'{"decision": "{}", "evidence": {}}', b"\xff"])
def test_what_is_no_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"bundle\.json: not a bundle of a decision"):
        read_bundle(data, file="bundle.json")
