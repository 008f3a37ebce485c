"""Bandit: weaknesses in Python code. It runs in this Python, contained as a program of its own."""

from __future__ import annotations

import hashlib
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import EnvironmentFaultError
from hullmark.files import scratch_folder
from hullmark.finding import Kind, Severity
from hullmark.image import Digest
from hullmark.scan import Scanner
from hullmark.scanners.checker import (
    INSTALL,
    MAX_OUTPUT,
    Answer,
    Checker,
    Job,
    MissingToolError,
    portions,
    run,
)
from hullmark.scanners.occurrence import Match
from hullmark.scanners.trivy.decoding import decode_json, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "bandit"

_FOUND = 1
_SEVERITIES = {"LOW": Severity.LOW, "MEDIUM": Severity.MEDIUM, "HIGH": Severity.HIGH}
_QUOTING = {
    "B105": "A password stands in the code.",
    "B106": "A password stands in the code, as an argument.",
    "B107": "A password stands in the code, as a default.",
}
"""Rules whose text quotes what they found, and what is said instead."""
_TESTS = re.compile(r"(?:.*/)?(?:tests?/.*|test_[^/]*|[^/]*_test|conftest)\.pyi?", re.DOTALL)
_ASSERT = "B101"
"""Warns of `assert`, which is what a test is made of: it says nothing about a test."""


class _Issue(msgspec.Struct, frozen=True):
    test_id: str
    filename: str
    issue_severity: str
    issue_text: str
    line_number: int
    line_range: list[int] = []
    more_info: str = ""


class _Error(msgspec.Struct, frozen=True):
    filename: str
    reason: str = ""


class _Report(msgspec.Struct, frozen=True):
    results: list[_Issue]
    errors: list[_Error] = []


_REPORT = msgspec.json.Decoder(_Report)


def wants(path: str) -> bool:
    """Python."""
    return path.endswith((".py", ".pyi", ".pyw"))


def check(job: Job) -> Answer:
    """Look at all Python files, whatever comments or configuration say."""
    program = _identify()
    matches: list[Match] = []
    unread: list[str] = []
    with scratch_folder() as folder:
        # Without these two it looks for a `.bandit` in the repository, and leaves folders out.
        ini = folder / "bandit.ini"
        ini.write_text("[bandit]\n")
        nothing = ("--ini", str(ini), "--exclude", str(folder / "nothing"))
        options = ("--format", "json", "--quiet", "--ignore-nosec", "--exit-zero", *nothing)
        argv = [sys.executable, "-I", "-B", "-m", "bandit", *options]
        home = (Path(sys.base_prefix), Path(sys.prefix), ini)
        for part in portions(job.paths()):
            answer = run(job, [*argv, *part], readable=home, good=(0, _FOUND))
            text = text_of(answer, file="bandit's answer", limit=MAX_OUTPUT)
            report = decode_json(text, _REPORT, file="bandit's answer")
            matches += _matches(report, job.tree.folder)
            unread += [_relative(error.filename, job.tree.folder) for error in report.errors]
    return Answer(program, tuple(matches), tuple(sorted(set(unread))))


def _identify() -> Scanner:
    """The bandit of this Python, told by the list of its files with their hashes."""
    try:
        found = metadata.distribution(NAME)
    except metadata.PackageNotFoundError:
        raise MissingToolError(f"{NAME} is not installed", hint=INSTALL) from None
    record = found.read_text("RECORD") or ""
    digest = Digest(f"sha256:{hashlib.sha256(record.encode()).hexdigest()}")
    return Scanner(name=NAME, version=found.version, binary=digest, verified=False)


def _matches(report: _Report, folder: Path) -> Iterator[Match]:
    for issue in report.results:
        path = _relative(issue.filename, folder)
        if issue.test_id == _ASSERT and _TESTS.fullmatch(path):
            continue
        yield Match(
            rule=issue.test_id,
            kind=Kind.CODE,
            severity=_SEVERITIES.get(issue.issue_severity, Severity.UNKNOWN),
            title=_QUOTING.get(issue.test_id, issue.issue_text),
            path=path,
            line=issue.line_number,
            end=max(issue.line_range, default=0),
            url=issue.more_info,
        )


def _relative(name: str, folder: Path) -> str:
    path = Path(name)
    if not path.is_relative_to(folder):
        raise EnvironmentFaultError(f"bandit speaks of a file that it was not given: {name}")
    return path.relative_to(folder).as_posix()


CHECKER = Checker(NAME, (Kind.CODE,), wants, check)
