"""Other people's tools: a Dockerfile built, or a reference fetched, into an archive that is then read by us.

Docker (when its daemon answers), buildah and podman build; the same and skopeo fetch. What they are given:
absolute paths, arguments as a list, the environment variables of `PASSED` and no other (no token reaches a
build), a time limit, and an end together with their children. What they leave is believed only after
`archive.py` has read it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import EnvironmentFaultError, InputError, NetworkError, UsageError
from hullmark.files import explained, temporary_folder
from hullmark.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hullmark.image import Platform

DOCKERFILE = "Dockerfile"
BUILD_SECONDS = 3600
FETCH_SECONDS = 1800
ASK_SECONDS = 30
LOG_TAIL = 2000

PASSED = frozenset(
    {
        *("PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"),
        *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"),
        *("BUILDAH_ISOLATION", "CONTAINERS_CONF", "CONTAINERS_REGISTRIES_CONF", "CONTAINERS_STORAGE_CONF"),
        *("REGISTRY_AUTH_FILE", "SSL_CERT_DIR", "SSL_CERT_FILE", "STORAGE_DRIVER"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    }
)

_REFERENCE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._/:@-]{0,511}")
_HINTS = (
    (
        re.compile(r"RLIMIT_NOFILE|cgroup|newuidmap|/proc/sys", re.IGNORECASE),
        "This machine restricts containers; BUILDAH_ISOLATION=chroot may help.",
    ),
    (re.compile(r"policy\.json"), "The package golang-github-containers-common brings this file."),
    (re.compile(r"unauthorized|denied", re.IGNORECASE), "Log in to the registry with your engine first."),
    (re.compile(r"no space left", re.IGNORECASE), "Free some space and run again."),
)


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """A program that builds images."""

    name: str
    program: str


def find_engines(environ: Mapping[str, str]) -> Iterator[Engine]:
    """The engines that work on this machine, in order of preference."""
    for name in ("docker", "buildah", "podman"):
        program = shutil.which(name, path=environ.get("PATH"))
        if program is None:
            continue
        asked = [program, "version", "--format", "{{.Server.Version}}"]
        if name == "docker" and not _succeeds(asked, environ):
            continue  # the client alone builds nothing
        yield Engine(name=name, program=program)


def build_dockerfile(
    folder: Path,
    *,
    archive: Path,
    name: str,
    environ: Mapping[str, str],
    progress: Progress | None = None,
) -> Engine:
    """Build `folder/Dockerfile` into the docker-archive `archive`; which engine did it."""
    dockerfile = folder.absolute() / DOCKERFILE
    if not dockerfile.is_file():
        raise InputError("is missing", file=dockerfile)
    engine = next(find_engines(environ), None)
    if engine is None:
        raise EnvironmentFaultError(
            f"building {dockerfile} needs docker with its daemon, buildah or podman",
            hint="On Debian and Ubuntu: apt-get install buildah",
        )
    (progress or Silent()).say(f"building {name} with {engine.name}")
    tag = tag_of(name)
    # Only the format "docker" keeps a HEALTHCHECK.
    form = [] if engine.name == "docker" else ["--format", "docker"]
    command = [
        engine.program,
        "build",
        *form,
        "--tag",
        tag,
        "--file",
        str(dockerfile),
        str(dockerfile.parent),
    ]
    _run(command, environ, BUILD_SECONDS, f"{engine.name} could not build {dockerfile}")
    _save(engine, tag, archive, environ)
    return engine


def load_archive(archive: Path, *, environ: Mapping[str, str]) -> None:
    """Give the docker-archive `archive`, with its name, to the engine that builds Dockerfiles here.

    Without an engine nothing is done: what would be built from it says so then.
    """
    engine = next(find_engines(environ), None)
    if engine is None:
        return
    if engine.name == "buildah":
        command = [engine.program, "pull", f"docker-archive:{archive.absolute()}"]
    else:
        command = [engine.program, "load", "--input", str(archive.absolute())]
    _run(command, environ, FETCH_SECONDS, f"{engine.name} could not load {archive}")


def tag_of(name: str) -> str:
    """What an image of the repository is called in the engine: a Dockerfile may say `FROM` it."""
    return f"localhost/hullmark/{name}:build"


def fetch_reference(
    reference: str,
    *,
    archive: Path,
    environ: Mapping[str, str],
    platform: Platform | None = None,
    progress: Progress | None = None,
) -> str:
    """Fetch the image `reference` into the docker-archive `archive`; the name of the program that did it.

    A local engine that has the image gives it; otherwise its registry is asked, by skopeo or an engine.
    """
    if not _REFERENCE.fullmatch(reference):
        raise UsageError(
            f"{reference!r} is neither a file nor an image reference",
            hint="Expected for example registry.example/team/app:1.2 or a file that `docker save` wrote.",
        )
    progress = progress or Silent()
    engines = list(find_engines(environ))
    for engine in engines:
        if platform is None and _succeeds(_has(engine, reference), environ):
            progress.say(f"taking {reference} from {engine.name}")
            _save(engine, reference, archive, environ)
            return engine.name
    skopeo = shutil.which("skopeo", path=environ.get("PATH"))
    if skopeo is not None:
        progress.say(f"fetching {reference} with skopeo")
        _skopeo(skopeo, reference, archive, environ, platform)
        return "skopeo"
    for engine in engines:
        progress.say(f"fetching {reference} with {engine.name}")
        wanted = ["--platform", str(platform)] if platform else []
        what = f"{engine.name} could not fetch {reference}"
        _run([engine.program, "pull", *wanted, reference], environ, FETCH_SECONDS, what, NetworkError)
        _save(engine, reference, archive, environ)
        return engine.name
    raise EnvironmentFaultError(
        f"fetching {reference} needs skopeo, or docker with its daemon, buildah or podman",
        hint="On Debian and Ubuntu: apt-get install skopeo",
    )


def _has(engine: Engine, reference: str) -> list[str]:
    if engine.name == "buildah":
        return [engine.program, "inspect", "--type", "image", reference]
    return [engine.program, "image", "inspect", reference]


def _skopeo(
    skopeo: str, reference: str, archive: Path, environ: Mapping[str, str], platform: Platform | None
) -> None:
    wanted = []
    if platform:
        wanted = ["--override-os", platform.os, "--override-arch", platform.architecture]
        wanted += ["--override-variant", platform.variant] if platform.variant else []
    with _new_archive(archive) as temporary:
        command = [skopeo, *wanted, "copy", "--retry-times", "2", f"docker://{reference}"]
        what = f"skopeo could not fetch {reference}"
        _run([*command, f"docker-archive:{temporary}"], environ, FETCH_SECONDS, what, NetworkError)


def _save(engine: Engine, reference: str, archive: Path, environ: Mapping[str, str]) -> None:
    with _new_archive(archive) as temporary:
        match engine.name:
            case "docker":
                command = ["save", "--output", str(temporary), reference]
            case "podman":
                command = ["save", "--format", "docker-archive", "--output", str(temporary), reference]
            case _:
                command = ["push", reference, f"docker-archive:{temporary}"]
        what = f"{engine.name} could not save {reference}"
        _run([engine.program, *command], environ, FETCH_SECONDS, what)


@contextmanager
def _new_archive(archive: Path) -> Iterator[Path]:
    """A file name that does not exist yet; what is written there takes the archive's place when all is well.

    The name is of our own making: skopeo and buildah would split a path at a colon.
    """
    archive = archive.absolute()
    with explained(archive):
        archive.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(archive.parent, ".archive-") as folder:
        if ":" in str(folder):
            raise InputError("a path with a colon cannot be given to an engine", file=archive)
        yield folder / "image.tar"
        with explained(archive):
            (folder / "image.tar").replace(archive)


def _succeeds(command: Sequence[str], environ: Mapping[str, str]) -> bool:
    try:
        _run(command, environ, ASK_SECONDS, "")
    except EnvironmentFaultError:
        return False
    return True


def _run(
    command: Sequence[str],
    environ: Mapping[str, str],
    seconds: float,
    what: str,
    fault: type[EnvironmentFaultError | NetworkError] = EnvironmentFaultError,
) -> None:
    """Run `command` to its end, or raise `fault` with `what` and the last line it said."""
    passed = {name: value for name, value in environ.items() if name in PASSED} | {"LANG": "C.UTF-8"}
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                command,
                env=passed,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise EnvironmentFaultError(f"cannot run {command[0]}: {error.strerror}") from error
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise fault(f"{what}: not done after {seconds:.0f} seconds") from error
        finally:
            with suppress(ProcessLookupError):  # its children too; on Ctrl-C as well
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if code != 0:
            said = _tail(log.fileno())
            hint = next((hint for pattern, hint in _HINTS if pattern.search(said)), "")
            last = said.strip().rsplit("\n", 1)[-1]
            raise fault(f"{what}: {last or f'exit code {code}'}", hint=hint)


def _tail(handle: int) -> str:
    size = os.fstat(handle).st_size
    return os.pread(handle, LOG_TAIL, max(0, size - LOG_TAIL)).decode(errors="replace")
