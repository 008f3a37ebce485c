"""Where the files of a ledger lie below its root: `<ledger>/<YYYY-MM>.jsonl`.

Beside the ledgers the root holds `evidence/` (its own store), `<ledger>.md` (generated text) and, while
somebody writes, the lock. Everything else is a stray: it is named, and never read or touched.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import RepositoryError, UsageError
from hullmark.ledger.files import machine_faults

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
    with machine_faults(root):
        if not root.exists():
            return Survey(ledgers={})
        children = sorted(root.iterdir())
    for child in children:
        name = child.name
        if name in {LOCK, EVIDENCE} or (name.endswith(".md") and child.is_file()):
            continue
        if not is_ledger_name(name):
            strays.append((name, "does not belong here"))
        elif child.is_symlink() or not child.is_dir():
            wrong.append((name, "is not a folder"))
        else:
            months, bad, other = _months(child)
            wrong += bad
            strays += other
            if months:
                ledgers[name] = months
    return Survey(ledgers=ledgers, wrong=tuple(wrong), strays=tuple(strays))


def month_files(root: Path, name: str) -> tuple[str, ...]:
    """Return the month files of one ledger, oldest first. RepositoryError when one cannot be ours."""
    folder = root / check_ledger_name(name)
    with machine_faults(folder):
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise RepositoryError(f"{folder}: is not a folder", hint="A ledger is a folder of month files.")
        if not folder.exists():
            return ()
    months, wrong, _ = _months(folder)
    if wrong:
        path, why = wrong[0]
        raise RepositoryError(
            f"{root / path}: {why}", hint="Put the regular file back, for example from git."
        )
    return months


def _months(
    folder: Path,
) -> tuple[tuple[str, ...], list[tuple[str, str]], list[tuple[str, str]]]:
    """Return month files, wrong ones and strays of one ledger's folder."""
    months: list[str] = []
    wrong: list[tuple[str, str]] = []
    strays: list[tuple[str, str]] = []
    with machine_faults(folder):
        children = sorted(folder.iterdir())
    for child in children:
        path = f"{folder.name}/{child.name}"
        if not _MONTH.fullmatch(child.name):
            strays.append((path, "does not belong here"))
        elif child.is_symlink():
            wrong.append((path, "is a symbolic link"))
        elif not child.is_file():
            wrong.append((path, "is not a regular file"))
        else:
            months.append(path)
    return tuple(months), wrong, strays
