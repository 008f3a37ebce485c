"""`hullmark replay`: make a recorded decision again, and say whether it comes out the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from hullmark.bundle import MAX_BUNDLE, read_bundle
from hullmark.commands import print_json
from hullmark.commands.options import json_option, scan_options, scanner_options
from hullmark.config import CONFIG_FILE, ScanSettings, load_project
from hullmark.decision import parse_decision
from hullmark.errors import Exit, HullmarkError
from hullmark.files import read_bounded
from hullmark.formats.text import plural
from hullmark.journal import Journal
from hullmark.pipeline import open_toolchain
from hullmark.projection import AUDIT_LOGS
from hullmark.replay import Agreement, Rematch, Replay, rematch, replay
from hullmark.scanners import database
from hullmark.text import escape_terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from hullmark.commands import Application
    from hullmark.decision import Decision
    from hullmark.image import Digest
    from hullmark.pipeline import ScanOptions

_SHOWN = 10


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer of `hullmark replay`."""

    replay: Replay
    rematched: tuple[Rematch, ...]
    not_rematched: str
    """Why the SBOMs were not matched again; empty when they were."""


@click.command()
@click.argument("decision", metavar="DECISION")
@scanner_options
@json_option
@click.pass_obj
def command(app: Application, /, *, decision: str, as_json: bool, **options: Any) -> int:  # noqa: ANN401 - what `scanner_options` adds
    """Make DECISION again from its evidence: a digest or its beginning, `latest`, or a bundle's file.

    Where the very database of the decision is held (--db, HULLMARK_DB or that of hullmark.toml), its SBOMs
    are matched again too.

    Exit code 0: the same. 3: not what was recorded. 4: another version decides otherwise. 5: inputs are gone.
    """
    digest, load = _find(app, decision)
    found = replay(digest, load)
    rematched, why_not = _match_again(app, parse_decision(load(digest)), load, scan_options(options))
    report = Report(replay=found, rematched=rematched, not_rematched=why_not)
    if as_json:
        print_json(report)
    else:
        for line in render(report):
            click.echo(escape_terminal(line))
    return _answer(report)


def _find(app: Application, text: str) -> tuple[Digest, Callable[[Digest], bytes]]:
    path = Path(text)
    if path.is_file():
        bundle = read_bundle(read_bounded(path, MAX_BUNDLE), file=path)
        return bundle.digest, bundle.load
    journal = Journal(app.root / AUDIT_LOGS)
    _, event = journal.find_decision(text)
    return event.decision, journal.evidence.get


def _match_again(
    app: Application, decision: Decision, load: Callable[[Digest], bytes], options: ScanOptions
) -> tuple[tuple[Rematch, ...], str]:
    """The SBOMs matched again, or why they were not."""
    has_project = (app.root / CONFIG_FILE).exists()
    settings = load_project(app.root).scan if has_project else ScanSettings()
    wanted = decision.inputs.database
    try:
        place = database.choose(options.database, os.environ, default=app.root / settings.database)
        held = database.inspect(place.folder).database
        if held.digest != wanted.digest:
            return (), f"the database of {wanted.updated_at} is not held, but one of {held.updated_at}"
        tools = open_toolchain(options, settings, root=app.root, environ=os.environ, now=app.now)
        return rematch(decision, load, tools.trivy), ""
    except HullmarkError as error:
        return (), error.message


def render(report: Report) -> list[str]:
    """What came out, in lines."""
    found = report.replay
    lines = [f"Decision {found.decision}: {found.verdict.value}, decided by Hullmark {found.recorded_by}."]
    match found.agreement:
        case Agreement.SAME_BYTES:
            lines.append(f"Made again by Hullmark {found.replayed_by}: the same, byte for byte.")
        case Agreement.SAME_VERDICT:
            lines.append(
                f"Made again by Hullmark {found.replayed_by}: the same verdict for the same reasons."
            )
        case Agreement.DIFFERENT:
            lines.append(f"Made again by Hullmark {found.replayed_by}: not the same.")
            lines += [f"  {text}." for text in found.differences]
        case Agreement.INPUTS_GONE:
            lines.append("It cannot be made again: inputs are gone.")
            lines += [f"  {text}." for text in found.gone]
    if report.not_rematched:
        lines.append(f"The SBOMs were not matched again: {report.not_rematched}.")
    return lines + [line for one in report.rematched for line in _rematched(one)]


def _rematched(one: Rematch) -> list[str]:
    if not one.appeared and not one.vanished:
        return [f"Matched again: {one.side}: the same {plural(one.findings, 'finding', 'findings')}."]
    changes = [f"appeared: {text}" for text in one.appeared] + [f"vanished: {text}" for text in one.vanished]
    more = [f"  and {len(changes) - _SHOWN} more."] if len(changes) > _SHOWN else []
    return [f"Matched again: {one.side}: not the same.", *(f"  {text}." for text in changes[:_SHOWN]), *more]


def _answer(report: Report) -> Exit:
    differs = any(one.appeared or one.vanished for one in report.rematched)
    match report.replay.agreement:
        case Agreement.INPUTS_GONE:
            return Exit.INCOMPLETE
        case Agreement.DIFFERENT:
            return Exit.BLOCK if report.replay.is_same_version else Exit.REVIEW
        case _:
            return Exit.BLOCK if differs else Exit.DONE
