"""`hullmark pending`: what main has and nobody published, and the start of the workflow that does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hullmark.commands import Application, print_json
from hullmark.commands.forge import forge_options, open_forge
from hullmark.commands.options import json_option
from hullmark.commands.record import find_published
from hullmark.config import load_project
from hullmark.errors import Exit
from hullmark.git import resolve
from hullmark.github.pulls import BY_REQUEST
from hullmark.github.runs import list_runs, start
from hullmark.journal import Journal
from hullmark.projection import AUDIT_LOGS
from hullmark.pushed import was_tried
from hullmark.revision import BuildInputs, WorkingTree
from hullmark.text import escape_terminal

if TYPE_CHECKING:
    from hullmark.config import Project


@click.command()
@click.option("--start", "workflow", metavar="FILE", help="Start this workflow for it, once for a commit.")
@click.option(
    "--audit-logs",
    "records",
    type=click.Path(file_okay=False, path_type=Path),
    help="The ledger, where it was not fetched with `hullmark publish --fetch`.",
)
@forge_options
@json_option
@click.pass_obj
def command(
    app: Application,
    *,
    workflow: str | None,
    records: Path | None,
    repository: str | None,
    api: str | None,
    as_json: bool,
) -> int:
    """Say which images were never pushed as they are here, by the digests of what they are built from.

    A build that was judged and blocked was pushed; one that was incomplete was not. With --start the workflow
    is started on the default branch, unless it runs for this commit already, or was started for it before.

    Exit code 5: something is pending, and nothing was started for it.
    """
    project = load_project(app.root)
    journal = Journal(records) if records else find_published(app.root) or Journal(app.root / AUDIT_LOGS)
    pending = find_pending(project, journal)
    said = ""
    if pending and workflow:
        said = _start(app, workflow, repository, api)
    is_started = bool(pending and workflow) and not said
    if as_json:
        print_json({"pending": pending, "started": is_started, "reason": said})
    else:
        for name in pending:
            click.echo(f"never pushed as it is here: {name}")
        if pending and workflow:
            click.echo(escape_terminal(f"{workflow}: {said or 'started'}"))
        elif not pending:
            click.echo("every image was pushed as it is here")
    return Exit.INCOMPLETE if pending and not is_started else Exit.DONE


def find_pending(project: Project, journal: Journal) -> list[str]:
    """Every image built here whose build inputs, as they lie here, were never pushed and judged."""
    if not project.publish.images:
        return []
    inputs = BuildInputs(WorkingTree(project.root), project)
    return [
        image.name
        for image in project.images
        if not image.reference
        and not was_tried(
            journal,
            image.name,
            {str(platform): inputs.digest(image.name, platform) for platform in image.platforms},
        )
    ]


def _start(app: Application, workflow: str, repository: str | None, api: str | None) -> str:
    """Start the workflow; why it was not started, or nothing when it was."""
    client, found = open_forge(repository, api)
    head = resolve(app.root, "HEAD")
    runs = list_runs(client, found, workflow, head)
    if any(run.status != "completed" for run in runs):
        return "runs already for this commit"
    if any(run.event == BY_REQUEST for run in runs):
        return "was started for this commit before, and is not started again"
    start(client, found, workflow, known=runs, head=head)
    return ""
