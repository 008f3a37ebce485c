"""`hullmark history`: when a finding was seen, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hullmark.commands import Application, print_json
from hullmark.errors import InputError, UsageError
from hullmark.formats.text import plural, table
from hullmark.journal import Journal
from hullmark.projection import AUDIT_LOGS

if TYPE_CHECKING:
    from hullmark.history import Interval, ScanRecord, Timeline


@click.command()
@click.argument("image", required=False)
@click.option("--finding", metavar="ID", help="Only this vulnerability, in every image.")
@click.option("--open", "only_open", is_flag=True, help="Only what is still there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def command(
    app: Application, *, image: str | None, finding: str | None, only_open: bool, as_json: bool
) -> None:
    """Show the scans of IMAGE, or the life of its findings.

    Without --finding or --open: every scan that changed something. With one of them: each finding with the
    day it was first seen, its cause, and how it ended.
    """
    journal = Journal(app.root / AUDIT_LOGS)
    images = journal.subjects()
    if not images:
        raise InputError("nothing was recorded here", file=journal.root, hint="Run `hullmark run --record`.")
    if image is not None and image not in images:
        raise UsageError(f"no history of {image!r}", hint=f"There is one of {', '.join(images)}.")
    runs = journal.runs()
    timelines = [
        timeline
        for name in ([image] if image else images)
        for timeline in journal.timelines(name, runs).values()
    ]
    if finding is None and not only_open:
        _show_scans(timelines, as_json=as_json)
    else:
        _show_findings(timelines, finding, only_open=only_open, as_json=as_json)


def _show_scans(timelines: list[Timeline], *, as_json: bool) -> None:
    scans = [(timeline, scan) for timeline in timelines for scan in timeline.scans]
    if as_json:
        print_json({"scans": [{"image": timeline.image, "scan": scan} for timeline, scan in scans]})
        return
    shown = [(t, scan) for t, scan in scans if not scan.event.is_unchanged]
    heads = (
        "time",
        "image",
        "platform",
        "findings introduced",
        "resolved",
        "changed",
        "coverage",
        "database",
    )
    rows = [(scan.at, timeline.image, timeline.platform, *_scan(scan)) for timeline, scan in shown]
    for line in table(heads, sorted(rows)):
        click.echo(line)
    click.echo(f"{plural(len(scans), 'scan', 'scans')}, {len(scans) - len(shown)} of them without a change")


def _scan(scan: ScanRecord) -> tuple[str, str, str, str, str]:
    event = scan.event
    gaps = ", ".join(gap.reason.value for gap in scan.coverage.gaps)
    sample = " (sample)" if scan.run.database.sample else ""
    return (
        str(sum(len(change.packages) for change in event.introduced)),
        str(sum(len(change.packages) for change in event.resolved)),
        str(len(event.changed)),
        gaps or "complete",
        scan.run.database.updated_at[:10] + sample,
    )


def _show_findings(timelines: list[Timeline], finding: str | None, *, only_open: bool, as_json: bool) -> None:
    found = [
        (timeline, interval)
        for timeline in timelines
        for interval in timeline.intervals
        if finding in (None, interval.identity.id) and (interval.is_open or not only_open)
    ]
    if as_json:
        print_json({"findings": [{"image": t.image, "platform": t.platform, "finding": i} for t, i in found]})
        return
    heads = ("first seen", "cause", "image", "severity", "id", "package", "installed", "fixed in", "ended")
    for line in table(heads, [_interval(timeline, interval) for timeline, interval in found]):
        click.echo(line)
    still = sum(interval.is_open for _, interval in found)
    click.echo(f"{plural(len(found), 'finding', 'findings')}, {still} still there")


def _interval(timeline: Timeline, interval: Interval) -> tuple[str, ...]:
    severities = " -> ".join(severity.value for _, severity in interval.severities)
    ended = ""
    if interval.resolved_cause is not None:
        ended = f"{interval.resolved_at[:10]} by {interval.resolved_cause.value}"
    change = interval.change
    name = interval.identity.package + (f" at {interval.identity.path}" if interval.identity.path else "")
    return (
        interval.first_seen[:10],
        interval.cause.value,
        timeline.image,
        severities,
        interval.identity.id,
        name,
        ", ".join(change.versions),
        change.fixed or "-",
        ended or "open",
    )
