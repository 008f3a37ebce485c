"""Which manifest of an OCI layout folder a report is about (OCI image layout specification, index.json)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import InputError
from hullmark.image import Digest, parse_digest
from hullmark.scanners.trivy.decoding import decode_json, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_MANIFEST = 4 << 20
MAX_MANIFESTS = 256
MAX_DEPTH = 4


class _Descriptor(msgspec.Struct, frozen=True):
    digest: str = ""


class _Manifest(msgspec.Struct, frozen=True):
    manifests: list[_Descriptor] = []
    config: _Descriptor | None = None


_MANIFEST = msgspec.json.Decoder(_Manifest)


def manifest_of(folder: Path, image_id: str) -> Digest:
    """The digest of the manifest in `folder` whose configuration is `image_id`, or InputError.

    Every blob on the way is hashed, so that a report of another image cannot pass for one of this.
    """
    index = folder / "index.json"
    seen: set[str] = set()
    top = decode_json(read_file(index, limit=MAX_MANIFEST), _MANIFEST, file=index)
    for digest, config in _walk(folder, top, seen, MAX_DEPTH):
        if config == image_id:
            return digest
    raise InputError(f"no manifest here has the image id {image_id or '(none)'} of the report", file=index)


def _walk(folder: Path, manifest: _Manifest, seen: set[str], depth: int) -> Iterator[tuple[Digest, str]]:
    for descriptor in manifest.manifests:
        if descriptor.digest in seen or depth == 0:
            continue
        seen.add(descriptor.digest)
        if len(seen) > MAX_MANIFESTS:
            raise InputError(f"more than {MAX_MANIFESTS} manifests", file=folder / "index.json")
        digest = parse_digest(descriptor.digest)
        blob = folder / "blobs" / "sha256" / digest.removeprefix("sha256:")
        if not blob.is_file():
            continue  # an index may name platforms that this folder does not hold
        data = read_file(blob, limit=MAX_MANIFEST)
        if hashlib.sha256(data).hexdigest() != blob.name:
            raise InputError("the bytes do not have the hash that names them", file=blob)
        below = decode_json(data, _MANIFEST, file=blob)
        if below.config is not None:
            yield digest, below.config.digest
        yield from _walk(folder, below, seen, depth - 1)
