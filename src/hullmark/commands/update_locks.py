"""`hullmark update-locks`: newer packages of images, each as a pull request."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hullmark.build.fetch import Cache, Fetcher
from hullmark.build.mirror import find_sources
from hullmark.build.release import find_trust
from hullmark.commands import Application, format_json, print_json
from hullmark.commands.build import cache_folder
from hullmark.commands.forge import forge_options, open_forge
from hullmark.commands.lock import sliced
from hullmark.commands.options import json_option, scan_options, scanner_options
from hullmark.config import load_project
from hullmark.errors import Exit, HullmarkError, UsageError
from hullmark.files import read_bounded, write_whole
from hullmark.github.proposals import PullRequests, find_account
from hullmark.pipeline import open_toolchain
from hullmark.progress import shown
from hullmark.proposals.model import MAX_PROPOSALS, Failure, Proposals, read_proposals
from hullmark.proposals.plan import Act
from hullmark.proposals.proposer import Done, Proposer
from hullmark.proposals.search import find_proposals
from hullmark.proposals.text import title
from hullmark.text import escape_terminal, workflow_command

if TYPE_CHECKING:
    from hullmark.config import Image, Project
    from hullmark.pipeline import Toolchain

_File = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("images", nargs=-1)
@click.option("--out", type=_File, help="Only find newer packages, and write what would be proposed here.")
@click.option("--from", "given", type=_File, help="Propose what another run wrote with --out.")
@click.option("--dry-run", is_flag=True, help="Say what would be opened, updated or closed, and do nothing.")
@click.option("--remote", default="origin", show_default=True, help="The remote that branches are pushed to.")
@click.option(
    "--compare-with",
    "compare",
    default="pr-compare.yml",
    show_default=True,
    metavar="FILE",
    help="The workflow to start where we are a workflow's own token, which starts none by itself.",
)
@forge_options
@scanner_options
@json_option
@click.pass_obj
def command(
    app: Application,
    /,
    *,
    images: tuple[str, ...],
    out: Path | None,
    given: Path | None,
    dry_run: bool,
    remote: str,
    compare: str,
    repository: str | None,
    api: str | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - what `scanner_options` adds
) -> int:
    """Open a pull request for each of IMAGES, or of all with a lock, that has newer Debian packages.

    Its text says which packages move, which of them are security updates, and what that is predicted to do
    to vulnerabilities. A second run brings it up to date; when nothing is newer any more it is closed. A
    branch that somebody else pushed to is left alone.

    Exit code 1: an image could not be resolved or proposed; the others were.
    """
    if out is not None and (given is not None or dry_run):
        raise UsageError("--out finds and --from proposes", hint="Give one of them, or neither.")
    project = load_project(app.root)
    chosen = sliced(project.select(images), named=bool(images))
    if given is not None:
        found = read_proposals(read_bounded(given, MAX_PROPOSALS), file=str(given))
    else:
        found = _find(app, project, chosen, options)
    if out is not None:
        write_whole(out, format_json(found))
        return _tell([], found, as_json=as_json)
    client, where = open_forge(repository, api)
    proposer = Proposer(
        app.root, remote, PullRequests(client, where), find_account(client), os.environ, compare=compare
    )
    done, failures = _propose(proposer, chosen, found, dry_run=dry_run)
    return _tell(done, Proposals(failures=(*found.failures, *failures)), as_json=as_json, dry_run=dry_run)


def _find(
    app: Application, project: Project, images: tuple[Image, ...], options: dict[str, Any]
) -> Proposals:
    @cache
    def tools() -> Toolchain:
        return open_toolchain(
            scan_options(options), project.scan, root=app.root, environ=os.environ, now=app.now
        )

    settings = project.build
    with (
        shown(sys.stderr) as progress,
        Fetcher(Cache(cache_folder(app.root, os.environ)), progress=progress) as fetcher,
    ):
        return find_proposals(
            images,
            fetcher=fetcher,
            sources=find_sources(
                os.environ, settings.mirror, settings.security_mirror, snapshot=settings.snapshot
            ),
            trust=find_trust(os.environ, app.now),
            tools=tools,
        )


def _propose(
    proposer: Proposer, images: tuple[Image, ...], found: Proposals, *, dry_run: bool
) -> tuple[list[Done], list[Failure]]:
    """Bring each image's pull request up to date; one that fails keeps no other back."""
    proposals = {each.image: each for each in found.proposals}
    done: list[Done] = []
    failures: list[Failure] = []
    for image in images:
        if image.name not in proposals and image.name not in found.current:
            continue
        try:
            done.append(proposer.sync(image, proposals.get(image.name), dry_run=dry_run))
        except HullmarkError as error:
            failures.append(Failure(image=image.name, reason=error.message, hint=error.hint))
    return done, failures


def _tell(done: list[Done], found: Proposals, *, as_json: bool, dry_run: bool = False) -> int:
    if as_json:
        print_json({"pull_requests": done, **format_fields(found)})
    else:
        lines = [title(each) for each in found.proposals]
        lines += [f"{image}: up to date" for image in found.current]
        lines += [_line(each, dry_run=dry_run) for each in done]
        for line in lines:
            click.echo(escape_terminal(line))
    in_workflow = os.environ.get("GITHUB_ACTIONS") == "true"
    for each in done:
        if each.act is Act.LEAVE and in_workflow:
            click.echo(workflow_command("warning", _line(each)), err=True)
    for failure in found.failures:
        click.echo(escape_terminal(f"error: {failure.image}: {failure.reason}"), err=True)
        if failure.hint:
            click.echo(f"  next: {escape_terminal(failure.hint)}", err=True)
    return Exit.ERROR if found.failures else Exit.DONE


def format_fields(found: Proposals) -> dict[str, object]:
    """The parts of `found` by their names."""
    return {name: getattr(found, name) for name in ("proposals", "current", "failures")}


def _line(done: Done, *, dry_run: bool = False) -> str:
    where = f" #{done.number}" if done.number else ""
    why = f": {done.why}" if done.why else ""
    started = "; the comparison was started" if done.started else ""
    word = f"would be {done.act.value}" if dry_run and done.act is not Act.NOTHING else done.act.value
    return f"{done.image}: {word}{where}{why}{started}"
