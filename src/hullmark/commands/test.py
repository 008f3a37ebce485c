"""`hullmark test`: start built images, and check that they do their job."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hullmark.baseline import file_stem
from hullmark.built import read_failure
from hullmark.commands import Application, print_json
from hullmark.commands.build import DEFAULT_OUT
from hullmark.commands.options import json_option, parse_pair
from hullmark.commands.record import built_path
from hullmark.config import load_project
from hullmark.decision import SmokeResult
from hullmark.errors import Exit, InputError
from hullmark.files import write_whole
from hullmark.progress import shown
from hullmark.smoke import (
    ENGINES,
    EngineName,
    SmokeReport,
    Target,
    encode_report,
    find_way,
    render_report,
    smoke_test,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hullmark.config import Project
    from hullmark.progress import Progress


engine_option = click.option(
    "--engine", type=click.Choice(ENGINES), default="auto", help="What runs the images that are tested."
)


@click.command()
@click.argument("images", nargs=-1, metavar="[IMAGE[=FILE]]...")
@engine_option
@click.option(
    "--tests",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A checkout whose smoke tests are made instead of those here, as those of a change's base.",
)
@click.option(
    "--built",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Test whatever `hullmark build --out` built here, and leave out the rest.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the reports; by default beside the images.",
)
@json_option
@click.pass_obj
def command(
    app: Application,
    *,
    images: tuple[str, ...],
    engine: EngineName,
    tests: Path | None,
    built: Path | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Start IMAGE as its user, on a read-only root without capabilities, and make its declared checks.

    IMAGE alone is what `hullmark build` made in dist/; without an IMAGE: all of hullmark.toml. Each report is
    written to dist/IMAGE.smoke.json. Exit code 3 when a check failed, 5 when a required test was not run.
    """
    project = load_project(app.root)
    with shown(sys.stderr) as progress:
        pairs = images or find_built(project, built) if built else images
        targets = list(find_targets(project, pairs, tests=tests)) if pairs or not built else []
        reports = make_tests(
            targets,
            engine=engine,
            out=out or built or app.root / DEFAULT_OUT,
            environ=os.environ,
            progress=progress,
        )
    if as_json:
        print_json({"reports": reports})
    else:
        for report in reports:
            for line in render_report(report):
                click.echo(line)
    return exit_code(reports)


def find_built(project: Project, folder: Path) -> tuple[str, ...]:
    """The images of hullmark.toml that lie in `folder`, and whose newest build did not fail."""
    return tuple(
        f"{image.name}={path}"
        for image in project.images
        if read_failure(folder, image.name) is None
        for path in (folder / image.name, folder / f"{image.name}.tar")
        if path.exists()
    )


def find_targets(project: Project, pairs: Sequence[str], *, tests: Path | None) -> Iterator[Target]:
    """Every named image, or all that are built here, on each of its platforms."""
    chosen = [parse_pair(pair) for pair in pairs]
    for name, place in chosen or [(image.name, "") for image in project.images if not image.reference]:
        image = project.image(name)
        path = Path(place) if place else built_path(project.root, name)
        if not path.exists():
            raise InputError("file not found", file=path)
        judging = load_project(tests).image(name) if tests else image
        for platform in image.platforms:
            yield Target(
                image=name,
                platform=platform,
                path=path,
                folder=judging.folder,
                required=platform in project.smoke_platforms,
            )


def make_tests(
    targets: Iterable[Target],
    *,
    engine: EngineName,
    out: Path,
    environ: Mapping[str, str],
    progress: Progress,
) -> list[SmokeReport]:
    """Test one image after the other, and write each report beside the image."""
    reports = []
    find = cache(lambda: find_way(engine, environ))
    for target in targets:
        progress.say(f"testing {target.image} {target.platform}")
        report = smoke_test(target, find)
        if report.result is not SmokeResult.NOT_DECLARED:
            write_whole(report_path(out, report.image, report.platform), encode_report(report))
        reports.append(report)
    return reports


def report_path(out: Path, image: str, platform: str) -> Path:
    """Where the report of one image and platform lies."""
    return out / f"{file_stem(image, platform)}.smoke.json"


def exit_code(reports: Iterable[SmokeReport]) -> int:
    """3 when an image failed, else 5 when a required test was not run, else 0."""
    results = {report.result for report in reports if report.blocks}
    if SmokeResult.FAILED in results:
        return Exit.BLOCK
    return Exit.INCOMPLETE if results else Exit.DONE
