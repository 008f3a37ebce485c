"""Build one image: its definition and lock in, an OCI image layout out.

No container tool, no root, no script of a package, no clock: the lock decides every byte (law 9).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hullmark.build.archive import inspect_archive
from hullmark.build.closure import check_closure
from hullmark.build.deb import Deb, read_deb
from hullmark.build.definition import DEFINITION_FILE, LOCK_FILE, Definition, image_name, load_definition
from hullmark.build.engine import DOCKERFILE, build_dockerfile
from hullmark.build.fetch import Cache, Fetcher, VanishedError, Wanted
from hullmark.build.helpers import compiler_cache, helper_entries
from hullmark.build.lock import Lock, LockedPackage, load_lock
from hullmark.build.mirror import Sources, find_sources
from hullmark.build.oci import ANNOTATION, Written, write_image, write_index
from hullmark.build.refresh import disagreement
from hullmark.build.rootfs import assemble, selector
from hullmark.build.slices import TRIPLETS, architecture_of
from hullmark.errors import InputError
from hullmark.files import replacing_folder
from hullmark.image import Digest, ImageName, Platform, parse_platform
from hullmark.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Mapping

READERS = 2
"""Packages unpacked at a time: decompression runs beside itself, but each holds up to 1 GB."""


class BuiltImage(msgspec.Struct, frozen=True, kw_only=True):
    """One platform of an image that was built."""

    name: ImageName
    platform: Platform
    manifest_digest: Digest
    """Of an image that a Dockerfile gave, as its archive has no manifest, the configuration's."""
    config_digest: Digest
    layers: tuple[Digest, ...]
    """Of the uncompressed layers; a sliced image has one."""
    path: Path
    """The folder of the OCI image layout, or the docker-archive."""
    packages: int | None = None
    """None for a Dockerfile's image: only a scan can tell."""
    size: int | None = None
    """Uncompressed bytes of a sliced image's layer."""
    compressed_size: int
    """Compressed bytes of a sliced image's layer; the archive's of another."""


def build(
    folder: Path,
    *,
    out: Path,
    cache: Path,
    environ: Mapping[str, str],
    sources: Sources | None = None,
    progress: Progress | None = None,
) -> tuple[BuiltImage, ...]:
    """Build the image in `folder`: from its slices, or with an engine when it has only a Dockerfile."""
    if (folder / DEFINITION_FILE).exists():
        found = sources or find_sources(environ)
        return build_image(folder, out=out, cache=cache, sources=found, progress=progress)
    if (folder / DOCKERFILE).exists():
        return build_from_dockerfile(folder, out=out, environ=environ, progress=progress)
    raise InputError(f"has neither {DEFINITION_FILE} nor {DOCKERFILE}", file=folder)


def build_image(
    folder: Path, *, out: Path, cache: Path, sources: Sources, progress: Progress | None = None
) -> tuple[BuiltImage, ...]:
    """Build the image in `folder` for all its platforms, into the OCI layout `out/<name>`.

    The layout replaces an earlier one only when it is whole.
    """
    progress = progress or Silent()
    name = image_name(folder)
    definition = load_definition(folder)
    lock = load_lock(folder / LOCK_FILE)
    if difference := disagreement(definition, lock):
        raise InputError(difference, file=folder / LOCK_FILE, hint=f"Run `hullmark lock {name}`.")
    with Fetcher(Cache(cache), progress=progress) as fetcher, replacing_folder(out / name) as layout:
        inputs = _Inputs(folder, definition, lock, fetcher, sources)
        images = []
        for text in definition.platforms:
            platform = parse_platform(text)
            progress.say(f"building {name} for {platform}")
            images.append(_build_platform(inputs, platform, layout))
        write_index(layout, images, name)
    return tuple(_built(name, image, lock, out / name) for image in images)


def build_from_dockerfile(
    folder: Path, *, out: Path, environ: Mapping[str, str], progress: Progress | None = None
) -> tuple[BuiltImage, ...]:
    """Build the Dockerfile in `folder` with an engine of this machine, into `out/<name>.tar`."""
    name = image_name(folder)
    path = out / f"{name}.tar"
    build_dockerfile(folder, archive=path, name=name, environ=environ, progress=progress)
    archive = inspect_archive(path)
    return tuple(
        BuiltImage(
            name=name,
            platform=image.platform,
            manifest_digest=image.digest,
            config_digest=image.config,
            layers=image.layers,
            path=path,
            compressed_size=archive.size,
        )
        for image in archive.images
    )


class _Inputs(NamedTuple):
    folder: Path
    definition: Definition
    lock: Lock
    fetcher: Fetcher
    sources: Sources


def _build_platform(inputs: _Inputs, platform: Platform, layout: Path) -> Written:
    definition = inputs.definition
    architecture = architecture_of(platform)
    triplet = TRIPLETS[architecture]
    packages = inputs.lock.for_architecture(architecture)
    wanted = {package.name: _wanted(package, inputs) for package in packages}
    try:
        inputs.fetcher.fetch_all(list(wanted.values()))
    except VanishedError as error:
        hint = f"Run `hullmark lock --refresh {inputs.folder.name}` to take today's version."
        raise VanishedError(error.message, hint=hint) from error

    def read(name: str) -> tuple[str, Deb]:
        data = inputs.fetcher.cache.read(wanted[name])
        if data is None:
            raise InputError("vanished from the cache while it was used", file=wanted[name].what)
        selected = selector(name, definition.packages[name], triplet)
        return name, read_deb(data, file=wanted[name].what, wanted=selected)

    with ThreadPoolExecutor(READERS, thread_name_prefix="unpack") as executor:
        debs = dict(executor.map(read, wanted))
    helpers = helper_entries(
        definition,
        inputs.lock,
        inputs.folder,
        architecture,
        cache=compiler_cache(inputs.fetcher.cache.folder),
    )
    tree = assemble(definition, inputs.folder, debs, triplet, helpers=helpers)
    check_closure(tree, definition, inputs.folder, debs)
    return write_image(
        layout,
        tree.items(),
        config=definition.config,
        platform=platform,
        epoch=inputs.lock.epoch,
        annotations=describe(definition, packages),
    )


def describe(definition: Definition, packages: tuple[LockedPackage, ...]) -> dict[str, str]:
    """What the image says about itself (OCI image specification, pre-defined annotation keys)."""
    versions = {package.name: package.version for package in packages}
    stated = {
        "title": definition.title,
        "description": definition.description,
        "licenses": definition.licenses,
        "version": versions.get(definition.version_from, ""),
    }
    return {f"{ANNOTATION}.{key}": value for key, value in stated.items() if value}


def _wanted(package: LockedPackage, inputs: _Inputs) -> Wanted:
    lock, sources = inputs.lock, inputs.sources
    return Wanted(
        what=f"{package.name} {package.version}",
        digest=package.digest,
        size=package.size,
        urls=sources.urls(lock.archive_of(package), package.path, lock.epoch),
        suffix=".deb",
    )


def _built(name: ImageName, image: Written, lock: Lock, path: Path) -> BuiltImage:
    return BuiltImage(
        name=name,
        platform=image.platform,
        manifest_digest=image.manifest,
        config_digest=image.config,
        layers=(image.layer.diff_id,),
        path=path,
        packages=len(lock.for_architecture(architecture_of(image.platform))),
        size=image.layer.diff_size,
        compressed_size=image.layer.size,
    )
