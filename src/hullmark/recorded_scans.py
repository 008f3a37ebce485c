"""Scans as facts in the ledger: what a run scanned, tested and missed, and what is made from it.

Record first, judge last: whatever a run finds is in the ledger before anything returns non-zero.
"""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from hullmark import __version__
from hullmark.baseline import file_stem
from hullmark.event import RunStarted, SmokeTested
from hullmark.files import write_whole
from hullmark.ledger.entry import format_time
from hullmark.outbox import pack
from hullmark.projection import project
from hullmark.recording import begin_run
from hullmark.tested import ImageTested, record_tests
from hullmark.text import without_folders

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from hullmark.finding import Finding
    from hullmark.image import Digest
    from hullmark.journal import Journal
    from hullmark.outbox import Outbox
    from hullmark.pipeline import Outcome, Source, Toolchain
    from hullmark.scanners.trivy.scan import ScanResult
    from hullmark.smoke import SmokeReport

REPORTS = "reports/trivy"


def record(
    journal: Journal,
    tools: Toolchain,
    outcome: Outcome,
    *,
    expected: Sequence[Source],
    home: Path,
    now: datetime,
    clock_overridden: bool = False,
    outbox: Outbox | None = None,
    published: Journal | None = None,
) -> Outcome:
    """Record a run, keep its reports, and write what is made from the ledger, all below `home`.

    With an `outbox` the same facts are packed for publishing; `published` is what they will continue.
    """
    started = _start(tools, expected)
    sources = {source.label: source for source in expected}
    inputs = {
        _label(r): sources[_label(r)].inputs.get(r.scan.digest, sources[_label(r)].fetched)
        for r in outcome.scanned
    }
    reasons = {missing.source.label: missing.reason for missing in outcome.missing}
    tests = [ImageTested(image=report.image, event=_tested(report)) for report in outcome.tests]
    with begin_run(journal, started, now=now, clock_overridden=clock_overridden) as recording:
        if outbox is not None:
            # First, so that what is recorded here is never lost to those who read the shared ledger.
            pack(
                outbox,
                at=format_time(now),
                started=started,
                scans=[(r.scan, r.sbom, inputs[_label(r)]) for r in outcome.scanned],
                missing=reasons,
                tests=tests,
                again=_match_published(published, tools, outcome) if published else {},
                heads=published.heads() if published else {},
            )
        record_tests(journal, recording, tests)
        again = partial(_match_again, tools)
        events = [
            recording.add(result.scan, result.sbom, again, inputs=inputs[_label(result)])
            for result in outcome.scanned
        ]
        recording.finish(tuple(_label(result) for result in outcome.scanned), reasons)
        repaired = tuple(repair.file for repair in recording.repaired)
        # Still the only writer: a run that ends later must not be overwritten by what this one saw.
        for result in outcome.scanned:
            stem = file_stem(result.scan.image, str(result.scan.platform))
            if result.report:
                write_whole(home / REPORTS / f"{stem}.json", result.report)
        changed = project(journal, home)
    return msgspec.structs.replace(outcome, events=tuple(events), repaired=repaired, changed_files=changed)


def _start(tools: Toolchain, expected: Sequence[Source]) -> RunStarted:
    provenance = tools.trivy.provenance
    return RunStarted(
        expected=tuple(sorted(source.label for source in expected)),
        scanner=provenance.scanner,
        database=provenance.database,
        containment=provenance.containment,
        hullmark=__version__,
        commit=tools.commit,
    )


def _match_again(tools: Toolchain, sbom: bytes) -> tuple[Finding, ...]:
    return tools.trivy.match(sbom).findings


def _tested(report: SmokeReport) -> SmokeTested:
    return SmokeTested(
        platform=report.platform,
        digest=report.digest,
        result=report.result,
        engine=report.engine,
        checks=report.passed,
        detail=without_folders(report.detail),
    )


def _label(result: ScanResult) -> str:
    return f"{result.scan.image} {result.scan.platform}"


def _match_published(
    published: Journal, tools: Toolchain, outcome: Outcome
) -> dict[Digest, tuple[Finding, ...]]:
    """What the published scan of each image would find today, where image and knowledge both changed.

    Whoever publishes needs no scanner then.
    """
    ours = tools.trivy.provenance
    found: dict[Digest, tuple[Finding, ...]] = {}
    for result in outcome.scanned:
        standing = published.standings(result.scan.image).get(str(result.scan.platform))
        if standing is None:
            continue
        before = standing.latest
        same_knowledge = (before.run.scanner, before.run.database.digest) == (
            ours.scanner,
            ours.database.digest,
        )
        if not same_knowledge and before.sbom != f"sha256:{sha256(result.sbom).hexdigest()}":
            found[before.sbom] = tools.trivy.match(published.evidence.get(before.sbom)).findings
    return found
