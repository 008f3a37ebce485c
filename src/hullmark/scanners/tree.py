"""The files of a repository as checks see them: a copy, of a working tree or of a commit.

Rules (each has a test with the same words):
- tools see a copy: what git ignores, links and Hullmark's own records are not in it;
- a comment that tells a tool to look away has no effect: only `exemptions.toml` accepts a finding;
- the digest depends on names and contents alone;
- what cannot be given to a tool is named, never left out in silence.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from hullmark import git
from hullmark.errors import InputError, UsageError
from hullmark.files import read_bounded, scratch_folder
from hullmark.image import Digest
from hullmark.projection import AUDIT_LOGS, BASELINES, MANIFEST
from hullmark.text import encodable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

MAX_FILES = 200_000
MAX_FILE = 64 << 20
MAX_TOTAL = 2 << 30

_OWN = (
    *(f"{AUDIT_LOGS}/", f"{BASELINES}/", "reports/trivy/", ".hullmark/"),
    *(MANIFEST, "docs/data/security-summary.json", "SECURITY_SUMMARY.md"),
)
"""What Hullmark itself writes: with it, every record would make another tree."""
_NEVER = frozenset({".git", ".hullmark", ".cache", "dist"})
"""Folders that are left out where git does not say which are: git's, and what Hullmark builds and fetches."""
_LOOK_AWAY = re.compile(rb"(trivy|tfsec|cfsec):(ignore)|(ast-grep)-(ignore)")
"""Comments that no option of the tool switches off."""
_REGULAR = ("100644", "100755")
_SUBMODULE = "160000"


class Unread(NamedTuple):
    """A file that no tool is given, and why."""

    path: str
    reason: str


class Tree(NamedTuple):
    """A copy of a repository's files. It lives as long as the block that made it."""

    folder: Path
    files: tuple[str, ...]
    """Paths from the root of the repository, sorted."""
    digest: Digest
    commit: str
    """The commit that it is; empty when the working tree differs from it, or there is none."""
    unread: tuple[Unread, ...]
    known: frozenset[str]
    """The same paths, for a quick question."""

    def lines(self, path: str) -> list[str]:
        """The lines of one file; bytes that are not UTF-8 are replaced."""
        return self.read(path).decode("utf-8", "replace").splitlines()

    def read(self, path: str) -> bytes:
        """The bytes of one file, as the tools see them; none of a file that is not there."""
        return (self.folder / path).read_bytes() if path in self.known else b""


@contextmanager
def copied_folder(root: Path, paths: Sequence[str] = ()) -> Iterator[Tree]:
    """The working tree below `root`, or only what lies at or below `paths` in it."""
    wanted = tuple(_inside(root, path) for path in paths)
    names, unread, commit = _walk(root) if git.place_in_repository(root) is None else _list_git(root)
    names = [name for name in names if _is_wanted(name, wanted)]
    if wanted and not names:
        raise UsageError(f"no file at {', '.join(paths)}", hint="Name files or folders of the repository.")

    def contents() -> Iterator[tuple[str, bytes | str]]:
        for name in names:
            if (data := _read(root / name)) is not None:
                yield name, data

    with scratch_folder() as folder:
        kept = [one for one in unread if _is_wanted(one.path, wanted)]
        yield _copy(folder / "tree", contents(), kept, commit="" if wanted else commit)


@contextmanager
def copied_commit(root: Path, commit: str) -> Iterator[Tree]:
    """The files of `commit` (an id) below `root`, whatever the working tree holds."""
    prefix = git.git(root, "rev-parse", "--show-prefix").decode().rstrip("\n")
    listed = git.read_tree(root, commit, *([prefix] if prefix else []))
    entries = {path.removeprefix(prefix): entry for path, entry in listed.items() if path.startswith(prefix)}
    unread = [Unread(path, "a submodule") for path, entry in entries.items() if entry.mode == _SUBMODULE]
    objects = {
        path: entry.object
        for path, entry in entries.items()
        if entry.mode in _REGULAR and not path.startswith(_OWN)
    }
    with scratch_folder() as folder:
        yield _copy(folder / "tree", _blobs(root, objects), unread, commit=commit)


def _blobs(root: Path, objects: Mapping[str, str]) -> Iterator[tuple[str, bytes | str]]:
    """The content of each path; a file that is there twice is read once."""
    paths: dict[str, list[str]] = defaultdict(list)
    for path, name in objects.items():
        paths[name].append(path)
    for name, data in git.read_blobs(root, paths, limit=MAX_TOTAL):
        too_big = len(data) > MAX_FILE
        for path in paths[name]:
            yield path, f"larger than {MAX_FILE >> 20} MB" if too_big else data


def _copy(
    folder: Path, contents: Iterable[tuple[str, bytes | str]], unread: list[Unread], *, commit: str
) -> Tree:
    """Write every content below `folder`; a text in its place says why there is none."""
    folder.mkdir()
    files: dict[str, str] = {}
    total = 0
    for name, data in contents:
        if isinstance(data, str):
            unread.append(Unread(encodable(name), data))
            continue
        if encodable(name) != name or "\n" in name or "\r" in name:
            unread.append(Unread(encodable(name), "a name that tools cannot be told"))
            continue
        total += len(data)
        if len(files) >= MAX_FILES or total > MAX_TOTAL:
            raise InputError(
                f"more than {MAX_FILES:,} files or {MAX_TOTAL >> 30} GB", file=name, hint="Name parts of it."
            )
        files[name] = hashlib.sha256(data).hexdigest()
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_LOOK_AWAY.sub(_without_effect, data))
    listing = "".join(f"{files[name]} {name}\n" for name in sorted(files))
    return Tree(
        folder=folder,
        files=tuple(sorted(files)),
        digest=Digest(f"sha256:{hashlib.sha256(listing.encode()).hexdigest()}"),
        commit=commit,
        unread=tuple(sorted(unread)),
        known=frozenset(files),
    )


def _without_effect(found: re.Match[bytes]) -> bytes:
    """The same number of bytes, so that no place moves."""
    return b"_".join(part for part in found.groups() if part)


def _inside(root: Path, path: str) -> str:
    """`path` from the root, which it must not leave."""
    place = (root / path).resolve()
    if not place.is_relative_to(root.resolve()):
        raise UsageError(f"{path} is outside of {root}", hint="Name files or folders of the repository.")
    if not place.exists():
        raise InputError("file not found", file=path)
    return place.relative_to(root.resolve()).as_posix()


def _is_wanted(name: str, wanted: tuple[str, ...]) -> bool:
    if name.startswith(_OWN):
        return False
    return not wanted or any(one in (".", name) or name.startswith(f"{one}/") for one in wanted)


def _list_git(root: Path) -> tuple[list[str], list[Unread], str]:
    """What git tracks or would track; everything where git ignores the whole folder."""
    listed = git.git(root, "ls-files", "-z", "--stage")
    entries = [line.split(b"\t", 1) for line in listed.split(b"\0") if line]
    named = {os.fsdecode(path): described[:6].decode() for described, path in entries}
    new = git.git(root, "ls-files", "-z", "--others", "--exclude-standard")
    names = {*named, *(os.fsdecode(path) for path in new.split(b"\0") if path)}
    if not names:
        return _walk(root)
    unread = [Unread(encodable(path), "a submodule") for path, mode in named.items() if mode == _SUBMODULE]
    files = [name for name in sorted(names) if _is_file(root / name)]
    return files, unread, _commit_of(root)


def _commit_of(root: Path) -> str:
    """The commit that the working tree is, empty when it differs from it."""
    own = [f":(exclude){folder}" for folder in _OWN]
    if git.git(root, "status", "--porcelain", "-z", "--untracked-files=all", "--", ".", *own):
        return ""
    try:
        return git.resolve(root, "HEAD")
    except InputError:  # a repository without a commit
        return ""


def _walk(root: Path) -> tuple[list[str], list[Unread], str]:
    names: list[str] = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _NEVER)
        names += [os.path.relpath(os.path.join(folder, name), root) for name in files]  # noqa: PTH118
    return [name for name in sorted(names) if _is_file(root / name)], [], ""


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:  # deleted, and git does not know it yet
        return False


def _read(path: Path) -> bytes | str | None:
    """The content, or why there is none; None when the file was deleted since it was listed."""
    try:
        if path.lstat().st_size > MAX_FILE:
            return f"larger than {MAX_FILE >> 20} MB"
        return read_bounded(path, MAX_FILE)
    except FileNotFoundError:
        return None
    except InputError:
        return "it cannot be read" if os.path.lexists(path) else None
