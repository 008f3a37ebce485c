"""Fetching a vulnerability database: the only step of a scan that uses the network.

Trivy downloads it itself, so that no OCI client of our own is needed. This is the one place where the
scanner runs uncontained: with an environment of proxy and certificate variables only, no token, no home.

Rules:
- Repositories are tried in their order; the next one only after 429, 5xx, a timeout or no connection. Any
  other answer (unknown, forbidden, a wrong certificate) ends the update: a mistake or an attack.
- No repository configured means Trivy's own.
- Plain HTTP is allowed for loopback only. Trivy would accept it from private addresses too: they are refused.
- What was fetched is checked before it replaces anything. It never replaces a newer real database.
"""

from __future__ import annotations

import ipaddress
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hullmark.errors import EnvironmentFaultError, InputError, NetworkError, UsageError
from hullmark.scanners import database
from hullmark.scanners.database import JAVA_FILE, PLACES, Held
from hullmark.scanners.sample import DATABASE_FILE, METADATA_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TIMEOUT = 900
_GRACE = 30
_MAX_OUTPUT = 64 * 1024
_PASSED_ON = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),
)
_REPOSITORY = re.compile(
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*)(?::[0-9]{1,5})?"
    r"(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+(?::[\w][\w.-]{0,127}|@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
_TEMPORARY = re.compile(
    r"status code (?:429|408|5[0-9][0-9])|TOOMANYREQUESTS|timeout|timed out|deadline exceeded"
    r"|connection refused|connection reset|no such host|network is unreachable|no route to host"
    r"|temporary failure|unexpected EOF",
    re.IGNORECASE,
)
# What Trivy says before the cause: its own steps, and with loopback the attempt over HTTPS.
_WRAPPING = re.compile(r'^.*failed to download artifact from [^ ]+: |^Get "https://[^"]*": [^;]*; ')
_DISK_FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where databases come from."""

    trivy: Path
    """A scanner that was identified as one that may run."""
    repositories: tuple[str, ...] = ()
    """Tried in this order; empty for Trivy's own."""
    java_repositories: tuple[str, ...] = ()
    timeout: int = TIMEOUT
    """Seconds for each attempt."""


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """What an update did."""

    held: Held
    changed: bool
    """False when what is offered is not newer than what is there."""
    source: str
    """The repository that answered; empty for Trivy's own."""


def update(
    folder: Path,
    source: Source,
    *,
    java: bool = False,
    environment: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda _: None,
    cache: Path | None = None,
) -> Update:
    """Fetch the newest database into `folder`; a failure leaves what is there untouched."""
    for repository in (*source.repositories, *source.java_repositories):
        check_repository(repository)
    variables = os.environ if environment is None else environment
    passed = {name: variables[name] for name in _PASSED_ON if name in variables}
    with database.staging(folder) as staged:
        session = _Session(source, staged, passed, say)
        answered = _fetch(session, DATABASE_FILE, source.repositories)
        if java:
            _fetch(session, JAVA_FILE, source.java_repositories)
        changed = _is_wanted(folder, database.inspect(staged), java=java)
        if changed:
            database.install(staged, folder)
    return Update(held=database.inspect(folder, cache=cache), changed=changed, source=answered)


def _is_wanted(folder: Path, fetched: Held, *, java: bool) -> bool:
    """Whether `fetched` is newer than what is there, or there is none, a damaged one or a sample."""
    try:
        present = database.inspect(folder)
    except InputError:
        return True
    if present.database.sample or (java and present.java_updated_at < fetched.java_updated_at):
        return True
    return present.database.updated_at < fetched.database.updated_at


def check_repository(text: str) -> None:
    """Raise UsageError when `text` is not a repository that is safe to ask."""
    match = _REPOSITORY.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a repository", hint="Expected host[:port]/path[:tag].")
    host = match["host"].lower()
    if is_loopback(host):
        return
    # go-containerregistry falls back to plain HTTP for these (pkg/name/registry.go, Scheme).
    plain = host.endswith((".local", ".localhost")) or "127.0.0.1" in host or _is_private(host)
    if plain:
        raise UsageError(
            f"{text!r} could be asked over plain HTTP, which is allowed for loopback only",
            hint="Use its full host name with HTTPS, or `hullmark db import` for a file.",
        )


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_private(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


class _Session(NamedTuple):
    source: Source
    staged: Path
    environment: Mapping[str, str]
    say: Callable[[str], None]


def _fetch(session: _Session, name: str, repositories: Sequence[str]) -> str:
    """Download the database file `name`; returns the repository that answered."""
    source, staged, environment, say = session
    refused: list[str] = []
    for repository in repositories or ("",):
        where = repository or "Trivy's own repositories"
        say(f"downloading {name} from {where}")
        output = _run(_command(source, repository, name, staged), staged, source.timeout, environment)
        if output is None:
            if not (staged / PLACES[name] / METADATA_FILE).exists():
                raise NetworkError(f"{where} answered, but {name} did not arrive")
            return repository
        reason = _reason(output)
        if _DISK_FULL.search(output):
            raise EnvironmentFaultError(f"no space left to download {name} to {staged.parent}")
        if not _TEMPORARY.search(output):
            raise NetworkError(f"cannot download {name} from {where}: {reason}")
        say(f"{where} cannot be used now: {reason}")
        refused.append(f"{where} ({reason})")
    raise NetworkError(
        f"cannot download {name}: {'; '.join(refused)}",
        hint="Try again later, or fetch it elsewhere and use `hullmark db import FILE`.",
    )


def _command(source: Source, repository: str, name: str, staged: Path) -> list[str]:
    kind = "java-db" if name == JAVA_FILE else "db"
    command = [str(source.trivy), "image", f"--download-{kind}-only", "--cache-dir", str(staged)]
    command += ["--config=", "--no-progress", "--skip-version-check", "--disable-telemetry"]
    command += ["--timeout", f"{source.timeout}s"]
    if repository:
        command += [f"--{kind}-repository", repository]
    return command


def _run(command: list[str], staged: Path, timeout: int, environment: Mapping[str, str]) -> str | None:
    """Run `command`; None when it succeeded, else the end of what it said."""
    minimal = {"PATH": "/usr/bin:/bin", "HOME": str(staged), "TMPDIR": str(staged), **environment}
    with (staged / "output").open("w+b") as output:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=minimal,
                cwd=staged,
                start_new_session=True,
            )
        except OSError as error:
            raise EnvironmentFaultError(f"cannot run {command[0]}: {error.strerror}") from error
        try:
            code = child.wait(timeout + _GRACE)
        except subprocess.TimeoutExpired:
            _kill(child)
            return f"timeout after {timeout} seconds"
        except BaseException:
            _kill(child)
            raise
        if code == 0:
            return None
        output.seek(max(0, output.seek(0, os.SEEK_END) - _MAX_OUTPUT))
        return output.read().decode(errors="replace")


def _kill(child: subprocess.Popen[bytes]) -> None:
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _reason(output: str) -> str:
    """The last thing Trivy says is the cause; the lines before it only repeat where it happened."""
    lines = [line.strip().removeprefix("* ") for line in output.splitlines() if line.strip()]
    return _WRAPPING.sub("", lines[-1])[:300] if lines else "no output"
