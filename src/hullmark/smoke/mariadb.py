"""A real MariaDB beside a tested image: only TLS, only on the image's loopback, only one user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hullmark.errors import EnvironmentFaultError
from hullmark.files import scratch_folder
from hullmark.sandbox import SYSTEM_PATH
from hullmark.smoke.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hullmark.build.smoke import MariaDb
    from hullmark.smoke.network import Network
    from hullmark.smoke.secrets import Secrets

PORT = 3306
INSTALL_SECONDS = 120.0
READY_SECONDS = 60.0
POLL_SECONDS = 0.05
HINT = "On Debian and Ubuntu: apt-get install mariadb-server"
_ENVIRONMENT = {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8", "HOME": "/nonexistent"}


class Server:
    """A server whose data is ready; it is started anew for each life of the image."""

    def __init__(self, program: str, folder: Path, account: str) -> None:
        self._program = program
        self._folder = folder
        self._account = account

    @contextmanager
    def running(self, network: Network) -> Iterator[None]:
        """The server in `network`, when it takes connections; ended afterwards."""
        place = self._folder
        options = {
            "datadir": place / "data",
            "socket": place / "socket",
            "pid-file": place / "pid",
            "init-file": place / "init.sql",
            "ssl-ca": place / "authority.crt",
            "ssl-cert": place / "server.crt",
            "ssl-key": place / "server.key",
            "bind-address": "127.0.0.1",
            "port": PORT,
            "require-secure-transport": "ON",
            "innodb-buffer-pool-size": "16M",
            "innodb-log-file-size": "8M",
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        # In the image's network an ordinary user may appear as root, and the server wants that said.
        user = [f"--user={self._account or 'root'}"]
        command = network.command([self._program, "--no-defaults", "--skip-name-resolve", *words, *user])
        with Program(command, _ENVIRONMENT) as program:
            _await(program, network)
            yield


def _await(program: Program, network: Network) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and not program.ends_within(POLL_SECONDS):
        try:
            with network.connect(PORT, POLL_SECONDS * 40) as made:
                if made.recv(1):
                    return
        except OSError:
            continue
    said = " ".join(line for line in program.last_lines()[-6:] if "[ERROR]" in line)
    raise EnvironmentFaultError(f"MariaDB of this machine does not start: {said or 'it says nothing'}")


@contextmanager
def prepared(declared: MariaDb, secrets: Secrets) -> Iterator[Server]:
    """A server with one database and one user, or EnvironmentFaultError when this machine has none."""
    program, install = _find("mariadbd"), _find("mariadb-install-db")
    account = _account()
    with scratch_folder() as folder:
        _write(folder, declared, secrets)
        (folder / "data").mkdir(mode=0o700)
        if os.geteuid() == 0:
            folder.chmod(0o711)
            for place in (folder / "data", *folder.iterdir()):
                shutil.chown(place, account)
            shutil.chown(folder, account)
        _install(install, folder, account)
        yield Server(program, folder, account)


def _write(folder: Path, declared: MariaDb, secrets: Secrets) -> None:
    authority, password = secrets.authority, secrets.text(declared.password)
    user = f"'{declared.user}'@'%'"
    statements = (
        f"CREATE DATABASE IF NOT EXISTS {declared.database} CHARACTER SET utf8mb4;",
        f"CREATE USER IF NOT EXISTS {user} IDENTIFIED BY '{password}' REQUIRE SSL;",
        f"GRANT ALL ON {declared.database}.* TO {user};",
    )
    files = {
        "init.sql": "\n".join(statements).encode() + b"\n",
        "authority.crt": authority.certificate,
        "server.crt": authority.server_certificate,
        "server.key": authority.server_key,
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o400)


def _install(install: str, folder: Path, account: str) -> None:
    command = [
        install,
        "--no-defaults",
        f"--datadir={folder / 'data'}",
        "--skip-test-db",
        *([f"--user={account}"] if account else []),
    ]
    command += ["--auth-root-authentication-method=normal", "--skip-name-resolve"]
    try:
        done = subprocess.run(
            command,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFaultError(f"MariaDB cannot make its data folder: {error}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
        raise EnvironmentFaultError(f"MariaDB cannot make its data folder: {said[:300]}")


def _find(name: str) -> str:
    found = shutil.which(name, path=SYSTEM_PATH)
    if found is None:
        raise EnvironmentFaultError("MariaDB is not installed on this machine", hint=HINT)
    return found


def _account() -> str:
    """Whom the server runs as when we are root: somebody else, as the image can reach the server."""
    if os.geteuid() != 0:
        return ""  # whoever we are, with a name or without one
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("mysql", "nobody", "root") if name in names)
