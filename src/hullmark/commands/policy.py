"""`hullmark policy`: the rules of the gate."""

from __future__ import annotations

from pathlib import Path

import click

from hullmark.commands import Application, print_json
from hullmark.commands.options import json_option
from hullmark.config import CONFIG_FILE, GateSettings, load_project
from hullmark.policy import format_policy, load_policy, make_policy
from hullmark.text import escape_terminal


@click.group()
def command() -> None:
    """Check the rules of the gate, and show them."""


@command.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@json_option
@click.pass_obj
def check(app: Application, *, file: Path | None, as_json: bool) -> None:
    """Read the policy in FILE, or [gate] of hullmark.toml, strictly; then show every rule in words.

    A policy without rules, a rule that can never match or never decide, and rules that contradict each other
    are errors with the file and the key.
    """
    if file is not None:
        policy = load_policy(file)
    else:
        has_project = (app.root / CONFIG_FILE).exists()
        settings = load_project(app.root).gate if has_project else GateSettings()
        policy = make_policy(settings.table, file=app.root / CONFIG_FILE, key="gate")
    if as_json:
        print_json(policy)
        return
    for line in format_policy(policy).splitlines():
        click.echo(escape_terminal(line))
