"""`hullmark run`: the whole pipeline: build, scan, record, summarise."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
import msgspec

from hullmark.built import read_inputs
from hullmark.checks import Checked
from hullmark.commands import Application
from hullmark.commands import build as build_command
from hullmark.commands.options import (
    jobs_option,
    json_option,
    locate,
    scan_options,
    scanner_options,
    workers,
)
from hullmark.commands.proofs import engine_option, keep_back, test_sources
from hullmark.commands.record import find_published, report
from hullmark.commands.summary import render as render_summary
from hullmark.commands.trees import check_options, checking_beside, tell_missed, tell_recorded
from hullmark.config import load_project
from hullmark.errors import Exit, HullmarkError
from hullmark.exemptions import find_exemptions
from hullmark.journal import Journal
from hullmark.outbox import Outbox
from hullmark.pipeline import LOCAL, OUTBOX, Missing, Source, open_toolchain, scan_sources
from hullmark.progress import shown
from hullmark.projection import AUDIT_LOGS
from hullmark.recorded_checks import check_again_with, record_reports, report_of
from hullmark.recorded_scans import record
from hullmark.revision import BuildInputs, WorkingTree
from hullmark.text import escape_terminal
from hullmark.weekly import make_summary, refuse_foreign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor
    from pathlib import Path

    from hullmark.checks import CheckOptions
    from hullmark.config import Image, Project
    from hullmark.pipeline import Outcome, Toolchain
    from hullmark.progress import Progress
    from hullmark.recorded_checks import Recorded
    from hullmark.recording import CheckAgain
    from hullmark.smoke import EngineName
    from hullmark.summary import Summary


@click.command()
@click.option("--record", "into_repository", is_flag=True, help="Record into this repository's own ledger.")
@engine_option
@scanner_options
@jobs_option
@json_option
@click.pass_obj
def command(
    app: Application,
    /,
    *,
    into_repository: bool,
    engine: EngineName,
    jobs: int,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - what `scanner_options` adds
) -> int:
    """Build, test, scan, record and summarise all images of hullmark.toml; with [checks] its files too.

    An image that fails its smoke test is not scanned: it may have fewer findings because it does nothing.

    Without --record everything is recorded and written below .hullmark/, which git ignores, and waits there
    for `hullmark publish`: only one writer should append to the shared ledger. Exit code 5 when an image was
    not covered.
    """
    project = load_project(app.root)
    home = app.root if into_repository else app.root / LOCAL
    refuse_foreign(home)
    with shown(sys.stderr) as progress, workers(jobs) as executor:
        tools = open_toolchain(
            scan_options(options), project.scan, root=app.root, environ=os.environ, now=app.now
        )
        checks = check_options(app.root, project.scan, trivy=options["trivy"], sandbox=tools.trivy.sandbox)
        with _beside(project, checks, executor, progress) as wait:
            outcome, expected = _make(project, tools, executor, engine=engine, progress=progress)
            found = wait()
        journal = Journal(home / AUDIT_LOGS)
        outcome = record(
            journal,
            tools,
            outcome,
            expected=expected,
            home=home,
            now=app.now,
            clock_overridden=app.clock_overridden,
            outbox=None if into_repository else Outbox(home / OUTBOX),
            published=find_published(app.root),
        )
        recorded = _record_checks(found, journal, app, home, check_again_with(app.root, checks, executor))
        summary = make_summary(
            journal,
            project.expected,
            home=home,
            now=app.now,
            history_limit=project.publish.history_limit,
            exemptions=find_exemptions(app.root),
            clock_overridden=app.clock_overridden,
        )
    answer = report(outcome, as_json=as_json, checks=recorded)
    if not as_json:
        _tell(found, recorded, summary)
    return _answer(answer, found)


def _tell(found: Checked | HullmarkError | None, recorded: Recorded | None, summary: Summary) -> None:
    if isinstance(found, Checked) and recorded:
        tell_missed(found)
        tell_recorded(recorded)
    for line in render_summary(summary):
        click.echo(line)


def _make(
    project: Project, tools: Toolchain, executor: Executor, *, engine: EngineName, progress: Progress
) -> tuple[Outcome, list[Source]]:
    """Build, test and scan every image: what came of it, and all that was expected."""
    sources, failed = prepare(project, progress)
    tests = test_sources(project, sources, engine=engine, progress=progress)
    sources, refused = keep_back(sources, tests, sample=tools.trivy.provenance.database.sample)
    failed += refused
    outcome = scan_sources(tools, sources, executor, tell=progress.say)
    missing = (*outcome.missing, *failed)
    expected = [*sources, *(each.source for each in failed)]
    return msgspec.structs.replace(outcome, missing=missing, tests=tests), expected


def _record_checks(
    found: Checked | HullmarkError | None,
    journal: Journal,
    app: Application,
    home: Path,
    check_again: CheckAgain,
) -> Recorded | None:
    """Record what was found in the repository's files, as a run of its own."""
    if not isinstance(found, Checked):
        return None
    return record_reports(
        journal,
        [report_of(found)],
        check_again,
        home=home,
        now=app.now,
        clock_overridden=app.clock_overridden,
        outbox=None if home == app.root else Outbox(home / OUTBOX),
        published=find_published(app.root),
    )


def _answer(answer: int, found: Checked | HullmarkError | None) -> int:
    """The exit code of a run, with that of the checks."""
    if isinstance(found, HullmarkError):
        click.echo(escape_terminal(f"not checked: the repository's files: {found.message}"), err=True)
        return Exit.INCOMPLETE
    return answer if found is None or found.is_complete else Exit.INCOMPLETE


@contextmanager
def _beside(
    project: Project, options: CheckOptions, executor: Executor, progress: Progress
) -> Iterator[Callable[[], Checked | HullmarkError | None]]:
    """Check the repository's files beside builds and scans, where the configuration asks for it.

    Why they could not be checked is a value: it keeps no image from being recorded.
    """
    if not project.checks.run:
        yield lambda: None
        return
    with checking_beside(project.root, options, executor, tell=progress.say) as wait:

        def answer() -> Checked | HullmarkError:
            try:
                return wait()
            except HullmarkError as error:
                return error

        yield answer


def prepare(project: Project, progress: Progress) -> tuple[list[Source], list[Missing]]:
    """Build or fetch every image. One that cannot be had is missing, and keeps no other back."""
    sources: list[Source] = []
    failed: list[Missing] = []
    for image in project.images:
        try:
            sources += _prepare(project, image, progress)
        except HullmarkError as error:
            progress.say(f"could not build {image.name}: {error.message}")
            failed += [
                Missing(source=Source(image=image.name, platform=each, path=image.folder), error=error)
                for each in image.platforms
            ]
    return sources, failed


def _prepare(project: Project, image: Image, progress: Progress) -> list[Source]:
    if image.reference:
        inputs = BuildInputs(WorkingTree(project.root), project)
        return [
            Source(
                image=image.name,
                platform=each,
                path=locate(image.reference, root=project.root, platform=each, progress=progress),
                package_types=image.package_types,
                fetched=inputs.digest(image.name, each),
            )
            for each in image.platforms
        ]
    out = project.root / build_command.DEFAULT_OUT
    built = build_command.run(
        project,
        [image],
        out=out,
        cache=build_command.cache_folder(project.root, os.environ),
        environ=os.environ,
        progress=progress,
    )
    return [
        Source(
            image=image.name,
            platform=each.platform,
            path=each.path,
            package_types=image.package_types,
            inputs=read_inputs(out, image.name),
        )
        for each in built
    ]
