"""A summary from report files alone, without a ledger: the work of `scripts/generate_security_summary.py`.

Rules:
- one bad report never stops the others: its image is missing, with the reason;
- an image is named by its report's file name without `.json`;
- history is never lost silently: a previous summary that cannot be read is an error, and nothing is written.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hullmark.errors import HullmarkError, InputError, UsageError
from hullmark.files import read_bounded, write_whole
from hullmark.finding import count_vulnerabilities
from hullmark.scan import GapReason
from hullmark.scanners.trivy.report import Report, read_report
from hullmark.scanners.trivy.wire import MAX_REPORT
from hullmark.summary import (
    ImageReading,
    Origin,
    PreviousSummary,
    Summary,
    format_summary,
    parse_previous,
    summarise,
)
from hullmark.summary_document import MAX_SUMMARY
from hullmark.text import encodable

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_REASON = 500
"""Characters of a fault that go into the summary."""

_GAPS = {
    GapReason.EMPTY_RESULTS: "nothing was scanned: its report has no results",
    GapReason.NO_PACKAGES: "its report has neither packages nor findings",
}


def summarise_reports(
    reports: Iterable[Path], *, output: Path, previous: Path | None, now: datetime, history_limit: int
) -> Summary:
    """Write the summary of `reports` to `output` and return it; nothing is written when this raises."""
    before = read_previous(previous, output=output, now=now)
    summary = summarise(
        [read_reading(path, now=now) for path in _distinct(reports)],
        now=now,
        origin=Origin.REPORTS,
        previous=before,
        sample=before.sample if before else False,  # once a sample, always marked as one
        history_limit=history_limit,
    )
    write_whole(output.resolve(), format_summary(summary))
    return summary


def find_reports(folder: Path) -> list[Path]:
    """The visible `*.json` of `folder`, sorted; InputError where it cannot be listed."""
    try:
        return sorted(
            path for path in folder.iterdir() if path.suffix == ".json" and not path.name.startswith(".")
        )
    except OSError as error:
        raise InputError(f"cannot be listed: {error.strerror}", file=folder) from error


def read_previous(asked: Path | None, *, output: Path, now: datetime) -> PreviousSummary | None:
    """The summary to continue: the one `asked` for, else the one at `output`; None at the very start."""
    path = asked or output
    if os.path.lexists(path):
        return parse_previous(_read_file(path, MAX_SUMMARY), file=path, now=now)
    if os.path.lexists(output):
        raise InputError(
            f"does not exist, but {output} does: its history would be lost",
            file=path,
            hint=f"Continue it with --previous {output}, or move it away.",
        )
    return None


def read_reading(path: Path, *, now: datetime) -> ImageReading:
    """What a report says about its image, or why it says nothing."""
    name = encodable(path.stem)
    if not os.path.lexists(path):
        return ImageReading(name=name, missing="its report does not exist")
    try:
        report = read_report(_read_file(path, MAX_REPORT), file=path)
    except HullmarkError as error:
        told = encodable(error.message.removeprefix(str(path)).lstrip(": "))
        return ImageReading(name=name, missing=f"its report cannot be used: {told}"[:MAX_REASON])
    return ImageReading(
        name=name,
        counts=report.rows,
        vulnerabilities=count_vulnerabilities(report.findings),
        as_of=_day(report.created_at, now),
        source=encodable(_shown(path)),
        missing=_why_blind(report),
    )


def _read_file(path: Path, limit: int) -> bytes:
    try:
        return read_bounded(path, limit)
    except OSError as error:  # a folder, a failing disk
        raise InputError(f"cannot read: {error.strerror}", file=path) from error


def _distinct(reports: Iterable[Path]) -> list[Path]:
    paths = sorted({Path(os.path.normpath(path)) for path in reports})
    names: dict[str, Path] = {}
    for path in paths:
        if names.setdefault(path.stem, path) is not path:
            raise UsageError(
                f"{names[path.stem]} and {path} would both be the image {path.stem!r}",
                hint="An image is named by its report's file name; give one of them another name.",
            )
    return paths


def _why_blind(report: Report) -> str:
    """Why the report is no evidence of what is in the image; empty when it is."""
    # Before 0.67 Trivy listed no packages unless asked, so that alone is no gap here. Since 0.69 it names its
    # version: there, neither packages nor findings means that nothing was looked at.
    blind = bool(report.scanner_version) and not report.rows.total
    gaps = [gap for gap in report.coverage.gaps if gap.reason is not GapReason.NO_PACKAGES or blind]
    return "; ".join(f"{_GAPS.get(gap.reason, gap.reason)} {gap.detail}".strip() for gap in gaps)


def _day(created_at: str, now: datetime) -> date | None:
    try:
        moment = datetime.fromisoformat(created_at)
        day = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).date()
    except (ValueError, OverflowError):
        return None
    # Go writes the year 1 for a time that was never set; a day to come would make all later reports look old.
    return day if day.year > 1 and day <= now.astimezone(UTC).date() else None


def _shown(path: Path) -> str:
    """The path from here where it lies below, else as given: no path of this machine without need."""
    try:
        return path.absolute().relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):
        return path.as_posix()
