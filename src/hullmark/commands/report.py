"""`hullmark report`: documents about a period, made from ledger and evidence alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from hullmark.audit_bundle import write_bundle
from hullmark.commands import print_json
from hullmark.commands.options import json_option
from hullmark.config import load_project
from hullmark.documents import (
    FORMATS,
    Maker,
    bundle_contents,
    file_name,
    period_name,
    read_dossier,
    read_report,
)
from hullmark.errors import EnvironmentFaultError, UsageError
from hullmark.files import write_whole
from hullmark.journal import Journal
from hullmark.projection import AUDIT_LOGS
from hullmark.report import parse_period
from hullmark.report.document import make_document
from hullmark.text import escape_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hullmark.commands import Application
    from hullmark.config import Project

DEFAULT_OUT = "reports/out"
DEFAULT_FORMATS = ("html", "markdown", "csv", "pdf", "xlsx")
DOSSIER_FORMATS = ("html", "markdown", "pdf")


@click.command()
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@click.option(
    "--period", "period_text", default="30d", show_default=True, help="As 2026-11, 2026-Q4, A..B or 30d."
)
@click.option(
    "--format",
    "chosen",
    multiple=True,
    type=click.Choice(sorted(FORMATS)),
    help="Of the documents; by default all that people read.",
)
@click.option("--full", is_flag=True, help="With everything listed, for auditors.")
@click.option("--finding", metavar="ID", help="The dossier of one vulnerability instead.")
@click.option(
    "--bundle", type=click.Path(dir_okay=False, path_type=Path), help="Also pack an audit bundle (zip)."
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help=f"Folder; by default {DEFAULT_OUT}."
)
@json_option
@click.pass_obj
def command(
    app: Application,
    /,
    *,
    images: tuple[str, ...],
    period_text: str,
    chosen: tuple[str, ...],
    full: bool,
    finding: str | None,
    bundle: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Write documents about a period: what was open, what changed and why, who decided what.

    Everything comes from ledger and evidence, so the same period gives the same bytes. Findings are also
    written as a table. Accepted risks are those of exemptions.toml.
    """
    project = load_project(app.root)
    journal = Journal(app.root / AUDIT_LOGS)
    _refuse_unknown(images, journal, project)
    report = read_report(
        journal,
        project.expected,
        parse_period(period_text, app.now.date()),
        root=app.root,
        only=frozenset(images),
        deadlines=project.deadlines,
    )
    folder = out or app.root / DEFAULT_OUT
    maker = Maker(
        journal=journal,
        report=report,
        document=read_dossier(journal, report, finding) if finding else make_document(report, full=full),
        stem=f"dossier-{file_name(finding)}"
        if finding
        else f"report-{period_name(report)}{'-full' if full else ''}",
        settings=project.report,
    )
    files, left_out = _make(
        maker, chosen or (DOSSIER_FORMATS if finding else DEFAULT_FORMATS), strict=bool(chosen)
    )
    for name, content in files.items():
        write_whole(folder / name, content)
    written = [str(folder / name) for name in files]
    if bundle is not None:
        write_bundle(bundle, bundle_contents(app.root, files))
        written.append(str(bundle))
    _tell(maker, written, left_out, as_json=as_json)


def _refuse_unknown(images: Iterable[str], journal: Journal, project: Project) -> None:
    known = {*journal.subjects(), *(image.name for image in project.images)}
    for name in images:
        if name not in known:
            raise UsageError(f"no image {name!r}", hint=f"There is {', '.join(sorted(known))}.")


def _make(maker: Maker, forms: tuple[str, ...], *, strict: bool) -> tuple[dict[str, bytes], list[str]]:
    """The documents by name, and why others were not made; a form that was asked for must be made."""
    files: dict[str, bytes] = {}
    left_out: list[str] = []
    for form in dict.fromkeys(forms):
        try:
            files |= FORMATS[form](maker)
        except EnvironmentFaultError as error:
            if strict:
                raise
            left_out.append(f"no {form}: {error.message} ({error.hint})")
    return files, left_out


def _tell(maker: Maker, written: list[str], left_out: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json(_summary(maker, written, left_out))
        return
    sample = " (sample data)" if maker.report.sample else ""
    click.echo(escape_terminal(f"{maker.document.period}{sample}: {maker.document.verdict}"))
    for path in written:
        click.echo(escape_terminal(f"wrote {path}"))
    for line in left_out:
        click.echo(escape_terminal(line))


def _summary(maker: Maker, written: list[str], left_out: list[str]) -> dict[str, Any]:
    report = maker.report
    return {
        "period": {"start": report.period.start, "end": report.period.end},
        "sample": report.sample,
        "verdict": maker.document.verdict,
        "vulnerabilities": msgspec.to_builtins(report.distinct),
        "findings": msgspec.to_builtins(report.counts),
        "uncovered": {f"{image.image} {image.platform}": image.missing for image in report.uncovered},
        "written": written,
        "left_out": left_out,
    }
