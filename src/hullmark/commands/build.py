"""`hullmark build`: images from their slices or Dockerfiles."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from hullmark.baseline import file_stem
from hullmark.build.archive import inspect_archive
from hullmark.build.builder import BuiltImage, build
from hullmark.build.definition import DEFINITION_FILE
from hullmark.build.engine import load_archive, tag_of
from hullmark.build.mirror import Sources, find_sources
from hullmark.build.saved import save_archive
from hullmark.built import forget_failure, write_failure, write_inputs
from hullmark.built_evidence import Describer, Written, forget_other, write_evidence
from hullmark.commands import Application, print_json
from hullmark.config import load_project
from hullmark.errors import Exit, HullmarkError, InputError
from hullmark.files import scratch_folder
from hullmark.image import LINUX_AMD64
from hullmark.pipeline import LOCAL
from hullmark.planned import read_plan
from hullmark.progress import Progress, shown
from hullmark.revision import BuildInputs, WorkingTree
from hullmark.sandbox import Sandbox
from hullmark.scanners.trivy.binary import find_binary, identify
from hullmark.text import encodable, escape_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hullmark.config import BuildSettings, Image, Project

CACHE_VARIABLE = "HULLMARK_CACHE"
DEFAULT_CACHE = ".cache"
DEFAULT_OUT = "dist"


@click.command()
@click.argument("images", nargs=-1)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Folder for the built images; by default {DEFAULT_OUT}/ in the repository.",
)
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Build what this plan needs from --side.",
)
@click.option("--side", type=click.Choice(["base", "head"]), default="head", help="Of the plan.")
@click.option(
    "--output",
    type=click.Choice(["oci", "docker-archive"]),
    default="oci",
    help="docker-archive: also write OUT/NAME.docker.tar, which every engine loads.",
)
@click.option(
    "--evidence/--no-evidence",
    default=True,
    show_default=True,
    help="Write SBOMs, file list and provenance into OUT/NAME.evidence.",
)
@click.option("--keep-going", is_flag=True, help="Build the others when one cannot be built.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def command(
    app: Application,
    *,
    images: tuple[str, ...],
    out: Path | None,
    plan_file: Path | None,
    side: str,
    output: str,
    evidence: bool,
    keep_going: bool,
    as_json: bool,
) -> int:
    """Build IMAGES, or all of hullmark.toml, and say their digests.

    An image with an image.toml becomes an OCI layout in OUT/NAME, the same bytes from the same lock.
    What others can check about it is written into OUT/NAME.evidence.
    An image with only a Dockerfile is built by docker, buildah or podman into OUT/NAME.tar. Downloads are
    kept in .cache/debs, or below HULLMARK_CACHE.

    With --keep-going exit code 5 says that an image could not be built. OUT/NAME.failed.json says why, and
    `hullmark record` records it.
    """
    project = load_project(app.root)
    chosen = _planned(project, plan_file, side) if plan_file else project.select(images)
    failed: dict[str, HullmarkError] = {}
    written: list[Written] = []
    with shown(sys.stderr) as progress:
        built = run(
            project,
            (image for image in chosen if not image.reference),
            out=out or app.root / DEFAULT_OUT,
            cache=cache_folder(app.root, os.environ),
            environ=os.environ,
            progress=progress,
            failed=failed if keep_going else None,
            evidence=written if evidence else None,
        )
        if output == "docker-archive":
            _write_archives(image for image in built if image.packages is not None)
    if as_json:
        reasons = {name: encodable(error.message) for name, error in failed.items()}
        images_ = [document(image) for image in built]
        print_json({"images": images_, "failed": reasons, "evidence": written})
    else:
        for image in built:
            click.echo(f"wrote {escape_terminal(str(image.path))}")
            click.echo(f"  {image.name} {image.platform} {image.manifest_digest}, {describe(image)}")
        _tell_evidence(written)
        for name, error in failed.items():
            click.echo(escape_terminal(f"not built: {name}: {error.message}"))
            click.echo(escape_terminal(f"  next: {error.hint}" if error.hint else ""), nl=bool(error.hint))
    return Exit.INCOMPLETE if failed else Exit.DONE


def _write_archives(built: Iterable[BuiltImage]) -> None:
    """Each platform of each image as OUT/NAME.docker.tar, others than linux/amd64 with their name."""
    for image in built:
        found = inspect_archive(image.path).only(image.platform)
        stem = file_stem(image.name, str(image.platform))
        target = image.path.with_name(f"{stem}.docker.tar")
        save_archive(image.path, found, target, tag=tag_of(image.name))


def _find_describer(root: Path) -> Describer:
    local = root / LOCAL
    sandbox = Sandbox.find()
    cache = local / "hashes.json" if local.is_dir() else None
    return Describer(identify(find_binary(), sandbox, cache=cache), sandbox)


def _tell_evidence(written: Iterable[Written]) -> None:
    for each in written:
        click.echo(f"wrote {escape_terminal(each.folder)}: {', '.join(each.files)}")
        for name, reason in each.missing.items():
            click.echo(escape_terminal(f"  not written: {name}: {reason}"))


def _planned(project: Project, file: Path, side: str) -> tuple[Image, ...]:
    """The images that a plan needs from one side; those that this side does not have cannot be built."""
    plan = read_plan(file)
    names = plan.build_base if side == "base" else plan.build_head
    known = {image.name for image in project.images}
    return project.select(name for name in names if name in known) if known & set(names) else ()


def run(
    project: Project,
    images: Iterable[Image],
    *,
    out: Path,
    cache: Path,
    environ: Mapping[str, str],
    progress: Progress,
    failed: dict[str, HullmarkError] | None = None,
    evidence: list[Written] | None = None,
) -> tuple[BuiltImage, ...]:
    """Build `images` and what they are built from, each after its bases.

    Where packages come from is only asked when an image needs them.
    What each was built from is kept beside it, or why it could not be built. With `failed`, which is filled,
    one that fails keeps no other back; with `evidence`, which is filled, what can be checked is written too.
    """
    built: list[BuiltImage] = []
    find_describer = functools.cache(lambda: _find_describer(project.root))
    inputs = BuildInputs(WorkingTree(project.root), project)
    bases = _find_bases(inputs, images)
    founding = {base for own in bases.values() for base in own}
    for image in map(project.image, bases):
        if image.reference:
            continue
        sliced = (image.folder / DEFINITION_FILE).exists()
        try:
            _refuse_unbuilt(image, bases[image.name], failed or {})
            sources = _sources(project.build, environ) if sliced else None
            # Before the build, which may take its time: a file that is edited meanwhile is another input.
            known = {platform: inputs.digest(image.name, platform) for platform in image.platforms}
            done = build(
                image.folder, out=out, cache=cache, environ=environ, sources=sources, progress=progress
            )
            if sliced and image.name in founding:
                _load(done, environ)
            forget_other(done)
            if evidence is not None and sliced:
                progress.say(f"writing evidence of {image.name}")
                evidence += write_evidence(done, image.folder, cache=cache, find_describer=find_describer)
        except HullmarkError as error:
            write_failure(out, image.name, error)
            if failed is None:
                raise
            failed[image.name] = error
            progress.say(f"could not build {image.name}: {error.message}")
        else:
            write_inputs(out, image.name, (each for each in done if each.platform in known), known)
            forget_failure(out, image.name)
            built += done
    return tuple(built)


def _find_bases(inputs: BuildInputs, images: Iterable[Image]) -> dict[str, tuple[str, ...]]:
    """What each of `images` and of their bases is built from, each after its bases.

    One whose inputs cannot be read keeps no other back: its build says why.
    """
    found: dict[str, tuple[str, ...]] = {}
    for image in images:
        try:
            names = inputs.order([image.name])
        except HullmarkError:
            found.setdefault(image.name, ())
        else:
            found |= {name: inputs.bases(name) for name in names if name not in found}
    return found


def _refuse_unbuilt(image: Image, bases: Iterable[str], failed: Mapping[str, HullmarkError]) -> None:
    """Refuse to build on what an engine still has of a base that could not be built."""
    for base in bases:
        if base in failed:
            raise InputError(f"{base}, which it is built from, was not built", file=image.folder)


def _load(images: Iterable[BuiltImage], environ: Mapping[str, str]) -> None:
    """Give an image that others are built from to the engine that builds them."""
    for image in images:
        if image.platform == LINUX_AMD64:
            with scratch_folder() as folder:
                archive = folder / "base.tar"
                found = inspect_archive(image.path).only(image.platform)
                save_archive(image.path, found, archive, tag=tag_of(image.name))
                load_archive(archive, environ=environ)


def _sources(settings: BuildSettings, environ: Mapping[str, str]) -> Sources:
    return find_sources(environ, settings.mirror, settings.security_mirror, snapshot=settings.snapshot)


def cache_folder(root: Path, environ: Mapping[str, str]) -> Path:
    """Where fetched packages are kept."""
    named = environ.get(CACHE_VARIABLE, "")
    return (Path(named) if named else root / DEFAULT_CACHE) / "debs"


def document(image: BuiltImage) -> dict[str, object]:
    """One image in the command's JSON."""
    return {**msgspec.structs.asdict(image), "platform": str(image.platform), "path": str(image.path)}


def describe(image: BuiltImage) -> str:
    """Packages and size, as far as they are known."""
    packed = f"{image.compressed_size / 1e6:.1f} MB"
    if image.packages is None or image.size is None:
        return packed
    return f"{image.packages} packages, {image.size / 1e6:.1f} MB, {packed} compressed"
