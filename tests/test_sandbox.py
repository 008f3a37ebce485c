from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import EnvironmentFaultError, IncompleteError
from hullmark.sandbox import MAX_STDERR, SYSTEM_FOLDERS, Sandbox
from hullmark.scan import Containment
from tests.absence import absent

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEM = [folder for folder in SYSTEM_FOLDERS if folder.exists()]
BASH = "/bin/bash"
CONTAINED = (Containment.BUBBLEWRAP, Containment.UNSHARE)


@pytest.fixture(scope="session", params=CONTAINED, ids=str)
def contained(request: pytest.FixtureRequest) -> Sandbox:
    sandbox = Sandbox(request.param)
    if not sandbox.works():
        absent(f"{request.param} does not work on this machine")
    return sandbox


def shell(sandbox: Sandbox, script: str, *readable: Path, writable: Path | None = None) -> tuple[int, str]:
    ended = sandbox.run(
        [BASH, "--norc", "-c", script], readable=[*SYSTEM, *readable], writable=writable, timeout=30
    )
    return ended.code, ended.stdout.decode()


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_server_of_this_machine_is_not_reachable(contained: Sandbox, listening: int) -> None:
    connect = f"exec 3<>/dev/tcp/127.0.0.1/{listening}"
    assert shell(Sandbox(Containment.NONE), connect)[0] == 0
    assert shell(contained, connect)[0] != 0


@pytest.mark.parametrize("containment", [*CONTAINED, Containment.NONE])
def test_the_environment_is_empty(
    containment: Containment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "a token")
    monkeypatch.setenv("TRIVY_SEVERITY", "CRITICAL")
    sandbox = Sandbox(containment)
    if not sandbox.works():
        absent(f"{containment} does not work on this machine")
    ended = sandbox.run(["/usr/bin/env"], readable=SYSTEM, writable=tmp_path)
    names = {line.partition("=")[0] for line in ended.stdout.decode().splitlines()}
    assert names - {"PWD"} == {"PATH", "HOME", "TMPDIR"}

    ended = sandbox.run(["/usr/bin/env"], readable=SYSTEM, writable=tmp_path, settings={"GOGC": "off"})
    lines = {line for line in ended.stdout.decode().splitlines() if not line.startswith("PWD=")}
    assert lines == {"PATH=/usr/bin", "HOME=/nonexistent", f"TMPDIR={tmp_path}", "GOGC=off"}


def test_a_file_that_was_not_given_cannot_be_read(contained: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the secret")
    (tmp_path / "given").write_text("the input")
    code, output = shell(
        contained,
        f"cat {tmp_path}/given; cat {tmp_path}/secret /etc/passwd /proc/1/environ",
        tmp_path / "given",
    )
    assert (code, output) == (1, "the input")


def test_readable_means_read_only(contained: Sandbox, tmp_path: Path) -> None:
    database = tmp_path / "cache" / "db"
    database.mkdir(parents=True)
    (database / "trivy.db").write_text("advisories")
    script = f"echo x >{database}/trivy.db; echo x >{database}/new; rm {database}/trivy.db; echo x >/new"
    shell(contained, script, database)
    assert [path.name for path in database.iterdir()] == ["trivy.db"]
    assert (database / "trivy.db").read_text() == "advisories"
    assert not Path("/new").exists()


def test_the_writable_folder_keeps_what_was_written(contained: Sandbox, tmp_path: Path) -> None:
    assert shell(contained, f"echo report >{tmp_path}/out", writable=tmp_path)[0] == 0
    assert (tmp_path / "out").read_text() == "report\n"


def test_there_are_no_capabilities_and_none_can_be_got(contained: Sandbox, tmp_path: Path) -> None:
    _, output = shell(contained, f"setpriv --dump; mount -t tmpfs tmpfs {tmp_path} || echo refused")
    assert "no_new_privs: 1" in output
    for kind in ("Inheritable capabilities", "Ambient capabilities", "Capability bounding set"):
        assert f"{kind}: [none]" in output
    assert output.endswith("refused\n")


def test_processes_of_this_machine_are_not_reachable(contained: Sandbox) -> None:
    assert shell(contained, f"kill -0 {os.getpid()}")[0] != 0


def test_paths_with_odd_names_are_given_as_they_are(contained: Sandbox, tmp_path: Path) -> None:
    folder = tmp_path / "a 'b\n$(id) --"
    folder.mkdir()
    (folder / "-x").write_text("text")
    assert contained.run(["/bin/cat", str(folder / "-x")], readable=[*SYSTEM, folder]).stdout == b"text"


@pytest.mark.parametrize("containment", [*CONTAINED, Containment.NONE])
def test_a_program_that_takes_too_long_is_ended_with_its_children(
    containment: Containment, tmp_path: Path
) -> None:
    sandbox = Sandbox(containment)
    if not sandbox.works():
        absent(f"{containment} does not work on this machine")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    waiting = select.poll()
    waiting.register(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), select.POLLHUP)
    escape = "" if containment is Containment.NONE else "setsid"
    script = f"exec 3>{pipe}; ({escape} sleep 1000) & sleep 1000"
    with pytest.raises(EnvironmentFaultError, match="time limit"):
        sandbox.run([BASH, "-c", script], readable=SYSTEM, writable=tmp_path, timeout=0.5)
    [(_, event)] = waiting.poll(10_000)
    assert event == select.POLLHUP, "the last writer is gone"


def test_too_much_output_is_refused_and_of_long_errors_the_end_is_kept(tmp_path: Path) -> None:
    sandbox = Sandbox(Containment.NONE)
    with pytest.raises(EnvironmentFaultError, match="more than 100 bytes"):
        sandbox.run([BASH, "-c", "while :; do echo text; done"], max_stdout=100)
    ended = sandbox.run([BASH, "-c", "for i in {1..60000}; do echo $i; done >&2"])
    assert ended.stderr.endswith(b"59999\n60000\n")
    assert len(ended.stderr) == MAX_STDERR
    with pytest.raises(EnvironmentFaultError, match="signal"):
        sandbox.run([BASH, "-c", f"exec head -c 99999 /dev/zero >{tmp_path}/big"], max_file=1024)
    assert (tmp_path / "big").stat().st_size <= 1024


@pytest.mark.parametrize("containment", [Containment.BUBBLEWRAP, Containment.NONE])
def test_a_program_that_is_killed_is_a_clear_error(containment: Containment) -> None:
    sandbox = Sandbox(containment)
    if not sandbox.works():
        absent(f"{containment} does not work on this machine")
    with pytest.raises(EnvironmentFaultError, match="bash was ended by a signal: Killed"):
        sandbox.run([BASH, "-c", "kill -9 $$"], readable=SYSTEM)


def test_stop_ends_what_other_threads_wait_for(tmp_path: Path) -> None:
    sandbox = Sandbox(Containment.NONE)
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(sandbox.run, [BASH, "-c", f"echo >{tmp_path}/pipe; sleep 1000"])
        (tmp_path / "pipe").read_text()
        sandbox.stop()
        with pytest.raises(EnvironmentFaultError, match="stopped"):
            running.result()
    with pytest.raises(EnvironmentFaultError, match="stopped"):
        sandbox.run(["/bin/true"])


def test_an_interrupt_ends_the_program(tmp_path: Path) -> None:
    """Ctrl-C in our process: the contained program does not stay behind."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = (
        "from hullmark.sandbox import Sandbox; from hullmark.scan import Containment\n"
        f"Sandbox(Containment.NONE).run(['{BASH}', '-c', 'exec 3<>{pipe}; echo >&3; sleep 1000'])"
    )
    with (
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as process,
        pipe.open("rb") as reader,
    ):
        reader.read(1)
        process.send_signal(signal.SIGINT)
        process.wait()
        assert reader.read() == b"", "the end of file comes when the last writer is gone"


def test_nothing_works_without_the_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hullmark.sandbox.SYSTEM_PATH", "/nonexistent")
    assert Sandbox.find().containment is Containment.NONE
    with pytest.raises(IncompleteError, match="required"):
        Sandbox.find(required=True)


def test_a_missing_program_or_input_is_named(tmp_path: Path) -> None:
    sandbox = Sandbox(Containment.NONE)
    with pytest.raises(EnvironmentFaultError, match="missing does not exist, or is out of reach"):
        sandbox.run([str(tmp_path / "missing")])
    with pytest.raises(EnvironmentFaultError, match="gone does not exist"):
        sandbox.run(["/bin/true"], readable=[tmp_path / "gone"])


def test_a_disk_that_cannot_be_written_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc/none")
    with pytest.raises(EnvironmentFaultError, match="cannot write /proc/none"):
        Sandbox(Containment.NONE).run(["/bin/true"])
