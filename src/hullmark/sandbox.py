"""Run an untrusted program: no network, no privileges, no environment, and only the files it was given.

What holds in every way except `NONE`:
- the program has a network of its own with nothing in it, not even a loopback that answers;
- it sees the files named readable, read-only, and one writable folder; nothing else of the machine;
- it has no capabilities and cannot get any (no new privileges);
- its environment is `PATH`, `HOME`, `TMPDIR` and constants of ours: no `TRIVY_*` variable and no token
  reaches it;
- it ends when we end, at its time limit, and when the user interrupts.

In every way, `NONE` included, environment, time, output and the size of a written file are bounded.

Two ways give this: bubblewrap, and `unshare` with a root directory of bind mounts; both work for root and,
where the kernel allows user namespaces, for an ordinary user. The second also shows the program `/usr` and
the system's libraries, because dropping the capabilities inside needs a program.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, NamedTuple

from hullmark.errors import EnvironmentFaultError, IncompleteError
from hullmark.files import scratch_folder
from hullmark.scan import Containment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the containing programs are looked for; never in the caller's PATH, which may belong to a project."""

SYSTEM_FOLDERS = tuple(Path(folder) for folder in ("/usr", "/lib", "/lib64", "/bin"))
"""What a dynamically linked system program needs."""

DEFAULT_TIMEOUT = 600.0
MAX_STDOUT = 1 << 20
MAX_STDERR = 256 << 10
"""Of more, the end is kept: a failing program says why in its last lines."""
MAX_FILE = 1 << 30
PROBE_TIMEOUT = 20.0
END_TIMEOUT = 5.0
WAYS = (Containment.BUBBLEWRAP, Containment.UNSHARE)

_CHUNK = 1 << 16
_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
_SIGNAL_BASE = 128  # a shell's and bubblewrap's exit code for a child that was ended by a signal

# `ulimit` and not preexec_fn: that is unsafe where other threads run. Blocks are of 512 or 1024 bytes.
_LIMITS = 'ulimit -c 0; ulimit -f "$0"; exec "$@"'

# $1: an empty folder that becomes the root; $2: the writable folder or nothing; readable paths; --; argv.
# The kernel locks the flags of mounts that come from outside a user namespace: noexec may be among them.
# chroot is enough: leaving it needs CAP_SYS_CHROOT, a foreign /proc or an open folder, and there is none.
_NEW_ROOT = """
new=$1 out=$2; shift 2
place() {
  if [ -d "$1" ]; then mkdir -p "$new$1"; else mkdir -p "$new${1%/*}"; : >"$new$1"; fi
  mount --bind "$1" "$new$1"
  mount -o "remount,bind,$2,nosuid,nodev" "$new$1" 2>/dev/null ||
    mount -o "remount,bind,$2,nosuid,nodev,noexec" "$new$1"
}
mount -t tmpfs -o mode=0755,nosuid tmpfs "$new"
while [ "$1" != -- ]; do place "$1" ro; shift; done
shift
[ -z "$out" ] || place "$out" rw
mkdir -p "$new/dev"; : >"$new/dev/null"; mount --bind /dev/null "$new/dev/null"
mount -o remount,bind,ro "$new"
exec chroot "$new" /usr/bin/setpriv --no-new-privs --bounding-set=-all --inh-caps=-all --ambient-caps=-all \
  /usr/bin/env -i "$@"
"""


class Completed(NamedTuple):
    """How a contained program ended by itself."""

    code: int
    stdout: bytes
    stderr: bytes


class Sandbox:
    """One way of containing programs, for a run; `run` may be called from several threads."""

    def __init__(self, containment: Containment) -> None:
        self.containment = containment
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    @classmethod
    def find(cls, *, required: bool = False, ways: Iterable[Containment] = WAYS) -> Sandbox:
        """The first of `ways` that works on this machine, tried once with a trivial program.

        When none works: IncompleteError if `required`, else the way `NONE`, which says so as a value.
        """
        for way in ways:
            sandbox = cls(way)
            if sandbox.works():
                return sandbox
        if required:
            raise IncompleteError(
                "no containment for the scanner works here, and it is required",
                hint="Install bubblewrap, or allow user namespaces for this user.",
            )
        return cls(Containment.NONE)

    def works(self) -> bool:
        """Whether a trivial program can be run this way."""
        folders = [folder for folder in SYSTEM_FOLDERS if folder.exists()]
        with scratch_folder() as writable:
            try:
                ended = self.run(["/bin/true"], readable=folders, writable=writable, timeout=PROBE_TIMEOUT)
            except EnvironmentFaultError:
                return False
        return ended.code == 0

    def run(
        self,
        argv: Sequence[str],
        *,
        readable: Iterable[Path] = (),
        writable: Path | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        max_stdout: int = MAX_STDOUT,
        max_file: int = MAX_FILE,
        settings: Mapping[str, str] = _NO_SETTINGS,
    ) -> Completed:
        """Run `argv`, whose first word is an absolute path, and wait for its end.

        Paths are the same inside as outside and must be absolute. `settings` are further variables of its
        environment: constants, never something of the caller's own. Ending by a signal, a time limit or too
        much output is an EnvironmentFaultError; any exit code is the caller's to judge.
        """
        paths = _check(argv, readable, writable)
        with scratch_folder() as root:
            environment = {**_environment(writable), **settings}
            command = _command(self.containment, argv, paths, writable, root, environment=environment)
            limited = ["/bin/sh", "-c", _LIMITS, str(max(1, max_file // 512)), *command]
            process = self._start(limited, environment)
            try:
                stdout, stderr = _drain(process, time.monotonic() + timeout, max_stdout)
            except _LimitError as limit:
                raise EnvironmentFaultError(f"{Path(argv[0]).name} {limit}, and was ended") from None
            finally:
                _end(process)
                with self._lock:
                    self._running.discard(process)
        if self._stopped:
            raise EnvironmentFaultError(f"{Path(argv[0]).name} was stopped")
        _refuse_signal(argv[0], process.returncode)
        return Completed(process.returncode, stdout, stderr)

    def stop(self) -> None:
        """End every program that runs and start no more: for an interrupt that another thread receives."""
        with self._lock:
            self._stopped = True
            running = tuple(self._running)
        for process in running:
            _kill(process)  # the thread that waits for it reads the rest and cleans up

    def _start(self, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise EnvironmentFaultError("the run was stopped")
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd="/",  # never a folder whose trivy.yaml or .trivyignore could be read
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise EnvironmentFaultError(f"cannot run {command[0]}: {error.strerror}") from error
            self._running.add(process)
        return process


def _check(argv: Sequence[str], readable: Iterable[Path], writable: Path | None) -> tuple[Path, ...]:
    program = Path(argv[0])
    paths = (program, *readable)
    for path in (*paths, *((writable,) if writable else ())):
        if not path.is_absolute():
            raise ValueError(f"{path} is not absolute")
        if not os.path.exists(path):  # noqa: PTH110 - Path.exists fails where a folder may not be entered
            raise EnvironmentFaultError(f"{path} does not exist, or is out of reach")
    return tuple(dict.fromkeys(paths))


def _environment(writable: Path | None) -> dict[str, str]:
    environment = {"PATH": "/usr/bin", "HOME": "/nonexistent"}
    return environment | ({"TMPDIR": str(writable)} if writable else {})


def _command(
    way: Containment,
    argv: Sequence[str],
    readable: Sequence[Path],
    writable: Path | None,
    root: Path,
    *,
    environment: Mapping[str, str],
) -> list[str]:
    match way:
        case Containment.BUBBLEWRAP:
            return [*_bubblewrap(readable, writable, environment), *argv]
        case Containment.UNSHARE:
            # The script ends in `env -i`, to which these are its last words.
            return [*_unshare(readable, writable, root), *map("=".join, environment.items()), *argv]
        case Containment.NONE:
            return list(argv)
        case Containment.CONTAINER:
            raise EnvironmentFaultError("a container as containment is not built yet")


def _bubblewrap(readable: Sequence[Path], writable: Path | None, environment: Mapping[str, str]) -> list[str]:
    command = [_tool("bwrap"), "--unshare-all", "--die-with-parent", "--cap-drop", "ALL", "--clearenv"]
    for name, value in environment.items():
        command += ["--setenv", name, value]
    # No /proc and no /dev but null: the program needs neither, and many containers refuse a new /proc.
    command += ["--dev-bind", "/dev/null", "/dev/null"]
    for path in readable:
        command += ["--ro-bind", str(path), str(path)]
    if writable:
        command += ["--bind", str(writable), str(writable)]
    return [*command, "--remount-ro", "/", "--chdir", "/", "--"]


def _unshare(readable: Sequence[Path], writable: Path | None, root: Path) -> list[str]:
    # An ordinary user gets the right to mount only inside a user namespace of its own.
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    namespaces = ("--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child")
    shell = ("--", "/usr/bin/env", "-i", f"PATH={SYSTEM_PATH}", "/bin/sh", "-euc", _NEW_ROOT, "sh")
    # The program is dynamic here: setpriv runs inside the new root before the untrusted one.
    folders = [str(folder) for folder in SYSTEM_FOLDERS if folder.exists() and folder not in readable]
    places = [str(root), str(writable or ""), *folders, *map(str, readable), "--"]
    return [_tool("unshare"), *user, *namespaces, *shell, *places]


def _tool(name: str) -> str:
    found = shutil.which(name, path=SYSTEM_PATH)
    if found is None:
        raise EnvironmentFaultError(f"{name} is not installed")
    return found


class _LimitError(Exception):
    """The program did not keep a limit."""


def _drain(process: subprocess.Popen[bytes], deadline: float, max_stdout: int) -> tuple[bytes, bytes]:
    """Read both pipes to their end: all of stdout up to its limit, the last part of stderr."""
    stdout, stderr = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for pipe, kept in ((process.stdout, stdout), (process.stderr, stderr)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, kept)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise _LimitError("took longer than its time limit")
            for key, _ in ready:
                _read(key, selector)
            if len(stdout) > max_stdout:
                raise _LimitError(f"wrote more than {max_stdout} bytes to its standard output")
            if len(stderr) > 2 * MAX_STDERR:
                del stderr[:-MAX_STDERR]
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise _LimitError("took longer than its time limit") from None
    return bytes(stdout), bytes(stderr[-MAX_STDERR:])


def _read(key: selectors.SelectorKey, selector: selectors.BaseSelector) -> None:
    pipe: IO[bytes] = key.fileobj  # type: ignore[assignment] # registered above, always a pipe
    chunk = os.read(pipe.fileno(), _CHUNK)
    if chunk:
        key.data.extend(chunk)
    else:
        selector.unregister(pipe)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program with everything it started; harmless when it has ended."""
    if process.poll() is None:
        _kill(process)
        process.wait()
        # Its children die a moment later; they hold the pipes, and may still write where we clean up.
        with suppress(_LimitError):
            _drain(process, time.monotonic() + END_TIMEOUT, sys.maxsize)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _refuse_signal(program: str, code: int) -> None:
    number = -code if code < 0 else code - _SIGNAL_BASE
    if number not in signal.valid_signals():
        return
    name = signal.strsignal(number) or str(number)
    hint = {
        int(signal.SIGKILL): "The machine may have run out of memory.",
        int(signal.SIGXFSZ): "It tried to write a file that is too big.",
    }.get(number, "")
    raise EnvironmentFaultError(f"{Path(program).name} was ended by a signal: {name}", hint=hint)
