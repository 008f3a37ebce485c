"""The generated files: rebuilt from ledger and evidence, never from a live scan.

Rules (each has a test with the same words):
- deleting all of them and projecting again gives the same bytes;
- `docs/data/generated.json` lists them; a file that is not listed there is never touched;
- what that list says is not believed: a list of generated files never costs a file that nobody generates;
- generated files are not written through a link that leads out of the repository;
- a baseline that is not what the ledger says is never compared with.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from hullmark.audit_log import render_audit_log
from hullmark.baseline import file_stem, format_baseline, project_baseline, project_repository
from hullmark.checked_tree import parse_checked_tree
from hullmark.errors import InputError, RepositoryError
from hullmark.files import explained, read_bounded, write_whole
from hullmark.image import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.history import Timeline
    from hullmark.journal import Journal

AUDIT_LOGS = "audit-logs"
BASELINES = "cve-baseline"
MANIFEST = "docs/data/generated.json"
MAX_MANIFEST = 10_000_000
MAX_BASELINE = 64 << 20

SITE_FOLDERS = ("images/", "data/findings/", "data/sbom/", "assets/")
"""Folders of the site in which a file of before that is not made any more is removed."""

_FOLDERS = (f"{AUDIT_LOGS}/", f"{BASELINES}/", *(f"docs/{folder}" for folder in SITE_FOLDERS))
_REMOVABLE = re.compile(
    rf"{AUDIT_LOGS}/[a-z0-9._-]+\.md|{BASELINES}/[a-z0-9._@-]+\.json"
    r"|docs/images/[a-z0-9._@-]+\.html|docs/data/findings/[a-z0-9._@-]+\.json"
    r"|docs/data/sbom/[a-z0-9._@-]+\.cdx\.json"
    r"|docs/assets/(?:chart\.js/)?[A-Za-z0-9._-]+"
)
"""Below the folders that are cleared of what is stale. The ledger and its evidence lie there too."""


def project(journal: Journal, root: Path) -> tuple[str, ...]:
    """Write baselines and audit logs below `root`; return the paths whose bytes changed, sorted."""
    runs = journal.runs()
    files: dict[str, bytes] = {}
    for image in journal.subjects():
        timelines = journal.timelines(image, runs)
        files[f"{AUDIT_LOGS}/{image}.md"] = render_audit_log(
            image, timelines, journal.happenings(image)
        ).encode()
        for timeline in timelines.values():
            files |= _baseline_files(journal, timeline)
    return write_generated(root, files, folders=(f"{AUDIT_LOGS}/", f"{BASELINES}/"))


def write_generated(root: Path, files: dict[str, bytes], *, folders: tuple[str, ...]) -> tuple[str, ...]:
    """Write `files`, remove our own of before in `folders` that are not among them; return what changed."""
    before = read_manifest(root)
    stale = {path for path in before if path.startswith(folders)} - files.keys()
    for path in {*stale, *files, MANIFEST}:
        _refuse_links(root, path)
    for path in stale:
        with explained(root / path):
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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"not a list of paths: {error}", file=path, hint="Delete it; the next run writes it."
        ) from error
    for place, name in enumerate(listed):
        if name.startswith("/") or ".." in name.split("/"):
            raise InputError("leads out of the repository", file=path, key=f"[{place}]")
        if name.startswith(_FOLDERS) and not _REMOVABLE.fullmatch(name):
            raise InputError(
                f"{name!r} is no file that is generated",
                file=path,
                key=f"[{place}]",
                hint="Restore this list from git, or delete it; the next run writes it.",
            )
    return listed


def _refuse_links(root: Path, path: str) -> None:
    """Raise RepositoryError when a folder on the way from `root` to the file `path` is a link."""
    folder = root
    for name in path.split("/")[:-1]:
        folder /= name
        if folder.is_symlink():
            raise RepositoryError(
                f"{folder}: is a symbolic link; generated files are written to real folders only",
                hint="Remove the link, then run the command again; what was recorded stays recorded.",
            )


def _baseline_files(journal: Journal, timeline: Timeline) -> dict[str, bytes]:
    scan = timeline.latest_complete
    if scan is None:
        return {}
    stem = f"{BASELINES}/{file_stem(timeline.image, timeline.platform)}"
    if timeline.image == REPOSITORY:
        tree = parse_checked_tree(
            journal.evidence.get(scan.sbom), place=str(journal.evidence.path(scan.sbom))
        )
        found = project_repository(timeline, scan, tree, journal.findings(scan.findings))
        return {f"{stem}.json": format_baseline(found)}
    baseline = project_baseline(timeline, scan, journal.findings(scan.findings))
    return {
        f"{stem}.json": format_baseline(baseline),
        f"{stem}.cdx.json": journal.evidence.get(scan.sbom),
    }


def read_baseline(journal: Journal, root: Path, image: str, platform: str) -> bytes:
    """The SBOM of an image's baseline below `root`, once its files are seen to be what the ledger says."""
    timeline = journal.timelines(image).get(platform)
    files = {} if timeline is None else _baseline_files(journal, timeline)
    if not files:
        raise InputError(
            f"no complete scan of {image} {platform} was recorded, so it has no baseline",
            file=root / BASELINES,
            hint=f"Record one with: hullmark record {image}",
        )
    for name, data in files.items():
        if read_bounded(root / name, MAX_BASELINE) != data:
            raise InputError(
                "was edited: it is not what the ledger says",
                file=root / name,
                hint="Restore it from git, or let `hullmark record` write it again; "
                "`hullmark verify` checks the ledger.",
            )
    return files[f"{BASELINES}/{file_stem(image, platform)}.cdx.json"]


def _write_changed(path: Path, data: bytes) -> bool:
    """Write `data` unless the file already holds it: an unchanged file keeps its time."""
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return False
    write_whole(path, data)
    return True
