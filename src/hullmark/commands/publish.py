"""`hullmark publish`: what local runs saw, into the shared ledger on the publish branch."""

from __future__ import annotations

import os
import random
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from hullmark.branch import open_branch
from hullmark.commands import Application, print_json
from hullmark.commands.options import json_option, scan_options, scanner_options
from hullmark.config import load_project
from hullmark.errors import Exit, IncompleteError, UsageError
from hullmark.files import replacing_folder
from hullmark.formats.text import plural, tell_changes
from hullmark.journal import Journal
from hullmark.outbox import Outbox
from hullmark.pipeline import LOCAL, OUTBOX, PUBLISHED, open_toolchain
from hullmark.progress import shown
from hullmark.projection import AUDIT_LOGS
from hullmark.publisher import Publication, Publisher, Surroundings
from hullmark.text import escape_terminal
from hullmark.weekly import make_summary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hullmark.config import Project
    from hullmark.finding import Finding
    from hullmark.outbox import Parcel

NAME, MAIL = "Hullmark", "hullmark@localhost"


@click.command()
@click.option("--remote", default="origin", show_default=True, help="The remote to publish to.")
@click.option("--branch", help="The branch; by default `publish.branch` of hullmark.toml.")
@click.option("--summary", "with_summary", is_flag=True, help="Make the weekly summary as well.")
@click.option("--dry-run", is_flag=True, help="Say what would be published, and push nothing.")
@click.option(
    "--fetch", "only_fetch", is_flag=True, help=f"Only fetch the published ledger into {LOCAL}/{PUBLISHED}/."
)
@scanner_options
@json_option
@click.pass_obj
def command(
    app: Application,
    /,
    *,
    remote: str,
    branch: str | None,
    with_summary: bool,
    dry_run: bool,
    only_fetch: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - what `scanner_options` adds
) -> int:
    """Put what local runs recorded into the shared ledger, with its evidence, baselines and summary.

    What `hullmark run` and `hullmark record --local` saw waits in .hullmark/outbox/. It is applied on the
    head of the branch, and pushed only if the branch is still there: of many writers at once all survive.
    In a workflow GITHUB_TOKEN gives access. Scanner and database are needed only where an image changed that
    somebody else published meanwhile.

    Exit code 3: the published history was rewritten. 5: something could not be recorded, and waits.
    """
    if only_fetch and (with_summary or dry_run):
        raise UsageError("--fetch publishes nothing", hint="Leave out --summary and --dry-run.")
    project = load_project(app.root)
    state = app.root / LOCAL
    with shown(sys.stderr) as progress:
        publisher = Publisher(
            open_branch(app.root, remote, branch or project.publish.branch, os.environ),
            Outbox(state / OUTBOX),
            state=state,
            now=app.now,
            surroundings=Surroundings(
                sleep=time.sleep, random=random.random, tell=progress.say, identity=identity(os.environ)
            ),
            match=_matcher(app, project, options),
            clock_overridden=app.clock_overridden,
        )
        if only_fetch:
            with replacing_folder(state / PUBLISHED) as folder:
                tip = publisher.fetch(folder)
            return _say_fetched(tip, as_json=as_json)
        further = _summarise(app, project) if with_summary else None
        done = publisher.publish(further=further, dry_run=dry_run)
    if as_json:
        print_json(done)
    else:
        for line in render(done):
            click.echo(escape_terminal(line))
    return Exit.INCOMPLETE if done.refused else Exit.DONE


def identity(environ: os._Environ[str]) -> dict[str, str]:
    """Who commits: what git's own variables say, else Hullmark itself."""
    given = {"AUTHOR_NAME": NAME, "AUTHOR_EMAIL": MAIL, "COMMITTER_NAME": NAME, "COMMITTER_EMAIL": MAIL}
    return {f"GIT_{key}": environ.get(f"GIT_{key}") or value for key, value in given.items()}


def _matcher(
    app: Application, project: Project, options: dict[str, Any]
) -> Callable[[Parcel, bytes], tuple[Finding, ...]]:
    """Match an SBOM that somebody else published, with the scanner and database of the parcel's run."""

    def match(parcel: Parcel, sbom: bytes) -> tuple[Finding, ...]:
        tools = open_toolchain(
            scan_options(options), project.scan, root=app.root, environ=os.environ, now=app.now
        )
        ours, theirs = tools.trivy.provenance, parcel.started
        if theirs is None or (ours.scanner, ours.database.digest) != (theirs.scanner, theirs.database.digest):
            raise IncompleteError(
                "an image was published by somebody else since it was scanned, and what changed in it can "
                "only be told with the scanner and database of that scan",
                hint="Name that database with --db, or scan again.",
            )
        return tools.trivy.match(sbom).findings

    return match


def _summarise(app: Application, project: Project) -> Callable[[Path], None]:
    def further(folder: Path) -> None:
        make_summary(
            Journal(folder / AUDIT_LOGS),
            project.expected,
            home=folder,
            now=app.now,
            history_limit=project.publish.history_limit,
            clock_overridden=app.clock_overridden,
        )

    return further


def _say_fetched(tip: str | None, *, as_json: bool) -> int:
    if as_json:
        print_json({"commit": tip, "folder": f"{LOCAL}/{PUBLISHED}"})
    else:
        click.echo(f"fetched {tip[:12]}" if tip else "nothing was published yet")
    return Exit.DONE


def render(done: Publication) -> list[str]:
    """What was published, what waits, and where it went."""
    lines: list[str] = []
    for each in done.published:
        if not each.is_new:
            lines.append(f"published before: {', '.join(each.scans)}")
            continue
        lines += [f"published: {label}" for label in each.scans[len(each.events) :]]
        for label, event in zip(each.scans, each.events, strict=False):
            lines.append(f"{label}: {tell_changes(event)}")
    for refused in done.refused:
        lines.append(f"waits: {refused.parcel}: {refused.reason}")
        if refused.hint:
            lines.append(f"  next: {refused.hint}")
    place = f"{done.remote}/{done.branch}"
    if done.after is None:
        return [*lines, f"{place}: nothing to publish"]
    files = plural(len(done.written), "file", "files")
    verb = "would push" if done.dry_run else "pushed"
    return [*lines, f"{verb} {files} to {place} as {done.after[:12]}"]
