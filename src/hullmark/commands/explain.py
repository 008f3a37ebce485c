"""`hullmark explain`: a recorded decision, or everything known of one vulnerability, in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from hullmark.commands import print_json
from hullmark.commands.gate import places_of
from hullmark.commands.options import json_option
from hullmark.config import CONFIG_FILE, load_project
from hullmark.decision import restore
from hullmark.errors import InputError, RepositoryError, UsageError
from hullmark.formats.decisions import FORMATS, Answer
from hullmark.journal import Journal
from hullmark.policy import Policy
from hullmark.projection import AUDIT_LOGS
from hullmark.story import load_decision, tell_vulnerability
from hullmark.text import escape_terminal

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.commands import Application
    from hullmark.decision import Decision

_DIGEST = re.compile(r"latest|(?:sha256:)?[0-9a-f]{4,64}")


@click.command()
@click.argument("what", metavar="DECISION|ID")
@click.option("--format", "form", type=click.Choice(sorted(FORMATS)), default="text", help="Of a decision.")
@json_option
@click.pass_obj
def command(app: Application, *, what: str, form: str, as_json: bool) -> None:
    """Tell the story of DECISION (a digest or its beginning, or `latest`), or of the vulnerability ID."""
    journal = Journal(app.root / AUDIT_LOGS)
    if not journal.root.is_dir():
        raise InputError("nothing was recorded here", file=journal.root, hint="Run `hullmark gate --record`.")
    if _DIGEST.fullmatch(what):
        _explain_decision(app.root, journal, what, "json" if as_json else form)
        return
    lines = tell_vulnerability(journal, what)
    if not lines:
        raise UsageError(
            f"nothing about {what!r} was recorded",
            hint="Give the id of a vulnerability as `hullmark history` shows it, or a decision's digest.",
        )
    if as_json:
        print_json({"id": what, "story": lines})
        return
    for line in lines:
        click.echo(escape_terminal(line))


def _explain_decision(root: Path, journal: Journal, text: str, form: str) -> None:
    at, event = journal.find_decision(text)
    decision = load_decision(journal, event.decision)
    answer = Answer(
        decision=decision,
        digest=event.decision,
        content=journal.evidence.get(event.decision),
        load=journal.evidence.get,
        policy=_policy(journal, decision),
        places=places_of(load_project(root) if (root / CONFIG_FILE).exists() else None),
    )
    click.echo(FORMATS[form](answer), nl=False)
    if form == "text":
        compared = f", base {event.base}, head {event.head}" if event.base or event.head else ""
        click.echo(escape_terminal(f"Recorded on {at}{compared}."))


def _policy(journal: Journal, decision: Decision) -> Policy | None:
    """The policy with the words of one's own rules; None when its evidence is gone."""
    try:
        policy = restore(decision.inputs, journal.evidence.get).policy
    except RepositoryError:
        return None
    return policy if isinstance(policy, Policy) else None
