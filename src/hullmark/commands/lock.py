"""`hullmark lock`: the exact packages of an image."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from hullmark.build.definition import DEFINITION_FILE
from hullmark.build.fetch import Cache, Fetcher
from hullmark.build.mirror import find_sources
from hullmark.build.refresh import Locked, lock_image
from hullmark.commands import Application, print_json
from hullmark.commands.build import cache_folder
from hullmark.config import load_project
from hullmark.errors import UsageError
from hullmark.progress import Progress, shown
from hullmark.text import escape_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from hullmark.config import BuildSettings, Image


@click.command()
@click.argument("images", nargs=-1)
@click.option("--refresh", is_flag=True, help="Take the newest versions, also when the lock is complete.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def command(app: Application, *, images: tuple[str, ...], refresh: bool, as_json: bool) -> None:
    """Pin the packages of IMAGES, or of all images with an image.toml.

    Writes packages.lock beside image.toml: version and sha256 of every package, and the indexes they were
    chosen from. A lock that names exactly the declared packages is left alone without --refresh. When
    anything fails, the old lock stays as it was.
    """
    project = load_project(app.root)
    with shown(sys.stderr) as progress:
        locked = run(
            _sliced(project.select(images), named=bool(images)),
            refresh=refresh,
            cache=cache_folder(app.root, os.environ),
            settings=project.build,
            environ=os.environ,
            progress=progress,
        )
    if as_json:
        print_json({"locks": locked})
        return
    for lock in locked:
        _print(lock)


def run(
    images: Iterable[Image],
    *,
    refresh: bool,
    cache: Path,
    settings: BuildSettings,
    environ: Mapping[str, str],
    progress: Progress,
) -> tuple[Locked, ...]:
    """Lock `images` one after the other."""
    sources = find_sources(environ, settings.mirror, settings.security_mirror)
    with Fetcher(Cache(cache), progress=progress) as fetcher:
        return tuple(
            lock_image(image.folder, fetcher=fetcher, sources=sources, refresh=refresh) for image in images
        )


def _sliced(images: Iterable[Image], *, named: bool) -> tuple[Image, ...]:
    """The images that have a definition; asking for another by name is an error."""
    found = []
    for image in images:
        if (image.folder / DEFINITION_FILE).exists():
            found.append(image)
        elif named:
            raise UsageError(
                f"{image.name} has no {DEFINITION_FILE}, so there is nothing to lock",
                hint="Only images that Hullmark builds from slices have a lock.",
            )
    return tuple(found)


def _print(lock: Locked) -> None:
    if not lock.written:
        click.echo(f"{escape_terminal(lock.path)} is up to date: {lock.packages} packages")
        return
    click.echo(f"wrote {escape_terminal(lock.path)}: {lock.packages} packages, {len(lock.changes)} changed")
    for change in lock.changes:
        click.echo(f"  {change.package} {change.before or '(new)'} -> {change.after or '(gone)'}")
