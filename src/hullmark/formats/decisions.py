"""The forms in which a decision can be had: one function each, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from hullmark.bundle import format_bundle
from hullmark.decision import Decision, ImageInputs, Missing, restore
from hullmark.decision.comparison import compare_image
from hullmark.decision.inputs import GateInputs, Key, key_of
from hullmark.exemptions import covers
from hullmark.formats import decision_markdown, decision_text
from hullmark.formats.attestation import render_vsa
from hullmark.formats.sarif import Subject, render_sarif
from hullmark.image import Digest
from hullmark.policy import Policy, State


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate has to tell."""

    decision: Decision
    digest: Digest
    """What names the decision."""
    content: bytes
    """Its bytes, as they were or will be recorded."""
    load: Callable[[Digest], bytes]
    """Gives the evidence that the decision names."""
    policy: Policy | None = None
    """Brings the sentences of one's own rules."""
    places: Mapping[str, str] = {}
    """Of each image the file in the repository that it is made from."""


def _text(answer: Answer) -> bytes:
    text = decision_text.render_decision(answer.decision, digest=answer.digest, policy=answer.policy)
    return text.encode()


def _markdown(answer: Answer) -> bytes:
    text = decision_markdown.render_decision(answer.decision, digest=answer.digest, policy=answer.policy)
    return text.encode()


def _json(answer: Answer) -> bytes:
    document = {"decision": answer.decision, "digest": answer.digest}
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2) + b"\n"


def _bundle(answer: Answer) -> bytes:
    return format_bundle(answer.content, answer.decision, answer.load)


def _vsa(answer: Answer) -> bytes:
    return render_vsa(answer.decision, digest=answer.digest)


def _sarif(answer: Answer) -> bytes:
    return render_sarif(_subjects(restore(answer.decision.inputs, answer.load), answer.places))


def _subjects(inputs: GateInputs, places: Mapping[str, str]) -> Iterator[Subject]:
    """Head's findings of each image, with what became of them and which exemption covers them."""
    today = inputs.now.date()
    for image in inputs.images:
        if isinstance(image.head, Missing):
            continue
        exempted = {
            key_of(finding): entry
            for finding in image.head.findings
            for entry in inputs.exemptions
            if covers(entry, image.image, finding, today)
        }
        yield Subject(
            image=image.image,
            platform=image.platform,
            place=places.get(image.image, DEFAULT_PLACE),
            findings=image.head.findings,
            states=_states(image, inputs),
            exemptions=exempted,
        )


def _states(image: ImageInputs, inputs: GateInputs) -> dict[Key, State]:
    comparison = compare_image(image, inputs.exemptions, inputs.now.date())
    return {concern.key: concern.state for concern in comparison.concerns} if comparison else {}


DEFAULT_PLACE = "hullmark.toml"
"""Where the findings of an image stand that is not made in this repository."""

FORMATS: dict[str, Callable[[Answer], bytes]] = {
    "bundle": _bundle,
    "json": _json,
    "markdown": _markdown,
    "sarif": _sarif,
    "text": _text,
    "vsa": _vsa,
}
