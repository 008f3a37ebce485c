"""Every file that an image ships, and who it is from: read back from the built image, not from the plan.

Rules (each has a test with the same words):

1. A file of a package has exactly the bytes that the package gives.
2. A file of no package is declared, or is the record of what is installed.
3. Nothing declared is missing.
"""

from __future__ import annotations

import hashlib
import stat
import tarfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hullmark.build.archive import image_members, inspect_archive
from hullmark.build.container import open_container
from hullmark.build.deb import Deb, read_deb
from hullmark.build.definition import LOCK_FILE, load_definition
from hullmark.build.lock import load_lock
from hullmark.build.rootfs import STATUS_FOLDER
from hullmark.build.slices import architecture_of
from hullmark.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hullmark.build.definition import Definition
    from hullmark.build.fetch import Cache
    from hullmark.build.lock import LockedPackage
    from hullmark.image import Digest, Platform

READERS = 2
"""Packages compared at a time: decompression runs beside itself."""
RECORD = "record"
"""What declares the files that say which packages are installed."""


class ShippedFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One regular file of an image."""

    path: str
    sha256: str
    size: int
    mode: str
    package: str = ""
    """The package whose bytes it has."""
    declared: str = ""
    """Where `image.toml` declares it, or `record` for what says which packages are installed."""


class _Found(NamedTuple):
    sha256: str
    size: int
    mode: int


def list_shipped(layout: Path, platform: Platform, folder: Path, cache: Cache) -> tuple[ShippedFile, ...]:
    """The files of the image in `folder` that was built into `layout`, by path; a stray one is an error."""
    definition = load_definition(folder)
    lock = load_lock(folder / LOCK_FILE)
    files = dict(_files(layout, platform))
    owners: dict[str, str] = {}
    declared = _declared(definition)
    packaged = {path: found for path, found in files.items() if path not in declared}
    packages = lock.for_architecture(architecture_of(platform))
    with ThreadPoolExecutor(READERS, thread_name_prefix="compare") as executor:
        for package, paths in zip(
            packages,
            executor.map(lambda package: list(_owned(package, packaged, cache, layout)), packages),
            strict=True,
        ):
            owners.update(dict.fromkeys(paths, package.name))
    for path in declared:
        if path not in files:
            raise InputError(f"{path} is declared and not shipped", file=layout)
    return tuple(
        ShippedFile(
            path=path,
            sha256=found.sha256,
            size=found.size,
            mode=f"{found.mode:04o}",
            package=owners.get(path, ""),
            declared="" if path in owners else _reason(path, declared, layout),
        )
        for path, found in sorted(files.items())
    )


def _files(layout: Path, platform: Platform) -> Iterator[tuple[str, _Found]]:
    image = inspect_archive(layout).only(platform)
    with open_container(layout) as container:
        _, layers = image_members(container, image)
        for layer in layers:
            with container.open(layer) as stream, tarfile.open(fileobj=stream, mode="r|*") as tar:
                for member in tar:
                    content = tar.extractfile(member) if member.isreg() else None
                    if content is not None:
                        data = content.read()
                        mode = stat.S_IMODE(member.mode)
                        yield member.name, _Found(hashlib.sha256(data).hexdigest(), len(data), mode)


def _owned(package: LockedPackage, files: dict[str, _Found], cache: Cache, layout: Path) -> Iterator[str]:
    """The paths of `files` that `package` gives, after their bytes were compared."""
    deb = _read(package, files, cache)
    for path, entry in deb.files.items():
        if not entry.data and path not in files:
            continue  # a link
        if hashlib.sha256(entry.data).hexdigest() != files[path].sha256:
            raise InputError(f"{path} differs from the file of {package.name} {package.version}", file=layout)
        yield path


def _read(package: LockedPackage, files: dict[str, _Found], cache: Cache) -> Deb:
    path = cache.folder / f"{package.digest.removeprefix('sha256:')}.deb"
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != package.digest.removeprefix("sha256:"):
        raise InputError(
            f"the package {package.name} is no longer in the cache", file=path, hint="Build the image again."
        )
    return read_deb(data, file=package.name, wanted=files.__contains__)


def _declared(definition: Definition) -> dict[str, str]:
    tables = {"files": [*definition.files], "helpers": [*definition.helpers], "join": [*definition.join]}
    return {path: f'{table}."{path}"' for table, paths in tables.items() for path in paths}


def _reason(path: str, declared: dict[str, str], layout: Path) -> str:
    if path.startswith(f"{STATUS_FOLDER}/"):
        return RECORD
    if path not in declared:
        raise InputError(f"{path} is of no package and not declared", file=layout)
    return declared[path]


def file_list(name: str, platform: Platform, digest: Digest, files: tuple[ShippedFile, ...]) -> bytes:
    """The list as a document."""
    document = {
        "image": name,
        "platform": str(platform),
        "digest": digest,
        # `list_shipped` fails on the first file that differs: there is no list of an image that has one.
        "checked": {
            "identical_to_package": sum(bool(file.package) for file in files),
            "differing_from_package": 0,
            "declared": sum(file.declared not in ("", RECORD) for file in files),
            "records": sum(file.declared == RECORD for file in files),
        },
        "files": files,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
