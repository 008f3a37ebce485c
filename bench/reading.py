"""Reading reports: against a bare decode of the same fields, and against the memory that `json` needs."""

from __future__ import annotations

import subprocess
import sys
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from bench.budget import Figure
from bench.clock import interleave
from hullmark.scanners.trivy.report import read_report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.workspace import Workspace


class _Row(msgspec.Struct):
    """What `read_report` wants of a row."""

    VulnerabilityID: str = ""
    PkgName: str = ""
    PkgPath: str = ""
    InstalledVersion: str = ""
    FixedVersion: str = ""
    Status: str = ""
    Severity: str = ""
    SeveritySource: str = ""
    Title: str = ""
    PrimaryURL: str = ""
    PublishedDate: str = ""


class _Package(msgspec.Struct):
    """What `read_report` wants of a package."""

    Name: str = ""
    Version: str = ""
    Release: str = ""
    Epoch: int = 0
    SrcName: str = ""
    SrcVersion: str = ""
    SrcRelease: str = ""
    SrcEpoch: int = 0
    FilePath: str = ""


class _Result(msgspec.Struct):
    Target: str = ""
    Class: str = ""
    Type: str = ""
    Packages: list[_Package] | None = None
    Vulnerabilities: list[_Row] | None = None


class _Report(msgspec.Struct):
    ArtifactName: str = ""
    Results: list[_Result] | None = None


decode_wanted = msgspec.json.Decoder(_Report).decode
"""The yardstick: the fields that `read_report` gives, 14 of a finding and its result, and no work on them."""


def current_reports(workspace: Workspace) -> list[Path]:
    """The newest recorded report of each image."""
    newest = {week.snapshot.image: week.report for week in workspace.recorded}
    return list(newest.values())


def normalise(workspace: Workspace) -> Iterator[Figure]:
    """From bytes to sorted findings, packages and coverage."""
    paths = current_reports(workspace)
    reports = [path.read_bytes() for path in paths]
    times = interleave(
        {
            "normalise": lambda: [read_report(data, file="report") for data in reports],
            "decode": lambda: [decode_wanted(data) for data in reports],
        },
        rounds=21,
    )
    size = sum(map(len, reports))
    yield Figure(
        what="normalise: throughput / typed decode",
        at_least=0.6,
        measured=times.ratio("decode", "normalise"),
        note=f"{_speed(size, times.seconds('normalise'))} against {_speed(size, times.seconds('decode'))}",
    )


def _speed(size: int, seconds: float) -> str:
    return f"{size / seconds / 1e6:,.0f} MB/s"


# Not ru_maxrss: that of a new process begins with the peak of the one that started it.
_PEAK = """
import json, sys
from pathlib import Path
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
"""
_INGEST = """
from hullmark.scanners.trivy.report import read_report
from hullmark.delta import compare
from hashlib import sha256
path = Path(sys.argv[1])
before = peak()
data = path.read_bytes()
digest = sha256(data).hexdigest()
report = read_report(data, file=path)
delta = compare((), report.findings)
print(peak() - before)
"""
_JSON = """
path = Path(sys.argv[1])
before = peak()
document = json.loads(path.read_bytes())
print(peak() - before)
"""


def memory(workspace: Workspace) -> Iterator[Figure]:
    """Peak memory of fresh processes, less what they had after their imports."""
    ours, theirs = [], []
    for _ in range(7):
        ours.append(_added(_INGEST, workspace.large))
        theirs.append(_added(_JSON, workspace.large))
    one, other = median(ours), median(theirs)
    size = workspace.large.stat().st_size
    yield Figure(
        what="memory of one ingest / json.loads",
        at_most=1.2,
        measured=one / other,
        note=f"{one / 1024:.1f} against {other / 1024:.1f} MB, report of {size / 1e6:.1f} MB",
    )


def _added(program: str, report: Path) -> int:
    words = [sys.executable, "-c", _PEAK + program, str(report)]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
