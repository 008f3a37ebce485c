"""A built image as a registry takes it: its blobs, one manifest for each platform, and what a tag names.

The manifest of an OCI layout stays as it was scanned, byte for byte. A docker-archive has none: it was
scanned by its image id, the digest of its configuration, which stays, and gets a manifest that the same
archive always gets. Several platforms are named by one index, which names nothing but their manifests.
Sources: OCI image specification 1.1.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

import msgspec

from hullmark.build.archive import BLOCK, MAX_JSON, Format, image_members, inspect_archive
from hullmark.build.container import open_container
from hullmark.build.oci import (
    CONFIG_TYPE,
    GZIP_LEVEL,
    INDEX_TYPE,
    LAYER_TYPE,
    MANIFEST_TYPE,
    canonical,
)
from hullmark.errors import InputError
from hullmark.files import replacing
from hullmark.image import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hullmark.build.archive import ArchivedImage
    from hullmark.build.container import Container
    from hullmark.image import Platform


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that a manifest names."""

    digest: Digest
    size: int
    open: Callable[[], IO[bytes]]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest or an index."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> Digest:
        """What names it."""
        return Digest(f"sha256:{hashlib.sha256(self.content).hexdigest()}")


class Publishable(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one image that a registry must hold."""

    scanned: dict[str, Digest]
    """Of each platform the digest by which it was scanned."""
    manifests: dict[str, Document]
    """Of each platform."""
    blobs: tuple[Blob, ...]

    @property
    def top(self) -> Document:
        """What a tag names: the only manifest, or the index of all."""
        if len(self.manifests) == 1:
            return next(iter(self.manifests.values()))
        named = [_platform(name) | _described(each) for name, each in sorted(self.manifests.items())]
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": named}
        return Document(media_type=INDEX_TYPE, content=canonical(index))

    @property
    def documents(self) -> tuple[Document, ...]:
        """Every manifest, and the index after those that it names."""
        every = {each.digest: each for each in (*self.manifests.values(), self.top)}
        return tuple(every.values())


def prepare(path: Path, platforms: Iterable[Platform], scratch: Path) -> Publishable:
    """Make the image at `path`, an OCI layout or a docker-archive, ready to be put into a registry.

    `scratch` is an empty folder that must be there as long as the result is used. InputError when a platform
    is not there, or anything is not what its digest says.
    """
    archive = inspect_archive(path)
    if archive.format is Format.OCI_ARCHIVE:
        raise InputError(
            "an OCI layout in a tar, which is not scanned as it is",
            file=path,
            hint="Unpack it into a folder.",
        )
    images = {str(platform): archive.only(platform) for platform in platforms}
    blobs: dict[Digest, Blob] = {}
    manifests: dict[str, Document] = {}
    with open_container(path) as container:
        for name, image in images.items():
            made = _from_layout if archive.format is Format.OCI_LAYOUT else _from_docker_archive
            manifests[name], needed = made(container, image, scratch)
            blobs |= {blob.digest: blob for blob in needed}
    return Publishable(
        scanned={name: image.digest for name, image in images.items()},
        manifests=manifests,
        blobs=tuple(blobs.values()),
    )


def _from_layout(container: Container, image: ArchivedImage, _: Path) -> tuple[Document, list[Blob]]:
    content = container.read(_member(image.digest), MAX_JSON)
    document: dict[str, Any] = msgspec.json.decode(content)
    layers = image_members(container, image)[1]
    blobs = []
    for member in (_member(image.config), *layers):
        path = container.path / member
        digest = Digest(f"sha256:{path.name}")
        blobs.append(Blob(digest=digest, size=path.stat().st_size, open=_opener(path)))
    manifest = Document(media_type=document.get("mediaType") or MANIFEST_TYPE, content=content)
    if manifest.digest != image.digest:
        raise InputError("was changed while it was read", file=container.path, key=_member(image.digest))
    return manifest, blobs


def _from_docker_archive(
    container: Container, image: ArchivedImage, scratch: Path
) -> tuple[Document, list[Blob]]:
    config, members = image_members(container, image)
    blobs = [_kept(config, scratch)]
    for member in members:
        with container.open(member) as stream:
            blobs.append(_compressed(stream, scratch))
    described = [{"digest": blob.digest, "size": blob.size} for blob in blobs]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, **described[0]},
        "layers": [{"mediaType": LAYER_TYPE, **each} for each in described[1:]],
    }
    return Document(media_type=MANIFEST_TYPE, content=canonical(manifest)), blobs


def _kept(content: bytes, scratch: Path) -> Blob:
    digest = hashlib.sha256(content).hexdigest()
    path = scratch / digest
    path.write_bytes(content)
    return Blob(digest=Digest(f"sha256:{digest}"), size=len(content), open=_opener(path))


def _compressed(stream: IO[bytes], scratch: Path) -> Blob:
    """A layer, compressed where it is not yet: always to the same bytes, without name and time."""
    hasher, size = hashlib.sha256(), 0
    temporary = scratch / "layer"
    block = stream.read(BLOCK)
    deflater = None if block.startswith(b"\x1f\x8b") else zlib.compressobj(GZIP_LEVEL, wbits=31)
    with replacing(temporary) as file:
        while block:
            data = deflater.compress(block) if deflater else block
            hasher.update(data)
            size += file.write(data)
            block = stream.read(BLOCK)
        if deflater:
            data = deflater.flush()
            hasher.update(data)
            size += file.write(data)
    path = temporary.rename(scratch / hasher.hexdigest())
    return Blob(digest=Digest(f"sha256:{path.name}"), size=size, open=_opener(path))


def _opener(path: Path) -> Callable[[], IO[bytes]]:
    return lambda: path.open("rb")


def _member(digest: Digest) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _described(document: Document) -> dict[str, Any]:
    return {
        "mediaType": document.media_type,
        "digest": document.digest,
        "size": len(document.content),
    }


def _platform(name: str) -> dict[str, Any]:
    system, architecture, *variant = name.split("/")
    platform = {"os": system, "architecture": architecture}
    return {"platform": platform | ({"variant": variant[0]} if variant else {})}
