"""Smoke tests of a small image, in real podman and real bubblewrap."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from hullmark.decision import SmokeResult
from hullmark.smoke import Target, Way, render_report, smoke_test
from hullmark.smoke.report import Outcome
from hullmark.smoke.session import STOPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READY = """
tmpfs = ["/tmp"]
ready_within = 20

[[smoke.checks]]
name = "answers"
check = "http"
port = 8080
"""

Small = "Callable[..., Target]"


def outcomes(target: Target, way: Way) -> dict[str, Outcome]:
    return {check.name: check.outcome for check in smoke_test(target, lambda: way).checks}


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rule 4 of `session.py`: whatever happens, no process and no data of a test is left."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    yield
    assert list(scratch.iterdir()) == []
    assert [*containers(), *children()] == []


def containers() -> list[str]:
    """What podman has that is named as ours."""
    if shutil.which("podman") is None:
        return []
    found = []
    for what in (["ps", "-a", "--format", "{{.Names}}"], ["volume", "ls", "-q"], ["images"]):
        done = subprocess.run(["podman", *what], capture_output=True, text=True, check=True)
        found += [line for line in done.stdout.splitlines() if "hullmark-smoke-" in line]
    return found


def children() -> list[str]:
    """Processes that this one began, or that run the small program."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() or command.startswith(b"/usr/bin/small"):
                found.append(f"{folder.name} {command!r}")
    return found


def test_an_image_that_does_its_job_passes(small: Callable[..., Target], way: Way) -> None:
    report = smoke_test(small(READY), lambda: way)

    assert report.result is SmokeResult.PASSED
    assert report.passed == ("answers", STOPS)
    assert (report.engine, report.detail, report.log) == (way.runner.name if way.runner else "", "", ())
    assert report.digest.startswith("sha256:")


CONFINED = (
    "uid 4711 gid 4711",
    "CapPrm:\t0000000000000000",
    "CapEff:\t0000000000000000",
    "CapBnd:\t0000000000000000",
    "CapAmb:\t0000000000000000",
    "NoNewPrivs:\t1",
    "root read-only",
    "tmp writable",
    "env given",
    "file unreadable",
    "starts 1",
)


def test_it_runs_as_its_user_on_a_read_only_root_without_capabilities(
    small: Callable[..., Target], way: Way
) -> None:
    ask = '[[smoke.checks]]\nname = {0}\ncheck = "http"\nport = 8080\nanswer = {0}\n'
    checks = "".join(ask.format(msgspec.json.encode(fact).decode()) for fact in CONFINED)
    target = small(READY.replace('tmpfs = ["/tmp"]', 'tmpfs = ["/tmp"]\nenv = { SMOKE = "given" }') + checks)
    report = smoke_test(target, lambda: way)

    assert [check.detail for check in report.checks if check.outcome is not Outcome.PASSED] == []
    assert len(report.checks) == len(CONFINED) + 2


def test_its_network_has_only_a_loopback(small: Callable[..., Target], way: Way) -> None:
    ask = '[[smoke.checks]]\nname = "{0}"\ncheck = "http"\nport = 8080\nanswer = "{0}:"\n'
    found = outcomes(small(READY + ask.format("lo") + ask.format("eth0")), way)

    assert (found["lo"], found["eth0"]) == (Outcome.PASSED, Outcome.FAILED)


def test_data_outlives_a_restart_and_nothing_else(small: Callable[..., Target], way: Way) -> None:
    again = """
[[smoke.checks]]
name = "starts again"
check = "restart"

[[smoke.checks]]
name = "kept its data"
check = "http"
port = 8080
answer = "starts 2"
"""
    target = small(READY + again)

    assert set(outcomes(target, way).values()) == {Outcome.PASSED}
    assert set(outcomes(target, way).values()) == {Outcome.PASSED}  # a second test begins with empty volumes


def test_secrets_and_files_can_be_read_by_its_user(small: Callable[..., Target], way: Way) -> None:
    given = """
tmpfs = ["/tmp"]
secrets = { "/run/secrets/word" = "password" }
files = { "/srv/page.txt" = "page.txt" }

[[smoke.checks]]
name = "reads its secret"
check = "http"
port = 8080
answer = "secret 32"

[[smoke.checks]]
name = "reads its file"
check = "http"
port = 8080
answer = "file readable"
"""
    assert set(outcomes(small(given), way).values()) == {Outcome.PASSED}


def test_an_image_that_ends_before_it_is_ready_has_failed(small: Callable[..., Target], way: Way) -> None:
    report = smoke_test(small(READY, Cmd=["exit"]), lambda: way)

    assert report.result is SmokeResult.FAILED
    assert report.detail == "answers: the image ended with exit code 7 before it was ready"
    assert report.log == ("cannot \x1b[31mread\x1b[0m its configuration",)
    printed = "\n".join(render_report(report))
    assert "\x1b" not in printed
    assert r"cannot \x1b[31mread" in printed
    assert "next: " in printed


def test_an_image_that_is_not_ready_in_time_has_failed(small: Callable[..., Target], way: Way) -> None:
    report = smoke_test(small(READY.replace("= 20", "= 1"), Cmd=["silent"]), lambda: way)

    assert report.result is SmokeResult.FAILED
    assert report.detail.startswith("answers: not ready within 1 seconds: no connection to port 8080")


def test_an_image_that_does_not_end_at_its_stop_signal_has_failed_and_is_ended_hard(
    small: Callable[..., Target], way: Way
) -> None:
    report = smoke_test(small("stop_within = 1\n" + READY, Cmd=["deaf"]), lambda: way)

    assert report.result is SmokeResult.FAILED
    assert report.detail == f"{STOPS}: did not end within 1 seconds after SIGTERM"


def test_an_image_without_its_program_has_failed(small: Callable[..., Target], way: Way) -> None:
    report = smoke_test(small(READY, Entrypoint=["/usr/bin/gone"]), lambda: way)

    assert report.result is SmokeResult.FAILED
    assert any("gone" in line for line in report.log)


def test_an_image_that_dies_under_a_question_has_failed(small: Callable[..., Target], way: Way) -> None:
    die = '[[smoke.checks]]\nname = "lives"\ncheck = "http"\nport = 8080\npath = "/die"\n'
    found = outcomes(small(READY + die), way)

    assert (found["lives"], found[STOPS]) == (Outcome.FAILED, Outcome.FAILED)


def test_an_answer_that_never_comes_is_waited_for_with_a_bound(
    small: Callable[..., Target], way: Way
) -> None:
    hang = '[[smoke.checks]]\nname = "answers fast"\ncheck = "http"\nport = 8080\npath = "/hang"\n'
    report = smoke_test(small("check_within = 1\n" + READY + hang), lambda: way)

    assert report.detail == "answers fast: no answer within 1 seconds"


def test_of_a_flooded_log_only_the_end_is_kept(small: Callable[..., Target], way: Way) -> None:
    wrong = READY + '[[smoke.checks]]\nname = "wrong"\ncheck = "http"\nport = 8080\nstatus = 404\n'
    report = smoke_test(small(wrong, Cmd=["flood"]), lambda: way)

    assert report.detail.startswith("wrong: status 200, expected 404")
    assert report.log[-1] == "line 1999999 of a long log"
    assert len(report.log) == 40


def test_two_tests_at_once_do_not_meet(small: Callable[..., Target], way: Way) -> None:
    target = small(READY)
    with ThreadPoolExecutor(2) as executor:
        reports = list(executor.map(lambda _: smoke_test(target, lambda: way), range(2)))

    assert [report.result for report in reports] == [SmokeResult.PASSED] * 2


def test_what_cannot_be_run_is_not_run_and_never_passed(small: Callable[..., Target]) -> None:
    nothing = Way(runner=None, obstacles=("podman is not installed", "bubblewrap is not installed"))
    report = smoke_test(small(READY, required=True), lambda: nothing)

    assert (report.result, report.blocks) == (SmokeResult.NOT_RUN, True)
    assert report.detail == ("nothing here can run it: podman is not installed; bubblewrap is not installed")
    assert render_report(report)[0] == "small linux/amd64: NOT TESTED, and a test is required"


def test_an_image_without_a_declared_test_is_not_started(small: Callable[..., Target]) -> None:
    target = small(READY)
    (target.folder / "smoke.toml").unlink()
    report = smoke_test(target, lambda: pytest.fail("asked for a way"))

    assert (report.result, report.blocks, report.tests) == (SmokeResult.NOT_DECLARED, False, "")
