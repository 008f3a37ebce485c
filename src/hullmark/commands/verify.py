"""`hullmark verify`: the recorded history is what was recorded, or the place where it is not."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from hullmark.audit_bundle import Fault, check_bundle, unpack_bundle
from hullmark.commands import Application, print_json
from hullmark.config import load_project
from hullmark.errors import Exit, InputError
from hullmark.files import read_bounded, scratch_folder, write_whole
from hullmark.journal import Journal
from hullmark.ledger import Checkpoint, format_checkpoint, make_checkpoint, parse_checkpoint
from hullmark.projection import AUDIT_LOGS
from hullmark.text import escape_terminal
from hullmark.verification import HistoryCheck, verify_history

MAX_CHECKPOINT = 8_000_000
_SHOWN = 50
_HINT = "Run `hullmark run --record`."


@click.command()
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A checkpoint that was kept outside this repository.",
)
@click.option(
    "--bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Check an audit bundle instead of this repository.",
)
@click.option(
    "--write-checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a checkpoint of what is there now, if it is sound.",
)
@click.option(
    "--audit-logs",
    "records",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"The ledger, where it is not in {AUDIT_LOGS}/.",
)
@click.option("--if-public", is_flag=True, help="Write a checkpoint only where `publish.public` is true.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def command(
    app: Application,
    *,
    checkpoint: Path | None,
    bundle: Path | None,
    write_checkpoint: Path | None,
    records: Path | None,
    if_public: bool,
    as_json: bool,
) -> int:
    """Check that the recorded history was not changed.

    Exit code 0: sound. 3: something was changed, reordered, repeated or cut off; file and line are named.
    """
    pinned = _read(checkpoint)
    changed: tuple[Fault, ...] = ()
    if bundle is None:
        journal = Journal(records or app.root / AUDIT_LOGS)
        if not journal.root.is_dir():
            raise InputError("nothing was recorded here", file=journal.root, hint=_HINT)
        check = verify_history(journal, pinned)
    else:
        changed, check = _verify_bundle(bundle, pinned)
    ok = check.ok and not changed
    if as_json:
        print_json(msgspec.to_builtins(check) | {"bundle": [fault._asdict() for fault in changed]})
    else:
        for line in [f"bundle: {fault.name}: {fault.text}" for fault in changed] + render(check, checkpoint):
            click.echo(escape_terminal(line))
    if if_public and not load_project(app.root).publish.public:
        write_checkpoint = None
    if ok and write_checkpoint is not None:
        made = make_checkpoint(check.ledger.heads, app.now)
        write_whole(write_checkpoint, format_checkpoint(made))
        click.echo(f"wrote {escape_terminal(str(write_checkpoint))}", err=as_json)
    return Exit.DONE if ok else Exit.BLOCK


def _verify_bundle(path: Path, checkpoint: Checkpoint | None) -> tuple[tuple[Fault, ...], HistoryCheck]:
    """The files of a bundle that were changed, and the check of the history in it."""
    changed = check_bundle(path)
    with scratch_folder() as place:
        folder = place / "bundle"
        damaged = frozenset(fault.name for fault in changed if fault.is_damaged)
        unpack_bundle(path, folder, without=damaged)
        if not (folder / AUDIT_LOGS).is_dir():
            raise InputError("holds no history", file=path, key=AUDIT_LOGS)
        return changed, verify_history(Journal(folder / AUDIT_LOGS), checkpoint)


def _read(path: Path | None) -> Checkpoint | None:
    return None if path is None else parse_checkpoint(read_bounded(path, MAX_CHECKPOINT), file=path)


def render(check: HistoryCheck, checkpoint: Path | None) -> list[str]:
    """What is wrong, then what was checked, in lines."""
    ledger = check.ledger
    faults = [f"{fault.kind.value}: {fault.file}:{fault.line}: {fault.text}" for fault in ledger.faults]
    faults += [f"{fault.kind.value}: {fault.file}:{fault.line}: {fault.text}" for fault in check.faults]
    lines = faults[:_SHOWN]
    if len(faults) > _SHOWN:
        lines.append(f"and {len(faults) - _SHOWN:,} more faults")
    lines += [f"not scanned: {text}" for text in check.missed]
    lines += [f"interrupted: {text}" for text in check.unfinished]
    lines += [f"note: {note.file}: {note.text}" for note in ledger.notes]
    lines += [f"not covered yet: {part.file}, lines {part.first} to {part.last}" for part in ledger.uncovered]
    if check.unnamed_evidence:
        lines.append(f"note: {check.unnamed_evidence} evidence files that no event names")
    kind = {True: "sample history", False: "history", None: "history"}[check.sample]
    verdict = "not what was recorded" if faults else "sound"
    lines.append(
        f"{kind}: {verdict}. {ledger.entries:,} entries in {len(ledger.heads)} ledgers were checked."
    )
    if checkpoint is None:
        lines.append("Complete as far as this copy goes: only a checkpoint kept outside shows a cut end.")
    else:
        lines.append(f"Compared with the checkpoint {checkpoint}.")
    return lines
