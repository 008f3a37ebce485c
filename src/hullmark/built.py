"""What is kept beside a built image for whoever records it later.

`NAME.inputs.json` says what it was built from. It counts only for the image whose digest it names, so that a
file that was left behind, or that lies beside another image, says nothing. `NAME.failed.json` says why there
is no image, until one is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from hullmark.errors import EnvironmentFaultError, InputError
from hullmark.files import explained, read_bounded, write_whole
from hullmark.image import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from hullmark.build.builder import BuiltImage
    from hullmark.errors import HullmarkError
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


class _Failure(msgspec.Struct, frozen=True, kw_only=True):
    version: Literal[1] = 1
    message: str
    hint: str = ""


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


def write_failure(out: Path, name: str, error: HullmarkError) -> None:
    """Keep why an image could not be built into `out`: an older one that lies there is not it."""
    data = msgspec.json.encode(_Failure(message=error.message, hint=error.hint), order="sorted")
    write_whole(_failed(out, name), msgspec.json.format(data, indent=2) + b"\n")


def forget_failure(out: Path, name: str) -> None:
    """An image was built after all."""
    with explained(_failed(out, name)):
        _failed(out, name).unlink(missing_ok=True)


def read_failure(out: Path, name: str) -> HullmarkError | None:
    """Why the newest build of an image failed; None when it did not."""
    path = _failed(out, name)
    if not path.exists():
        return None
    try:
        failure = msgspec.json.decode(read_bounded(path, MAX_BYTES), type=_Failure)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(str(error), file=path, hint="Build the image again, or remove the file.") from error
    return EnvironmentFaultError(f"it was not built: {failure.message}", hint=failure.hint)


def _path(out: Path, name: str) -> Path:
    return out / f"{name}.inputs.json"


def _failed(out: Path, name: str) -> Path:
    return out / f"{name}.failed.json"
