"""The made-up history: the same bytes every time, and the drift that was measured on a real one."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from itertools import pairwise
from statistics import mean, median
from typing import TYPE_CHECKING

import pytest
from bench.history import IMAGES, Snapshot, history
from bench.scans import make_weeks, record_history
from bench.shape import write_report, write_sbom
from bench.workspace import ROOT

from hullmark.delta import Delta, compare
from hullmark.scanners.trivy.report import read_report
from hullmark.scanners.trivy.sbom import normalise, packages
from hullmark.verification import verify_history

if TYPE_CHECKING:
    from hullmark.finding import Finding

PROGRAM = """
from hashlib import sha256
from bench.history import history
from bench.shape import write_report, write_sbom
state = sha256()
for snapshot in history(2):
    state.update(write_report(snapshot) + write_sbom(snapshot))
print(state.hexdigest())
"""


@pytest.fixture(scope="module")
def snapshots() -> list[Snapshot]:
    return list(history(12))


@pytest.fixture(scope="module")
def findings(snapshots: list[Snapshot]) -> dict[str, list[tuple[Finding, ...]]]:
    """What each report says, by image, oldest first."""
    found: dict[str, list[tuple[Finding, ...]]] = {}
    for snapshot in snapshots:
        report = read_report(write_report(snapshot), file=snapshot.image)
        found.setdefault(snapshot.image, []).append(report.findings)
    return found


@pytest.fixture(scope="module")
def deltas(findings: dict[str, list[tuple[Finding, ...]]]) -> list[Delta]:
    return [compare(base, head) for weeks in findings.values() for base, head in pairwise(weeks)]


def test_another_process_makes_the_same_bytes() -> None:
    words = [sys.executable, "-c", PROGRAM]
    theirs = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

    state = sha256()
    for snapshot in history(2):
        state.update(write_report(snapshot) + write_sbom(snapshot))
    assert theirs == state.hexdigest()


def test_another_seed_makes_another_history() -> None:
    assert list(history(1, seed=1)) != list(history(1, seed=2))


def test_reports_have_the_size_of_real_ones(snapshots: list[Snapshot]) -> None:
    sizes = [len(write_report(snapshot)) for snapshot in snapshots]
    assert mean(sizes) == pytest.approx(0.915e6, rel=0.1)
    assert max(sizes) == pytest.approx(2.2e6, rel=0.1)


def test_a_vulnerability_is_in_as_many_packages_as_in_real_images(
    snapshots: list[Snapshot], findings: dict[str, list[tuple[Finding, ...]]]
) -> None:
    rows = [len(found) for weeks in findings.values() for found in weeks]
    assert mean(rows) == pytest.approx(311, rel=0.05)
    assert sum(rows) == sum(snapshot.findings for snapshot in snapshots)
    assert sum(rows) / sum(len(s.advisories) for s in snapshots) == pytest.approx(2.13, rel=0.05)


def test_findings_come_and_go_as_they_did(deltas: list[Delta]) -> None:
    coming = [len(delta.introduced) for delta in deltas]
    going = [len(delta.resolved) for delta in deltas]
    assert mean(coming) == pytest.approx(13.9, rel=0.05)
    assert mean(going) == pytest.approx(9.1, rel=0.05)
    assert 2 <= median(coming) <= 3
    assert median(going) == 0
    assert sum(not (delta.introduced or delta.resolved) for delta in deltas) == pytest.approx(14, abs=2)


def test_severities_change_and_fixes_appear_as_they_did(deltas: list[Delta]) -> None:
    assert 164 <= sum(len(delta.rerated) for delta in deltas) / len(deltas) * 83 <= 238
    assert sum(len(delta.now_fixable) for delta in deltas) / len(deltas) * 83 == pytest.approx(46, rel=0.1)


def test_no_image_is_built_twice_alike(snapshots: list[Snapshot]) -> None:
    assert len({snapshot.build for snapshot in snapshots}) == len(snapshots)
    assert {snapshot.release for snapshot in snapshots} == {"13.2", "13.3"}


def test_report_and_sbom_name_the_same_packages(snapshots: list[Snapshot]) -> None:
    snapshot = snapshots[-1]
    report = read_report(write_report(snapshot), file="report")

    assert packages(normalise(write_sbom(snapshot), name=snapshot.image)) == report.packages


def test_a_recorded_history_is_sound(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("recorded")
    journal = record_history(folder / "audit-logs", make_weeks(folder, 2), repeated=1)

    assert verify_history(journal).ok
    timelines = [journal.timelines(plan.name)["linux/amd64"] for plan in IMAGES]
    assert {len(timeline.scans) for timeline in timelines} == {4}
    assert all(timeline.scans[1].event.is_unchanged for timeline in timelines)
