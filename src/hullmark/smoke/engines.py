"""An image run by podman or docker: loaded, created, started, stopped and removed again.

The engine gets the archive that was built, and reads the image's configuration itself. Volumes are the
engine's own, so that they begin with what the image has in their places, owner and mode included. What an
engine is given of our environment is what it gets for building: `engine.PASSED`.
"""

from __future__ import annotations

import io
import os
import resource
import secrets
import shutil
import subprocess
import tarfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hullmark.build.engine import PASSED
from hullmark.build.saved import save_archive, save_empty
from hullmark.errors import EnvironmentFaultError
from hullmark.files import scratch_folder
from hullmark.sandbox import SYSTEM_FOLDERS
from hullmark.smoke.box import PIDS, TMPFS_BYTES, Setting
from hullmark.smoke.content import find_user
from hullmark.smoke.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LOAD_SECONDS = 300.0
ASK_SECONDS = 60.0
POLL_SECONDS = 0.02
REMOVALS = 20
MAX_PROCESSES = 32_768
_LIMITED = (
    *("--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--network", "none"),
    *("--pids-limit", str(PIDS), "--ulimit", "nofile=4096:4096", "--log-driver", "none", "--no-healthcheck"),
)


class Engine:
    """Runs images by podman or docker."""

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self.name = name
        self._environ = {key: value for key, value in environ.items() if key in PASSED} | {"LANG": "C.UTF-8"}
        self._program = shutil.which(name, path=environ.get("PATH"))

    def obstacle(self) -> str:
        """Why it does not work here: no program, no daemon, or no way into its networks."""
        if self._program is None:
            return f"{self.name} is not installed"
        if self.name == "docker" and os.geteuid() != 0:
            return "only root can enter the networks of docker's containers"
        form = "{{.Server.Version}}" if self.name == "docker" else "{{.Version.Version}}"
        verb = "version" if self.name == "docker" else "info"
        try:
            self.ask(verb, "--format", form)
            return self._try_out()
        except EnvironmentFaultError as error:
            return error.message

    def _try_out(self) -> str:
        """Run a trivial program of this machine in an empty image, confined as a tested image is."""
        name = f"hullmark-smoke-{secrets.token_hex(8)}"
        image = f"localhost/{name}:test"
        shared = [
            word for each in SYSTEM_FOLDERS if each.exists() for word in ("--volume", f"{each}:{each}:ro")
        ]
        try:
            with scratch_folder() as folder:
                save_empty(folder / "image.tar", tag=image)
                self.ask("load", "--quiet", "--input", str(folder / "image.tar"), seconds=LOAD_SECONDS)
            self.ask("create", "--name", name, *self._limits(), *shared, image, "/usr/bin/true")
            self.ask("start", "--attach", name)
        finally:
            self._remove(name, image, 0)
        return ""

    @contextmanager
    def open(self, setting: Setting) -> Iterator[_Box]:
        """Load the image and create its container, with its volumes and files."""
        name = f"hullmark-smoke-{secrets.token_hex(8)}"
        image = f"localhost/{name}:test"
        try:
            with scratch_folder() as folder:
                content = setting.content
                save_archive(content.path, content.image, folder / "image.tar", tag=image)
                self.ask("load", "--quiet", "--input", str(folder / "image.tar"), seconds=LOAD_SECONDS)
            box = _Box(self, name)
            self.ask("create", "--name", name, *self._options(setting, name), image, *setting.arguments)
            for path, data in setting.files.items():
                self._put(setting, name, path, data)
            yield box
        finally:
            self._remove(name, image, len(setting.folders))

    def _options(self, setting: Setting, name: str) -> list[str]:
        options = self._limits()
        for path in setting.tmpfs:
            options += ["--tmpfs", f"{path}:rw,size={TMPFS_BYTES},mode=1777"]
        for number, path in enumerate(setting.folders):
            options += ["--volume", f"{name}-{number}:{path}"]
        for key, value in setting.env.items():
            options += ["--env", f"{key}={value}"]
        return options

    def _limits(self) -> list[str]:
        """What holds for every container of ours."""
        # Engines ask for more processes than a restricted machine may give.
        allowed = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        processes = MAX_PROCESSES if allowed < 0 else min(MAX_PROCESSES, allowed)
        own = ["--read-only-tmpfs=false", "--image-volume", "ignore"] if self.name == "podman" else []
        return [*_LIMITED, "--ulimit", f"nproc={processes}:{processes}", *own]

    def _put(self, setting: Setting, name: str, path: str, data: bytes) -> None:
        """Put a file that only the image's user can read into the volume that holds it."""
        folder, _, file = path.rpartition("/")
        user = find_user(setting.content)
        member = tarfile.TarInfo(file)
        member.size, member.mode, member.uid, member.gid = len(data), 0o400, user.uid, user.gid
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.addfile(member, io.BytesIO(data))
        self.ask("cp", "-", f"{name}:{folder}", given=archive.getvalue())

    def _remove(self, name: str, image: str, volumes: int) -> None:
        """Remove whatever was made, as far as it was."""
        self._try("rm", "--force", name)
        if volumes:
            self._try("volume", "rm", "--force", *(f"{name}-{number}" for number in range(volumes)))
        # Another test at the same time may use the same image under its own name for a moment.
        for _ in range(REMOVALS):
            if self._try("rmi", image) or not self._try("image", "inspect", image):
                return

    def _try(self, *words: str) -> bool:
        """Ask for something that may have been done already; whether it was done now."""
        return self._run(words, ASK_SECONDS, b"").returncode == 0

    def ask(self, *words: str, seconds: float = ASK_SECONDS, given: bytes = b"") -> str:
        """Run the engine to its end and return what it said, or EnvironmentFaultError with its last line."""
        done = self._run(words, seconds, given)
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
            reason = said[:300] or f"exit code {done.returncode}"
            raise EnvironmentFaultError(f"{self.name} {words[0]}: {reason}")
        return done.stdout.decode("utf-8", "replace").strip()

    def _run(self, words: Sequence[str], seconds: float, given: bytes) -> subprocess.CompletedProcess[bytes]:
        command = [self._program or self.name, *words]
        try:
            return subprocess.run(
                command,
                env=self._environ,
                input=given,
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise EnvironmentFaultError(
                f"{self.name} {words[0]} was not done after {seconds:.0f} s"
            ) from error
        except OSError as error:
            raise EnvironmentFaultError(f"cannot run {self.name}: {error.strerror}") from error

    def start(self, name: str) -> Program:
        """Start the container `name`, attached to its output."""
        return Program([self._program or self.name, "start", "--attach", name], self._environ)


class _Box:
    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name

    @property
    def door_prefix(self) -> Sequence[str]:
        """An ordinary user's podman keeps its networks in a user namespace of its own."""
        return ("podman", "unshare") if self._engine.name == "podman" and os.geteuid() != 0 else ()

    def start(self) -> Program:
        return self._engine.start(self._name)

    def find_pid(self, program: Program, seconds: float) -> int:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pid = int(self._engine.ask("inspect", "--format", "{{.State.Pid}}", self._name) or 0)
            if pid or program.ends_within(POLL_SECONDS):
                return pid
        return 0

    def signal(self, name: str) -> None:
        self._engine._try("kill", "--signal", name, self._name)  # noqa: SLF001 - of the same module
