"""`hullmark lock`: the exact packages of an image."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from hullmark.build.changes import Change, Kind
from hullmark.build.definition import DEFINITION_FILE
from hullmark.build.fetch import Cache, Fetcher
from hullmark.build.mirror import find_sources
from hullmark.build.refresh import Locked, check_image, lock_image
from hullmark.build.release import Trust, find_trust, parse_instant
from hullmark.commands import Application, print_json
from hullmark.commands.build import cache_folder
from hullmark.config import load_project
from hullmark.errors import Exit, UsageError
from hullmark.progress import Progress, shown
from hullmark.text import escape_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from hullmark.build.mirror import Sources
    from hullmark.config import Image


@click.command()
@click.argument("images", nargs=-1)
@click.option("--refresh", is_flag=True, help="Take the newest versions, also when the lock is complete.")
@click.option("--check", is_flag=True, help="Say what --refresh would change, and write nothing.")
@click.option("--snapshot", metavar="INSTANT", help="Read the archive as it was, as 20260131T120000Z.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def command(
    app: Application,
    *,
    images: tuple[str, ...],
    refresh: bool,
    check: bool,
    snapshot: str | None,
    as_json: bool,
) -> int:
    """Pin the packages of IMAGES, or of all images with an image.toml.

    Writes packages.lock beside image.toml: version and sha256 of every package, and the signed indexes they
    were chosen from. A lock that names exactly the declared packages is left alone without --refresh. When
    anything fails, the old lock stays as it was.

    With --check the exit code is 4 when a newer version is there, 0 when not.
    """
    if check and refresh:
        raise UsageError("--check writes nothing and --refresh writes", hint="Choose one of them.")
    project = load_project(app.root)
    settings = project.build
    sources = find_sources(os.environ, settings.mirror, settings.security_mirror, snapshot=settings.snapshot)
    if snapshot is not None:
        sources = _past(sources, snapshot, app.now)
    with shown(sys.stderr) as progress:
        locks = run(
            sliced(project.select(images), named=bool(images)),
            refresh=refresh,
            check=check,
            cache=cache_folder(app.root, os.environ),
            sources=sources,
            trust=find_trust(os.environ, app.now),
            progress=progress,
        )
    if as_json:
        print_json({"locks": locks})
    else:
        for lock in locks:
            _print(lock, check=check)
    return Exit.REVIEW if check and any(lock.newer for lock in locks) else Exit.DONE


def run(
    images: Iterable[Image],
    *,
    refresh: bool,
    check: bool,
    cache: Path,
    sources: Sources,
    trust: Trust,
    progress: Progress,
) -> tuple[Locked, ...]:
    """Lock or check `images` one after the other."""
    with Fetcher(Cache(cache), progress=progress) as fetcher:
        return tuple(
            check_image(image.folder, fetcher=fetcher, sources=sources, trust=trust)
            if check
            else lock_image(image.folder, fetcher=fetcher, sources=sources, trust=trust, refresh=refresh)
            for image in images
        )


def _past(sources: Sources, instant: str, now: datetime) -> Sources:
    """The archives as they were at `instant`; its addresses carry it, and are judged by it."""
    if parse_instant(instant) > now.timestamp():
        raise UsageError(f"{instant} is not past yet")
    return sources.at(instant)


def sliced(images: Iterable[Image], *, named: bool) -> tuple[Image, ...]:
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


def _print(lock: Locked, *, check: bool) -> None:
    path = escape_terminal(lock.path)
    count = len(lock.newer)
    if lock.written:
        click.echo(f"wrote {path}: {lock.packages} packages, {count} changed")
    elif check and count:
        click.echo(f"{path} is behind: {count} of {lock.packages} packages would change")
    else:
        click.echo(f"{path} is up to date: {lock.packages} packages")
    several = len({change.architecture for change in lock.changes}) > 1
    for change in lock.changes:
        name = f"{change.package}:{change.architecture}" if several else change.package
        click.echo(f"  {name} {change.before or '(new)'} -> {change.after or '(gone)'}{_remark(change)}")
    if check and count:
        click.echo(f"  next: hullmark lock --refresh {lock.image}")


def _remark(change: Change) -> str:
    """Where a version comes from; a security update and a step back are named."""
    remarks = [f"from {change.suite}"] if change.suite else []
    if change.security:
        remarks.append(
            "security update" + (f" of {change.security}" if change.security != change.suite else "")
        )
    if change.kind is Kind.OLDER:
        remarks.append("OLDER than the locked version, which is no longer offered")
    if change.kind is Kind.MOVED:
        remarks.append("the same file in another suite")
    return f" ({', '.join(remarks)})" if remarks else ""
