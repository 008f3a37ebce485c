"""`hullmark test`: start built images, and check that they do their job."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hullmark.commands import Application, print_json
from hullmark.commands.options import Chosen, json_option, parse_chosen
from hullmark.commands.proofs import engine_option, make_tests
from hullmark.commands.record import built_path
from hullmark.config import load_project
from hullmark.decision import SmokeResult
from hullmark.errors import Exit, InputError, UsageError
from hullmark.progress import shown
from hullmark.smoke import (
    EngineName,
    SmokeReport,
    Target,
    render_report,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hullmark.config import Project


_Folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("images", nargs=-1, metavar="[IMAGE[=FILE]]...")
@engine_option
@click.option("--built", type=_Folder, help="Test what lies in this folder, and leave out what does not.")
@click.option(
    "--tests",
    type=_Folder,
    help="A checkout whose smoke tests are made instead of those here, as those of a change's base.",
)
@click.option(
    "--reports",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the reports into this folder, instead of beside the images.",
)
@json_option
@click.pass_obj
def command(
    app: Application,
    *,
    images: tuple[str, ...],
    engine: EngineName,
    built: Path | None,
    tests: Path | None,
    reports: Path | None,
    as_json: bool,
) -> int:
    """Start IMAGE as its user, on a read-only root without capabilities, and make its declared checks.

    IMAGE alone is what `hullmark build` made in dist/; without an IMAGE: all of hullmark.toml. Each report is
    written beside its image, as IMAGE.smoke.json. Exit code 3 when a check failed, 5 when a required test was
    not run.
    """
    if built and images:
        raise UsageError("--built stands for the images in a folder", hint="Leave out IMAGE.")
    project = load_project(app.root)
    judging = load_project(tests) if tests else project
    with shown(sys.stderr) as progress:
        places = find_built(project, built) if built else find_places(project, images)
        made = make_tests(
            find_targets(project, judging, places),
            engine=engine,
            environ=os.environ,
            progress=progress,
            out=reports,
        )
    if as_json:
        print_json({"reports": made})
    else:
        for report in made:
            for line in render_report(report):
                click.echo(line)
    return exit_code(made)


def find_built(project: Project, folder: Path) -> dict[str, Path]:
    """Which images of the project lie in `folder`, and where."""
    places = {image.name: (folder / image.name, folder / f"{image.name}.tar") for image in project.images}
    found = {name: [place for place in both if place.exists()] for name, both in places.items()}
    return {name: there[0] for name, there in found.items() if there}


def find_places(project: Project, pairs: Sequence[str]) -> dict[str, Path]:
    """Every named image, or all that are built here, and where each lies."""
    chosen = [parse_chosen(pair) for pair in pairs] or [
        Chosen(image.name, None, "") for image in project.images if not image.reference
    ]
    found: dict[str, Path] = {}
    for name, platform, place in chosen:
        if platform:
            raise UsageError(f"{name}: give no platform", hint="All that hullmark.toml names are tested.")
        found[project.image(name).name] = Path(place) if place else built_path(project.root, name)
        if not found[name].exists():
            raise InputError("file not found", file=found[name])
    return found


def find_targets(project: Project, judging: Project, places: Mapping[str, Path]) -> list[Target]:
    """Each platform of each image, held to what `judging` declares."""
    return [
        Target(
            image=name,
            platform=platform,
            path=path,
            folder=judging.image(name).folder,
            required=platform in judging.smoke_platforms,
        )
        for name, path in places.items()
        for platform in project.image(name).platforms
    ]


def exit_code(reports: Iterable[SmokeReport]) -> int:
    """3 when an image failed, else 5 when a required test was not run, else 0."""
    results = {report.result for report in reports if report.blocks}
    if SmokeResult.FAILED in results:
        return Exit.BLOCK
    return Exit.INCOMPLETE if results else Exit.DONE
