"""`hullmark test` and `hullmark run` on a project whose image is started for real."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from hullmark.commands.proofs import keep_back
from hullmark.decision import SmokeResult
from hullmark.errors import Exit
from hullmark.event import SmokeTested
from hullmark.image import LINUX_AMD64, Digest
from hullmark.journal import Journal
from hullmark.outbox import Outbox, apply
from hullmark.pipeline import LOCAL, OUTBOX, Source
from hullmark.scanners.specimen import Installed, _layer_files
from hullmark.smoke import SmokeReport, read_report
from hullmark.tested import find_last
from tests.commands.project import DEBIAN, OLD, SOURCE, Project
from tests.docs.test_docs import ROOT
from tests.scanners.support import require
from tests.smoke.conftest import usable
from tests.smoke.images import small_archive

if TYPE_CHECKING:
    from pathlib import Path

SMOKE = """version = 1

[smoke]
tmpfs = ["/tmp"]
ready_within = 20

[[smoke.checks]]
name = "answers"
check = "http"
port = 8080
"""
CONFIG = """version = 1

[images.app]
reference = "app.tar"
package_types = ["debian"]
"""


ZEROS = Digest(f"sha256:{'0' * 64}")


class App:
    """A project with one image that Trivy can scan and that does a job."""

    def __init__(self, project: Project, program: bytes) -> None:
        self.project = project
        self._program = program
        (project.root / "hullmark.toml").write_text(CONFIG)
        folder = project.root / "images/app"
        folder.mkdir(parents=True)
        self.smoke = folder / "smoke.toml"
        self.smoke.write_text(SMOKE)
        self.build()
        self.database = project.database("db")

    def build(self, **config: Any) -> None:  # noqa: ANN401 - a configuration
        """Write the image anew; `config` says how it is started."""
        packages = (Installed(name="gnutls-bin", version=OLD, source=SOURCE, source_version=OLD),)
        small_archive(
            self.project.root / "app.tar", self._program, more=_layer_files(packages, DEBIAN), **config
        )

    def record(self) -> int:
        return self.project.run("run", "--record", "--db", self.database, "--engine", "bubblewrap")

    def events(self) -> list[SmokeTested]:
        journal = Journal(self.project.root / "audit-logs")
        return [event for _, event in journal.events("app") if isinstance(event, SmokeTested)]


@pytest.fixture
def app(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, program: bytes
) -> App:
    require("trivy")
    usable("bubblewrap")
    return App(Project(tmp_path / "repository", capsys, monkeypatch), program)


def test_a_passing_image_ends_with_0_and_a_report_in_its_schema(app: App) -> None:
    assert app.project.run("test", "app=app.tar", "--engine", "bubblewrap") == Exit.DONE
    assert app.project.out.splitlines()[0] == "app linux/amd64: smoke test passed, 2 checks in bubblewrap"

    file = app.project.root / "app.smoke.json"
    schema = json.loads((ROOT / "schema/smoke-report/1.json").read_text())
    jsonschema.validate(json.loads(file.read_text()), schema)
    assert read_report(file).passed == ("answers", "ends in order at its stop signal")


def test_the_report_is_kept_with_the_evidence_of_the_image(app: App) -> None:
    digest = app.project.json("test", "app=app.tar", "--engine", "bubblewrap")["reports"][0]["digest"]
    evidence = app.project.root / "app.evidence/linux-amd64"
    evidence.mkdir(parents=True)
    (evidence / "files.json").write_text(json.dumps({"digest": digest, "files": []}))

    assert app.project.run("test", "app=app.tar", "--engine", "bubblewrap") == Exit.DONE
    assert read_report(evidence / "smoke.json").result is SmokeResult.PASSED


def test_what_lies_in_a_folder_is_tested_and_what_does_not_is_left_out(app: App, tmp_path: Path) -> None:
    folder = tmp_path / "handed"
    folder.mkdir()
    command = ("test", "--built", str(folder), "--engine", "bubblewrap")
    assert (app.project.run(*command), app.project.out) == (Exit.DONE, "")
    assert app.project.run(*command, "app") == Exit.USAGE

    (folder / "app.tar").write_bytes((app.project.root / "app.tar").read_bytes())
    assert app.project.run(*command) == Exit.DONE
    assert read_report(folder / "app.smoke.json").result is SmokeResult.PASSED


def test_a_failing_image_ends_with_3_and_shows_its_last_lines(app: App) -> None:
    app.build(Cmd=["exit"])

    assert app.project.run("test", "app=app.tar", "--engine", "bubblewrap") == Exit.BLOCK
    assert r"cannot \x1b[31mread\x1b[0m its configuration" in app.project.out
    assert "\x1b" not in app.project.out


def test_a_required_test_that_does_not_run_ends_with_5_and_another_with_0(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert app.project.run("test", "app=app.tar", "--engine", "podman") == Exit.INCOMPLETE
    assert "NOT TESTED, and a test is required" in app.project.out
    assert "nothing here can run it: podman is not installed" in app.project.out

    (app.project.root / "hullmark.toml").write_text(f"{CONFIG}[smoke]\nplatforms = []\n")
    assert app.project.run("test", "app=app.tar", "--engine", "podman") == Exit.DONE
    assert "NOT TESTED\n" in app.project.out


def test_the_tests_of_another_checkout_can_be_made(app: App, tmp_path: Path) -> None:
    base = tmp_path / "base"
    (base / "images/app").mkdir(parents=True)
    (base / "hullmark.toml").write_text(CONFIG)
    (base / "images/app/smoke.toml").write_text(SMOKE.replace("8080", "8081").replace("= 20", "= 1"))

    command = ("test", "app=app.tar", "--engine", "bubblewrap")
    assert app.project.run(*command, "--tests", str(base)) == Exit.BLOCK
    assert "no connection to port 8081" in app.project.out
    assert app.project.run(*command) == Exit.DONE


def test_a_run_records_a_test_when_its_image_or_result_is_new_and_not_again(app: App) -> None:
    assert app.record() == Exit.DONE
    assert "app linux/amd64: smoke test passed, 2 checks in bubblewrap" in app.project.out
    assert app.record() == Exit.DONE
    assert [event.result for event in app.events()] == [SmokeResult.PASSED]

    app.build(Cmd=["exit"])
    assert app.record() == Exit.INCOMPLETE
    assert [event.result for event in app.events()] == [SmokeResult.PASSED, SmokeResult.FAILED]
    assert app.events()[1].detail == "answers: the image ended with exit code 7 before it was ready"
    assert app.project.run("verify") == Exit.DONE


def test_an_image_that_fails_its_test_is_not_scanned_and_the_run_says_so(app: App) -> None:
    app.build(Cmd=["exit"])
    assert app.record() == Exit.INCOMPLETE

    assert "not scanned: app linux/amd64: its smoke test failed: answers: the image ended" in app.project.out
    assert not (app.project.root / "cve-baseline/app.json").exists()
    runs = (app.project.root / "audit-logs/runs/2026-02.jsonl").read_text()
    assert "its smoke test failed: answers: the image ended with exit code 7" in runs
    assert app.project.run("verify") == Exit.DONE


def test_in_a_sample_a_test_that_does_not_run_is_said_loudly_and_recorded(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    code = app.project.run("run", "--record", "--db", app.database, "--engine", "docker")

    assert code == Exit.DONE
    assert "app linux/amd64: NOT TESTED, and a test is required: nothing here can run it" in app.project.out
    assert [event.result for event in app.events()] == [SmokeResult.NOT_RUN]


def test_with_a_real_database_a_required_test_that_does_not_run_keeps_the_image_back(tmp_path: Path) -> None:
    source = Source(image="app", platform=LINUX_AMD64, path=tmp_path)
    report = SmokeReport(
        image="app",
        platform="linux/amd64",
        digest=ZEROS,
        config=ZEROS,
        result=SmokeResult.NOT_RUN,
        required=True,
        hullmark="1",
        detail="nothing here can run it",
    )

    kept, missing = keep_back([source], [report], sample=False)
    assert kept == []
    assert missing[0].reason == "its smoke test was not run, and is required: nothing here can run it"
    assert keep_back([source], [report], sample=True) == ([source], [])


def test_tests_travel_with_the_other_facts_of_a_run(app: App, tmp_path: Path) -> None:
    assert app.project.run("run", "--db", app.database, "--engine", "bubblewrap") == Exit.DONE
    outbox = Outbox(app.project.root / LOCAL / OUTBOX)
    (digest,) = outbox.digests()

    journal = Journal(tmp_path / "published")
    at = datetime.fromisoformat(outbox.get(digest).at)
    apply(outbox, digest, journal, lambda _parcel, _sbom: (), now=at)
    last = find_last(journal, "app", "linux/amd64")
    assert last is not None
    assert last.result is SmokeResult.PASSED
    assert find_last(journal, "app", "linux/arm64") is None


def test_the_gate_blocks_an_image_that_failed_its_test_or_was_not_tested(app: App) -> None:
    gate = ("gate", "--db", app.database, "--base", "app=app.tar", "--head", "app=dist/app.tar")
    head = app.project.root / "dist/app.tar"
    head.parent.mkdir()
    head.write_bytes((app.project.root / "app.tar").read_bytes())
    test = ("test", f"app={head}", "--engine", "bubblewrap")

    assert app.project.run(*gate) == Exit.BLOCK
    assert "smoke-not-run" in app.project.out
    assert app.project.run(*test) == Exit.DONE
    assert app.project.run(*gate) != Exit.BLOCK

    app.build(Cmd=["exit"])
    head.write_bytes((app.project.root / "app.tar").read_bytes())
    assert app.project.run(*gate) == Exit.BLOCK
    assert "the report is of another image" in app.project.out
    assert app.project.run(*test) == Exit.BLOCK
    assert app.project.run(*gate) == Exit.BLOCK
    assert "smoke-failed" in app.project.out


def test_what_was_built_is_recorded_only_with_a_report_that_it_passed(app: App) -> None:
    (app.project.root / "hullmark.toml").write_text("version = 1\n[images.app]\n")
    head = app.project.root / "dist/app.tar"
    head.parent.mkdir()
    head.write_bytes((app.project.root / "app.tar").read_bytes())
    record = ("record", "--db", app.database)

    assert app.project.run(*record) == Exit.DONE  # a sample, in which "not tested" is only said
    assert "NOT TESTED, and a test is required: no report of this image and these tests" in app.project.out
    assert app.project.run("test", "--engine", "bubblewrap") == Exit.DONE
    assert app.project.run(*record) == Exit.DONE
    assert "app linux/amd64: smoke test passed, 2 checks in bubblewrap" in app.project.out

    app.smoke.write_text(SMOKE.replace("8080", "8081").replace("= 20", "= 1"))
    assert app.project.run("test", "--engine", "bubblewrap") == Exit.BLOCK
    assert app.project.run(*record) == Exit.INCOMPLETE
    assert "its smoke test failed: answers: not ready within 1 seconds" in app.project.out
    assert [event.result.value for event in app.events()] == ["not-run", "passed", "failed"]
