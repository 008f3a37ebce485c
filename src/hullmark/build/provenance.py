"""How an image was built, as an in-toto statement (in-toto Statement v1, SLSA Provenance v1).

It names no time and no machine: the same inputs give the same statement, and whoever has them can repeat the
build. What was built is the subject; what it was built from are the resolved dependencies, the lock first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from hullmark import __version__
from hullmark.build.definition import DEFINITION_FILE, FILES_FOLDER, HELPERS_FOLDER, LOCK_FILE
from hullmark.build.fetch import digest_of
from hullmark.build.lock import MAX_LOCK_BYTES, load_lock
from hullmark.build.slices import architecture_of
from hullmark.files import read_bounded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hullmark.build.builder import BuiltImage
    from hullmark.build.lock import LockedPackage
    from hullmark.image import Digest

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:hullmark:build:slices:1"
BUILDER = "urn:hullmark:builder"


def provenance(image: BuiltImage, folder: Path) -> bytes:
    """The statement about `image`, which was built from `folder`."""
    lock = load_lock(folder / LOCK_FILE)
    packages = lock.for_architecture(architecture_of(image.platform))
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": f"{image.name} {image.platform}", "digest": _digest(image.manifest_digest)}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"image": image.name, "platform": str(image.platform)},
                "internalParameters": {"sourceDateEpoch": lock.epoch},
                "resolvedDependencies": [*_sources(folder), *map(_package, packages)],
            },
            "runDetails": {"builder": {"id": BUILDER, "version": {"hullmark": __version__}}},
        },
    }
    return msgspec.json.format(msgspec.json.encode(statement), indent=1) + b"\n"


def _sources(folder: Path) -> Iterator[dict[str, Any]]:
    """The files of the image's folder that decide its bytes, the lock first."""
    own = [path for part in (FILES_FOLDER, HELPERS_FOLDER) for path in sorted((folder / part).rglob("*"))]
    for path in (folder / LOCK_FILE, folder / DEFINITION_FILE, *own):
        if path.is_file():
            digest = digest_of(read_bounded(path, MAX_LOCK_BYTES))
            yield {"name": path.relative_to(folder).as_posix(), "digest": _digest(digest)}


def _package(package: LockedPackage) -> dict[str, Any]:
    name, version = quote(package.name), quote(package.version)
    uri = f"pkg:deb/debian/{name}@{version}?arch={package.architecture}"
    return {"uri": uri, "name": package.path, "digest": _digest(package.digest)}


def _digest(digest: Digest) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}
