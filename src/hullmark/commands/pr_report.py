"""`hullmark pr-report`: a verdict on its pull request on GitHub."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hullmark.bundle import MAX_BUNDLE, read_bundle
from hullmark.commands import Application, print_json
from hullmark.commands.build import cache_folder
from hullmark.commands.forge import forge_options, open_forge
from hullmark.commands.gate import places_of, read_exemptions, read_policy
from hullmark.commands.options import json_option
from hullmark.config import load_project
from hullmark.errors import Exit, HullmarkError, UsageError
from hullmark.exemptions import EXEMPTIONS_FILE
from hullmark.files import read_bounded
from hullmark.gate import record_decision
from hullmark.github.pulls import Pulls, newest_run
from hullmark.github.repository import find_author
from hullmark.journal import Journal
from hullmark.lock_proof import Prover
from hullmark.outbox import Outbox
from hullmark.pipeline import LOCAL, OUTBOX
from hullmark.projection import AUDIT_LOGS
from hullmark.pull_requests import Settings
from hullmark.reporting import Bench, Report, rejudge, report_group, report_request
from hullmark.text import escape_terminal, workflow_command

if TYPE_CHECKING:
    from hullmark.bundle import Bundle
    from hullmark.config import Project
    from hullmark.gate import Judgement
    from hullmark.pull_requests import PullRequest

_COMMIT = re.compile(r"[0-9a-f]{40}")


@click.command()
@click.option("--head", required=True, metavar="COMMIT", help="The commit that was judged.")
@click.option(
    "--bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    help="What `hullmark gate --write bundle=FILE` wrote about it. Without one the check fails.",
)
@click.option("--merge-group", is_flag=True, help="The commit is that of a merge group.")
@click.option("--remote", default="origin", show_default=True, help="Where the locks of the commit are read.")
@click.option("--find-run", metavar="FILE", help="Only print the newest run of this workflow for the commit.")
@click.option("--record", "into_ledger", is_flag=True, help="Record the decision and its evidence.")
@click.option("--local", is_flag=True, help=f"Record it below {LOCAL}/, for `hullmark publish`.")
@forge_options
@json_option
@click.pass_obj
def command(
    app: Application,
    *,
    head: str,
    bundle: Path | None,
    merge_group: bool,
    remote: str,
    find_run: str | None,
    into_ledger: bool,
    local: bool,
    repository: str | None,
    api: str | None,
    as_json: bool,
) -> int:
    """Write the required check `hullmark/gate` and the comment, and let a pull request merge where it may.

    The verdict is computed again from the evidence in the bundle, under the policy and the exemptions of this
    folder, which must be a checkout of the default branch. Nothing of the pull request is run or checked
    out. Where an update bot changes a packages.lock, and the verdict is allow, it is resolved again.
    Exit code 1: check or comment could not be written.
    """
    if not _COMMIT.fullmatch(head):
        raise UsageError(f"{head!r} is no full id of a commit", hint="Give all 40 digits.")
    client, found = open_forge(repository, api)
    if find_run:
        click.echo(newest_run(client, found, find_run, head))
        return Exit.DONE
    bench = _bench(app, load_project(app.root), found.default_branch, remote)
    us = find_author(client)
    pulls = Pulls(client, found, us)
    given, fault = _read(bundle)
    reports: list[Report] = []
    for request in [None] if merge_group else map(pulls.read, pulls.find(head)):
        if request is not None and (request.head != head or not request.is_open):
            reports.append(Report(head=head, pull_request=request.number))
            continue
        judgement, fault = _judge(app, given, bench, request, fault)
        if request is None:
            reports.append(report_group(pulls, head, judgement, bench, fault=fault))
        else:
            reports.append(report_request(pulls, request, judgement, bench, us=us, fault=fault))
        if (into_ledger or local) and judgement is not None:
            _record(app, judgement, head, request, local=local)
    return _tell(reports or [Report(head=head)], as_json=as_json)


def _bench(app: Application, project: Project, branch: str, remote: str) -> Bench:
    """What judges: everything of it lies in this folder."""
    entries, unusable = read_exemptions(app.root / EXEMPTIONS_FILE)
    settings = project.pull_requests
    method = {"merge": "MERGE", "rebase": "REBASE", "squash": "SQUASH"}[settings.merge_method]
    prover = Prover(
        root=app.root,
        project=project,
        branch=branch,
        remote=remote,
        cache=cache_folder(app.root, os.environ),
        environ=os.environ,
        now=app.now,
    )
    return Bench(
        policy=read_policy(None, project),
        exemptions=entries,
        unusable=unusable,
        max_age=project.scan.max_age,
        self_review=project.gate.self_review,
        settings=Settings(bots=settings.bots, is_on=settings.auto_merge, method=method),  # type: ignore[arg-type]
        places=places_of(project),
        prove=prover.prove,
    )


def _read(path: Path | None) -> tuple[Bundle | None, str]:
    """The bundle; or none, and why. What a pull request hands over may be anything."""
    if path is None or not path.exists():
        return None, "The comparison handed over no decision."
    try:
        return read_bundle(read_bounded(path, MAX_BUNDLE), file=path.name), ""
    except HullmarkError as error:
        return None, f"What the comparison handed over cannot be read: {error.message}."


def _judge(
    app: Application, bundle: Bundle | None, bench: Bench, request: PullRequest | None, fault: str
) -> tuple[Judgement | None, str]:
    if bundle is None:
        return None, fault
    try:
        return rejudge(bundle, bench, now=app.now, request=request), ""
    except HullmarkError as error:
        return None, f"What the comparison handed over cannot be judged: {error.message}."


def _record(
    app: Application, judgement: Judgement, head: str, request: PullRequest | None, *, local: bool
) -> None:
    home = app.root / LOCAL if local else app.root
    record_decision(
        Journal(home / AUDIT_LOGS),
        judgement,
        now=app.now,
        head=head,
        pull_request=request.number if request else 0,
        clock_overridden=app.clock_overridden,
        outbox=Outbox(home / OUTBOX) if local else None,
    )


def _tell(reports: list[Report], *, as_json: bool) -> int:
    if as_json:
        print_json({"reports": reports})
    for report in reports:
        if not as_json:
            for line in _lines(report):
                click.echo(escape_terminal(line))
        for refusal in report.refused:
            line = f"missing: {refusal}"
            in_workflow = os.environ.get("GITHUB_ACTIONS") == "true"
            click.echo(workflow_command("warning", line) if in_workflow else escape_terminal(line), err=True)
    return Exit.DONE if all(report.is_told for report in reports) else Exit.ERROR


def _lines(report: Report) -> list[str]:
    where = f"#{report.pull_request}" if report.pull_request else report.head[:12]
    if report.conclusion is None:
        return [f"{where}: no open pull request has this head any more; nothing was written"]
    lines = [f"{where}: {report.conclusion.state.value}: {report.conclusion.title}", *report.conclusion.lines]
    if report.merges:
        lines.append("it merges by itself")
    return lines + [f"does not merge by itself: {each}" for each in report.obstacles]
