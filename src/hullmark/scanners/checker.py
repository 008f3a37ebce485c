"""What every tool that checks a repository has in common: how it is found, told apart, run and answered.

Each tool is untrusted, as Trivy is: no network, no privileges, an empty environment, a read-only copy of the
files, limits of time and output.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hullmark.errors import EnvironmentFaultError
from hullmark.filehash import hash_file
from hullmark.sandbox import SYSTEM_FOLDERS
from hullmark.scan import Scanner
from hullmark.text import escape_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hullmark.finding import Kind
    from hullmark.sandbox import Completed, Sandbox
    from hullmark.scanners.occurrence import Match
    from hullmark.scanners.tree import Tree

MAX_OUTPUT = 100 << 20
INSTALL = "pip install 'hullmark[checks]'"

_MAX_ARGUMENTS = 64 << 10
_MAX_REASON = 300
_VERSION = re.compile(rb"\d{1,5}\.\d{1,5}(?:\.\d{1,5})?(?:[-+][0-9A-Za-z.-]{1,40})?")


class MissingToolError(EnvironmentFaultError):
    """The tool is not on this machine; the hint is the command that installs it."""


class Job(NamedTuple):
    """What a tool is asked to look at, and with what."""

    tree: Tree
    files: tuple[str, ...]
    """Those of the tree that this tool wants; never empty."""
    sandbox: Sandbox
    timeout: float
    cache: Path | None = None
    """Where the digests of big programs are remembered."""
    trivy: Path | None = None
    """The Trivy that was named, instead of the one that is found."""

    def paths(self) -> tuple[str, ...]:
        """The files, as programs are told them."""
        return tuple(str(self.tree.folder / name) for name in self.files)


class Answer(NamedTuple):
    """What a tool said."""

    program: Scanner
    matches: tuple[Match, ...]
    unread: tuple[str, ...] = ()
    """Files that it could not read."""


class Checker(NamedTuple):
    """One tool that checks files of a repository."""

    name: str
    kinds: tuple[Kind, ...]
    """What it looks for."""
    wants: Callable[[str], bool]
    """Whether it can say something about a file of this path."""
    run: Callable[[Job], Answer]


def find_program(name: str) -> Path:
    """The program of the `checks` extra beside this Python, else the one on PATH."""
    beside = Path(sys.executable).parent / name
    found = beside if beside.is_file() else shutil.which(name)
    if found is None:
        raise MissingToolError(f"{name} is not installed", hint=INSTALL)
    return Path(found).absolute()


def identify(name: str, path: Path, job: Job) -> Scanner:
    """The program at `path`: its bytes, and the version that it tells inside containment."""
    digest = hash_file(path, cache=job.cache)
    ended = job.sandbox.run([str(path), "--version"], readable=system_folders(), timeout=job.timeout)
    found = _VERSION.search(ended.stdout)
    if ended.code != 0 or found is None:
        raise EnvironmentFaultError(f"{name} does not tell its version: {said(ended)}")
    return Scanner(name=name, version=found[0].decode(), binary=digest, verified=False)


def run(job: Job, argv: Sequence[str], *, readable: Iterable[Path] = (), good: Sequence[int] = (0,)) -> bytes:
    """The standard output of a tool that ended with one of the `good` codes."""
    ended = job.sandbox.run(
        argv,
        readable=(job.tree.folder, *readable, *system_folders()),
        timeout=job.timeout,
        max_stdout=MAX_OUTPUT,
    )
    if ended.code not in good:
        raise EnvironmentFaultError(f"{Path(argv[0]).name} failed with code {ended.code}: {said(ended)}")
    return ended.stdout


def portions(paths: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """`paths` in parts that fit on a command line."""
    part: list[str] = []
    size = 0
    for path in paths:
        if part and size + len(path) > _MAX_ARGUMENTS:
            yield tuple(part)
            part, size = [], 0
        part.append(path)
        size += len(path) + 1
    if part:
        yield tuple(part)


def said(ended: Completed) -> str:
    """The last line that a program wrote, escaped and bounded."""
    lines = [
        line
        for line in (ended.stderr or ended.stdout).decode("utf-8", "replace").splitlines()
        if line.strip()
    ]
    return escape_terminal(lines[-1].strip())[-_MAX_REASON:] if lines else "it said nothing"


def system_folders() -> tuple[Path, ...]:
    """What programs of the system's libraries need."""
    return tuple(folder for folder in SYSTEM_FOLDERS if folder.exists())
