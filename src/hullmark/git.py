"""The git repository as plain functions: one process a question, bytes in and out.

Rules (each has a test with the same words):
- a revision is never taken for an option, whatever a branch is called;
- nothing of the caller's configuration, hooks or prompts takes part;
- no question waits for ever, and no answer is read without a limit.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from hullmark.errors import EnvironmentFaultError, InputError, RepositoryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

TIMEOUT = 120
"""Seconds that one question may take; a push or fetch is given its own."""
MAX_OUTPUT = 256 << 20
_GROUP = 64 << 20
"""Bytes of files that are read at a time, unless one is bigger."""

_CREDENTIALS = re.compile(r"://[^/@\s]+@")


class Entry(NamedTuple):
    """One path of a tree."""

    mode: str
    """`100644`, `100755`, `120000` for a link, `160000` for a submodule."""
    object: str


class Answer(NamedTuple):
    """How git ended, and what it said."""

    code: int
    out: bytes
    said: str
    """What it wrote to standard error, cut off, without credentials."""


def git(
    root: Path,
    *arguments: str,
    stdin: bytes = b"",
    environ: Mapping[str, str] | None = None,
    timeout: int = TIMEOUT,
) -> bytes:
    """What `git ARGUMENTS` prints in `root`. RepositoryError when it ends with anything but 0."""
    answer = ask(root, *arguments, stdin=stdin, environ=environ, timeout=timeout)
    if answer.code:
        said = answer.said or f"exit code {answer.code}"
        raise RepositoryError(f"{root}: git {arguments[0]}: {said}")
    return answer.out


def ask(
    root: Path,
    *arguments: str,
    stdin: bytes = b"",
    environ: Mapping[str, str] | None = None,
    timeout: int = TIMEOUT,
) -> Answer:
    """How `git ARGUMENTS` ends in `root`, and what it prints."""
    command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=", *arguments]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            done = subprocess.run(
                command,
                cwd=root,
                env=_environment(environ or {}),
                input=stdin,
                stdout=out,
                stderr=err,
                timeout=timeout,
                check=False,
            )
        except FileNotFoundError as error:
            raise EnvironmentFaultError("git is not installed", hint="sudo apt-get install git") from error
        except subprocess.TimeoutExpired as error:
            raise RepositoryError(f"{root}: git {arguments[0]} did not end within {timeout} s") from error
        if out.tell() > MAX_OUTPUT:
            raise RepositoryError(f"{root}: git {arguments[0]} printed more than {MAX_OUTPUT >> 20} MB")
        out.seek(0)
        err.seek(0)
        said = _CREDENTIALS.sub("://", err.read(4096).decode(errors="replace").strip())
        return Answer(done.returncode, out.read(), said)


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """An environment in which git asks nobody and reads nobody's configuration but the repository's."""
    kept = ("PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSH_AUTH_SOCK")
    fixed = {
        "LC_ALL": "C.UTF-8",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_OPTIONAL_LOCKS": "0",
    }
    return {name: os.environ[name] for name in kept if name in os.environ} | fixed | dict(extra)


def resolve(root: Path, revision: str) -> str:
    """The full id of the commit that `revision` names. InputError when there is none."""
    try:
        found = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except RepositoryError as error:
        raise InputError(
            f"no commit {revision!r}",
            file=root,
            hint="In CI, check out with the whole history (fetch-depth: 0).",
        ) from error
    return found.decode().strip()


def merge_base(root: Path, first: str, second: str) -> str:
    """The newest commit that both ids go back to. RepositoryError when they share none."""
    try:
        return git(root, "merge-base", first, second).decode().strip()
    except RepositoryError as error:
        raise RepositoryError(
            f"{root}: {first[:12]} and {second[:12]} share no history",
            hint="In CI, check out with the whole history (fetch-depth: 0).",
        ) from error


def read_tree(root: Path, commit: str, *paths: str) -> dict[str, Entry]:
    """Every file of `commit` (an id), or those below `paths`, by path; sorted."""
    entries: dict[str, Entry] = {}
    for line in git(root, "ls-tree", "-r", "-z", "--full-tree", commit, "--", *paths).split(b"\0"):
        if line:
            described, _, path = line.partition(b"\t")
            mode, _, name = described.decode().split(" ")
            entries[path.decode(errors="surrogateescape")] = Entry(mode, name)
    return dict(sorted(entries.items()))


def read_file(root: Path, commit: str, path: str, *, limit: int) -> bytes | None:
    """The content of `path` in `commit` (an id), of at most `limit` bytes; None where it has no such file."""
    entry = read_tree(root, commit, path).get(path)
    if entry is None:
        return None
    size = int(git(root, "cat-file", "-s", entry.object))
    if size > limit:
        raise InputError(f"has {size} bytes, at most {limit} are read", file=f"{commit[:12]}:{path}")
    return git(root, "cat-file", "blob", entry.object)


def read_blobs(root: Path, objects: Iterable[str], *, limit: int) -> Iterator[tuple[str, bytes]]:
    """The content of each of `objects` (ids of files), of at most `limit` bytes together."""
    wanted = sorted(set(objects))
    asked = "".join(f"{name}\n" for name in wanted).encode()
    sizes = git(root, "cat-file", "--batch-check=%(objectsize)", stdin=asked).split()
    group: list[str] = []
    total = size = 0
    for name, stated in zip(wanted, map(int, sizes), strict=True):
        total += stated
        if total > limit:
            raise InputError(f"files of more than {limit:,} bytes", file=root)
        if group and size + stated > _GROUP:
            yield from _read_group(root, group)
            group, size = [], 0
        group.append(name)
        size += stated
    yield from _read_group(root, group)


def _read_group(root: Path, objects: list[str]) -> Iterator[tuple[str, bytes]]:
    answer = git(root, "cat-file", "--batch", stdin="".join(f"{name}\n" for name in objects).encode())
    place = 0
    for name in objects:
        end = answer.index(b"\n", place)
        size = int(answer[place:end].rsplit(b" ", 1)[1])
        yield name, answer[end + 1 : end + 1 + size]
        place = end + 1 + size + 1


def changed_paths(root: Path, first: str, second: str) -> tuple[str, ...]:
    """Every path, from the top of the repository, in which two commits (ids) differ; sorted."""
    answer = git(root, "diff-tree", "-r", "-z", "--name-only", "--no-renames", "--full-index", first, second)
    return tuple(sorted(name.decode(errors="surrogateescape") for name in answer.split(b"\0") if name))


def place_in_repository(root: Path) -> str | None:
    """The path of `root` below the top of its repository, as `` or `services/`; None outside of one.

    A folder that git ignores is outside, and so is everything where git is not installed.
    """
    if shutil.which("git") is None:
        return None
    try:
        prefix = git(root, "rev-parse", "--show-prefix").decode(errors="surrogateescape").rstrip("\n")
    except RepositoryError:  # git says in words only that this is no repository
        return None
    if not prefix:
        return ""
    try:
        git(root, "check-ignore", "-q", ".")
    except RepositoryError:  # the answer no
        return prefix
    return None


def list_kept(root: Path, folder: str) -> list[str]:
    """Files below `folder` on disk that git holds or would hold, by path from `root`; sorted."""
    arguments = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
    named = git(root, "--literal-pathspecs", *arguments, "--", folder or ".").split(b"\0")
    return sorted(name.decode(errors="surrogateescape") for name in named if name)
