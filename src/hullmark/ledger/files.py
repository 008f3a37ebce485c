"""The few file operations a ledger is made of, each with its guarantee.

Nothing follows a symbolic link, nothing reads without a bound, and an append is either whole or not there.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hullmark.errors import EnvironmentFaultError, RepositoryError, TamperedError
from hullmark.ledger.entry import MAX_LINE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 1024 * 1024
TAIL = 64 * 1024
"""How much of a file's end is read at first to find its last line."""

_HINTS = {
    errno.ENOSPC: "Free some space; nothing was recorded half.",
    errno.EDQUOT: "The disk quota is used up; nothing was recorded half.",
    errno.EFBIG: "The file size limit of this process is reached; nothing was recorded half.",
    errno.EROFS: "The file system is mounted read-only.",
    errno.EACCES: "Check who owns the folder and its permissions.",
    errno.EPERM: "Check who owns the folder and its permissions.",
}


def machine_fault(path: Path | str, error: OSError) -> RepositoryError | EnvironmentFaultError:
    """Return the error of ours that says what the system said about `path`, and what to do."""
    if error.errno in {errno.ELOOP, errno.EISDIR, errno.ENOTDIR, errno.EEXIST}:
        return RepositoryError(
            f"{path}: is not a regular file below a real folder",
            hint="Links are not followed. Put the file back, for example from git.",
        )
    hint = _HINTS.get(error.errno or 0, "Look at the file and its folder, then run the command again.")
    return EnvironmentFaultError(f"{path}: {error.strerror or error}", hint=hint)


@contextmanager
def machine_faults(path: Path | str) -> Iterator[None]:
    """Turn an OSError into an error of ours that names `path`."""
    try:
        yield
    except OSError as error:
        raise machine_fault(path, error) from error


@contextmanager
def opened(path: Path | str, flags: int) -> Iterator[int]:
    """Open a regular file, following no link; the descriptor is closed at the end."""
    try:
        # O_NONBLOCK: opening a named pipe would otherwise wait for its other end for ever.
        number = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
    except OSError as error:
        raise machine_fault(path, error) from error
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise RepositoryError(f"{path}: is not a regular file", hint="Put the regular file back.")
        yield number
    except OSError as error:
        raise machine_fault(path, error) from error
    finally:
        os.close(number)


def batches(path: Path | str) -> Iterator[tuple[list[bytes], bytes]]:
    """Read a file as lists of complete lines, without their newlines.

    Each item is (lines, rest); `rest` is not empty only in the last one: the bytes after the last newline.
    Memory stays under one block and one line. TamperedError when a line is longer than MAX_LINE.
    """
    rest = b""
    with opened(path, os.O_RDONLY) as number:
        # A block no larger than the file: clearing a megabyte of memory costs more than reading a small file.
        span = min(BLOCK, os.fstat(number).st_size + 1)
        while block := os.read(number, span):
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            if len(rest) > MAX_LINE:
                raise TamperedError(
                    f"{path}: a line is longer than {MAX_LINE} bytes", hint="No entry is that long."
                )
            if lines:
                yield lines, b""
    yield [], rest


def last_line(path: Path) -> tuple[bytes | None, int]:
    """Return the last complete line of a file, and how many bytes come after it.

    Reads 64 KiB from the end, and more only while the line is longer, so a long file costs what a short one
    does. None when the file has no complete line.
    """
    # A torn line after a whole one, both as long as they can be.
    longest = 2 * MAX_LINE + 2
    with opened(path, os.O_RDONLY) as number:
        size = os.fstat(number).st_size
        span = TAIL
        while True:
            start = max(0, size - span)
            tail = _read_exactly(number, start, size - start)
            stop = tail.rfind(b"\n")
            begin = tail.rfind(b"\n", 0, stop) if stop >= 0 else -1
            torn = len(tail) - stop - 1
            if (begin >= 0 or start == 0) and torn <= MAX_LINE:
                return (tail[begin + 1 : stop] if stop >= 0 else None), torn
            if span >= longest or torn > MAX_LINE:
                raise TamperedError(
                    f"{path}: a line is longer than {MAX_LINE} bytes", hint="No entry is that long."
                )
            span = min(4 * span, longest)


def count_lines(path: Path) -> int:
    """Return the number of complete lines of a file."""
    total = 0
    with opened(path, os.O_RDONLY) as number:
        while block := os.read(number, BLOCK):
            total += block.count(b"\n")
    return total


def append_line(path: Path, raw: bytes) -> None:
    """Add one line to a file and wait until the disk has it.

    One write and one fsync. When anything goes wrong, a full disk or Ctrl-C included, the file is cut back
    to what it was; a kill at that point leaves a torn tail, which `Store.writer` repairs.
    """
    make_folder(path.parent)
    with machine_faults(path):
        fresh = not path.exists()
    with opened(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as number:
        before = os.fstat(number).st_size
        try:
            line = raw + b"\n"
            if os.write(number, line) != len(line):
                raise OSError(errno.ENOSPC, "the line could not be written whole")  # noqa: TRY301 - one way out
            os.fsync(number)
        except BaseException:
            os.ftruncate(number, before)
            if fresh and before == 0:
                path.unlink()
            raise
    if fresh:
        sync_folder(path.parent)


def cut(path: Path, keep: int) -> None:
    """Shorten a file to its first `keep` bytes; a file of which nothing is left is removed."""
    if keep == 0:
        with machine_faults(path):
            path.unlink()
        sync_folder(path.parent)
        return
    with opened(path, os.O_WRONLY) as number:
        os.ftruncate(number, keep)
        os.fsync(number)


def make_folder(path: Path) -> None:
    """Create a folder and its parents, and wait until the disk has them."""
    with machine_faults(path):
        if path.is_dir() and not path.is_symlink():
            return
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Wait until the disk has the names in a folder: a new file is lost in a crash without this."""
    with machine_faults(path):
        number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _read_exactly(number: int, start: int, length: int) -> bytes:
    """Read `length` bytes at `start`; fewer when the file became shorter meanwhile."""
    parts: list[bytes] = []
    while length > 0 and (part := os.pread(number, length, start)):
        parts.append(part)
        start += len(part)
        length -= len(part)
    return b"".join(parts)


def read_from(path: Path, start: int) -> bytes:
    """Return the bytes of a file from `start` to its end."""
    with opened(path, os.O_RDONLY) as number:
        return _read_exactly(number, start, os.fstat(number).st_size - start)
