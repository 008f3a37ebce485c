"""`hullmark check`: the repository itself: code, configuration, secrets and licences."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - click

import click

from hullmark.checks import Checked, check_tree
from hullmark.commands import Application, print_json
from hullmark.commands.options import FILE, jobs_option, json_option, workers
from hullmark.commands.scan import SEVERITIES
from hullmark.commands.trees import check_options, tell_recorded
from hullmark.config import CONFIG_FILE, ScanSettings, load_project
from hullmark.errors import Exit, UsageError
from hullmark.finding import Severity
from hullmark.formats.text import render_check
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
@jobs_option
@json_option
@click.pass_obj
def command(
    app: Application,
    /,
    *,
    paths: tuple[str, ...],
    fail_on: str | None,
    into_ledger: bool,
    trivy: Path | None,
    jobs: int,
    as_json: bool,
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
    if as_json:
        print_json(checked)
    else:
        click.echo(render_check(checked.findings, checked.coverage, files=checked.files))
        _tell_missed(checked)
        if recorded is not None:
            tell_recorded(recorded)
    if fail_on and any(_is_at_least(f.severity, Severity(fail_on)) for f in checked.findings):
        return Exit.BLOCK
    return Exit.DONE if checked.is_complete else Exit.INCOMPLETE


def _is_at_least(severity: Severity, least: Severity) -> bool:
    """UNKNOWN is never clean."""
    return severity is Severity.UNKNOWN or severity.rank >= least.rank


def _tell_missed(checked: Checked) -> None:
    for one in checked.missed:
        click.echo(escape_terminal(f"not covered: {one.tool}: {one.reason}"))
        if one.hint:
            click.echo(escape_terminal(f"  next: {one.hint}"))
