"""A program that runs beside us: its last output is kept, and it is always ended."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from hullmark.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEPT_BYTES = 64 << 10
KEPT_LINES = 40
MAX_LINE = 400
_CHUNK = 1 << 14
_END_SECONDS = 10.0


class Program:
    """One running program. Leaving the `with` block ends it with everything it started."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, handles: Sequence[int] = ()
    ) -> None:
        self._name = os.path.basename(command[0])  # noqa: PTH119 - a word, not a path of ours
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd="/",
                pass_fds=handles,
                start_new_session=True,
            )
        except OSError as error:
            raise EnvironmentFaultError(f"cannot run {command[0]}: {error.strerror}") from error
        self._kept = bytearray()
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, name=f"log of {self._name}", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self.process.poll()

    def ends_within(self, seconds: float) -> bool:
        """Wait for its end, for at most `seconds`; whether it came."""
        try:
            self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        self._reader.join(_END_SECONDS)
        return True

    def end(self) -> None:
        """End it hard; harmless when it has ended."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(_END_SECONDS)
        if self.process.stdout and not self._reader.is_alive():
            self.process.stdout.close()

    def last_lines(self) -> tuple[str, ...]:
        """The end of what it wrote, line by line, as text that can be kept anywhere but not yet printed."""
        with self._lock:
            text = self._kept[-KEPT_BYTES:].decode("utf-8", "backslashreplace")
        lines = [line[:MAX_LINE] for line in text.splitlines() if line.strip()]
        return tuple(lines[-KEPT_LINES:])

    def _read(self) -> None:
        """Take all output, so that the program never waits for us, and keep the end of it."""
        assert self.process.stdout is not None  # noqa: S101 - opened above
        while chunk := os.read(self.process.stdout.fileno(), _CHUNK):
            with self._lock:
                self._kept += chunk
                if len(self._kept) > 2 * KEPT_BYTES:
                    del self._kept[:-KEPT_BYTES]
