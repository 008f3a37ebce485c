"""A decision as an in-toto statement with SLSA's verification summary."""
# ruff: noqa: ANN401 - JSON

from __future__ import annotations

import json
from typing import Any

import pytest

from hullmark.decision import Decision, decide
from hullmark.finding import Severity
from hullmark.formats.attestation import PREDICATE, STATEMENT, render_vsa
from hullmark.policy import Verdict
from tests.gates import NEVER, NOT_BUILT, NOW, finding, gate, image, package_of, side
from tests.values import digest_of

DIGEST = digest_of("decision")
ALLOWED = decide(gate(image(side(finding(severity=Severity.MEDIUM)), side(packages=[package_of(finding())]))))


def statement(decision: Decision) -> Any:
    return json.loads(render_vsa(decision, digest=DIGEST))


def test_an_allowed_change_is_passed_with_everything_named_by_digest() -> None:
    document = statement(ALLOWED)
    summary = document["predicate"]

    assert (document["_type"], document["predicateType"]) == (STATEMENT, PREDICATE)
    assert document["subject"] == [
        {"name": "app linux/amd64", "digest": {"sha256": digest_of("image").removeprefix("sha256:")}}
    ]
    assert (summary["verificationResult"], summary["verifiedLevels"]) == ("PASSED", ["HULLMARK_STRICT"])
    assert summary["timeVerified"] == NOW.isoformat().replace("+00:00", "Z")
    assert summary["policy"]["digest"] == {"sha256": str(ALLOWED.inputs.policy).removeprefix("sha256:")}
    assert [one["uri"] for one in summary["inputAttestations"]] == [
        "urn:hullmark:decision",
        "urn:hullmark:sbom:base:app:linux/amd64",
        "urn:hullmark:sbom:head:app:linux/amd64",
    ]


@pytest.mark.parametrize(
    ("decision", "verdict"),
    [
        (decide(gate(image(side(), side()))), Verdict.REVIEW),
        (decide(gate(image(side(), side(finding(severity=Severity.CRITICAL))))), Verdict.BLOCK),
        (decide(gate(image(NEVER, side()))), Verdict.REVIEW),
    ],
)
def test_only_allow_is_passed(decision: Decision, verdict: Verdict) -> None:
    summary = statement(decision)["predicate"]

    assert (summary["verificationResult"], summary["verifiedLevels"]) == ("FAILED", [])
    assert summary["hullmark"]["verdict"] == verdict.value


def test_where_head_is_missing_the_decision_itself_is_the_subject() -> None:
    document = statement(decide(gate(image(side(), NOT_BUILT))))

    assert document["subject"] == [{"name": "decision", "digest": {"sha256": DIGEST.removeprefix("sha256:")}}]
