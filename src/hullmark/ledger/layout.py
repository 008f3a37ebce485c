"""Where the files of a ledger lie below its root: `<ledger>/<YYYY-MM>.jsonl`.

Beside the ledgers the root holds `evidence/` (its own store), `<ledger>.md` (generated text) and, while
somebody writes, the lock. Everything else is a stray: it is named, and never read or touched.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import RepositoryError, UsageError
from hullmark.ledger.files import machine_fault, machine_faults

if TYPE_CHECKING:
    from pathlib import Path

RUNS = "runs"
"""The ledger of runs, whose entries cover the heads of all the others."""

LOCK = ".lock"
EVIDENCE = "evidence"
MAX_NAME = 64

_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])\.jsonl", re.ASCII)


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What lies below a ledger's root."""

    ledgers: dict[str, tuple[str, ...]]
    """Month files of each ledger, oldest first, as paths below the root."""
    wrong: tuple[tuple[str, str], ...] = ()
    """Paths that have a ledger's name but cannot be one, and why."""
    strays: tuple[tuple[str, str], ...] = ()
    """Paths that do not belong here, and why."""


def is_ledger_name(text: str) -> bool:
    """Say whether `text` can name a ledger: an image's name, `runs` or `repository`."""
    return len(text) <= MAX_NAME and text != EVIDENCE and _NAME.fullmatch(text) is not None


def check_ledger_name(text: str) -> str:
    """Return `text`, or raise UsageError when it cannot name a ledger."""
    if not is_ledger_name(text):
        raise UsageError(
            f"{text!r} cannot name a ledger",
            hint=f"Use lower-case letters and digits with single . _ - between them, at most {MAX_NAME}.",
        )
    return text


def month_file(name: str, at: str) -> str:
    """Return the path below the root of the file that holds entries of the time `at`."""
    return f"{name}/{at[:7]}.jsonl"


def survey(root: Path) -> Survey:
    """List what lies below `root` without opening a file. A root that does not exist holds nothing."""
    ledgers: dict[str, tuple[str, ...]] = {}
    wrong: list[tuple[str, str]] = []
    strays: list[tuple[str, str]] = []
    for child in _children(root):
        name = child.name
        if name in {LOCK, EVIDENCE} or (name.endswith(".md") and child.is_file(follow_symlinks=False)):
            continue
        if not is_ledger_name(name) or child.is_file(follow_symlinks=False):
            strays.append((name, "does not belong here"))
        elif not child.is_dir(follow_symlinks=False):
            wrong.append((name, "is not a folder"))
        else:
            months, bad, other = _months(root, name)
            wrong += bad
            strays += other
            if months:
                ledgers[name] = months
    return Survey(ledgers=ledgers, wrong=tuple(wrong), strays=tuple(strays))


def month_files(root: Path, name: str) -> tuple[str, ...]:
    """Return the month files of one ledger, oldest first. RepositoryError when one cannot be ours."""
    folder = root / check_ledger_name(name)
    with machine_faults(folder):
        try:
            mode = folder.lstat().st_mode
        except FileNotFoundError:
            return ()
    if not stat.S_ISDIR(mode):
        raise RepositoryError(f"{folder}: is not a folder", hint="A ledger is a folder of month files.")
    months, wrong, _ = _months(root, name)
    if wrong:
        path, why = wrong[0]
        raise RepositoryError(
            f"{root / path}: {why}", hint="Put the regular file back, for example from git."
        )
    return months


_Places = list[tuple[str, str]]


def _months(root: Path, name: str) -> tuple[tuple[str, ...], _Places, _Places]:
    """Return month files, wrong ones and strays of one ledger's folder."""
    months: list[str] = []
    wrong: _Places = []
    strays: _Places = []
    for child in _children(root / name):
        path = f"{name}/{child.name}"
        if not _MONTH.fullmatch(child.name):
            strays.append((path, "does not belong here"))
        elif child.is_file(follow_symlinks=False):
            months.append(path)
        else:
            wrong.append((path, "is a symbolic link" if child.is_symlink() else "is not a regular file"))
    return tuple(months), wrong, strays


def _children(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder, sorted by name; nothing when it does not exist."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda child: child.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise machine_fault(folder, error) from error
