"""What long work says while it runs: a bar on a terminal, plain lines elsewhere, always on stderr."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO


class Progress(Protocol):
    """Told about work that takes time. Its methods may be called from several threads."""

    def say(self, line: str) -> None:
        """Report a step that has begun or a fact that the reader should know."""

    def begin(self, what: str, total: int) -> None:
        """Start to count `total` bytes of `what`."""

    def advance(self, count: int) -> None:
        """Count `count` bytes more."""


class Silent:
    """Says nothing: for tests and for callers that show their own progress."""

    def say(self, line: str) -> None:
        """Drop the line."""

    def begin(self, what: str, total: int) -> None:
        """Count nothing."""

    def advance(self, count: int) -> None:
        """Count nothing."""


class Lines:
    """Plain lines, one per step; bytes are told once, when their counting begins."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def say(self, line: str) -> None:
        """Write the line."""
        self._write(line)

    def begin(self, what: str, total: int) -> None:
        """Write what is counted and how much there is."""
        self._write(f"{what}: {total / 1e6:.1f} MB")

    def advance(self, count: int) -> None:
        """Write nothing: a log does not need every block."""


@contextmanager
def shown(stream: TextIO) -> Iterator[Progress]:
    """Progress on `stream`: a bar when it is a terminal, plain lines otherwise."""
    if not stream.isatty():
        yield Lines(lambda line: print(line, file=stream, flush=True))
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal pays for rich
    from rich.progress import BarColumn, DownloadColumn, TextColumn  # noqa: PLC0415 - same
    from rich.progress import Progress as Bars  # noqa: PLC0415 - same

    console = Console(file=stream)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        yield _Bar(bars)


class _Bar:
    """rich's bars; rich does the locking."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def say(self, line: str) -> None:
        self._bars.console.print(line, markup=False, highlight=False)

    def begin(self, what: str, total: int) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task(what, total=total)

    def advance(self, count: int) -> None:
        if self._task is not None:
            self._bars.advance(self._task, count)


if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID
