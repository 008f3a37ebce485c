"""`hullmark summary`: the weekly summary, from the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hullmark.commands import Application, print_json
from hullmark.commands.options import json_option
from hullmark.config import load_project
from hullmark.errors import Exit
from hullmark.exemptions import find_exemptions
from hullmark.formats.text import by_severity, plural
from hullmark.journal import Journal
from hullmark.projection import AUDIT_LOGS
from hullmark.weekly import SUMMARY, SUMMARY_TEXT, make_summary

if TYPE_CHECKING:
    from hullmark.summary_document import Summary


@click.command()
@click.option("--replace", is_flag=True, help="Overwrite a summary that was made from reports.")
@json_option
@click.pass_obj
def command(app: Application, *, replace: bool, as_json: bool) -> int:
    """Write docs/data/security-summary.json and SECURITY_SUMMARY.md from the ledger, and record it.

    Exit code 5 when an image of hullmark.toml has no complete scan: its last known counts are repeated.
    """
    project = load_project(app.root)
    summary = make_summary(
        Journal(app.root / AUDIT_LOGS),
        project.expected,
        home=app.root,
        now=app.now,
        history_limit=project.publish.history_limit,
        exemptions=find_exemptions(app.root),
        clock_overridden=app.clock_overridden,
        replace=replace,
    )
    if as_json:
        print_json(summary)
    else:
        for line in render(summary):
            click.echo(line)
    return Exit.DONE if summary.coverage.complete else Exit.INCOMPLETE


def render(summary: Summary) -> list[str]:
    """What the summary says, and what was written."""
    capped = f", capped from {summary.risk_index_uncapped}" if summary.risk_index_capped else ""
    images = plural(len(summary.images), "image", "images")
    totals = f"{by_severity(summary.totals, none='no')} findings in {images}"
    return [
        f"{summary.direction.value}: {totals}; risk index {summary.risk_index}{capped}",
        *(f"not covered: {name}" for name in summary.coverage.missing),
        f"wrote {SUMMARY}",
        f"wrote {SUMMARY_TEXT}",
    ]
