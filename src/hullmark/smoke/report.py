"""What a smoke test found, as it is written beside the image and printed for people."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from hullmark.decision import SmokeResult
from hullmark.errors import InputError
from hullmark.files import read_bounded
from hullmark.image import Digest
from hullmark.text import encodable, escape_terminal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAX_REPORT = 4 << 20
SHOWN_LINES = 20


class Outcome(StrEnum):
    """What became of one check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not-run"


class CheckResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One check."""

    name: str
    outcome: Outcome
    seconds: float = 0.0
    detail: str = ""
    """What the image did instead, or why the check was not run."""


class SmokeReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One platform of one image, started and asked."""

    version: int = 1
    image: str
    platform: str
    digest: Digest
    """The image's; of a docker-archive its configuration's."""
    config: Digest
    """The image id, by which scanners name it where there is no manifest."""
    tests: str = ""
    """The sha256 of what was declared: equal where the same was asked. Empty when nothing is declared."""
    result: SmokeResult
    required: bool = False
    """Whether `smoke.platforms` asks for this test."""
    engine: str = ""
    """What it ran in; empty when it did not run."""
    hullmark: str
    checks: tuple[CheckResult, ...] = ()
    detail: str = ""
    """The check that failed, or why nothing ran."""
    hint: str = ""
    log: tuple[str, ...] = ()
    """The last lines that the image had written when the first check failed."""

    @property
    def label(self) -> str:
        """`image platform`."""
        return f"{self.image} {self.platform}"

    @property
    def passed(self) -> tuple[str, ...]:
        """Names of the checks that passed, in their order."""
        return tuple(check.name for check in self.checks if check.outcome is Outcome.PASSED)

    @property
    def blocks(self) -> bool:
        """Whether the image must not go on: it failed, or a required test did not run."""
        return self.result is SmokeResult.FAILED or (self.result is SmokeResult.NOT_RUN and self.required)


def summarise(checks: Sequence[CheckResult]) -> tuple[SmokeResult, str]:
    """The result over all checks, and the first that did not pass. One failure fails."""
    for outcome, result in ((Outcome.FAILED, SmokeResult.FAILED), (Outcome.NOT_RUN, SmokeResult.NOT_RUN)):
        for check in checks:
            if check.outcome is outcome:
                return result, f"{check.name}: {check.detail}"
    return (SmokeResult.PASSED, "") if checks else (SmokeResult.NOT_RUN, "no check was made")


def encode_report(report: SmokeReport) -> bytes:
    """The report's file."""
    return msgspec.json.format(msgspec.json.encode(report, order="sorted"), indent=2) + b"\n"


def read_report(path: Path) -> SmokeReport:
    """The report in the file at `path`, or InputError."""
    try:
        return msgspec.json.decode(read_bounded(path, MAX_REPORT), type=SmokeReport)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not the report of a smoke test: {error}", file=path) from error


_MARKS = {Outcome.PASSED: "passed", Outcome.FAILED: "FAILED", Outcome.NOT_RUN: "not run"}


def render_report(report: SmokeReport) -> list[str]:
    """The report for people: each check, and on failure the image's last lines and what to do next."""
    lines = [_headline(report)]
    for check in report.checks:
        lines.append(f"  {_MARKS[check.outcome]:7}  {check.name} ({check.seconds:.2f} s)")
        lines += [f"           {check.detail}"] if check.detail else []
    if report.detail and not report.checks:
        lines.append(f"  {report.detail}")
    if report.log:
        lines += ["  the image's last lines:", *(f"    {line}" for line in report.log[-SHOWN_LINES:])]
    lines += [f"  next: {report.hint}"] if report.hint else []
    return [escape_terminal(encodable(line)) for line in lines]


def describe_test(report: SmokeReport) -> str:
    """The report in one line for people."""
    detail = f": {report.detail}" if report.detail else ""
    return escape_terminal(encodable(f"{_headline(report)}{detail}"))


def _headline(report: SmokeReport) -> str:
    where = f" in {report.engine}" if report.engine else ""
    return f"{report.label}: {_say(report)}{where}"


def _say(report: SmokeReport) -> str:
    match report.result:
        case SmokeResult.PASSED:
            return f"smoke test passed, {len(report.checks)} checks"
        case SmokeResult.FAILED:
            return "smoke test FAILED"
        case SmokeResult.NOT_RUN:
            return "NOT TESTED" + (", and a test is required" if report.required else "")
        case SmokeResult.NOT_DECLARED:
            return "no smoke test declared"
