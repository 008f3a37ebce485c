"""What others can check about a built image, kept beside it in `OUT/NAME.evidence/OS-ARCHITECTURE/`.

    files.json                        every shipped file, its owner, and that it is the owner's to the byte
    provenance.json                   what the image was built from: in-toto, SLSA Provenance v1
    sbom.cdx.json, sbom.spdx.json     what is installed, as Trivy lists it
    smoke.json                        what `hullmark test` found, once it was run

Rules (each has a test with the same words):
- the evidence of an image replaces that of the image before it, whole;
- a file that is not what its package gives, or that nobody declared, fails the build;
- a build that writes none removes that of another image;
- what cannot be written is named with the reason, never left out in silence;
- a test report stands there only for exactly this image.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hullmark.build.archive import inspect_archive
from hullmark.build.definition import LOCK_FILE
from hullmark.build.fetch import Cache
from hullmark.build.lock import load_lock
from hullmark.build.oci import timestamp
from hullmark.build.provenance import provenance
from hullmark.build.saved import save_layout
from hullmark.build.shipped import file_list, list_shipped
from hullmark.errors import HullmarkError, InputError
from hullmark.files import explained, read_bounded, replacing_folder, scratch_folder, write_whole
from hullmark.scanners.trivy import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from hullmark.build.builder import BuiltImage
    from hullmark.image import Digest, Platform
    from hullmark.sandbox import Sandbox
    from hullmark.scanners.trivy.binary import Binary

FILES, PROVENANCE, CYCLONEDX, SPDX = "files.json", "provenance.json", "sbom.cdx.json", "sbom.spdx.json"
SMOKE = "smoke.json"
MAX_LIST = 64 << 20


class Describer(NamedTuple):
    """A Trivy that lists what is installed."""

    binary: Binary
    sandbox: Sandbox


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence of one platform of an image."""

    image: str
    platform: str
    folder: str
    files: tuple[str, ...]
    missing: dict[str, str] = {}
    """What could not be written, and why."""


def evidence_folder(out: Path, name: str, platform: Platform | str) -> Path:
    """Where the evidence of one platform of an image lies."""
    return out / f"{name}.evidence" / str(platform).replace("/", "-")


def write_evidence(
    images: Iterable[BuiltImage],
    folder: Path,
    *,
    cache: Path,
    find_describer: Callable[[], Describer],
) -> tuple[Written, ...]:
    """Write what can be checked about `images`, the platforms of one image that was built from `folder`."""
    found = list(images)
    if not found:
        return ()
    top = found[0].path.with_name(f"{found[0].name}.evidence")
    with replacing_folder(top) as place:
        return tuple(
            _write(image, folder, place, top, cache=Cache(cache), find_describer=find_describer)
            for image in found
        )


def _write(
    image: BuiltImage,
    folder: Path,
    place: Path,
    top: Path,
    *,
    cache: Cache,
    find_describer: Callable[[], Describer],
) -> Written:
    part = str(image.platform).replace("/", "-")
    files = list_shipped(image.path, image.platform, folder, cache)
    contents = {
        FILES: file_list(image.name, image.platform, image.manifest_digest, files),
        PROVENANCE: provenance(image, folder),
    }
    missing: dict[str, str] = {}
    try:
        contents |= _list_packages(image, folder, find_describer())
    except HullmarkError as error:
        missing = dict.fromkeys((CYCLONEDX, SPDX), error.message)
    for name, content in contents.items():
        write_whole(place / part / name, content)
    return Written(
        image=image.name,
        platform=str(image.platform),
        folder=str(top / part),
        files=tuple(contents),
        missing=missing,
    )


def _list_packages(image: BuiltImage, folder: Path, describer: Describer) -> dict[str, bytes]:
    """Both SBOMs of one platform."""
    name, digest = image.name, image.manifest_digest
    created = timestamp(load_lock(folder / LOCK_FILE).epoch)
    with scratch_folder() as scratch:
        alone = scratch / "layout"
        save_layout(image.path, inspect_archive(image.path).only(image.platform), alone)
        return {
            CYCLONEDX: describe.cyclonedx(*describer, alone, name=name, digest=digest),
            SPDX: describe.spdx(*describer, alone, name=name, digest=digest, created=created),
        }


def forget_other(images: Iterable[BuiltImage]) -> None:
    """Remove evidence that lies beside `images`, built just now, and is not theirs."""
    for image in images:
        folder = evidence_folder(image.path.parent, image.name, image.platform)
        if folder.exists() and _digest_in(folder) != image.manifest_digest:
            with explained(folder):
                shutil.rmtree(folder)


def _digest_in(folder: Path) -> str:
    """The image that the evidence in `folder` is of; empty where nothing says it."""
    try:
        return msgspec.json.decode(read_bounded(folder / FILES, MAX_LIST), type=_Listed).digest
    except (InputError, msgspec.DecodeError, UnicodeDecodeError):
        return ""


class _Listed(msgspec.Struct, frozen=True):
    digest: str = ""


def keep_report(out: Path, name: str, platform: str, digest: Digest, report: bytes) -> bool:
    """Keep a test `report` with the evidence of the image `digest`; False where there is none of it."""
    folder = evidence_folder(out, name, platform)
    if _digest_in(folder) != digest:
        return False
    write_whole(folder / SMOKE, report)
    return True
