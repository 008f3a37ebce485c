"""The real image on an empty data folder, in a sandbox: root read-only, no capabilities, as its user."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tarfile
import tempfile
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from hullmark.build.builder import build_image
from hullmark.build.mirror import find_sources
from tests.build.conftest import required
from tests.build.layouts import layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[3]
PASSWORD = r"correct:horse\battery"
DATA = "/var/lib/postgresql/data"
NOTHING: Mapping[str, str] = {}

pytestmark = pytest.mark.network


class Container(NamedTuple):
    """The image unpacked, and what is mounted into it."""

    root: Path
    data: Path
    scripts: Path
    secrets: Path
    port: int

    def command(self, *arguments: str, user: int = 999, environ: Mapping[str, str] = NOTHING) -> list[str]:
        """What starts the image's entry point with `arguments`."""
        known = {"PGDATA": DATA, "POSTGRES_USER": "app", "POSTGRES_PASSWORD_FILE": "/run/secrets/password"}
        variables: list[str] = []
        for name, value in {**known, **environ}.items():
            variables += ["--setenv", name, value] if value else []
        own = str(user)
        return [
            *("bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--uid", own, "--gid", own),
            *("--cap-drop", "ALL", "--die-with-parent", "--as-pid-1", "--new-session", "--clearenv"),
            *variables,
            *("--ro-bind", str(self.root), "/", "--proc", "/proc", "--dev", "/dev"),
            *("--tmpfs", "/run", "--dir", "/run/postgresql", "--bind", str(self.data), DATA),
            *("--ro-bind", str(self.secrets), "/run/secrets"),
            *("--ro-bind", str(self.scripts), "/docker-entrypoint-initdb.d", "--remount-ro", "/"),
            *("/usr/bin/entrypoint", *arguments),
        ]

    def refused(self, *, user: int = 999, **environ: str) -> str:
        """What it says when it does not start."""
        command = self.command("postgres", user=user, environ=environ)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 1
        return done.stderr

    @contextmanager
    def launched(self, **environ: str) -> Iterator[Server]:
        """The server, from its first moment; it is ended when the block ends."""
        arguments = ("postgres", "-p", str(self.port), "-c", "listen_addresses=127.0.0.1")
        reader, writer = os.pipe()
        command = self.command(*arguments, environ=environ)
        command[1:1] = ["--info-fd", str(writer)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, pass_fds=[writer]) as process:
            os.close(writer)
            with os.fdopen(reader) as info:
                child = json.load(info)["child-pid"]
            server = Server(process, child, [])
            try:
                yield server
            finally:
                process.kill()  # with it goes the child
                server.read("")

    @contextmanager
    def started(self, **environ: str) -> Iterator[Server]:
        """The server, once it is ready for good."""
        with self.launched(**environ) as server:
            server.read("listening on IPv4 address")
            server.read("database system is ready to accept connections")
            yield server

    def sql(
        self, statement: str, *, password: str = PASSWORD, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Ask the server over TCP, with the image's own client."""
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "app")
        command = self.command(
            "psql", "-XAt", *where, "-c", statement, environ={"PGPASSWORD": password, **environ}
        )
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


class Server(NamedTuple):
    process: subprocess.Popen[str]
    pid: int
    said: list[str]

    def read(self, until: str) -> None:
        """Read what it says until a line holds `until`; with an empty text, to the end."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if until and until in line:
                return
        assert not until, f"ended without saying {until!r}:\n{''.join(self.said)}"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of postgres-secured."""
    required("bwrap")
    base = tmp_path_factory.mktemp("postgres")
    folder = ROOT / "images" / "postgres-secured"
    cache = ROOT / ".cache" / "debs"
    (image,) = [
        image
        for image in build_image(folder, out=base, cache=cache, sources=find_sources(os.environ))
        if image.platform.architecture == "amd64"
    ]
    with tarfile.open(fileobj=BytesIO(layer(image.path))) as tar:
        tar.extractall(base / "root", filter="tar")
    return base / "root"


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory: a new data folder is synced to disk, and what is shown here needs no disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


@pytest.fixture
def container(root: Path, tmp_path: Path, memory: Path) -> Container:
    folders = {"data": memory / "data", "scripts": tmp_path / "scripts", "secrets": tmp_path / "secrets"}
    for folder in folders.values():
        folder.mkdir()
    (folders["secrets"] / "password").write_text(PASSWORD + "\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return Container(root=root, port=port, **folders)


def test_an_empty_data_folder_is_initialised_with_page_checksums_utf8_and_scram(container: Container) -> None:
    (container.scripts / "20-second.sql").write_text("INSERT INTO t VALUES (2);\n")
    (container.scripts / "10-first.sql").write_text(
        "CREATE TABLE t (i int);\nCREATE EXTENSION pgaudit;\nCREATE DATABASE other;\n"
        "COPY t FROM stdin;\n1\n\\.\n"
    )
    with container.started():
        assert container.sql("SELECT sum(i), current_database() FROM t").stdout == "3|app\n"
        assert container.sql("SHOW data_checksums").stdout == "on\n"
        assert container.sql("SHOW server_encoding").stdout == "UTF8\n"
        assert container.sql("SELECT left(rolpassword, 14) FROM pg_authid WHERE rolname = 'app'").stdout == (
            "SCRAM-SHA-256$\n"
        )
        assert container.sql("SELECT DISTINCT auth_method FROM pg_hba_file_rules").stdout == "scram-sha-256\n"
        assert "password authentication failed" in container.sql("SELECT 1", password="wrong password").stderr
        assert 'could not execute command "id"' in container.sql("COPY t FROM PROGRAM 'id'").stderr


def test_a_password_never_reaches_the_disk_a_command_line_or_the_environment_of_the_server(
    container: Container,
) -> None:
    with container.started(POSTGRES_PASSWORD=PASSWORD, POSTGRES_PASSWORD_FILE="") as server:
        process = Path("/proc") / str(server.pid)
        environ = (process / "environ").read_bytes()
        assert b"PGDATA" in environ
        assert b"POSTGRES_PASSWORD" not in environ
        assert PASSWORD.encode() not in environ + (process / "cmdline").read_bytes()
        assert container.sql("CREATE ROLE other PASSWORD 'an other secret'").returncode == 0
        os.kill(server.pid, signal.SIGINT)
        server.read("")
    files = [path for path in container.data.rglob("*") if path.is_file()]
    assert len(files) > 500
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []
    said = "".join(server.said)
    assert PASSWORD not in said
    assert "AUDIT: SESSION" in said
    assert "an other secret" not in said


def test_while_it_initialises_nobody_can_connect(container: Container) -> None:
    """The server listens on one socket in a folder of its own."""
    (container.scripts / "look.sql").write_text(
        "\\pset format unaligned\n\\t\n"
        "SELECT 'listens: ' || current_setting('listen_addresses') || '.';\n"
        "SELECT 'sockets: ' || current_setting('unix_socket_directories');\n"
        "SELECT 'rules: ' || string_agg(type || ' ' || auth_method, ',') FROM pg_hba_file_rules;\n"
    )
    with container.started() as server:
        said = "".join(server.said)
    assert "listens: .\n" in said
    assert "sockets: /run/postgresql/first-start-" in said
    assert "rules: local scram-sha-256\n" in said


def test_a_first_start_that_did_not_finish_is_never_started_as_if_it_had(container: Container) -> None:
    script = container.scripts / "broken.sql"
    script.write_text("CREATE TABLE t (i int);\nSELECT * FROM nowhere;\n")
    said = container.refused()
    assert 'relation "nowhere" does not exist' in said
    assert f"the first start failed at broken.sql; empty {DATA} and start again\n" in said

    script.write_text("")
    assert container.refused() == (
        f"entrypoint: the first start of {DATA} did not finish; empty it and start again\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_first_start_that_is_stopped_did_not_finish(container: Container, number: int) -> None:
    (container.scripts / "long.sql").write_text("\\warn sleeping\nSELECT pg_sleep(600);\n")
    with container.launched() as server:
        server.read("sleeping")
        os.kill(server.pid, number)
        server.read("")
        server.process.wait(60)
    assert "did not finish" in container.refused()
    stopped = "entrypoint: stopped" in "".join(server.said)
    assert stopped == (number != signal.SIGKILL)


def test_it_starts_again_with_what_is_there_and_without_a_password(container: Container) -> None:
    with container.started() as server:
        container.sql("CREATE TABLE kept (i int)")
        os.kill(server.pid, signal.SIGINT)
        server.read("")
        assert server.process.wait(60) == 0
    with container.started(POSTGRES_PASSWORD_FILE=""):
        assert container.sql("SELECT count(*) FROM kept").stdout == "0\n"


def test_nothing_runs_as_uid_0(container: Container) -> None:
    assert container.refused(user=0) == (
        "entrypoint: refuses to run as root; leave the image's user as it is\n"
    )
    assert list(container.data.iterdir()) == []


def test_never_without_a_password(container: Container) -> None:
    assert "there is no way in without a password" in container.refused(POSTGRES_PASSWORD_FILE="")
    assert list(container.data.iterdir()) == []


def test_with_a_certificate_and_a_key_connections_without_tls_are_refused(container: Container) -> None:
    required("openssl")
    secrets = container.secrets
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]  # scram binds to no Ed25519 key
    command = ["openssl", "req", "-x509", *curve, "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(secrets / "key"), "-out", str(secrets / "cert")]
    subprocess.run(command, check=True, capture_output=True)
    files = {"POSTGRES_TLS_CERT_FILE": "/run/secrets/cert", "POSTGRES_TLS_KEY_FILE": "/run/secrets/key"}
    with container.started(**files):
        verified = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/run/secrets/cert"}
        version = container.sql("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()", **verified)
        assert (version.stdout, version.stderr) == ("TLSv1.3\n", "")
        assert "no encryption" in container.sql("SELECT 1", PGSSLMODE="disable").stderr
