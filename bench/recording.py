"""Recording scans: what one ingest costs, and whether an old ledger makes it dearer."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from bench.budget import Figure
from bench.clock import interleave
from bench.reading import decode_wanted
from bench.scans import record_history, record_run
from hullmark.event import format_event
from hullmark.history import Observation, continue_history
from hullmark.image import Digest
from hullmark.journal import Journal
from hullmark.ledger import Store
from hullmark.scanners.trivy.report import read_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bench.scans import Week
    from bench.workspace import Workspace
    from hullmark.ledger import Writer

YEAR = 365
_DAY = timedelta(days=1)
_SOME = Digest("sha256:" + "0" * 64)


def ingest(workspace: Workspace) -> Iterator[Figure]:
    """Read, decode, normalise, hash, compare with the week before, append: against the decode alone."""
    *_, before, after = _by_week(workspace.recorded)
    root = workspace.fresh("ingest") / "audit-logs"
    journal = record_history(root, before)
    timelines = {week.scan.image: journal.timelines(week.scan.image)["linux/amd64"] for week in before}
    known = {week.scan.image: week.scan.findings for week in before}
    bodies = [week.report.read_bytes() for week in after]

    def whole(writer: Writer) -> None:
        for week in after:
            data = week.report.read_bytes()
            digest = Digest(f"sha256:{sha256(data).hexdigest()}")
            report = read_report(data, file=week.report)
            image = week.scan.image
            scan = msgspec.structs.replace(week.scan, packages=report.packages, findings=report.findings)
            seen = Observation(
                run="0" * 16, scan=scan, sbom=digest, recorded=known[image], base_today=report.findings
            )
            event = continue_history(timelines[image], seen, lambda _: _SOME)
            writer.append(image, *format_event(event), now=week.snapshot.at)

    with Store(root).writer() as writer:
        times = interleave(
            {"whole": lambda: whole(writer), "decode": lambda: [decode_wanted(body) for body in bodies]}, 21
        )
    waited = interleave({"sync": lambda: _sync(root, len(after))}).seconds("sync")
    yield Figure(
        what="ingest / typed decode",
        at_most=3.5,
        measured=times.ratio("whole", "decode"),
        note=f"{times.seconds('whole') / len(after) * 1000:.2f} ms a report, "
        f"{waited / len(after) * 1000:.2f} of it for the disk",
    )
    yield _with_evidence(workspace, after, times.seconds("decode"))


def _sync(folder: Path, number: int) -> None:
    """What one short write costs that waits for the disk, so many times."""
    with (folder.parent / "sync").open("ab", buffering=0) as file:
        for _ in range(number):
            file.write(b"{}")
            os.fsync(file.fileno())


def _with_evidence(workspace: Workspace, after: list[Week], decode: float) -> Figure:
    """What the definition of an ingest leaves out: the replay of the ledger, and evidence kept whole."""
    base = workspace.recorded_journal.root
    roots = iter([_copy(base, workspace.folder / f"record-{number}") for number in range(8)])
    now = after[0].snapshot.at + 7 * _DAY
    nextweek = [week for week in workspace.weeks if week.snapshot.week == after[0].snapshot.week + 1]

    def record() -> None:
        for week in nextweek:
            read_report(week.report.read_bytes(), file=week.report)
        record_run(Journal(next(roots)), nextweek, now=now, database=99)

    seconds = interleave({"record": record}, 7).seconds("record")
    return Figure(
        what="  the whole run with evidence / typed decode",
        measured=seconds / decode,
        note=f"{seconds / len(after) * 1000:.2f} ms a report, compressed and synced",
    )


def append(workspace: Workspace) -> Iterator[Figure]:
    """One more run on a ledger of a year of daily scans, against one on a ledger of a day."""
    vote = [week for week in workspace.recorded if week.snapshot.image == "vote"]
    old = _grow(workspace.fresh("year") / "audit-logs", vote, YEAR)
    new = _grow(workspace.fresh("day") / "audit-logs", vote, 1)
    now = vote[0].snapshot.at + (YEAR + 1) * _DAY

    def run(journal: Journal) -> Callable[[], object]:
        return lambda: record_run(journal, vote[:1], now=now, database=YEAR // 7)

    def line(writer: Writer) -> Callable[[], object]:
        return lambda: writer.append("vote", "scan", {"run": "0" * 16, "platform": "linux/amd64"}, now=now)

    runs = interleave({"old": run(old), "new": run(new)}, 41)
    with old.store.writer() as to_old, new.store.writer() as to_new:
        lines = interleave({"old": line(to_old), "new": line(to_new)}, 101)
    yield Figure(
        what="append to a ledger of a year / of a day",
        at_most=1.3,
        measured=lines.ratio("old", "new"),
        note=f"{lines.seconds('old') * 1e6:,.0f} against {lines.seconds('new') * 1e6:,.0f} us",
    )
    yield Figure(
        # Told, not judged: a run reads the contexts of its image's ledger, which a year makes longer.
        what="  a whole run on them",
        measured=runs.ratio("old", "new"),
        note=f"{runs.seconds('old') * 1000:.2f} against {runs.seconds('new') * 1000:.2f} ms",
    )


def _grow(root: Path, weeks: Sequence[Week], days: int) -> Journal:
    """A ledger of daily scans of one image, of which every seventh finds something else."""
    journal = Journal(root)
    for day in range(days):
        week = weeks[day // 7 % len(weeks)]
        record_run(journal, [week], now=weeks[0].snapshot.at + day * _DAY, database=day // 7)
    return journal


def _by_week(weeks: Sequence[Week]) -> list[list[Week]]:
    numbers = sorted({week.snapshot.week for week in weeks})
    return [[week for week in weeks if week.snapshot.week == number] for number in numbers]


def _copy(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target
