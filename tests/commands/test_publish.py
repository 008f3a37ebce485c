"""`hullmark record --local` and `hullmark publish` with real Trivy, real git and a real remote."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import Exit
from hullmark.journal import Journal
from hullmark.verification import verify_history
from tests.commands.project import CONFIG, FIXED, Project
from tests.remotes import clone, make_remote, run_git
from tests.scanners.support import require

if TYPE_CHECKING:
    from pathlib import Path


class Published(Project):
    """A clone of a repository with a remote, worked on through the command line."""

    def journal(self, folder: Path) -> Journal:
        """What the publish branch holds, in a fresh clone."""
        clone(self.root.parent / "remote.git", folder)
        run_git(folder, "checkout", "-q", "hullmark-data")
        return Journal(folder / "audit-logs")


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Published:
    require("trivy")
    bare = make_remote(tmp_path, {"hullmark.toml": CONFIG, ".gitignore": ".hullmark/\n"})
    return Published(clone(bare, tmp_path / "repository"), capsys, monkeypatch)


def test_local_runs_are_published_with_their_causes_and_the_summary(
    project: Published, tmp_path: Path
) -> None:
    earlier = project.database("earlier", until=date(2026, 2, 1))
    assert project.run("record", "--local", "--db", earlier, f"app={project.image('old.tar')}") == Exit.DONE
    assert not (project.root / "audit-logs").exists()
    assert project.run("publish", "--summary") == Exit.DONE
    assert "app linux/amd64: 1 vulnerability introduced, 0 resolved, 0 changed" in project.out
    assert "to origin/hullmark-data as" in project.out

    project.at("2026-06-02T09:00:00+00:00")
    today = project.database("today")
    image = project.image("new.tar", version=FIXED)
    assert project.run("publish", "--fetch") == Exit.DONE
    assert project.run("record", "--local", "--db", today, f"app={image}") == Exit.DONE
    # The scan matched the published SBOM with its own database: no scanner is needed to publish.
    assert project.run("publish", "--summary", "--trivy", "/nonexistent") == Exit.DONE, project.err
    assert "app linux/amd64: 1 vulnerability introduced, 1 resolved, 0 changed" in project.out

    journal = project.journal(tmp_path / "check")
    scan = journal.timelines("app")["linux/amd64"].latest.event
    assert [(change.id, change.cause.value) for change in scan.introduced] == [("CVE-2026-2", "database")]
    assert [(change.id, change.cause.value) for change in scan.resolved] == [("CVE-2026-1", "image")]
    assert verify_history(journal).ok
    summary = json.loads((tmp_path / "check/docs/data/security-summary.json").read_text())
    assert [point["high"] for point in summary["trend"]] == [2, 0]


def test_an_image_that_somebody_else_published_meanwhile_is_matched_while_publishing(
    project: Published, tmp_path: Path
) -> None:
    earlier, today = project.database("earlier", until=date(2026, 2, 1)), project.database("today")
    project.run("record", "--local", "--db", earlier, f"app={project.image('old.tar')}")
    project.run("publish")
    image = project.image("new.tar", version=FIXED)
    project.run("record", "--local", "--db", today, f"app={image}")

    assert project.run("publish", "--db", earlier) == Exit.INCOMPLETE
    assert "can only be told with the scanner and database of that scan" in project.out
    assert project.run("publish", "--db", today) == Exit.DONE

    scan = project.journal(tmp_path / "check").timelines("app")["linux/amd64"].latest.event
    assert [change.cause.value for change in scan.introduced] == ["database"]


def test_the_whole_pipeline_without_record_waits_for_publishing(project: Published) -> None:
    (project.root / "hullmark.toml").write_text(CONFIG)
    (project.root / "images/app").mkdir(parents=True)

    # Nothing can be built here: that, too, is a fact of the run.
    assert project.run("run", "--db", project.database("db")) == Exit.INCOMPLETE
    assert project.run("publish", "--dry-run") == Exit.DONE
    assert "would push" in project.out
    assert project.json("publish")["published"][0]["scans"] == []
    assert project.json("publish")["after"] is None


@pytest.mark.parametrize("option", ["--summary", "--dry-run"])
def test_fetching_publishes_nothing(project: Published, option: str) -> None:
    assert project.run("publish", "--fetch", option) == Exit.USAGE
    assert "--fetch publishes nothing" in project.err


def test_without_a_remote_the_error_says_what_to_do(project: Published) -> None:
    run_git(project.root, "remote", "remove", "origin")

    assert project.run("publish") == Exit.ERROR
    assert "no remote 'origin'" in project.err


def test_a_history_that_was_rewritten_ends_with_3(project: Published) -> None:
    project.run("record", "--local", "--db", project.database("db"), f"app={project.image('app.tar')}")
    project.run("publish")
    run_git(project.root, "push", "-q", "origin", ":hullmark-data")

    assert project.run("publish", "--fetch") == Exit.BLOCK
    assert "does not exist any more" in project.err
