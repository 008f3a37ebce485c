"""An image run by bubblewrap on its unpacked layers, as root or as an ordinary user, without an engine.

The root folder is bound read-only and all its files belong to whoever runs the test; `content.py` gives them
the rights that the image's user has. There is no seccomp filter, unlike in an engine.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hullmark.files import explained, scratch_folder
from hullmark.sandbox import SYSTEM_FOLDERS, SYSTEM_PATH
from hullmark.smoke.content import User, unpack
from hullmark.smoke.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hullmark.smoke.box import Setting

PROBE_SECONDS = 20.0
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MAX_INFO = 4096
_ISOLATED = (
    *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
    *("--unshare-cgroup-try", "--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv"),
)


class _Info(msgspec.Struct, frozen=True, rename="kebab"):
    """What bubblewrap says of the process it started."""

    child_pid: int


class Bubblewrap:
    """Runs images by bubblewrap."""

    name = "bubblewrap"

    def obstacle(self) -> str:
        """Why it does not work here."""
        if (program := _find()) is None:
            return "bubblewrap is not installed"
        folders = [str(folder) for folder in SYSTEM_FOLDERS if folder.exists()]
        bound = [word for folder in folders for word in ("--ro-bind", folder, folder)]
        command = [program, *_ISOLATED, *bound, "--proc", "/proc", "--dev", "/dev", "--", "/bin/true"]
        try:
            done = subprocess.run(
                command,
                env={},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PROBE_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"bubblewrap cannot be run: {error}"
        return "" if done.returncode == 0 else done.stderr.decode("utf-8", "replace").strip()[-300:]

    @contextmanager
    def open(self, setting: Setting) -> Iterator[_Box]:
        """Unpack the image, and make its volumes from what it has in their places."""
        with scratch_folder() as folder:
            root = folder / "root"
            root.mkdir()
            try:
                user = unpack(setting.content, root)
                volumes = _make_volumes(setting, root, folder / "volumes")
                yield _Box(setting, root, user, volumes)
            finally:
                _open_up(folder)


class _Box:
    def __init__(self, setting: Setting, root: Path, user: User, volumes: dict[str, Path]) -> None:
        self._setting = setting
        self._root = root
        self._user = user
        self._volumes = volumes
        self._info = -1
        self._pid = 0

    @property
    def door_prefix(self) -> Sequence[str]:
        return ()

    def start(self) -> Program:
        reading, writing = os.pipe()
        self._close_info()
        self._info, self._pid = reading, 0
        try:
            return Program(self._command(writing), {"PATH": SYSTEM_PATH}, handles=[writing])
        finally:
            os.close(writing)

    def find_pid(self, program: Program, seconds: float) -> int:  # noqa: ARG002 - the pipe tells of its end
        deadline, data = time.monotonic() + seconds, b""
        while select.select([self._info], [], [], max(0.0, deadline - time.monotonic()))[0]:
            block = os.read(self._info, MAX_INFO)
            data += block
            if not block or data.rstrip().endswith(b"}"):
                break
        self._close_info()
        with suppress(msgspec.DecodeError):
            self._pid = msgspec.json.decode(data, type=_Info).child_pid
        return self._pid

    def signal(self, name: str) -> None:
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.Signals[name])

    def _close_info(self) -> None:
        if self._info >= 0:
            os.close(self._info)
        self._info = -1

    def _command(self, info: int) -> list[str]:
        config = self._setting.content.config
        env = {"PATH": DEFAULT_PATH, **dict(each.partition("=")[::2] for each in config.env or ())}
        command = [_find() or "bwrap", *_ISOLATED, "--as-pid-1", "--info-fd", str(info)]
        command += ["--uid", str(self._user.uid), "--gid", str(self._user.gid), "--hostname", "smoke"]
        for name, value in {**env, **self._setting.env}.items():
            command += ["--setenv", name, value]
        command += ["--ro-bind", str(self._root), "/", "--proc", "/proc", "--dev", "/dev"]
        mounts = [(path, ["--tmpfs", path]) for path in self._setting.tmpfs]
        mounts += [(path, ["--bind", str(place), path]) for path, place in self._volumes.items()]
        for _, words in sorted(mounts):
            command += words
        arguments = self._setting.arguments or config.cmd or ()
        command += ["--remount-ro", "/", "--chdir", config.working_dir or "/", "--"]
        return [*command, *(config.entrypoint or ()), *arguments]


def _make_volumes(setting: Setting, root: Path, folder: Path) -> dict[str, Path]:
    """A folder for each volume, with what the image has there, and with the files that belong there."""
    made: dict[str, Path] = {}
    with explained(folder):
        folder.mkdir()
        for number, path in enumerate(setting.folders):
            place, source = folder / str(number), root / path.lstrip("/")
            if source.is_dir() and not source.is_symlink():
                shutil.copytree(source, place, symlinks=True)
            else:
                place.mkdir()
            made[path] = place
            _make_mount_point(root, path)
        for path in ("/proc", "/dev", *setting.tmpfs):
            _make_mount_point(root, path)
        for path, data in setting.files.items():
            parent, _, name = path.rpartition("/")
            _put(made[parent], name, data)
    return made


def _put(folder: Path, name: str, data: bytes) -> None:
    """A file that only we can read, in a folder that we may not be meant to write to."""
    mode = folder.stat().st_mode
    folder.chmod(0o700)
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_bytes(data)
    (folder / name).chmod(0o400)
    folder.chmod(mode)


def _make_mount_point(root: Path, path: str) -> None:
    """A folder at `path` in the image, as an engine makes one; a link on the way is left to bubblewrap."""
    place = root
    for part in path.strip("/").split("/"):
        place /= part
        if place.is_symlink():
            return
        if not place.exists():
            place.parent.chmod(place.parent.stat().st_mode | 0o700)
            place.mkdir()


def _open_up(folder: Path) -> None:
    """Give us back the right to remove what the image left."""
    for parent, folders, _ in os.walk(folder):
        for name in folders:
            place = Path(parent, name)
            if not place.is_symlink():
                with suppress(OSError):
                    place.chmod(0o700)


def _find() -> str | None:
    return shutil.which("bwrap", path=SYSTEM_PATH)
