"""`hullmark scan`: one image, its findings, nothing recorded."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from hullmark.commands import Application, print_json
from hullmark.commands.options import (
    choose_platform,
    json_option,
    locate,
    scan_options,
    scanner_options,
    workers,
)
from hullmark.config import CONFIG_FILE, ScanSettings, load_project
from hullmark.errors import Exit
from hullmark.finding import Severity
from hullmark.formats.text import render_scan
from hullmark.pipeline import Source, open_toolchain, scan_sources
from hullmark.progress import shown
from hullmark.text import encodable

SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")


@click.command()
@click.argument("source", metavar="FILE-OR-REF")
@click.option("--platform", metavar="OS/ARCH", help="Of an image with several; by default linux/amd64.")
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES, case_sensitive=False),
    help="Exit with 3 when a finding of this severity or above is there.",
)
@scanner_options
@json_option
@click.pass_obj
def command(
    app: Application,
    /,
    *,
    source: str,
    platform: str | None,
    fail_on: str | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - what `scanner_options` adds
) -> int:
    """Scan FILE-OR-REF and print its findings. Needs no configuration and records nothing.

    FILE is a docker-archive, an OCI layout or an SBOM that Trivy made; REF an image that a local engine or a
    registry has.
    """
    has_project = (app.root / CONFIG_FILE).exists()
    settings = load_project(app.root).scan if has_project else ScanSettings()
    wanted = choose_platform(platform)
    with shown(sys.stderr) as progress, workers(1) as executor:
        path = locate(source, root=app.root, platform=wanted if platform else None, progress=progress)
        tools = open_toolchain(
            scan_options(options), settings, root=app.root, environ=os.environ, now=app.now
        )
        named = Source(image=encodable(source), platform=wanted, path=path, is_named=False)
        outcome = scan_sources(tools, [named], executor, tell=progress.say)
    if outcome.missing:
        raise outcome.missing[0].error
    (result,) = outcome.scanned
    if as_json:
        print_json(result.scan)
    else:
        click.echo(render_scan(result.scan, source=source))
    if fail_on and any(f.severity.rank >= Severity(fail_on).rank for f in result.scan.findings):
        return Exit.BLOCK
    return Exit.DONE if outcome.is_complete else Exit.INCOMPLETE
