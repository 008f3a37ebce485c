"""`hullmark check`: the repository itself: code, configuration, secrets and licences."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - click

import click
import msgspec

from hullmark.checks import Checked, check_tree
from hullmark.commands import Application, print_json
from hullmark.commands.options import FILE, jobs_option, workers
from hullmark.commands.scan import SEVERITIES
from hullmark.commands.trees import check_options, tell_missed, tell_recorded
from hullmark.config import CONFIG_FILE, ScanSettings, load_project
from hullmark.decision import key_of
from hullmark.errors import Exit, UsageError
from hullmark.exemptions import Accepted, accept, find_exemptions, names
from hullmark.finding import Severity
from hullmark.formats.sarif import Subject, render_sarif
from hullmark.formats.text import render_check
from hullmark.image import REPOSITORY, SOURCE
from hullmark.journal import Journal
from hullmark.progress import shown
from hullmark.projection import AUDIT_LOGS
from hullmark.recorded_checks import check_again_with, record_reports, report_of
from hullmark.scanners.tree import copied_folder
from hullmark.text import escape_terminal


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES, case_sensitive=False),
    help="Exit with 3 when a finding of this severity or above, or of UNKNOWN severity, is there.",
)
@click.option("--record", "into_ledger", is_flag=True, help="Record what is found in audit-logs/.")
@click.option("--trivy", type=FILE, help="The Trivy to use.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="Of the answer.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@jobs_option
@click.pass_obj
def command(
    app: Application,
    /,
    *,
    paths: tuple[str, ...],
    fail_on: str | None,
    into_ledger: bool,
    trivy: Path | None,
    form: str,
    as_json: bool,
    jobs: int,
) -> int:
    """Check the files of this repository, or those at PATH. Needs no configuration.

    Records nothing without --record, which is about all files.

    Trivy looks for misconfigurations, secrets and licences, bandit at Python, ast-grep at PHP, hadolint at
    Dockerfiles, zizmor at workflows. What is not installed is named as not covered. Exit code 5 when
    something was not covered.
    """
    settings = load_project(app.root).scan if (app.root / CONFIG_FILE).exists() else ScanSettings()
    options = check_options(app.root, settings, trivy=trivy)
    if into_ledger and paths:
        raise UsageError("--record is about all files", hint="Leave out the paths.")
    with shown(sys.stderr) as progress, workers(jobs) as executor:
        with copied_folder(app.root, paths) as tree:
            checked = check_tree(tree, options, executor, tell=progress.say)
        recorded = (
            record_reports(
                Journal(app.root / AUDIT_LOGS),
                [report_of(checked)],
                check_again_with(app.root, options, executor),
                home=app.root,
                now=app.now,
                clock_overridden=app.clock_overridden,
            )
            if into_ledger
            else None
        )
    accepted = accept(find_exemptions(app.root), REPOSITORY, checked.findings, app.now.date())
    if as_json or form == "json":
        print_json({**msgspec.to_builtins(checked), "exempted": [f.identity for f in accepted.covered]})
    elif form == "sarif":
        click.echo(render_sarif([_subject(checked, accepted)]), nl=False)
    else:
        click.echo(render_check(accepted.left, checked.coverage, files=checked.files))
        for line in accepted.told():
            click.echo(escape_terminal(line))
        tell_missed(checked)
        if recorded is not None:
            tell_recorded(recorded)
    if fail_on and any(_is_at_least(f.severity, Severity(fail_on)) for f in accepted.left):
        return Exit.BLOCK
    return Exit.DONE if checked.is_complete else Exit.INCOMPLETE


def _subject(checked: Checked, accepted: Accepted) -> Subject:
    """What code scanning is told: all findings, those that are accepted as suppressed."""
    entries = [entry for entry, _ in accepted.used]
    return Subject(
        image=REPOSITORY,
        platform=str(SOURCE),
        place=CONFIG_FILE,
        findings=checked.findings,
        exemptions={
            key_of(finding): next(entry for entry in entries if names(entry, finding))
            for finding in accepted.covered
        },
    )


def _is_at_least(severity: Severity, least: Severity) -> bool:
    """UNKNOWN is never clean."""
    return severity is Severity.UNKNOWN or severity.rank >= least.rank
