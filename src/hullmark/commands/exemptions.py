"""`hullmark exemptions`: accepted risks, checked, listed and exported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hullmark.commands import Application, print_json
from hullmark.commands.options import choose_platform, json_option
from hullmark.errors import Exit, UsageError
from hullmark.exemptions import (
    EXEMPTIONS_FILE,
    ExemptionList,
    Flaw,
    applies_to,
    is_in_force,
    lint,
    load_exemptions,
    names,
)
from hullmark.files import write_whole
from hullmark.formats.openvex import APPLIED, render_openvex
from hullmark.formats.text import plural, table
from hullmark.journal import Journal
from hullmark.projection import AUDIT_LOGS
from hullmark.scanners.trivy.sbom import purls
from hullmark.text import escape_terminal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from hullmark.exemptions import Exemption
    from hullmark.finding import Finding
    from hullmark.formats.openvex import Statements

_file = click.option(
    "--file", type=click.Path(dir_okay=False, path_type=Path), help=f"Instead of {EXEMPTIONS_FILE}."
)
_REMARKS = frozenset({Flaw.EXPIRES_SOON})
"""Flaws that nobody has to act on today."""


@click.group()
def command() -> None:
    """Check, list and export accepted risks."""


@command.command(name="lint")
@_file
@json_option
@click.pass_obj
def lint_(app: Application, *, file: Path | None, as_json: bool) -> int:
    """Find entries that expired, expire soon, are over-broad, match nothing or say the same twice.

    What matches nothing is known only where something was recorded. Exit code 4 when a person has to act.
    """
    listed = _load(app, file)
    found = lint(listed, app.now.date(), _findings(app))
    if as_json:
        print_json({"entries": len(listed.entries), "flaws": found})
    else:
        for flaw in found:
            click.echo(escape_terminal(str(flaw)))
        click.echo(f"{plural(len(listed.entries), 'entry', 'entries')}, {len(found)} remarks")
    return Exit.REVIEW if any(flaw.flaw not in _REMARKS for flaw in found) else Exit.DONE


@command.command(name="list")
@_file
@json_option
@click.pass_obj
def list_(app: Application, *, file: Path | None, as_json: bool) -> None:
    """Show every entry: how long it applies, and how many findings it covers now."""
    entries = _load(app, file).entries
    findings, today = _findings(app), app.now.date()
    covered = [None if findings is None else _covered(entry, findings) for entry in entries]
    if as_json:
        rows = [
            {"exemption": entry, "in_force": is_in_force(entry, today), "findings": number}
            for entry, number in zip(entries, covered, strict=True)
        ]
        print_json({"exemptions": rows})
        return
    heads = ("id", "images", "package", "owner", "status", "applies", "findings")
    lines = [_row(entry, number, today) for entry, number in zip(entries, covered, strict=True)]
    for line in table(heads, lines):
        click.echo(line)
    in_force = sum(is_in_force(entry, today) for entry in entries)
    click.echo(f"{plural(len(entries), 'entry', 'entries')}, {in_force} in force")


def _row(entry: Exemption, number: int | None, today: date) -> tuple[str, ...]:
    days = (entry.expires - today).days
    term = (
        f"until {entry.expires}, {plural(days, 'day', 'days')} left"
        if days > 0
        else f"no, since {entry.expires}"
    )
    return (
        entry.id,
        ", ".join(entry.images),
        entry.package or "any",
        entry.owner,
        entry.status.value,
        term,
        "not known" if number is None else str(number),
    )


@command.command()
@click.argument("image")
@click.option("--platform", metavar="OS/ARCH", help="By default linux/amd64.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
@_file
@click.pass_obj
def export(
    app: Application, *, image: str, platform: str | None, out: Path | None, file: Path | None
) -> None:
    """Write the entries in force for IMAGE as OpenVEX, for the packages that its last scan found.

    `trivy --vex FILE` leaves out the findings of entries with the status not_affected or fixed. An accepted
    risk (affected) is stated as what it is: scanners go on showing it. Entries that match nothing are named.
    """
    listed = _load(app, file)
    journal = Journal(app.root / AUDIT_LOGS)
    timeline = journal.timelines(image).get(str(choose_platform(platform)))
    if timeline is None:
        known = ", ".join(journal.subjects()) or "none"
        raise UsageError(f"no scan of {image} is recorded", hint=f"Recorded images: {known}.")
    scan = timeline.latest
    statements = render_openvex(
        listed.entries,
        image=image,
        findings=journal.findings(scan.findings),
        purls=purls(journal.evidence.get(scan.sbom), file=journal.evidence.path(scan.sbom)),
        now=app.now,
    )
    if out is None:
        click.echo(statements.document, nl=False)
    else:
        write_whole(out, statements.document)
        click.echo(f"wrote {escape_terminal(str(out))}")
    for line in _remarks(statements):
        click.echo(escape_terminal(line), err=True)


def _remarks(statements: Statements) -> list[str]:
    shown = [entry for entry in statements.stated if entry.status not in APPLIED]
    lines = [f"not left out by scanners: {entry.id}: stated as {entry.status.value}" for entry in shown]
    return lines + [f"unmatched: {entry.id}: names nothing in this image" for entry in statements.unmatched]


def _load(app: Application, file: Path | None) -> ExemptionList:
    """The entries of `file`; without one those of the repository, which may have none."""
    path = app.root / EXEMPTIONS_FILE
    if file is None and not path.exists():
        return ExemptionList(file=EXEMPTIONS_FILE)
    return load_exemptions(file or path)


def _findings(app: Application) -> Mapping[str, tuple[Finding, ...]] | None:
    """What is open now in every recorded image; None when nothing was recorded."""
    journal = Journal(app.root / AUDIT_LOGS)
    runs = journal.runs()
    return {
        image: tuple(
            finding
            for timeline in journal.timelines(image, runs).values()
            for finding in journal.findings(timeline.latest.findings)
        )
        for image in journal.subjects()
    } or None


def _covered(entry: Exemption, findings: Mapping[str, tuple[Finding, ...]]) -> int:
    return sum(
        names(entry, finding)
        for image, present in findings.items()
        if applies_to(entry, image)
        for finding in present
    )
