"""The generated files: rebuilt from ledger and evidence, never from a live scan.

Deleting all of them and projecting again gives the same bytes. `docs/data/generated.json` lists them;
a file that is not listed there was written by somebody else and is never touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hullmark.audit_log import render_audit_log
from hullmark.baseline import file_stem, format_baseline, project_baseline
from hullmark.errors import InputError
from hullmark.files import read_bounded, write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.history import Timeline
    from hullmark.journal import Journal

AUDIT_LOGS = "audit-logs"
BASELINES = "cve-baseline"
MANIFEST = "docs/data/generated.json"
MAX_MANIFEST = 10_000_000


def project(journal: Journal, root: Path) -> tuple[str, ...]:
    """Write baselines and audit logs below `root`; return the paths whose bytes changed, sorted."""
    runs = journal.runs()
    files: dict[str, bytes] = {}
    for image in journal.images():
        timelines = journal.timelines(image, runs)
        files[f"{AUDIT_LOGS}/{image}.md"] = render_audit_log(image, timelines).encode()
        for timeline in timelines.values():
            files |= _baseline_files(journal, timeline)
    return write_generated(root, files, folders=(f"{AUDIT_LOGS}/", f"{BASELINES}/"))


def write_generated(root: Path, files: dict[str, bytes], *, folders: tuple[str, ...]) -> tuple[str, ...]:
    """Write `files`, remove our own of before in `folders` that are not among them; return what changed."""
    before = read_manifest(root)
    stale = {path for path in before if path.startswith(folders)} - files.keys()
    for path in stale:
        (root / path).unlink(missing_ok=True)
    changed = {path for path, data in files.items() if _write_changed(root / path, data)}
    listed = tuple(sorted((set(before) - stale) | files.keys()))
    if listed != before:
        write_whole(root / MANIFEST, msgspec.json.format(msgspec.json.encode(listed), indent=1) + b"\n")
    return tuple(sorted(changed | stale))


def read_manifest(root: Path) -> tuple[str, ...]:
    """Paths of all generated files, sorted; none when nothing was generated yet."""
    path = root / MANIFEST
    if not path.exists():
        return ()
    try:
        listed = msgspec.json.decode(read_bounded(path, MAX_MANIFEST), type=tuple[str, ...])
    except msgspec.DecodeError as error:
        raise InputError(
            f"not a list of paths: {error}", file=path, hint="Delete it; the next run writes it."
        ) from error
    for place, name in enumerate(listed):
        if name.startswith("/") or ".." in name.split("/"):
            raise InputError("leads out of the repository", file=path, key=f"[{place}]")
    return listed


def _baseline_files(journal: Journal, timeline: Timeline) -> dict[str, bytes]:
    scan = timeline.latest_complete
    if scan is None:
        return {}
    stem = f"{BASELINES}/{file_stem(timeline.image, timeline.platform)}"
    baseline = project_baseline(timeline, scan, journal.findings(scan.findings))
    return {
        f"{stem}.json": format_baseline(baseline),
        f"{stem}.cdx.json": journal.evidence.get(scan.sbom),
    }


def _write_changed(path: Path, data: bytes) -> bool:
    """Write `data` unless the file already holds it: an unchanged file keeps its time."""
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return False
    write_whole(path, data)
    return True
