"""`hullmark sarif`: what is open in each image, for code scanning."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hullmark.commands import Application, print_json
from hullmark.commands.forge import forge_options, open_forge
from hullmark.commands.gate import places_of
from hullmark.commands.options import json_option
from hullmark.config import load_project
from hullmark.decision import key_of
from hullmark.errors import Exit, HullmarkError, InputError, UsageError
from hullmark.exemptions import EXEMPTIONS_FILE, covers, load_exemptions
from hullmark.files import write_whole
from hullmark.formats.decisions import DEFAULT_PLACE
from hullmark.formats.sarif import Subject, render_sarif
from hullmark.github.code_scanning import CodeScanningOffError, upload
from hullmark.journal import Journal
from hullmark.projection import AUDIT_LOGS
from hullmark.text import escape_terminal, workflow_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hullmark.config import Project

_COMMIT = re.compile(r"[0-9a-f]{40}")
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@click.option("--out", type=_FOLDER, default="reports/sarif", show_default=True, help="Where files go.")
@click.option("--audit-logs", "records", type=_FOLDER, help=f"The ledger, where it is not in {AUDIT_LOGS}/.")
@click.option("--upload", "send", is_flag=True, help="Also upload each to GitHub's code scanning.")
@click.option("--commit", envvar="GITHUB_SHA", metavar="COMMIT", help="By default GITHUB_SHA.")
@click.option("--ref", envvar="GITHUB_REF", metavar="REF", help="As refs/heads/main; or GITHUB_REF.")
@forge_options
@json_option
@click.pass_obj
def command(
    app: Application,
    *,
    images: tuple[str, ...],
    out: Path,
    records: Path | None,
    send: bool,
    commit: str | None,
    ref: str | None,
    repository: str | None,
    api: str | None,
    as_json: bool,
) -> int:
    """Write one SARIF file for each IMAGE, of all that is open in it as the ledger says.

    With --upload each takes the place of the one before in code scanning: its category is that of the image.
    A repository without code scanning is a warning, everything else that is refused an error.
    """
    if send and not (_COMMIT.fullmatch(commit or "") and (ref or "").startswith("refs/")):
        raise UsageError("--upload needs --commit and --ref", hint="In a workflow both are known.")
    project = load_project(app.root)
    written = {
        name: (out / f"{name}.sarif", data)
        for name, data in _render(app, project, images, Journal(records or app.root / AUDIT_LOGS))
    }
    for path, data in written.values():
        write_whole(path, data)
    refused: dict[str, HullmarkError] = {}
    receipts: dict[str, str] = {}
    if send:
        client, found = open_forge(repository, api)
        for name, (_, data) in written.items():
            try:
                receipts[name] = upload(
                    client, found, data, commit=commit or "", ref=ref or "", sleep=time.sleep
                )
            except HullmarkError as error:
                refused[name] = error
    _tell({name: str(path) for name, (path, _) in written.items()}, receipts, refused, as_json=as_json)
    is_fault = any(not isinstance(error, CodeScanningOffError) for error in refused.values())
    return Exit.ERROR if is_fault else Exit.DONE


def _render(
    app: Application, project: Project, names: tuple[str, ...], journal: Journal
) -> Iterator[tuple[str, bytes]]:
    """The document of each image that was scanned."""
    recorded = journal.images()
    if not recorded:
        raise InputError("nothing was recorded here", file=journal.root, hint="Run `hullmark run --record`.")
    file = app.root / EXEMPTIONS_FILE
    exemptions = load_exemptions(file).entries if file.exists() else ()
    places = places_of(project)
    today = app.now.date()
    for image in project.select(names):
        if image.name not in recorded:
            continue
        subjects = []
        for platform, standing in journal.standings(image.name).items():
            findings = journal.findings(standing.latest.findings)
            exempted = {
                key_of(each): entry
                for each in findings
                for entry in exemptions
                if covers(entry, image.name, each, today)
            }
            subjects.append(
                Subject(
                    image=image.name,
                    platform=platform,
                    place=places.get(image.name, DEFAULT_PLACE),
                    findings=findings,
                    exemptions=exempted,
                )
            )
        yield image.name, render_sarif(subjects, category=f"hullmark/{image.name}")


def _tell(
    files: dict[str, str], receipts: dict[str, str], refused: dict[str, HullmarkError], *, as_json: bool
) -> None:
    if as_json:
        faults = {name: {"message": error.message, "hint": error.hint} for name, error in refused.items()}
        print_json({"written": files, "uploaded": receipts, "refused": faults})
    else:
        for path in files.values():
            click.echo(escape_terminal(f"wrote {path}"))
        for name in receipts:
            click.echo(escape_terminal(f"uploaded: {name}"))
    for name, error in refused.items():
        line = f"missing: {name}: {error.message}. {error.hint}"
        in_workflow = os.environ.get("GITHUB_ACTIONS") == "true"
        click.echo(workflow_command("warning", line) if in_workflow else escape_terminal(line), err=True)
