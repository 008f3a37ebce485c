"""The summary of 90 reports, against the trend that sarif-tools makes of the same reports."""

from __future__ import annotations

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from bench.budget import Figure
from bench.clock import command, interleave
from bench.workspace import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.workspace import Workspace

REPORTS = 90


def trend(workspace: Workspace) -> Iterator[Figure]:
    """Both as whole processes. The SARIF is made by Trivy itself, before, and that is not counted."""
    reports = workspace.fresh("ninety")
    sarif = workspace.fresh("sarif")
    for week in workspace.weeks[:REPORTS]:
        shutil.copy2(week.report, reports)
    _convert(sorted(reports.glob("*.json")), sarif)
    script = ROOT / "scripts" / "generate_security_summary.py"
    summary = workspace.folder / "summary.json"
    times = interleave(
        {
            "ours": command([workspace.installed, script, "--trivy-dir", reports, "--output", summary]),
            "theirs": command([workspace.peers / "sarif", "trend", "-o", workspace.folder / "t.csv", sarif]),
        },
        rounds=7,
    )
    yield Figure(
        what=f"sarif trend / summary of {REPORTS} reports",
        at_least=5.0,
        measured=times.ratio("theirs", "ours"),
        note=f"{times.seconds('theirs') * 1000:,.0f} against {times.seconds('ours') * 1000:,.0f} ms",
    )


def _convert(reports: list[Path], folder: Path) -> None:
    """SARIF of each report, under the name whose date sarif-tools reads."""
    beside = Path(sys.executable).with_name("trivy")
    trivy = beside if beside.exists() else Path(shutil.which("trivy") or "trivy")

    def one(report: Path) -> None:
        out = folder / f"{report.stem}.sarif"
        command([trivy, "convert", "--quiet", "--format", "sarif", "--output", out, report], cwd=folder)()

    with ThreadPoolExecutor(2) as executor:
        list(executor.map(one, reports))
