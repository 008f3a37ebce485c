"""Files read with a limit and written whole or not at all; what the operating system refuses, explained."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
import time
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hullmark.errors import EnvironmentFaultError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRATCH = "hullmark-scratch-"
"""Begins the name of every folder of ours in the folder for temporary files."""
ABANDONED = 3600
"""Seconds after which a folder that nobody holds was left by a run that was killed."""

_HINTS = {
    errno.ENOSPC: "Free some space on that disk and run again; nothing that was there is lost.",
    errno.EDQUOT: "Free some of your quota and run again; nothing that was there is lost.",
    errno.EROFS: "That file system is read-only; choose a folder that can be written.",
    errno.EACCES: "You may not write there; choose another folder or change its permissions.",
    errno.ENOTDIR: "Something on that path is a file where a folder is needed.",
    errno.ENAMETOOLONG: "The path is too long for this file system; choose a shorter one.",
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError on `path` into EnvironmentFaultError with a hint."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        hint = _HINTS.get(error.errno or 0, "")
        raise EnvironmentFaultError(f"cannot write {path}: {reason}", hint=hint) from error


def read_bounded(path: Path, limit: int) -> bytes:
    """The bytes of the regular file at `path`, or InputError when it is missing, special or too big."""
    try:
        # O_NONBLOCK: opening a pipe in place of the file must not wait for a writer.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", file=path) from error
    except ValueError as error:  # a null byte in the name
        raise InputError(f"cannot read: {error}", file=repr(str(path))) from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise InputError("not a regular file", file=path)
        with os.fdopen(os.dup(handle), "rb") as file:
            # Never more than there is: asking for the limit would set that much memory aside.
            data = file.read(min(limit, status.st_size) + 1)
    finally:
        os.close(handle)
    if len(data) > limit:
        raise InputError(f"larger than {limit:,} bytes", file=path)
    return data


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when the block ends well, and leaves nothing when it does not."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:32]}.")
    temporary = Path(name)
    try:
        with explained(path), os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with explained(path):
            temporary.chmod(0o644)
            temporary.replace(path)
    except BaseException:  # Ctrl-C too must leave no half file
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path`: afterwards it holds all of `data`, or what it held before."""
    with replacing(path) as file:
        file.write(data)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder of our own that is gone afterwards; a full or read-only disk is an EnvironmentFaultError.

    What a killed run left is removed by the next one.
    """
    parent = Path(tempfile.gettempdir())
    try:
        _sweep_once(parent, SCRATCH)
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=parent))
        with _held(folder):
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise EnvironmentFaultError(
            f"cannot write {error.filename or parent}: {error.strerror}",
            hint="Free some space, or name another folder in the variable TMPDIR.",
        ) from error


@contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder in `parent` that is gone afterwards; what a killed run left there is removed first."""
    with explained(parent):
        _sweep(parent, prefix)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    with _held(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a lock on `folder`, which ends with this process however it ends."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a file system without locks: then nobody sweeps it either
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


@cache
def _sweep_once(parent: Path, prefix: str) -> None:
    _sweep(parent, prefix)


def _sweep(parent: Path, prefix: str) -> None:
    """Remove folders in `parent` that a killed run left: old, ours by owner and name, and held by nobody."""
    name = re.compile(re.escape(prefix) + "[a-z0-9_]{8}")
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if name.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                _remove_abandoned(Path(entry.path), entry.stat(follow_symlinks=False))


def _remove_abandoned(folder: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid() or time.time() - status.st_mtime < ABANDONED:
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # whoever works in it holds the other lock
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A new folder that takes the place of the folder `path` when the block ends well.

    What a killed run left beside it is removed by the next one.
    """
    prefix = f".{path.name[:32]}."
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent, prefix)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=prefix))
    try:
        with explained(path), _held(temporary):
            yield temporary
            temporary.chmod(0o755)
            old = temporary.with_name(temporary.name + ".old")
            with suppress(FileNotFoundError):
                path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
