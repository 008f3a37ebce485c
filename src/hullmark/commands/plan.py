"""`hullmark plan`: which images a change affects, and with what each is compared."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hullmark.branch import fetch_commits
from hullmark.commands import Application, format_json, print_json
from hullmark.commands.options import json_option
from hullmark.files import write_whole
from hullmark.formats.text import table
from hullmark.journal import Journal
from hullmark.plan import BaseKind, Effect, make_plan
from hullmark.projection import AUDIT_LOGS
from hullmark.text import escape_terminal

if TYPE_CHECKING:
    from hullmark.plan import Plan, PlannedImage

_EFFECTS = {
    Effect.INPUTS_UNCHANGED: "unaffected: inputs unchanged",
    Effect.INPUTS_CHANGED: "affected: inputs changed",
    Effect.JOINS: "joins",
    Effect.RETIRED: "retired",
}
_SHORT = 12


@click.command()
@click.option("--base", required=True, metavar="REV", help="The revision that judges, as origin/main.")
@click.option("--head", default="HEAD", show_default=True, metavar="REV", help="The revision to be judged.")
@click.option(
    "--audit-logs",
    "records",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"The ledger, where it is not in {AUDIT_LOGS}/.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the JSON to a file.")
@click.option("--fetch", "remote", metavar="REMOTE", help="Fetch commits that are not here from this remote.")
@json_option
@click.pass_obj
def command(
    app: Application,
    *,
    base: str,
    head: str,
    records: Path | None,
    out: Path | None,
    remote: str | None,
    as_json: bool,
) -> None:
    """Show what must be built and compared for a change, and which files that judge it edits.

    Both revisions are read as data: nothing of them is checked out, built or run. An image whose build inputs
    are equal in both is left out. `hullmark gate --plan FILE` takes what --out writes.
    """
    if remote is not None:
        fetch_commits(app.root, remote, (base, head), os.environ)
    plan = make_plan(app.root, base, head, Journal(records or app.root / AUDIT_LOGS))
    if out is not None:
        write_whole(out, format_json(plan))
        click.echo(f"wrote {escape_terminal(str(out))}", err=True)
    if as_json:
        print_json(plan)
        return
    for line in render(plan):
        click.echo(escape_terminal(line))


def render(plan: Plan) -> list[str]:
    """The plan in lines."""
    lines = [f"{plan.head[:_SHORT]} compared with {plan.origin[:_SHORT]}, judged by {plan.base[:_SHORT]}"]
    rows = [(image.image, image.platform, _EFFECTS[image.effect], _base(image)) for image in plan.images]
    lines += table(("image", "platform", "effect", "base"), rows)
    lines += [f"base of {image.label}: {image.detail}" for image in plan.images if image.detail]
    lines += [f"narrowed coverage: {image.label}: {gap}" for image in plan.images for gap in image.declared]
    lines += [f"edits {touch.what.value}: {touch.path}" for touch in plan.touched]
    lines += [f"adds an exemption: {entry.id} by {entry.owner}" for entry in plan.added_exemptions]
    lines += [f"cannot be read: {one.file}: {one.message}" for one in plan.unusable]
    for side, names in (("base", plan.build_base), ("head", plan.build_head)):
        lines.append(f"to build from {side}: {', '.join(names) or 'nothing'}")
    return lines


def _base(image: PlannedImage) -> str:
    if image.base is BaseKind.RECORDED and image.recorded is not None:
        return f"recorded {image.recorded.at[:10]}, {image.recorded.digest[:19]}"
    return f"{image.base.value} ({image.absence.value})" if image.absence else image.base.value
