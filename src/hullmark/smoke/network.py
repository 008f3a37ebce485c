"""Connections into the network of a tested image, by way of `door.py`."""

from __future__ import annotations

import select
import socket
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hullmark.errors import EnvironmentFaultError
from hullmark.smoke import door
from hullmark.smoke.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OPEN_SECONDS = 20.0
ANSWER_SECONDS = door.CONNECT_SECONDS + 3
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class Network(Protocol):
    """Where the tested image listens."""

    def connect(self, port: int, timeout: float) -> socket.socket:
        """A connection to `port` that waits at most `timeout` for each answer; OSError when there is none."""

    def command(self, program: Sequence[str]) -> list[str]:
        """The command that runs `program` beside the image."""


class Door:
    """The network of one process."""

    def __init__(self, channel: socket.socket, prefix: Sequence[str], pid: int) -> None:
        self._channel = channel
        self._prefix = prefix
        self._pid = pid

    def connect(self, port: int, timeout: float) -> socket.socket:
        """A connection to `port` of its loopback."""
        self._channel.settimeout(ANSWER_SECONDS)
        self._channel.send(str(port).encode())
        answer, handles, _, _ = socket.recv_fds(self._channel, 1024, 1)
        if not handles:
            raise ConnectionError(answer[1:].decode("utf-8", "replace") or "the network is gone")
        made = socket.socket(fileno=handles[0])
        made.settimeout(timeout)
        return made

    def command(self, program: Sequence[str]) -> list[str]:
        """Like `program`, in the network of the process."""
        return _command(self._prefix, self._pid, "run", *program)


def _command(prefix: Sequence[str], pid: int, *arguments: str) -> list[str]:
    return [*prefix, sys.executable, "-I", "-S", str(Path(door.__file__)), str(pid), *arguments]


@contextmanager
def open_door(pid: int, *, prefix: Sequence[str] = ()) -> Iterator[Door]:
    """A door into the network of `pid`, or EnvironmentFaultError. `prefix` is what may enter it for us."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        handle = theirs.fileno()
        with theirs:
            helper = Program(_command(prefix, pid, "serve", str(handle)), _ENVIRONMENT, handles=[handle])
        with helper:
            ready, _, _ = select.select([ours], [], [], OPEN_SECONDS)
            if not ready or not ours.recv(16):
                helper.ends_within(1)
                said = " ".join(helper.last_lines()[-1:])
                raise EnvironmentFaultError(said or "the network of the image cannot be entered")
            yield Door(ours, prefix, pid)
