"""`hullmark record`: scan what is named, and record it in this repository's ledger."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from hullmark.built import read_failure, read_inputs
from hullmark.commands import Application, print_json
from hullmark.commands.build import DEFAULT_OUT
from hullmark.commands.options import (
    FILE,
    Chosen,
    choose_platform,
    jobs_option,
    json_option,
    locate,
    parse_chosen,
    scan_options,
    scanner_options,
    workers,
)
from hullmark.commands.proofs import keep_back, read_tests
from hullmark.commands.trees import record_sarif, tell_recorded
from hullmark.config import load_project
from hullmark.errors import Exit, InputError, UsageError
from hullmark.finding import Kind, count_vulnerabilities
from hullmark.formats.text import by_severity, tell_changes
from hullmark.journal import Journal
from hullmark.outbox import Outbox
from hullmark.pipeline import LOCAL, OUTBOX, PUBLISHED, Missing, Outcome, Source, open_toolchain, scan_sources
from hullmark.progress import shown
from hullmark.projection import AUDIT_LOGS
from hullmark.recorded_scans import record
from hullmark.revision import BuildInputs, WorkingTree
from hullmark.smoke import describe_test
from hullmark.text import encodable, escape_terminal

if TYPE_CHECKING:
    from hullmark.config import Image, Project
    from hullmark.image import Platform
    from hullmark.progress import Progress
    from hullmark.recorded_checks import Recorded


@click.command()
@click.argument("images", nargs=-1, metavar="[IMAGE[@OS/ARCH][=FILE-OR-REF]]...")
@click.option("--platform", metavar="OS/ARCH", help="Of files that name none; by default linux/amd64.")
@click.option("--sarif", type=FILE, help="Record what another tool found in the repository's files.")
@click.option("--tool", metavar="NAME", default="", help="The tool that wrote the SARIF file.")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in Kind if kind is not Kind.VULNERABILITY]),
    default=Kind.CODE.value,
    show_default=True,
    help="What it looks for.",
)
@click.option(
    "--smoke",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where `hullmark test --reports` wrote; reports that lie elsewhere do not count then.",
)
@click.option("--local", is_flag=True, help=f"Record below {LOCAL}/, for `hullmark publish`.")
@scanner_options
@jobs_option
@json_option
@click.pass_obj
def command(
    app: Application,
    /,
    *,
    images: tuple[str, ...],
    platform: str | None,
    sarif: Path | None,
    tool: str,
    kind: str,
    smoke: Path | None,
    local: bool,
    jobs: int,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - what `scanner_options` adds
) -> int:
    """Scan IMAGE and record what is found in audit-logs/; then write baselines and audit logs.

    IMAGE alone is what `hullmark build` made in dist/; IMAGE=FILE-OR-REF is any archive, layout, SBOM of
    Trivy's, or reference. Without an IMAGE: all of hullmark.toml; what `hullmark build --keep-going` could
    not build is recorded as not scanned, and why. So is what was built and did not pass `hullmark test`.

    With --sarif FILE --tool NAME: what that tool found in the files of this repository.
    """
    home = app.root / LOCAL if local else app.root
    if sarif is not None or tool:
        if sarif is None or not tool or images:
            raise UsageError("--sarif and --tool belong together, without an IMAGE")
        tell_recorded(record_sarif(app, sarif, tool=tool, kind=Kind(kind), home=home), as_json=as_json)
        return Exit.DONE
    project = load_project(app.root)
    with shown(sys.stderr) as progress, workers(jobs) as executor:
        failed = find_failed(project) if not images else []
        left = {each.source.image for each in failed}
        chosen = images or tuple(image.name for image in project.images if image.name not in left)
        sources = find_sources(project, chosen, platform=platform, progress=progress) if chosen else []
        tools = open_toolchain(
            scan_options(options), project.scan, root=app.root, environ=os.environ, now=app.now
        )
        built = [source for source in sources if source.path.parent == app.root / DEFAULT_OUT]
        tests = read_tests(project, built, place=smoke)
        sources, refused = keep_back(sources, tests, sample=tools.trivy.provenance.database.sample)
        failed += refused
        outcome = scan_sources(tools, sources, executor, tell=progress.say)
        outcome = msgspec.structs.replace(outcome, missing=(*outcome.missing, *failed), tests=tests)
        outcome = record(
            Journal(home / AUDIT_LOGS),
            tools,
            outcome,
            expected=[*sources, *(missing.source for missing in failed)],
            home=home,
            now=app.now,
            clock_overridden=app.clock_overridden,
            outbox=Outbox(home / OUTBOX) if local else None,
            published=find_published(app.root),
        )
    return report(outcome, as_json=as_json)


def find_published(root: Path) -> Journal | None:
    """The published history, where `hullmark publish --fetch` fetched it."""
    folder = root / LOCAL / PUBLISHED / AUDIT_LOGS
    return Journal(folder) if folder.is_dir() else None


def find_failed(project: Project) -> list[Missing]:
    """Every image whose newest build failed."""
    out = project.root / DEFAULT_OUT
    return [
        Missing(source=Source(image=image.name, platform=each, path=out / image.name), error=error)
        for image in project.images
        if (error := read_failure(out, image.name)) is not None
        for each in image.platforms
    ]


def find_sources(
    project: Project, images: tuple[str, ...], *, platform: str | None, progress: Progress
) -> list[Source]:
    """Where each named image lies: the given file or reference, or what was built."""
    chosen = [parse_chosen(text) for text in images] or [
        Chosen(image.name, None, "") for image in project.images
    ]
    places = [
        (project.image(one.name), each, one.place)
        for one in chosen
        for each in _platforms(one, project.image(one.name), platform)
    ]
    labels = Counter(f"{image.name} {each}" for image, each, _ in places)
    if twice := sorted(label for label, number in labels.items() if number > 1):
        raise UsageError(
            f"given twice: {', '.join(twice)}", hint="A run records one scan of each image and platform."
        )
    inputs = BuildInputs(WorkingTree(project.root), project)
    sources: list[Source] = []
    for image, each, place in places:
        if place or image.reference:
            path = locate(place or image.reference, root=project.root, platform=each, progress=progress)
            known = read_inputs(path.parent, image.name) if place else {}
        else:
            path = built_path(project.root, image.name)
            known = read_inputs(project.root / DEFAULT_OUT, image.name)
        sources.append(
            Source(
                image=image.name,
                platform=each,
                path=path,
                package_types=image.package_types,
                inputs=known,
                fetched=inputs.digest(image.name, each) if image.reference and not place else None,
            )
        )
    return sources


def _platforms(chosen: Chosen, image: Image, default: str | None) -> tuple[Platform, ...]:
    """The platforms of an image that are meant: of a file one, of what was built all that are not named."""
    if chosen.platform:
        return (chosen.platform,)
    return (choose_platform(default),) if chosen.place or image.reference else image.platforms


def built_path(root: Path, name: str) -> Path:
    """What `hullmark build` made of the image `name`, or InputError."""
    layout, archive = root / DEFAULT_OUT / name, root / DEFAULT_OUT / f"{name}.tar"
    if layout.is_dir():
        return layout
    if archive.is_file():
        return archive
    raise InputError("this image was not built", file=layout, hint=f"Run `hullmark build {name}`.")


def report(outcome: Outcome, *, as_json: bool, checks: Recorded | None = None) -> int:
    """Print what a run recorded; 5 when something was not covered."""
    if as_json:
        print_json(
            {
                "complete": outcome.is_complete,
                "scans": [result.scan for result in outcome.scanned],
                "events": outcome.events,
                "tests": outcome.tests,
                "missing": {
                    missing.source.label: encodable(missing.error.message) for missing in outcome.missing
                },
                "written": outcome.changed_files,
            }
            | ({"checks": {"scans": checks.scans, "events": checks.events}} if checks else {})
        )
    else:
        for line in render(outcome):
            click.echo(escape_terminal(line))
    return Exit.DONE if outcome.is_complete else Exit.INCOMPLETE


def render(outcome: Outcome) -> list[str]:
    """One line for each image, then what was not covered and what was written."""
    lines = [f"repaired: {file}: an interrupted append was dropped" for file in outcome.repaired]
    for result, event in zip(outcome.scanned, outcome.events, strict=True):
        counts = by_severity(count_vulnerabilities(result.scan.findings))
        lines.append(f"{result.scan.image} {result.scan.platform}: {counts}; {tell_changes(event)}")
    lines += [describe_test(report) for report in outcome.tests]
    lines += [f"not covered: {image}: {gap}" for image, gap in outcome.gaps]
    for missing in outcome.missing:
        lines.append(f"not scanned: {missing.source.label}: {missing.error.message}")
        if missing.error.hint:
            lines.append(f"  next: {missing.error.hint}")
    return lines + [f"wrote {path}" for path in outcome.changed_files]
