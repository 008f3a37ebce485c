"""Write the weekly security summary (document version 3) from Trivy's JSON reports.

    python scripts/generate_security_summary.py \
        --trivy reports/trivy/php-mysql.json reports/trivy/postgres.json \
        --previous docs/data/security-summary.json \
        --output docs/data/security-summary.json

It writes its output first and answers then: 0 when everything was covered; 5 when a report was missing or
invalid, and its image keeps its last known counts; 2 for wrong usage; 1 when the previous summary cannot be
read or the output cannot be written, and nothing was changed.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

try:
    from hullmark.errors import Exit, HullmarkError
    from hullmark.summary import HISTORY_LIMIT, Summary
    from hullmark.summary_reports import find_reports, summarise_reports
    from hullmark.text import escape_terminal
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] not in ("hullmark", "msgspec"):
        raise
    print("error: hullmark is not installed for this Python", file=sys.stderr)
    print("  next: run `python -m pip install .` in the repository's folder", file=sys.stderr)
    sys.exit(1)

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, summarise, write, and say what was written."""
    options = _parse(arguments)
    try:
        summary = summarise_reports(
            options.trivy or _find(options.trivy_dir),
            output=options.output,
            previous=options.previous,
            now=datetime.now(UTC),
            history_limit=options.history_limit,
        )
    except HullmarkError as error:
        _say(f"error: {error.message}")
        if error.hint:
            _say(f"  next: {error.hint}")
        return error.exit_code
    _tell(summary, options.output)
    return Exit.DONE if summary.coverage.complete else Exit.INCOMPLETE


def _find(folder: Path) -> list[Path]:
    """The reports of `folder`. None is not the end: the summary must say that nothing was covered."""
    try:
        reports = find_reports(folder)
    except HullmarkError as error:
        _say(f"warning: {error.message}")
        return []
    if not reports:
        _say(f"warning: {folder}: no *.json in it")
    return reports


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Write the weekly security summary (version 3) from Trivy's JSON reports.",
        epilog="Exit codes: 0 all covered; 5 written, but something was missing; 2 usage; 1 nothing written.",
    )
    add = parser.add_argument
    add("--trivy", nargs="+", type=Path, metavar="FILE", help="reports, one for each image")
    add(
        "--trivy-dir",
        type=Path,
        default=Path("reports/trivy"),
        metavar="DIR",
        help="folder whose *.json are the reports, without --trivy (default: %(default)s)",
    )
    add(
        "--previous",
        type=Path,
        metavar="FILE",
        help="summary to continue (default: the output file, where it exists)",
    )
    add(
        "--output",
        type=Path,
        default=Path("docs/data/security-summary.json"),
        metavar="FILE",
        help="where to write (default: %(default)s)",
    )
    add(
        "--history-limit",
        type=_from_one,
        default=HISTORY_LIMIT,
        metavar="N",
        help="points of the trend to keep (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def _from_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


_from_one.__name__ = "number of points"  # what argparse calls it in its message


def _tell(summary: Summary, output: Path) -> None:
    coverage = summary.coverage
    for image in summary.images:
        if not image.coverage.covered:
            _say(f"missing: {image.name}: {image.coverage.reason}")
    if not coverage.complete:
        _say("  next: scan what is missing and run again; a retired image is taken out of the previous file")
    if summary.sample:
        _say("note: this history began as a sample and stays marked as one")
    said = (
        f"wrote {output}: {coverage.covered} of {coverage.expected} images covered, "
        f"{summary.direction}, risk index {summary.risk_index}"
    )
    print(escape_terminal(said))


def _say(line: str) -> None:
    print(escape_terminal(line), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
