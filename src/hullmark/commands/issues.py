"""`hullmark issues`: the security issue of each image on GitHub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hullmark.commands import Application, print_json
from hullmark.commands.forge import forge_options, open_forge
from hullmark.commands.options import json_option
from hullmark.config import load_project
from hullmark.errors import Exit, HullmarkError, InputError
from hullmark.exemptions import find_exemptions
from hullmark.github.repository import find_author
from hullmark.github.tracker import Tracker
from hullmark.image import REPOSITORY
from hullmark.issues import Edit, ImageFacts, Leave, Open, Rules, gather
from hullmark.journal import Journal
from hullmark.projection import AUDIT_LOGS
from hullmark.pushed import kept_tags
from hullmark.text import escape_terminal

if TYPE_CHECKING:
    from hullmark.config import Project
    from hullmark.github.tracker import Done

_Failures = dict[str, HullmarkError]


@click.group()
def command() -> None:
    """Keep one security issue for each image with relevant findings, and one for the repository's files."""


@command.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option(
    "--audit-logs",
    "records",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"The ledger, where it is not in {AUDIT_LOGS}/.",
)
@forge_options
@json_option
@click.pass_obj
def sync(
    app: Application,
    *,
    dry_run: bool,
    records: Path | None,
    repository: str | None,
    api: str | None,
    as_json: bool,
) -> int:
    """Open, update, close and reopen issues until they say what the ledger says.

    A second run changes nothing. The token of GITHUB_TOKEN needs the permission `issues: write`.
    """
    project = load_project(app.root)
    journal = Journal(records or app.root / AUDIT_LOGS)
    facts = _gather(app, project, journal)
    client, found = open_forge(repository, api)
    if not found.has_issues:
        raise InputError(
            "issues are turned off", file=found.name, hint="Turn them on in the settings of the repository."
        )
    rules = Rules(
        author=find_author(client),
        labels=project.issues.labels,
        close_after=project.issues.close_after,
        commit=os.environ.get("GITHUB_SHA", ""),
        logs=found.file_url(project.publish.branch, AUDIT_LOGS),
    )
    tracker = Tracker(client, found, rules.author)
    done: list[Done] = []
    failed: _Failures = {}
    for image in facts:
        try:
            done += tracker.sync(image, rules, dry_run=dry_run)
        except HullmarkError as error:  # one issue that cannot be written keeps no other back
            failed[image.image] = error
    return _report(done, failed, dry_run=dry_run, as_json=as_json)


def _gather(app: Application, project: Project, journal: Journal) -> list[ImageFacts]:
    """The facts of every image that is configured or was recorded, and of the repository's own files."""
    recorded = journal.subjects()
    if not recorded:
        raise InputError("nothing was recorded here", file=journal.root, hint="Run `hullmark run --record`.")
    exemptions = find_exemptions(app.root)
    expected: dict[str, list[str]] = {name: [] for name in recorded}
    for name, platform in project.expected:
        expected.setdefault(name, []).append(str(platform))
    runs, missing, kept = journal.runs(), journal.missing(), kept_tags(journal)
    if REPOSITORY in expected:  # no configuration names it, and it never retires
        expected[REPOSITORY] = list(journal.timelines(REPOSITORY, runs))
    return [
        gather(
            name,
            journal.timelines(name, runs),
            journal.findings,
            expected=platforms,
            exemptions=exemptions,
            today=app.now.date(),
            close_after=project.issues.close_after,
            missing={each: missing[f"{name} {each}"] for each in platforms if f"{name} {each}" in missing},
            tag_kept=kept.get(name, ""),
        )
        for name, platforms in sorted(expected.items())
    ]


def _report(done: list[Done], failed: _Failures, *, dry_run: bool, as_json: bool) -> int:
    left = [each for each in done if isinstance(each.action, Leave)]
    if as_json:
        faults = {image: {"message": error.message, "hint": error.hint} for image, error in failed.items()}
        print_json({"dry_run": dry_run, "done": done, "failed": faults})
    else:
        for each in done:
            click.echo(escape_terminal(f"{'would ' if dry_run else ''}{_tell(each)}"))
        if not done and not failed:
            click.echo("every issue says what the ledger says")
        for image, error in failed.items():
            click.echo(escape_terminal(f"error: {image}: {error.message}"), err=True)
            click.echo(escape_terminal(f"  next: {error.hint}"), err=True)
    return Exit.ERROR if failed or left else Exit.DONE


def _tell(done: Done) -> str:
    action = done.action
    if isinstance(action, Open):
        return f"open: {action.image}: {done.url or action.title}"
    if isinstance(action, Edit):
        return f"edit: {action.image}: #{done.number}, {action.why.value}"
    return f"leave: {action.image}: #{action.number}: {action.reason}"
