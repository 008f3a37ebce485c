"""A door into the network of another process. Run as a program of its own; it needs nothing but Python.

    door.py PID serve FD          connect to ports there, and hand each connection over through the socket FD
    door.py PID run PROGRAM ...   become PROGRAM in that network

A tested image has a network of its own with only a loopback in it. A socket belongs to the network in which
it was made, whoever uses it later: so a small process goes there, and its parent stays where it is.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import sys
from contextlib import suppress

CONNECT_SECONDS = 2.0
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_NS_GET_USERNS = 0xB701  # ioctl_ns(2)
_PR_SET_PDEATHSIG = 1
_REQUEST = 16


def enter(pid: int) -> None:
    """Go into the network of `pid`; an ordinary user by way of the user namespace that owns it."""
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(network, _CLONE_NEWNET)
    except PermissionError:
        owner = fcntl.ioctl(network, _NS_GET_USERNS)
        _setns(owner, _CLONE_NEWUSER)
        _setns(network, _CLONE_NEWNET)


def serve(channel: socket.socket) -> None:
    """Answer each port number with a connection, or with why there is none, until nobody asks."""
    while request := channel.recv(_REQUEST):
        try:
            made = socket.create_connection(("127.0.0.1", int(request)), CONNECT_SECONDS)
        except OSError as error:
            channel.send(b"-" + (error.strerror or str(error)).encode())
            continue
        with made:
            socket.send_fds(channel, [b"+"], [made.fileno()])


def _setns(handle: int, kind: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, kind) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main(arguments: list[str]) -> int:
    """Enter and do what was asked; 1 with a line on standard error when the network is closed to us."""
    pid, what, *rest = arguments
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        enter(int(pid))
        if what == "run":
            os.execv(rest[0], rest)  # noqa: S606 - a shell would be one program more
    except OSError as error:
        sys.stderr.write(f"cannot enter the network of the image: {error.strerror}\n")
        return 1
    with socket.socket(fileno=int(rest[0])) as channel, suppress(ConnectionError):
        channel.send(b"+")
        serve(channel)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
