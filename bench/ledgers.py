"""Recorded history: its bytes, the proof of it, and what reading it back costs."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

from bench.budget import Figure
from bench.clock import interleave
from bench.scans import record_history, record_run
from bench.workspace import DAILY
from hullmark.journal import Journal
from hullmark.ledger.verify import verify as verify_ledger
from hullmark.projection import project
from hullmark.verification import verify_history

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.workspace import Workspace


def size(workspace: Workspace) -> Iterator[Figure]:
    """Bytes of ledgers and evidence of the recorded weeks."""
    raw = sum(week.report.stat().st_size for week in workspace.recorded)
    root = workspace.recorded_journal.root
    ledger = sum(path.stat().st_size for path in root.glob("*/*.jsonl"))
    kept = list(root.glob("evidence/*/*/*.gz"))
    evidence = sum(path.stat().st_size for path in kept)
    states = len({(week.scan.image, week.sbom) for week in workspace.recorded})
    yield Figure(
        what="ledger bytes / report bytes",
        unit="%",
        at_most=1.2,
        measured=100 * ledger / raw,
        note=f"{ledger / 1e6:.2f} of {raw / 1e6:.1f} MB, {len(workspace.recorded)} scans",
    )
    yield Figure(
        what="evidence for each changed image state",
        unit="kB",
        at_most=25,
        measured=evidence / states / 1000,
        note=f"{evidence / 1e6:.2f} MB in {len(kept)} files, {states} states",
    )


def unchanged(workspace: Workspace) -> Iterator[Figure]:
    """The longest line that a scan without news adds, with another database than before."""
    last = [week for week in workspace.recorded if week.snapshot.week == 0]
    journal = record_history(workspace.fresh("unchanged") / "audit-logs", last)
    record_run(journal, last, now=last[0].snapshot.at, database=1)
    lines = [journal.store.last(week.snapshot.image) for week in last]
    yield Figure(
        what="a scan that finds nothing new",
        unit="bytes",
        at_most=250,
        measured=max(len(entry.raw) + 1 for entry in lines if entry is not None),
    )


def verify(workspace: Workspace) -> Iterator[Figure]:
    """The proof of the ledgers against reading and hashing the same files."""
    weekly, daily = workspace.recorded_journal.root, workspace.daily_journal.root
    lines, short = sorted(weekly.glob("*/*.jsonl")), sorted(daily.glob("*/*.jsonl"))
    everything = [*lines, *sorted(weekly.glob("evidence/*/*/*.gz"))]
    times = interleave(
        {
            "verify": lambda: _sound(verify_ledger(weekly).ok),
            "hash": lambda: _hash(lines),
            "verify daily": lambda: _sound(verify_ledger(daily).ok),
            "hash daily": lambda: _hash(short),
            "verify all": lambda: _sound(verify_history(Journal(weekly)).ok),
            "hash all": lambda: _hash(everything),
        },
        rounds=21,
    )
    yield Figure(
        what="verify of the ledgers: throughput / sha256",
        at_least=0.25,
        measured=times.ratio("hash", "verify"),
        note=_speed(lines, times.seconds("verify")),
    )
    yield Figure(
        what="  of daily scans: short lines, no news in most",
        measured=times.ratio("hash daily", "verify daily"),
        note=_speed(short, times.seconds("verify daily")),
    )
    yield Figure(
        what="  with every event and the evidence unpacked",
        measured=times.ratio("hash all", "verify all"),
        note=_speed(everything, times.seconds("verify all")),
    )


def _speed(paths: list[Path], seconds: float) -> str:
    size = sum(path.stat().st_size for path in paths) / 1e6
    return f"{size:.2f} MB in {seconds * 1000:.1f} ms"


def changes(workspace: Workspace) -> Iterator[Figure]:
    """Replay and projection when twice as many scans found nothing new: changes cost, scans do not."""
    journals = {
        "once": workspace.daily_journal,
        "twice": record_history(
            workspace.fresh("twice") / "audit-logs", workspace.recorded, repeated=2 * DAILY
        ),
    }
    replay = interleave({name: partial(_replay, journal) for name, journal in journals.items()})
    homes = {name: workspace.fresh(f"projected-{name}") for name in journals}
    projected = interleave(
        {name: partial(project, journal, homes[name]) for name, journal in journals.items()}
    )
    for what, times in (("replay", replay), ("projection", projected)):
        yield Figure(
            what=f"{what} with twice as many unchanged scans",
            at_most=1.3,
            measured=times.ratio("twice", "once"),
            note=f"{times.seconds('twice') * 1000:.1f} against {times.seconds('once') * 1000:.1f} ms",
        )


def _replay(journal: Journal) -> None:
    runs = journal.runs()
    for image in journal.images():
        journal.timelines(image, runs)


def _hash(paths: list[Path]) -> None:
    for path in paths:
        sha256(path.read_bytes()).digest()


def _sound(ok: bool) -> None:
    if not ok:
        raise RuntimeError("the history is not sound")
