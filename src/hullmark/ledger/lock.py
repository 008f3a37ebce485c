"""One writer at a time: a lock file that a dead process can never leave locked.

The lock is the kernel's (flock), so it ends with the process that holds it. The file names that process
for whoever waits. It is removed on release, so a work tree stays clean; after a kill it may be left behind,
unlocked, and the next writer takes it over.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hullmark.errors import EnvironmentFaultError
from hullmark.ledger.files import machine_faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAUSE = 0.02


@contextmanager
def held(path: Path, *, wait: float) -> Iterator[None]:
    """Hold the lock file at `path`; EnvironmentFaultError naming the holder after `wait` seconds."""
    deadline = time.monotonic() + wait
    while (number := _try(path)) is None:
        if time.monotonic() >= deadline:
            raise EnvironmentFaultError(
                f"{path}: another process ({_holder(path)}) is writing this ledger since at least {wait:g} s",
                hint="Wait until it has ended, or end it, then run the command again.",
            )
        time.sleep(PAUSE)
    try:
        yield
    finally:
        # Removed while still held: whoever waits on this file sees that its name is gone and starts again.
        path.unlink(missing_ok=True)
        os.close(number)


def _try(path: Path) -> int | None:
    """Take the lock if it is free. None when somebody holds it, or just let it go."""
    with machine_faults(path):
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                with machine_faults(path):
                    raise
            os.close(number)
            return None
        if not _is_named(path, number):
            os.close(number)
            return None
        # Padded, so that no write ever shows a shorter number inside a longer one. A full disk is no reason
        # to refuse: the lock holds without the number.
        with suppress(OSError):
            os.pwrite(number, f"{os.getpid():<10}\n".encode(), 0)
    except BaseException:
        os.close(number)
        raise
    return number


def _is_named(path: Path, number: int) -> bool:
    """Say whether `path` still is the file we locked: its last holder may have removed it meanwhile."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(number))
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    try:
        text = path.read_bytes()[:32].decode("ascii", "replace").strip()
    except OSError:
        text = ""
    return f"process {text}" if text.isdigit() else "process number unknown"
