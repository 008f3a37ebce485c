"""Write the site and read the weekly summary that it shows.

Rules (each has a test with the same words):
- files that are not the site's own are never touched;
- a page of an image that is gone is removed.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from hullmark.dashboard.trendpage import Trend, parse_trend
from hullmark.errors import InputError, UsageError
from hullmark.files import read_bounded
from hullmark.projection import SITE_FOLDERS, read_manifest, write_generated
from hullmark.summary_document import MAX_SUMMARY

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

DOCS = "docs"
SUMMARY = "data/security-summary.json"


def read_summary(root: Path, *, now: datetime, sample: bool) -> Trend | None:
    """The weekly summary of the repository in `root`; None while there is none."""
    path = root / DOCS / SUMMARY
    if not path.exists():
        return None
    trend = parse_trend(read_bounded(path, MAX_SUMMARY), file=path, now=now)
    if trend.sample != sample:
        kinds = ("real", "a sample")
        raise UsageError(
            f"{path} is {kinds[trend.sample]}, and the ledger is {kinds[sample]}",
            hint="A sample and a real history never mix: make the summary again with `hullmark summary`.",
        )
    return trend


def write_site(
    root: Path, files: dict[str, bytes], *, out: str = DOCS, trend: Trend | None = None
) -> tuple[str, ...]:
    """Write the site into the folder `out` below `root`; return what changed.

    Pages of images that are gone are removed from `docs` only: elsewhere nobody checks the list of files.
    """
    folder = PurePosixPath(out)
    if folder.is_absolute() or ".." in folder.parts or folder == PurePosixPath():
        raise UsageError(f"{out!r} is no folder below this one", hint="Name one, as docs or site.")
    named = {f"{folder}/{path}": data for path, data in files.items()}
    is_docs = folder == PurePosixPath(DOCS)
    if trend is not None and not is_docs:
        named[f"{folder}/{SUMMARY}"] = trend.document
    _refuse_foreign(root, named)
    stale = tuple(f"{DOCS}/{each}" for each in SITE_FOLDERS) if is_docs else ()
    return write_generated(root, named, folders=stale)


def _refuse_foreign(root: Path, files: dict[str, bytes]) -> None:
    """Raise InputError when a page would replace a file that is not listed as generated."""
    known = set(read_manifest(root))
    for path, data in files.items():
        place = root / path
        if path not in known and place.exists() and (not place.is_file() or place.read_bytes() != data):
            raise InputError(
                "was not written by Hullmark, and a page of the site would replace it",
                file=place,
                hint="Move it away, or write the site elsewhere with --out.",
            )
