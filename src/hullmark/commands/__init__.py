"""One thin file per command: parse, call the library, print, return an exit code.

Each module has one click command called `command`; `cli.COMMANDS` lists them.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import msgspec


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """What every command is given."""

    root: Path
    """The folder to work in: the repository."""
    now: datetime
    """The time of this command, UTC, whole seconds; read once."""
    clock_overridden: bool = False
    """Whether `now` is made up; only sample ledgers take such a time."""


def print_json(document: object) -> None:
    """Print one JSON document with sorted keys to standard output."""
    sys.stdout.write(format_json(document).decode())


def format_json(document: object) -> bytes:
    """One JSON document with sorted keys, indented for people."""
    encoded = msgspec.json.encode(document, order="sorted")
    return msgspec.json.format(encoded, indent=2) + b"\n"
