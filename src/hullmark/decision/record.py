"""What a decision keeps of its inputs.

Bulky parts (packages, findings, ages, exemptions, policy, the KEV list) are kept once as evidence, by digest;
the rest stands in the decision as it is. `record` takes inputs apart, `restore` puts them together again.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from hullmark.decision.inputs import (
    Age,
    GateContext,
    GateInputs,
    ImageContext,
    ImageInputs,
    Kev,
    Missing,
    Side,
    SideContext,
    Unusable,
)
from hullmark.errors import RepositoryError
from hullmark.exemptions import Exemption
from hullmark.finding import Finding, Package
from hullmark.image import Digest
from hullmark.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping


class RecordedSide(SideContext, frozen=True, kw_only=True, tag_field="side", tag="scan"):
    """A side whose bulky parts are evidence."""

    packages: Digest
    findings: Digest


class RecordedImage(ImageContext, frozen=True, kw_only=True):
    """An image whose bulky parts are evidence."""

    base: RecordedSide | Missing
    head: RecordedSide | Missing
    recorded: Digest | None = None
    recorded_packages: Digest | None = None
    ages: Digest | None = None
    """None where there are none."""


class RecordedInputs(GateContext, frozen=True, kw_only=True):
    """Inputs whose bulky parts are evidence: what a decision keeps."""

    images: tuple[RecordedImage, ...]
    policy: Digest | Unusable
    exemptions: Digest
    added_exemptions: Digest
    kev: Digest


def content_of(value: object) -> bytes:
    """The bytes of a bulky part, as evidence keeps them."""
    return msgspec.json.encode(value, order="sorted")


def record(inputs: GateInputs) -> tuple[RecordedInputs, dict[Digest, bytes]]:
    """Take `inputs` apart: what a decision keeps, and the evidence it names."""
    contents: dict[Digest, bytes] = {}
    return RecordedInputs(
        **_shared(inputs, GateContext),
        images=tuple(_record_image(image, contents) for image in inputs.images),
        policy=inputs.policy if isinstance(inputs.policy, Unusable) else _keep(inputs.policy, contents),
        exemptions=_keep(inputs.exemptions, contents),
        added_exemptions=_keep(inputs.added_exemptions, contents),
        kev=_keep(inputs.kev, contents),
    ), contents


def _record_image(image: ImageInputs, contents: MutableMapping[Digest, bytes]) -> RecordedImage:
    return RecordedImage(
        **_shared(image, ImageContext),
        base=_record_side(image.base, contents),
        head=_record_side(image.head, contents),
        recorded=None if image.recorded is None else _keep(image.recorded, contents),
        recorded_packages=(
            None if image.recorded_packages is None else _keep(image.recorded_packages, contents)
        ),
        ages=_keep(image.ages, contents) if image.ages else None,
    )


def _record_side(side: Side | Missing, contents: MutableMapping[Digest, bytes]) -> RecordedSide | Missing:
    if isinstance(side, Missing):
        return side
    packages, findings = _keep(side.packages, contents), _keep(side.findings, contents)
    return RecordedSide(**_shared(side, SideContext), packages=packages, findings=findings)


def _keep(value: object, contents: MutableMapping[Digest, bytes]) -> Digest:
    content = content_of(value)
    digest = Digest(f"sha256:{sha256(content).hexdigest()}")
    contents[digest] = content
    return digest


def _shared(value: msgspec.Struct, kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in kind.__struct_fields__}


def restore(recorded: RecordedInputs, load: Callable[[Digest], bytes]) -> GateInputs:
    """Put inputs together again. `load` returns evidence, checked against its digest."""
    policy = recorded.policy
    return GateInputs(
        **_shared(recorded, GateContext),
        images=tuple(_restore_image(image, load) for image in recorded.images),
        policy=policy if isinstance(policy, Unusable) else _read(policy, _POLICY, load),
        exemptions=_read(recorded.exemptions, _EXEMPTIONS, load),
        added_exemptions=_read(recorded.added_exemptions, _EXEMPTIONS, load),
        kev=_read(recorded.kev, _KEV, load),
    )


def _restore_image(image: RecordedImage, load: Callable[[Digest], bytes]) -> ImageInputs:
    return ImageInputs(
        **_shared(image, ImageContext),
        base=_restore_side(image.base, load),
        head=_restore_side(image.head, load),
        recorded=None if image.recorded is None else _read(image.recorded, _FINDINGS, load),
        recorded_packages=(
            None if image.recorded_packages is None else _read(image.recorded_packages, _PACKAGES, load)
        ),
        ages=() if image.ages is None else _read(image.ages, _AGES, load),
    )


def _restore_side(side: RecordedSide | Missing, load: Callable[[Digest], bytes]) -> Side | Missing:
    if isinstance(side, Missing):
        return side
    packages, findings = _read(side.packages, _PACKAGES, load), _read(side.findings, _FINDINGS, load)
    return Side(**_shared(side, SideContext), packages=packages, findings=findings)


def named_evidence(recorded: RecordedInputs) -> dict[Digest, str]:
    """Every digest of evidence that a decision names, the SBOMs of both sides among them, and what it is."""
    named: dict[Digest, str] = {}
    for digest, what in _named(recorded):
        named.setdefault(digest, what)
    return named


def _named(recorded: RecordedInputs) -> Iterator[tuple[Digest, str]]:
    if not isinstance(recorded.policy, Unusable):
        yield recorded.policy, "the policy"
    yield recorded.exemptions, "the exemptions"
    yield recorded.added_exemptions, "the exemptions that the change adds"
    yield recorded.kev, "the list of exploited vulnerabilities"
    for image in recorded.images:
        label = f"{image.image} {image.platform}"
        for word, side in (("base", image.base), ("head", image.head)):
            if not isinstance(side, Missing):
                yield side.packages, f"the packages of {word} of {label}"
                yield side.findings, f"the findings of {word} of {label}"
                yield side.sbom, f"the SBOM of {word} of {label}"
        if image.recorded is not None:
            yield image.recorded, f"base's findings of {label} as they were recorded"
        if image.recorded_packages is not None:
            yield image.recorded_packages, f"base's packages of {label} as they were recorded"
        if image.ages is not None:
            yield image.ages, f"the ages of the vulnerabilities of {label}"


_Part = TypeVar("_Part")

_FINDINGS = msgspec.json.Decoder(tuple[Finding, ...])
_PACKAGES = msgspec.json.Decoder(tuple[Package, ...])
_AGES = msgspec.json.Decoder(tuple[Age, ...])
_EXEMPTIONS = msgspec.json.Decoder(tuple[Exemption, ...])
_POLICY = msgspec.json.Decoder(Policy)
_KEV = msgspec.json.Decoder(Kev)


def _read(digest: Digest, decoder: msgspec.json.Decoder[_Part], load: Callable[[Digest], bytes]) -> _Part:
    try:
        return decoder.decode(load(digest))
    except msgspec.DecodeError as error:
        raise RepositoryError(
            f"evidence {digest} is not what the decision says: {error}",
            hint="It was written by another version, or is evidence of another kind.",
        ) from error
