"""The error tree, the exit codes and the form of a message.

    HullmarkError               exit  who must act
    ├── UsageError                 2  the user: the command line or its combination of options
    ├── InputError                 1  the author of a file: configuration, report, lock, archive
    ├── RepositoryError            1  the owner of this repository's ledger and evidence
    │   └── TamperedError          3  an auditor: the history is not what was recorded
    ├── EnvironmentFaultError      1  the owner of the machine: disk, permission, missing program
    ├── NetworkError               1  whoever runs the other side: mirror, registry, GitHub
    └── IncompleteError            5  the operator: something expected was not covered

A message says what happened and where; `hint` says what to do next. Both are printed once, by `cli.py`.
Text from outside (file names, scanner output) may stand in a message: `cli.py` escapes control characters.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Exit(IntEnum):
    """What a command answers to its caller."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    BLOCK = 3
    REVIEW = 4
    INCOMPLETE = 5
    INTERRUPTED = 130


class HullmarkError(Exception):
    """An error that is explained to a person, never shown as a traceback."""

    exit_code: Exit = Exit.ERROR

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(HullmarkError):
    """The command line asks for something that does not exist or contradicts itself."""

    exit_code = Exit.USAGE


class InputError(HullmarkError):
    """A file says something we cannot accept.

    `file` names it; `key` is the place inside, as `Results[2].Vulnerabilities[17].Severity`.
    """

    def __init__(self, message: str, *, file: Path | str, key: str = "", hint: str = "") -> None:
        place = f"{file}: {key}" if key else str(file)
        super().__init__(f"{place}: {message}", hint=hint)
        self.file = str(file)
        self.key = key


class RepositoryError(HullmarkError):
    """The ledger, the evidence or a generated file is not in a state we can go on from."""


class TamperedError(RepositoryError):
    """The recorded history was changed after it was written."""

    exit_code = Exit.BLOCK


class EnvironmentFaultError(HullmarkError):
    """The machine lacks a program, a permission or space."""


class NetworkError(HullmarkError):
    """Another host did not answer, or not as it must."""


class IncompleteError(HullmarkError):
    """Something that was expected was not covered; nothing may be read as clean."""

    exit_code = Exit.INCOMPLETE
