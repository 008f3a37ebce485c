"""The made-up history as scans, and as Hullmark records them. Tests may use it as well."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from pathlib import Path  # noqa: TC003 - NamedTuple fields are resolved by readers
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from bench.history import WEEK, Snapshot, history
from bench.shape import write_report, write_sbom
from hullmark.event import RunStarted, Scanned
from hullmark.image import LINUX_AMD64, Digest
from hullmark.journal import Journal
from hullmark.recording import begin_run
from hullmark.scan import Containment, Database, Provenance, Scan, Scanner
from hullmark.scanners.trivy.report import read_report
from hullmark.scanners.trivy.sbom import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from hullmark.finding import Finding


class Week(NamedTuple):
    """One image in one week, as files and as the values that Hullmark makes of them."""

    snapshot: Snapshot
    report: Path
    sbom: bytes
    """Normalised, as it is kept."""
    scan: Scan


def make_weeks(folder: Path, number: int) -> list[Week]:
    """So many weeks of every image, their reports in `folder`."""
    found = []
    for snapshot in history(number):
        path = folder / f"{snapshot.image}-{snapshot.at:%Y%m%dT%H%M%SZ}.json"
        data = write_report(snapshot)
        path.write_bytes(data)
        digest = Digest(f"sha256:{snapshot.build}")
        sbom = normalise(write_sbom(snapshot), name=snapshot.image, digest=digest)
        found.append(Week(snapshot, path, sbom, _scan(snapshot, data, digest)))
    return found


def run_started(weeks: Iterable[Week], database: int) -> RunStarted:
    """The start of a run that scans `weeks`."""
    made = provenance(database)
    return RunStarted(
        expected=tuple(sorted(f"{week.scan.image} {week.scan.platform}" for week in weeks)),
        scanner=made.scanner,
        database=made.database,
        containment=made.containment,
        hullmark="0.1.0",
    )


def record_run(journal: Journal, weeks: Sequence[Week], *, now: datetime, database: int) -> list[Scanned]:
    """Record one run that scanned `weeks`, as `hullmark record` does.

    The scan before, matched again, shows what this one does: five of six differences come from the database.
    """
    with begin_run(journal, run_started(weeks, database), now=now, clock_overridden=False) as recording:
        events = [
            recording.add(week.scan, week.sbom, partial(_match_again, week.scan.findings), inputs=None)
            for week in weeks
        ]
        recording.finish(tuple(f"{week.scan.image} {week.scan.platform}" for week in weeks), {})
    return events


def _match_again(findings: tuple[Finding, ...], _sbom: bytes) -> tuple[Finding, ...]:
    return findings


def record_history(root: Path, weeks: Sequence[Week], *, repeated: int = 0) -> Journal:
    """Record `weeks` week by week, each followed by `repeated` scans that find nothing new."""
    journal = Journal(root)
    for number in sorted({week.snapshot.week for week in weeks}):
        those = [week for week in weeks if week.snapshot.week == number]
        for day in range(repeated + 1):
            now = those[0].snapshot.at + day * WEEK / (repeated + 1)
            record_run(journal, those, now=now, database=number)
    return journal


def provenance(week: int) -> Provenance:
    """What the scans of one week were made with: every week another database, real ones by their mark."""
    digest = Digest(f"sha256:{week:064x}")
    return Provenance(
        scanner=Scanner(name="trivy", version="0.76.0", binary=digest_of(0), verified=True),
        database=Database(
            digest=digest, updated_at=f"{date(2025, 1, 1) + timedelta(weeks=week):%Y-%m-%d}T06:00:00Z"
        ),
        containment=Containment.UNSHARE,
    )


def digest_of(number: int) -> Digest:
    """A digest that stands for `number`."""
    return Digest(f"sha256:{number:064x}")


def _scan(snapshot: Snapshot, data: bytes, digest: Digest) -> Scan:
    report = read_report(data, file=snapshot.image)
    return Scan(
        image=snapshot.image,
        platform=LINUX_AMD64,
        digest=digest,
        provenance=provenance(snapshot.week),
        packages=report.packages,
        findings=report.findings,
        coverage=msgspec.structs.replace(report.coverage, notes=()),
    )
