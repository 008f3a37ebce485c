"""Options and steps that commands have in common. Those that only read start without what scans."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from hullmark.errors import InputError, UsageError
from hullmark.image import LINUX_AMD64, Platform, parse_platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    from hullmark.pipeline import ScanOptions
    from hullmark.progress import Progress

FILE = click.Path(dir_okay=False, path_type=Path)
_Folder = click.Path(file_okay=False, path_type=Path)
_Command = TypeVar("_Command", bound="Callable[..., Any]")

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
jobs_option = click.option(
    "--jobs", type=click.IntRange(1, 64), default=os.cpu_count() or 1, help="Scans at a time."
)


def scanner_options(command: _Command) -> _Command:
    """Add what every scan may be told about scanner and database."""
    for option in (
        click.option(
            "--unsafe-skip-canary", "skip_canary", is_flag=True, help="Trust without known answers."
        ),
        click.option("--canary", type=FILE, help="Known answers for a database of your own."),
        click.option("--trivy", type=FILE, help="The Trivy to use."),
        click.option("--db", "database", type=_Folder, help="Trivy's cache folder; used as it is."),
    ):
        command = option(command)
    return command


def scan_options(options: dict[str, Any]) -> ScanOptions:
    """What `scanner_options` collected."""
    from hullmark.pipeline import ScanOptions  # noqa: PLC0415 - only commands that scan need it

    return ScanOptions(**options)


@contextmanager
def workers(jobs: int) -> Iterator[Executor]:
    """Threads for `jobs` scans: each waits for a process. Ctrl-C drops what has not begun."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only commands that scan need it

    executor = ThreadPoolExecutor(jobs, thread_name_prefix="scan")
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def locate(text: str, *, root: Path, platform: Platform | None, progress: Progress) -> Path:
    """The file or folder that `text` names, fetched into an archive first when it is a reference."""
    from hullmark.build.engine import fetch_reference  # noqa: PLC0415 - only references need an engine

    path = Path(text)
    if path.exists():
        return path
    if text.startswith((".", "/")) or text.endswith((".tar", ".json")):
        raise InputError("file not found", file=path)
    archive = root / ".cache" / "images" / f"{text.replace('/', '_').replace(':', '_')}.tar"
    fetch_reference(text, archive=archive, environ=os.environ, platform=platform, progress=progress)
    return archive


def choose_platform(text: str | None) -> Platform:
    """The platform of an option, linux/amd64 without one."""
    return LINUX_AMD64 if text is None else parse_platform(text)


class Chosen(NamedTuple):
    """An image that an argument names, and what to take for it."""

    name: str
    platform: Platform | None
    place: str
    """Empty where what was built is meant."""


def parse_chosen(text: str) -> Chosen:
    """`IMAGE[@OS/ARCH][=FILE-OR-REF]`."""
    named, _, place = text.partition("=")
    if "=" in text and not place:
        raise UsageError(
            f"{text!r} names no file", hint="Write IMAGE=FILE, or IMAGE alone for what was built."
        )
    name, at, platform = named.partition("@")
    return Chosen(name, parse_platform(platform) if at else None, place)


def is_terminal() -> bool:
    """Whether a person watches standard error."""
    return sys.stderr.isatty()
