"""An image that somebody else built, in a file or folder: what it is, checked without extracting anything.

Three forms: a docker-archive (`docker save`, plain or gzip), an OCI image layout in a folder, and the same in
a tar. Rules (each has a test with the same words):

1. A device, a pipe, or a path or link that leaves the archive is refused and named. A link inside is never
   followed: buildah, podman and skopeo write some for readers of old, beside the file itself; an image that
   needs one is refused.
2. Every manifest, configuration and layer is hashed: a truncated or changed one is refused.
3. What has no image in it is refused.

The digest is the manifest's for OCI and the configuration's for a docker-archive, which has no manifest of
its own: the configuration's digest is the image id that engines show.
"""

from __future__ import annotations

import hashlib
import zlib
from enum import Enum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from hullmark.build.container import Container, open_container
from hullmark.errors import InputError, UsageError
from hullmark.image import Digest, Platform, parse_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_JSON = 16 << 20
MAX_LAYER = 32 << 30
MAX_DEPTH = 3
BLOCK = 1 << 20

_INDEX_TYPES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)


class Format(Enum):
    """How an image is kept."""

    DOCKER_ARCHIVE = "docker-archive"
    OCI_LAYOUT = "oci-layout"
    OCI_ARCHIVE = "oci-archive"


class ArchivedImage(msgspec.Struct, frozen=True, kw_only=True):
    """One platform's image in an archive."""

    platform: Platform
    digest: Digest
    config: Digest
    layers: tuple[Digest, ...]
    """Of the uncompressed layers."""
    tags: tuple[str, ...] = ()


class ImageArchive(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder with at least one image."""

    path: Path
    format: Format
    images: tuple[ArchivedImage, ...]
    size: int
    """Bytes of the file, or of all files of the folder."""

    def only(self, platform: Platform | None = None) -> ArchivedImage:
        """The image for `platform`, or the only one there is."""
        found = [image for image in self.images if platform in (None, image.platform)]
        if len(found) == 1:
            return found[0]
        offered = ", ".join(str(image.platform) for image in self.images)
        wanted = f"for {platform}" if platform else "alone"
        raise InputError(f"no single image {wanted}; it holds {offered}", file=self.path)


class _Descriptor(msgspec.Struct, frozen=True, kw_only=True):
    digest: str
    size: int
    mediaType: str = ""  # noqa: N815 - OCI's key
    annotations: dict[str, str] = {}


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest or an index: an index has `manifests`."""

    mediaType: str = ""  # noqa: N815 - OCI's key
    config: _Descriptor | None = None
    layers: tuple[_Descriptor, ...] = ()
    manifests: tuple[_Descriptor, ...] = ()


class _RootFs(msgspec.Struct, frozen=True, kw_only=True):
    diff_ids: tuple[str, ...] = ()


class _Config(msgspec.Struct, frozen=True, kw_only=True):
    os: str
    architecture: str
    variant: str = ""
    rootfs: _RootFs = _RootFs()


class _Saved(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """An entry of `manifest.json` in a docker-archive."""

    config: str
    layers: tuple[str, ...]
    repo_tags: tuple[str, ...] | None = None


def inspect_archive(path: Path) -> ImageArchive:
    """What image or images `path` holds, or InputError naming the file and the member that is wrong."""
    with open_container(path) as container:
        # `docker save` since 25 writes both forms into one tar. The scanner reads its docker half, an engine
        # may load the other: both are checked, and must be of the same images.
        has_layout = {"index.json", "oci-layout"} <= container.members
        if "manifest.json" in container.members and not container.is_folder:
            kind, images = Format.DOCKER_ARCHIVE, tuple(_docker_images(container))
            if has_layout:
                _refuse_two(container, images, tuple(_oci_images(container)))
        elif has_layout:
            kind = Format.OCI_LAYOUT if container.is_folder else Format.OCI_ARCHIVE
            images = tuple(_oci_images(container))
        else:
            raise InputError(
                "not an image: neither index.json nor manifest.json is in it",
                file=path,
                hint="Expected what `docker save`, `podman save` or `skopeo copy ... oci:` write.",
            )
        if not images:
            raise InputError("holds no image", file=path)
        return ImageArchive(path=path, format=kind, images=images, size=container.size)


def image_members(container: Container, image: ArchivedImage) -> tuple[bytes, tuple[str, ...]]:
    """The configuration of `image`, and the members that are its layers, the lowest first."""
    member = _blob_path(container, image.digest)
    if member in container.members and image.digest != image.config:
        data = container.read(member, MAX_JSON)
        manifest = _decode(container, member, data, _Manifest)
        config = container.read(_blob_path(container, image.config), MAX_JSON)
        return config, tuple(_blob_path(container, layer.digest) for layer in manifest.layers)
    saved_images = container.read("manifest.json", MAX_JSON)
    for saved in _decode(container, "manifest.json", saved_images, tuple[_Saved, ...]):
        config = container.read(saved.config, MAX_JSON)
        if f"sha256:{hashlib.sha256(config).hexdigest()}" == image.config:
            return config, saved.layers
    raise InputError(f"does not hold {image.digest} any more", file=container.path)


def _refuse_two(
    container: Container, saved: tuple[ArchivedImage, ...], laid_out: tuple[ArchivedImage, ...]
) -> None:
    if {image.config for image in saved} != {image.config for image in laid_out}:
        raise InputError(
            "manifest.json and index.json describe different images",
            file=container.path,
            hint="Save the one image that is meant again, or give its unpacked OCI layout.",
        )


def _oci_images(container: Container) -> Iterator[ArchivedImage]:
    index = _decode(container, "index.json", container.read("index.json", MAX_JSON), _Manifest)
    seen: set[str] = set()
    for descriptor in index.manifests:
        for image in _from_descriptor(container, descriptor, MAX_DEPTH):
            if image.digest not in seen:
                seen.add(image.digest)
                yield image


def _from_descriptor(container: Container, descriptor: _Descriptor, depth: int) -> Iterator[ArchivedImage]:
    data = _blob(container, descriptor)
    member = _blob_path(container, descriptor.digest)
    manifest = _decode(container, member, data, _Manifest)
    if manifest.manifests or descriptor.mediaType in _INDEX_TYPES:
        if depth == 0:
            raise InputError("indexes lie too deep in each other", file=container.path, key=member)
        for inner in manifest.manifests:
            yield from _from_descriptor(container, inner, depth - 1)
        return
    if manifest.config is None or not manifest.layers:
        return
    config = _decode(
        container,
        _blob_path(container, manifest.config.digest),
        _blob(container, manifest.config),
        _Config,
    )
    if config.os == "unknown":  # an attestation that BuildKit keeps beside its image
        return
    for layer in manifest.layers:
        _check_layer(container, layer)
    yield ArchivedImage(
        platform=Platform(config.os, config.architecture, config.variant),
        digest=parse_digest(descriptor.digest),
        config=parse_digest(manifest.config.digest),
        layers=_diff_ids(container, config),
        tags=tuple(filter(None, [descriptor.annotations.get("org.opencontainers.image.ref.name", "")])),
    )


def _docker_images(container: Container) -> Iterator[ArchivedImage]:
    data = container.read("manifest.json", MAX_JSON)
    for saved in _decode(container, "manifest.json", data, tuple[_Saved, ...]):
        raw = container.read(saved.config, MAX_JSON)
        digest = hashlib.sha256(raw).hexdigest()
        stated = Path(saved.config).name.removesuffix(".json")
        if stated != digest:
            raise InputError(f"its sha256 is {digest}", file=container.path, key=saved.config)
        config = _decode(container, saved.config, raw, _Config)
        diff_ids = _diff_ids(container, config)
        if len(diff_ids) != len(saved.layers):
            message = f"{len(saved.layers)} layers, but the configuration names {len(diff_ids)}"
            raise InputError(message, file=container.path, key="manifest.json")
        for member, diff_id in zip(saved.layers, diff_ids, strict=True):
            if _hash_layer(container, member) != diff_id:
                raise InputError(f"its sha256 is not {diff_id}", file=container.path, key=member)
        yield ArchivedImage(
            platform=Platform(config.os, config.architecture, config.variant),
            digest=Digest(f"sha256:{digest}"),
            config=Digest(f"sha256:{digest}"),
            layers=diff_ids,
            tags=saved.repo_tags or (),
        )


def _decode(container: Container, member: str, data: bytes, kind: Any) -> Any:  # noqa: ANN401 - kind's value
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(str(error), file=container.path, key=member) from error


def _blob_path(container: Container, digest: str) -> str:
    try:
        return f"blobs/sha256/{parse_digest(digest).removeprefix('sha256:')}"
    except UsageError as error:
        raise InputError(error.message, file=container.path, key="index.json", hint=error.hint) from error


def _blob(container: Container, descriptor: _Descriptor) -> bytes:
    member = _blob_path(container, descriptor.digest)
    data = container.read(member, MAX_JSON)
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != descriptor.digest:
        raise InputError("its sha256 is not its name", file=container.path, key=member)
    return data


def _check_layer(container: Container, layer: _Descriptor) -> None:
    member = _blob_path(container, layer.digest)
    hasher = hashlib.sha256()
    with container.open(member) as stream:
        for block in iter(lambda: stream.read(BLOCK), b""):
            hasher.update(block)
    if f"sha256:{hasher.hexdigest()}" != layer.digest:
        raise InputError("its sha256 is not its name", file=container.path, key=member)


def _diff_ids(container: Container, config: _Config) -> tuple[Digest, ...]:
    try:
        return tuple(parse_digest(digest) for digest in config.rootfs.diff_ids)
    except UsageError as error:
        raise InputError(error.message, file=container.path, key="rootfs.diff_ids") from error


def _hash_layer(container: Container, member: str) -> str:
    """The sha256 of a layer's tar, which some tools compress inside a docker-archive."""
    hasher, size = hashlib.sha256(), 0
    with container.open(member) as stream:
        try:
            for block in _plain_blocks(stream):
                size += len(block)
                if size > MAX_LAYER:
                    raise InputError(f"larger than {MAX_LAYER:,} bytes", file=container.path, key=member)
                hasher.update(block)
        except zlib.error as error:
            raise InputError(f"damaged: {error}", file=container.path, key=member) from error
    return f"sha256:{hasher.hexdigest()}"


def _plain_blocks(stream: IO[bytes]) -> Iterator[bytes]:
    block = stream.read(BLOCK)
    if not block.startswith(b"\x1f\x8b"):
        while block:
            yield block
            block = stream.read(BLOCK)
        return
    inflater = zlib.decompressobj(wbits=31)
    while block:
        yield inflater.decompress(block, BLOCK * 16)
        block = inflater.unconsumed_tail or stream.read(BLOCK)
    yield inflater.flush()
