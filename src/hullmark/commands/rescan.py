"""`hullmark rescan`: what was recorded, matched with today's database."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from hullmark.commands.options import jobs_option, json_option, scan_options, scanner_options, workers
from hullmark.commands.record import find_published, report
from hullmark.config import load_project
from hullmark.errors import InputError
from hullmark.journal import Journal
from hullmark.outbox import Outbox
from hullmark.pipeline import LOCAL, OUTBOX, Missing, Source, open_toolchain, scan_sources
from hullmark.progress import shown
from hullmark.projection import AUDIT_LOGS
from hullmark.pushed import find_published as find_published_push
from hullmark.recorded_scans import record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hullmark.commands import Application
    from hullmark.config import Image
    from hullmark.history import Context, ScanRecord


@click.command()
@click.argument("images", nargs=-1)
@click.option(
    "--local", is_flag=True, help=f"Rescan what is published; record below {LOCAL}/ for publishing."
)
@scanner_options
@jobs_option
@json_option
@click.pass_obj
def command(
    app: Application,
    /,
    *,
    images: tuple[str, ...],
    local: bool,
    jobs: int,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - what `scanner_options` adds
) -> int:
    """Match the SBOM of what is published of IMAGES, or of all, with today's database, and record it.

    Published is the digest that `hullmark push` moved the tag to last; of an image that was never pushed it
    is the newest recorded scan. No image is built, fetched or opened: what is new was disclosed, withdrawn
    or rated anew. With --local the published ledger is read, as `hullmark publish --fetch` left it.

    Exit code 5: an image has no recorded scan, or a gap.
    """
    project = load_project(app.root)
    home = app.root / LOCAL if local else app.root
    published = find_published(app.root)
    known = published if local else Journal(home / AUDIT_LOGS)
    with shown(sys.stderr) as progress, workers(jobs) as executor:
        sources, failed = find_stored(known, project.select(images))
        tools = open_toolchain(
            scan_options(options), project.scan, root=app.root, environ=os.environ, now=app.now
        )
        outcome = scan_sources(tools, sources, executor, tell=progress.say)
        outcome = msgspec.structs.replace(outcome, missing=(*outcome.missing, *failed))
        outcome = record(
            Journal(home / AUDIT_LOGS),
            tools,
            outcome,
            expected=[*sources, *(missing.source for missing in failed)],
            home=home,
            now=app.now,
            clock_overridden=app.clock_overridden,
            outbox=Outbox(home / OUTBOX) if local else None,
            published=published,
        )
    return report(outcome, as_json=as_json)


def find_stored(journal: Journal | None, images: Iterable[Image]) -> tuple[list[Source], list[Missing]]:
    """The stored SBOM of each image, and the images that have none."""
    sources: list[Source] = []
    failed: list[Missing] = []
    for image in images:
        for platform in image.platforms:
            place = Path(f"{image.name} {platform}")
            source = Source(
                image=image.name, platform=platform, path=place, package_types=image.package_types
            )
            stored = find_newest(journal, image.name, str(platform)) if journal else None
            if journal is None or stored is None:
                error = InputError("was never recorded", file=place, hint="Run `hullmark record` first.")
                failed.append(Missing(source=source, error=error))
                continue
            sources.append(
                msgspec.structs.replace(
                    source,
                    sbom=journal.evidence.get(stored.sbom),
                    recorded=stored.coverage,
                    fetched=stored.inputs,
                )
            )
    return sources, failed


def find_newest(journal: Journal, image: str, platform: str) -> ScanRecord | Context | None:
    """The scan of what users of an image get: of the digest that is published, else the newest."""
    standing = journal.standings(image).get(platform)
    published = find_published_push(journal, image)
    digest = published.images.get(platform) if published else None
    if standing is None or digest in (None, standing.latest.digest):
        return standing.latest if standing else None
    timeline = journal.timelines(image)[platform]
    return next((scan for scan in reversed(timeline.scans) if scan.digest == digest), standing.latest)
