"""A decision with all its evidence in one JSON document, for whoever decides again without the repository.

    {"decision": "…", "evidence": {"sha256:…": "…"}}

The texts are the very bytes that their digests name. Rules (each has a test with the same words):
- reading a bundle checks every digest: what was changed on the way is refused;
- a bundle that lacks evidence which its decision names is refused.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from hullmark.decision import Decision, named_evidence, parse_decision
from hullmark.errors import InputError, RepositoryError
from hullmark.image import Digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_BUNDLE = 256 << 20


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A decision and everything that it was made from."""

    decision: Decision
    content: bytes
    """The decision's bytes."""
    evidence: dict[Digest, bytes]

    @property
    def digest(self) -> Digest:
        """What names the decision."""
        return _digest(self.content)

    def load(self, digest: Digest) -> bytes:
        """The content of `digest`, which may be the decision itself."""
        if digest == self.digest:
            return self.content
        try:
            return self.evidence[digest]
        except KeyError:
            raise RepositoryError(f"evidence {digest} is not in the bundle") from None


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    decision: str
    evidence: dict[str, str]


def format_bundle(content: bytes, decision: Decision, load: Callable[[Digest], bytes]) -> bytes:
    """The document of a decision with the bytes `content`; `load` gives its evidence."""
    evidence = {str(digest): load(digest).decode() for digest in named_evidence(decision.inputs)}
    document = _Document(decision=content.decode(), evidence=evidence)
    return msgspec.json.encode(document, order="sorted") + b"\n"


def read_bundle(data: bytes, *, file: Path | str) -> Bundle:
    """Read a bundle, or raise InputError for anything that it does not prove itself."""
    try:
        document = msgspec.json.decode(data, type=_Document)
        decision = parse_decision(document.decision.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InputError(f"not a bundle of a decision: {error}", file=file) from error
    evidence: dict[Digest, bytes] = {}
    for name, text in document.evidence.items():
        content = text.encode("utf-8", "surrogatepass")
        if _digest(content) != name:
            raise InputError("holds other content than its digest says", file=file, key=f"evidence.{name}")
        evidence[Digest(name)] = content
    for digest, what in named_evidence(decision.inputs).items():
        if digest not in evidence:
            raise InputError(f"lacks {what}", file=file, key=f"evidence.{digest}")
    return Bundle(decision=decision, content=document.decision.encode(), evidence=evidence)


def _digest(content: bytes) -> Digest:
    return Digest(f"sha256:{sha256(content).hexdigest()}")
