"""What is said of an image, kept beside it in the registry (OCI distribution specification 1.1, referrers).

Documents are attached as they are, unsigned: their own digests and the image's tie them together. Where a
registry does not keep the list of referrers itself, the list is kept under the tag that the specification
names for that.
"""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING, Any

import msgspec

from hullmark.errors import NetworkError
from hullmark.image import Digest
from hullmark.registry.client import INDEX, MANIFEST, Manifest

if TYPE_CHECKING:
    from hullmark.registry.client import Registry

EMPTY_TYPE, EMPTY = "application/vnd.oci.empty.v1+json", b"{}"
CYCLONEDX = "application/vnd.cyclonedx+json"
IN_TOTO = "application/vnd.in-toto+json"


def attach(registry: Registry, subject: Manifest, kind: str, content: bytes) -> Digest:
    """Attach `content`, a document of the media type `kind`, to `subject`. The same twice is there once."""
    blobs = [_put(registry, EMPTY_TYPE, EMPTY), _put(registry, kind, content)]
    manifest = _encoded(
        MANIFEST,
        {
            "artifactType": kind,
            "config": blobs[0],
            "layers": blobs[1:],
            "subject": _described(subject.media_type, subject.content),
        },
    )
    if registry.find(manifest.digest) is None:
        registry.put_manifest(manifest.digest, manifest)
    if not registry.keeps_referrers(subject.digest):
        _list(registry, subject.digest, _described(MANIFEST, manifest.content) | {"artifactType": kind})
    return manifest.digest


def _list(registry: Registry, subject: Digest, entry: dict[str, Any]) -> None:
    """Name a referrer in the list under the subject's own tag."""
    tag = subject.replace(":", "-")
    found = registry.find(tag)
    entries: list[dict[str, Any]] = []
    if found is not None:
        try:
            entries = msgspec.json.decode(found.content)["manifests"]
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise NetworkError(f"{registry.place}:{tag} is no list of referrers") from error
    if entry not in entries:
        registry.put_manifest(tag, _encoded(INDEX, {"manifests": [*entries, entry]}))


def _put(registry: Registry, kind: str, content: bytes) -> dict[str, Any]:
    described = _described(kind, content)
    registry.put_blob(described["digest"], len(content), lambda: BytesIO(content))
    return described


def _described(kind: str, content: bytes) -> dict[str, Any]:
    digest = Digest(f"sha256:{sha256(content).hexdigest()}")
    return {"mediaType": kind, "digest": digest, "size": len(content)}


def _encoded(kind: str, document: dict[str, Any]) -> Manifest:
    whole = {"schemaVersion": 2, "mediaType": kind, **document}
    return Manifest(kind, msgspec.json.encode(whole, order="deterministic"))
