"""`hullmark history`: the timeline of an image or of one vulnerability, with dates, digests and causes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from hullmark.commands import Application, print_json
from hullmark.errors import InputError, UsageError
from hullmark.event import count_changed
from hullmark.formats.text import plural, table
from hullmark.journal import Journal
from hullmark.lifecycle import trace_lives, trace_steps
from hullmark.projection import AUDIT_LOGS
from hullmark.story import SHORT, tell_decisions
from hullmark.text import escape_terminal

if TYPE_CHECKING:
    from hullmark.event import Decided
    from hullmark.history import Interval, ScanRecord, Timeline
    from hullmark.image import Digest
    from hullmark.lifecycle import Life, Step

_ID = re.compile(r"(?:CVE-[0-9]{4}-[0-9]+|GHSA(?:-[0-9a-z]{4}){3}|[A-Z][A-Za-z0-9]*-.*)")
"""What is no name of an image, but can be that of a vulnerability."""


@click.command()
@click.argument("subject", required=False, metavar="[IMAGE|CVE]")
@click.option("--finding", metavar="ID", help="The findings of this vulnerability, in every image.")
@click.option("--open", "only_open", is_flag=True, help="The findings that are still there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def command(
    app: Application, *, subject: str | None, finding: str | None, only_open: bool, as_json: bool
) -> None:
    """Show the timeline of an image, of one vulnerability, or of everything.

    IMAGE: every scan that changed something, with its digest, causes and database; then the decisions. CVE
    (or another id): when it was first seen in which image, why, since when a fix is known, how it ended,
    whether it came back, and what was decided. With --finding or --open: a table of single findings.
    """
    journal = Journal(app.root / AUDIT_LOGS)
    timelines, id_ = _choose(journal, subject)
    if finding is not None or only_open:
        _show_findings(timelines, finding or id_, only_open=only_open, as_json=as_json)
    elif id_ is not None:
        _show_vulnerability(journal, timelines, id_, as_json=as_json)
    else:
        _show_scans(journal, timelines, as_json=as_json)


def _choose(journal: Journal, subject: str | None) -> tuple[list[Timeline], str | None]:
    """The timelines that are asked for, and the id of the vulnerability where one is meant."""
    images = journal.subjects()
    if not images:
        raise InputError("nothing was recorded here", file=journal.root, hint="Run `hullmark run --record`.")
    runs = journal.runs()
    chosen = [subject] if subject in images else images
    timelines = [timeline for name in chosen for timeline in journal.timelines(name, runs).values()]
    if subject is None or subject in images:
        return timelines, None
    known = {interval.identity.id for timeline in timelines for interval in timeline.intervals}
    if subject not in known and not _ID.fullmatch(subject):
        raise UsageError(
            f"no history of {subject!r}",
            hint=f"There is one of {', '.join(images)}. A vulnerability is named as CVE-2026-1234.",
        )
    return timelines, subject


def _show_scans(journal: Journal, timelines: list[Timeline], *, as_json: bool) -> None:
    scans = [(timeline, scan) for timeline in timelines for scan in timeline.scans]
    labels = {f"{timeline.image} {timeline.platform}" for timeline in timelines}
    decisions = [(at, event) for at, event in journal.decisions() if labels & event.images.keys()]
    if as_json:
        print_json(
            {
                "scans": [{"image": timeline.image, "scan": scan} for timeline, scan in scans],
                "decisions": [{"at": at, "decision": event} for at, event in decisions],
            }
        )
        return
    shown = [(t, scan) for t, scan in scans if not scan.event.is_unchanged]
    heads = (
        *("time", "image", "platform", "digest", "vulnerabilities introduced", "resolved", "changed"),
        *("causes", "coverage", "database"),
    )
    rows = [(scan.at, timeline.image, timeline.platform, *_scan(scan)) for timeline, scan in shown]
    for line in table(heads, sorted(rows)):
        click.echo(line)
    click.echo(f"{plural(len(scans), 'scan', 'scans')}, {len(scans) - len(shown)} of them without a change")
    if decisions:
        click.echo()
        lines = [row for at, event in decisions for row in _decision(at, event, labels)]
        for line in table(("time", "decision", "image", "verdict", "base", "head"), lines):
            click.echo(line)


def _scan(scan: ScanRecord) -> tuple[str, ...]:
    event = scan.event
    gaps = ", ".join(gap.reason.value for gap in scan.coverage.gaps)
    sample = " (sample)" if scan.run.database.sample else ""
    causes = {change.cause.value for change in (*event.introduced, *event.resolved)}
    causes |= {rename.after.cause.value for rename in event.changed}
    return (
        _short(scan.digest),
        str(count_changed(event.introduced)),
        str(count_changed(event.resolved)),
        str(count_changed(rename.after for rename in event.changed)),
        ", ".join(sorted(causes)) or "-",
        gaps or "complete",
        scan.run.database.updated_at[:10] + sample,
    )


def _decision(at: str, event: Decided, labels: set[str]) -> list[tuple[str, ...]]:
    return [
        (at, _short(event.decision), label, event.images[label], *(side or "-" for side in event.sides))
        for label in sorted(labels & event.images.keys())
    ]


def _short(digest: Digest) -> str:
    return digest.removeprefix("sha256:")[:SHORT]


def _show_vulnerability(journal: Journal, timelines: list[Timeline], id_: str, *, as_json: bool) -> None:
    steps = [(timeline, step) for timeline in timelines for step in trace_steps(timeline, id_)]
    lives = [(t, life) for t in timelines for life in trace_lives(t) if life.key.id == id_]
    told = tell_decisions(journal, id_)
    if as_json:
        place = [{"image": t.image, "platform": t.platform, "step": step} for t, step in steps]
        known = [{"image": t.image, "platform": t.platform, "life": life} for t, life in lives]
        said = [{"at": step.at, "text": step.text} for step in told]
        print_json({"id": id_, "steps": place, "lives": known, "decisions": said})
        return
    if steps:
        heads = ("time", "image", "what", "cause", "severity", "packages", "installed", "fixed in", "digest")
        rows = [_step(timeline, step) for timeline, step in steps]
        for line in table(heads, sorted(rows, key=lambda row: row[:2])):
            click.echo(line)
    for at, text in told:
        click.echo(escape_terminal(f"{at}  {text}"))
    for timeline, life in lives:
        click.echo(escape_terminal(f"{timeline.image} ({timeline.platform}): {_life(life)}"))
    if not lives:
        scans = sum(len(timeline.scans) for timeline in timelines)
        click.echo(escape_terminal(f"{id_}: never seen in {plural(scans, 'scan', 'scans')}"))


def _step(timeline: Timeline, step: Step) -> tuple[str, ...]:
    return (
        step.at,
        f"{timeline.image} {timeline.platform}",
        step.what.value,
        step.cause.value if step.cause else "-",
        step.severity.value,
        ", ".join(step.packages),
        ", ".join(step.versions),
        step.fixed or "-",
        _short(step.digest),
    )


def _life(life: Life) -> str:
    """`open since 2026-01-05, fixable since 2026-02-01`, and what came before."""
    now = life.current
    parts = [f"{life.key.source} {life.severity.value}"]
    if now.is_open:
        parts.append(f"open since {now.since[:10]}")
        parts.append(f"fixable since {now.fix_since[:10]}" if now.fix_since else "no fix known")
    else:
        cause = f" by {now.resolved_cause.value}" if now.resolved_cause else ""
        parts.append(f"open from {now.since[:10]}, resolved on {now.until[:10]}{cause}")
    if life.reopened:
        parts.append(
            f"first seen {life.first_seen[:10]}, {plural(len(life.reopened), 'time', 'times')} re-opened"
        )
    return ", ".join(parts)


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
