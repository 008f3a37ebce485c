"""A decision as an in-toto statement with SLSA's verification summary (in-toto Statement v1, SLSA VSA v1).

Rules (each has a test with the same words):
- only `allow` is PASSED: what a person must decide was not verified;
- the subjects are head's images by digest, and where there are none, the decision itself;
- the policy, the SBOMs and the decision are named by digest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

from hullmark.decision import Missing, Unusable
from hullmark.policy import Verdict

if TYPE_CHECKING:
    from hullmark.decision import Decision
    from hullmark.image import Digest

    Json: TypeAlias = dict[str, object]

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/verification_summary/v1"
VERIFIER = "urn:hullmark:gate"


def render_vsa(decision: Decision, *, digest: Digest) -> bytes:
    """The statement's bytes: what is signed, when somebody signs it."""
    passed = decision.verdict is Verdict.ALLOW
    statement: Json = {
        "_type": STATEMENT,
        "subject": _subjects(decision) or [{"name": "decision", "digest": _digest(digest)}],
        "predicateType": PREDICATE,
        "predicate": {
            "verifier": {"id": VERIFIER, "version": {"hullmark": decision.hullmark}},
            "timeVerified": decision.inputs.now.isoformat().replace("+00:00", "Z"),
            "resourceUri": f"urn:hullmark:decision:{digest}",
            "policy": _policy(decision),
            "inputAttestations": _inputs(decision, digest),
            "verificationResult": "PASSED" if passed else "FAILED",
            "verifiedLevels": [f"HULLMARK_{decision.policy.upper()}"] if passed else [],
            "hullmark": {"verdict": decision.verdict.value, "sample": decision.inputs.database.sample},
        },
    }
    return msgspec.json.format(msgspec.json.encode(statement, order="sorted"), indent=2) + b"\n"


def _subjects(decision: Decision) -> list[Json]:
    return [
        {"name": f"{image.image} {image.platform}", "digest": _digest(image.head.digest)}
        for image in decision.inputs.images
        if not isinstance(image.head, Missing)
    ]


def _policy(decision: Decision) -> Json:
    uri = f"urn:hullmark:policy:{decision.policy}"
    policy = decision.inputs.policy
    return {"uri": uri} if isinstance(policy, Unusable) else {"uri": uri, "digest": _digest(policy)}


def _inputs(decision: Decision, digest: Digest) -> list[Json]:
    named: dict[str, Digest] = {"urn:hullmark:decision": digest}
    for image in decision.inputs.images:
        for word, side in (("base", image.base), ("head", image.head)):
            if not isinstance(side, Missing):
                named[f"urn:hullmark:sbom:{word}:{image.image}:{image.platform}"] = side.sbom
    return [{"uri": uri, "digest": _digest(named[uri])} for uri in sorted(named)]


def _digest(digest: Digest) -> Json:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}
