"""Checks of the repository as recorded facts: under the name `repository`, with the causes of what changed.

Rules (each has a test with the same words):
- the built-in tools and each foreign tool have histories of their own: none resolves what another found;
- where a tool changed, base is checked again with today's, if its commit is known: what only the new tool
  sees or no longer sees is of cause `scanner`, the rest is of the change;
- what appears because a tool was missing before is of cause `scope`;
- a run of checks says nothing about the age of a vulnerability database.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hullmark import __version__
from hullmark.checked_tree import CheckedTree, changed_tools, format_checked_tree, parse_checked_tree
from hullmark.checks import check_tree
from hullmark.errors import HullmarkError, UsageError
from hullmark.event import RunStarted, Scanned
from hullmark.image import REPOSITORY, SOURCE, Digest, Platform
from hullmark.ledger.entry import format_time
from hullmark.outbox import pack
from hullmark.projection import project
from hullmark.recording import begin_run
from hullmark.scan import Containment, Coverage, Database, Provenance, Scan, Scanner
from hullmark.scanners.occurrence import to_findings
from hullmark.scanners.sarif import read_sarif
from hullmark.scanners.tree import copied_commit

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Executor
    from datetime import datetime
    from pathlib import Path

    from hullmark.checks import Checked, CheckOptions
    from hullmark.finding import Finding, Kind
    from hullmark.journal import Journal
    from hullmark.outbox import Outbox
    from hullmark.recording import CheckAgain
    from hullmark.scanners.tree import Tree

_TOOL = re.compile(r"[a-z0-9]{1,40}")
_UNSAID = "unknown"


class Report(NamedTuple):
    """What one tool, or all built-in ones, found: ready to be recorded."""

    platform: Platform
    """`source/any` for the built-in tools, `source/NAME` for a foreign one."""
    tree: CheckedTree
    containment: Containment
    findings: tuple[Finding, ...]
    coverage: Coverage


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What recording checks did."""

    scans: tuple[Scan, ...]
    events: tuple[Scanned, ...]
    """One for each scan, in the same order."""
    repaired: tuple[str, ...]
    changed_files: tuple[str, ...]


def report_of(checked: Checked) -> Report:
    """What the built-in tools found."""
    tree = CheckedTree(digest=checked.digest, commit=checked.commit, tools=checked.tools)
    return Report(SOURCE, tree, checked.containment, checked.findings, checked.coverage)


def report_of_sarif(data: bytes, tree: Tree, *, file: Path, root: Path, tool: str, kind: Kind) -> Report:
    """What a foreign tool found in `tree`, as its SARIF says."""
    if _TOOL.fullmatch(tool) is None:
        raise UsageError(
            f"{tool!r} is no name of a tool", hint="Use at most 40 lower-case letters and digits, as semgrep."
        )
    sarif = read_sarif(data, file=file, root=root.resolve(), kind=kind)
    version = " ".join(sarif.version.split())[:80] or _UNSAID
    name = f"{sarif.tool} {version}"
    program = Scanner(name=tool, version=version, binary=_digest(name.encode()), verified=False)
    return Report(
        platform=Platform(SOURCE.os, tool),
        tree=CheckedTree(digest=tree.digest, commit=tree.commit, tools=(program,)),
        containment=Containment.NONE,
        findings=to_findings(tool, sarif.matches, tree),
        coverage=Coverage(kinds={kind: (f"{tool} {version}",)}),
    )


def check_again_with(root: Path, options: CheckOptions, executor: Executor) -> CheckAgain:
    """Checks commits of the repository in `root` with the tools that are here."""

    def check_again(before: CheckedTree, names: frozenset[str]) -> tuple[Finding, ...] | None:
        scanners = {name: one for name, one in options.scanners.items() if name in names}
        if not before.commit or names - scanners.keys():
            return None
        try:
            with copied_commit(root, before.commit) as tree:
                checked = check_tree(tree, options._replace(scanners=scanners), executor, tell=lambda _: None)
        except HullmarkError:  # a commit that is gone, or was never fetched: the cause is told without it
            return None
        is_same = tree.digest == before.digest and checked.is_complete
        return checked.findings if is_same else None

    return check_again


def record_reports(
    journal: Journal,
    reports: Iterable[Report],
    check_again: CheckAgain,
    *,
    home: Path,
    now: datetime,
    clock_overridden: bool = False,
    outbox: Outbox | None = None,
    published: Journal | None = None,
) -> Recorded:
    """Record `reports` as one run, and write what is made from the ledger, all below `home`.

    With an `outbox` the same facts are packed for publishing; `published` is what they will continue.
    """
    reports = tuple(sorted(reports, key=lambda report: report.platform))
    known = journal.is_sample()
    started = _started(reports, now, sample=clock_overridden if known is None else known)
    scans = [_scan(report, started) for report in reports]
    with begin_run(journal, started, now=now, clock_overridden=clock_overridden) as recording:
        if outbox is not None:
            # First, so that what is recorded here is never lost to those who read the shared ledger.
            pack(
                outbox,
                at=format_time(now),
                started=started,
                scans=[
                    (scan, format_checked_tree(r.tree), None) for scan, r in zip(scans, reports, strict=True)
                ],
                missing={},
                again=_check_published(published, reports, check_again) if published else {},
                heads=published.heads() if published else {},
            )
        events = [
            recording.add_check(scan, format_checked_tree(report.tree), check_again)
            for scan, report in zip(scans, reports, strict=True)
        ]
        recording.finish(started.expected, {})
        repaired = tuple(repair.file for repair in recording.repaired)
        changed = project(journal, home)
    return Recorded(scans=tuple(scans), events=tuple(events), repaired=repaired, changed_files=changed)


def _check_published(
    published: Journal, reports: tuple[Report, ...], check_again: CheckAgain
) -> dict[Digest, tuple[Finding, ...]]:
    """What today's tools find in the published trees, where a tool changed: whoever publishes has none."""
    found: dict[Digest, tuple[Finding, ...]] = {}
    for report in reports:
        standing = published.standings(REPOSITORY).get(str(report.platform))
        if standing is None:
            continue
        place = published.evidence.path(standing.latest.sbom)
        before = parse_checked_tree(published.evidence.get(standing.latest.sbom), place=str(place))
        changed = changed_tools(before, report.tree)
        again = check_again(before, changed) if changed else None
        if again is not None:
            found[standing.latest.sbom] = again
    return found


def _started(reports: tuple[Report, ...], now: datetime, *, sample: bool) -> RunStarted:
    """A run whose scanner is all tools together, and whose database is their rules."""
    tools = sorted({tool for report in reports for tool in report.tree.tools}, key=lambda tool: tool.name)
    digest = _digest(msgspec.json.encode(tools))
    is_open = any(report.containment is Containment.NONE for report in reports)
    return RunStarted(
        expected=tuple(f"{REPOSITORY} {report.platform}" for report in reports),
        scanner=Scanner(name="checks", version=__version__, binary=digest, verified=False),
        database=Database(digest=digest, updated_at=format_time(now), sample=sample),
        containment=Containment.NONE if is_open else reports[0].containment,
        hullmark=__version__,
        commit=reports[0].tree.commit,
        checks=True,
    )


def _scan(report: Report, started: RunStarted) -> Scan:
    return Scan(
        image=REPOSITORY,
        platform=report.platform,
        digest=report.tree.digest,
        provenance=Provenance(
            scanner=started.scanner, database=started.database, containment=report.containment
        ),
        packages=(),
        findings=report.findings,
        coverage=report.coverage,
    )


def _digest(data: bytes) -> Digest:
    return Digest(f"sha256:{sha256(data).hexdigest()}")
