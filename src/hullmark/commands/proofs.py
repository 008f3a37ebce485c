"""Smoke tests as steps of other commands: made now or read from a report, and what they keep back."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

import click
import msgspec

from hullmark import __version__
from hullmark.baseline import file_stem
from hullmark.build.archive import inspect_archive
from hullmark.built_evidence import keep_report
from hullmark.decision import SmokeResult
from hullmark.errors import IncompleteError
from hullmark.files import write_whole
from hullmark.pipeline import Missing
from hullmark.smoke import (
    ENGINES,
    SmokeReport,
    Target,
    encode_report,
    find_way,
    load_declared,
    read_report,
    smoke_test,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from hullmark.config import Project
    from hullmark.pipeline import Source
    from hullmark.progress import Progress
    from hullmark.smoke import EngineName

engine_option = click.option(
    "--engine", type=click.Choice(ENGINES), default="auto", help="What runs the images that are tested."
)


def make_tests(
    targets: Iterable[Target],
    *,
    engine: EngineName,
    environ: Mapping[str, str],
    progress: Progress,
    out: Path | None = None,
) -> list[SmokeReport]:
    """Test one image after the other, and write each report into `out`, without one beside the image."""
    reports = []
    find = cache(lambda: find_way(engine, environ))
    for target in targets:
        progress.say(f"testing {target.image} {target.platform}")
        report = smoke_test(target, find)
        if report.result is not SmokeResult.NOT_DECLARED:
            place = report_path(out or target.path.parent, report.image, report.platform)
            data = encode_report(report)
            write_whole(place, data)
            keep_report(target.path.parent, report.image, report.platform, report.digest, data)
        reports.append(report)
    return reports


def report_path(out: Path, image: str, platform: str) -> Path:
    """Where the report of one image and platform lies."""
    return out / f"{file_stem(image, platform)}.smoke.json"


def test_sources(
    project: Project, sources: Iterable[Source], *, engine: EngineName, progress: Progress
) -> tuple[SmokeReport, ...]:
    """The smoke test of each image that declares one."""
    targets = [_target(project, source) for source in sources]
    reports = make_tests(targets, engine=engine, environ=os.environ, progress=progress)
    return tuple(report for report in reports if report.result is not SmokeResult.NOT_DECLARED)


def read_tests(
    project: Project, sources: Iterable[Source], *, place: Path | None = None
) -> tuple[SmokeReport, ...]:
    """What `hullmark test` found of each built image that declares a test; "not run" without a report.

    With a `place` only reports that lie there count; otherwise those beside the images.
    """
    reports = []
    for source in sources:
        target = _target(project, source)
        if (declared := load_declared(target.folder)) is not None:
            reports.append(_read(target, declared.digest, place or target.path.parent))
    return tuple(reports)


def _read(target: Target, tests: str, place: Path) -> SmokeReport:
    image = inspect_archive(target.path).only(target.platform)
    path = report_path(place, target.image, str(target.platform))
    if path.is_file():
        found = read_report(path)
        if (found.label, found.digest, found.tests) == (
            f"{target.image} {target.platform}",
            image.digest,
            tests,
        ):
            return msgspec.structs.replace(found, required=target.required)
    return SmokeReport(
        image=target.image,
        platform=str(target.platform),
        digest=image.digest,
        config=image.config,
        tests=tests,
        result=SmokeResult.NOT_RUN,
        required=target.required,
        hullmark=__version__,
        detail="no report of this image and these tests",
        hint=f"Make it with: hullmark test {target.image}",
    )


def _target(project: Project, source: Source) -> Target:
    return Target(
        image=source.image,
        platform=source.platform,
        path=source.path,
        folder=project.image(source.image).folder,
        required=source.platform in project.smoke_platforms,
    )


def keep_back(
    sources: Sequence[Source], tests: Sequence[SmokeReport], *, sample: bool
) -> tuple[list[Source], list[Missing]]:
    """What goes on to the scan, and what a test keeps back. In a sample, "not run" is only said."""
    refused = {
        report.label: report
        for report in tests
        if report.blocks and not (sample and report.result is SmokeResult.NOT_RUN)
    }
    missing = []
    for source in sources:
        if report := refused.get(source.label):
            failed = report.result is SmokeResult.FAILED
            said = f"its smoke test {'failed' if failed else 'was not run, and is required'}: {report.detail}"
            hint = f"`hullmark test {source.image}` shows more." if failed else report.hint
            missing.append(Missing(source=source, error=IncompleteError(said, hint=hint)))
    return [source for source in sources if source.label not in refused], missing
