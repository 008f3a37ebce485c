"""`hullmark doctor`: what is there, what is missing, and what to do next."""

from __future__ import annotations

import os

import click

from hullmark.commands import Application, print_json
from hullmark.commands.options import json_option
from hullmark.doctor import Health, Part, examine
from hullmark.errors import Exit
from hullmark.text import escape_terminal

_MARKS = {Health.GOOD: "good", Health.ADVICE: "advice", Health.MISSING: "MISSING"}


@click.command()
@json_option
@click.pass_obj
def command(app: Application, *, as_json: bool) -> int:
    """Look at every part that Hullmark needs here, and say what to do about those that do not work.

    Nothing is changed. Exit code 5 when something that this repository needs is missing; advice gives 0.
    """
    parts = examine(app.root, now=app.now, environ=os.environ)
    if as_json:
        print_json({"parts": parts, "ready": not _missing(parts)})
    else:
        for line in render(parts):
            click.echo(escape_terminal(line))
    return Exit.INCOMPLETE if _missing(parts) else Exit.DONE


def _missing(parts: tuple[Part, ...]) -> int:
    return sum(part.health is Health.MISSING for part in parts)


def render(parts: tuple[Part, ...]) -> list[str]:
    """One line a part, what to do below it, and a last line for whoever reads only that."""
    lines: list[str] = []
    for part in parts:
        lines.append(f"{_MARKS[part.health]:<8}{part.name}: {part.said}")
        if part.next:
            lines.append(f"        next: {part.next}")
    count = _missing(parts)
    return [*lines, f"{count} missing" if count else "ready"]
