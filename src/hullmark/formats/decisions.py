"""The forms in which a decision can be had: one function each, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from hullmark.decision import Decision
from hullmark.formats import decision_markdown, decision_text
from hullmark.image import Digest
from hullmark.policy import Policy


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate has to tell."""

    decision: Decision
    digest: Digest
    """What names the decision."""
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


FORMATS: dict[str, Callable[[Answer], bytes]] = {"json": _json, "markdown": _markdown, "text": _text}
