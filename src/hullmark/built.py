"""`NAME.inputs.json` beside a built image: what it was built from, kept for whoever records it later.

It counts only for the image whose digest it names, so that a file that was left behind, or that lies beside
another image, says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from hullmark.errors import InputError
from hullmark.files import read_bounded, write_whole
from hullmark.image import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from hullmark.build.builder import BuiltImage
    from hullmark.image import Platform

MAX_BYTES = 1 << 20


class BuiltFrom(msgspec.Struct, frozen=True, kw_only=True):
    """The build inputs of one platform."""

    platform: str
    digest: Digest
    """Of the image."""
    config: Digest
    """The image id, by which scanners name it where there is no manifest."""
    inputs: Digest


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    version: Literal[1] = 1
    images: tuple[BuiltFrom, ...]


def write_inputs(
    out: Path, name: str, built: Iterable[BuiltImage], inputs: Mapping[Platform, Digest]
) -> None:
    """Keep the inputs of an image that was built into `out`."""
    images = tuple(
        BuiltFrom(
            platform=str(image.platform),
            digest=image.manifest_digest,
            config=image.config_digest,
            inputs=inputs[image.platform],
        )
        for image in built
    )
    data = msgspec.json.encode(_Document(images=images), order="sorted")
    write_whole(_path(out, name), msgspec.json.format(data, indent=2) + b"\n")


def read_inputs(out: Path, name: str) -> Mapping[Digest, Digest]:
    """The build inputs of what lies in `out`, by the images' digests; empty where none are kept."""
    path = _path(out, name)
    if not path.exists():
        return {}
    try:
        document = msgspec.json.decode(read_bounded(path, MAX_BYTES), type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(str(error), file=path, hint="Build the image again, or remove the file.") from error
    return {key: each.inputs for each in document.images for key in (each.digest, each.config)}


def _path(out: Path, name: str) -> Path:
    return out / f"{name}.inputs.json"
