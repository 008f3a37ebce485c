"""`hullmark rescan` and images that could not be built, through the command line and with real Trivy."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

from hullmark.errors import Exit
from hullmark.journal import Journal
from hullmark.scan import System

if TYPE_CHECKING:
    from pathlib import Path

    from tests.commands.project import Project


def test_what_was_disclosed_since_is_found_without_the_image(project: Project) -> None:
    image = project.image("app.tar")
    earlier = project.database("earlier", until=date(2026, 2, 1))
    project.run("record", "--db", earlier, f"app={image}")
    (project.root / image).unlink()
    project.at("2026-06-02T09:00:00+00:00")

    assert project.run("rescan", "--db", project.database("today")) == Exit.DONE

    assert "1 vulnerability introduced, 0 resolved, 0 changed" in project.out
    scans = Journal(project.root / "audit-logs").timelines("app")["linux/amd64"].scans
    assert [change.cause.value for change in scans[1].event.introduced] == ["database"]
    assert scans[1].digest == scans[0].digest
    assert scans[1].event.coverage is None
    assert project.run("verify") == Exit.DONE


def test_a_rescan_with_nothing_new_says_so_and_is_one_short_line(project: Project) -> None:
    database = project.database("db")
    project.run("record", "--db", database, f"app={project.image('app.tar')}")

    assert project.run("rescan", "--db", database, "app") == Exit.DONE

    assert "nothing changed" in project.out
    (*_, last) = (project.root / "audit-logs/app/2026-02.jsonl").read_bytes().splitlines()
    assert len(last) < 250


def test_what_the_image_scan_could_not_see_is_not_seen_by_its_sbom_either(project: Project) -> None:
    database = project.database("db")
    (project.root / "hullmark.toml").write_text('version = 1\n[images.app]\npackage_types = ["jar"]\n')
    image = project.image("app.tar", system=System("debian", "99.1"))
    assert project.run("record", "--db", database, f"app={image}") == Exit.INCOMPLETE
    (project.root / "hullmark.toml").write_text("version = 1\n[images.app]\n")

    assert project.run("rescan", "--db", database) == Exit.INCOMPLETE

    assert "nothing changed" in project.out
    assert "not covered: app: missing-type" in project.out
    assert "not covered: app: unknown-system" in project.out


def test_an_image_that_was_never_recorded_is_missing_and_keeps_no_other_back(project: Project) -> None:
    database = project.database("db")
    project.run("record", "--db", database, f"app={project.image('app.tar')}")
    (project.root / "hullmark.toml").write_text("version = 1\n[images.app]\n[images.new]\n")

    assert project.run("rescan", "--db", database) == Exit.INCOMPLETE

    assert "not scanned: new linux/amd64: new linux/amd64: was never recorded" in project.out
    assert "app linux/amd64: 1 high, 1 medium; nothing changed" in project.out
    assert project.run("rescan", "--local", "--db", database) == Exit.INCOMPLETE
    assert "not scanned: app linux/amd64" in project.out


def test_an_image_that_cannot_be_built_is_recorded_with_its_reason_and_keeps_no_other_back(
    project: Project,
) -> None:
    (project.root / "hullmark.toml").write_text("version = 1\n[images.app]\n[images.broken]\n")
    (project.root / "images/broken").mkdir(parents=True)
    (project.root / "images/app").mkdir(parents=True)

    assert project.run("build") == Exit.ERROR
    assert project.run("build", "--keep-going") == Exit.INCOMPLETE
    assert "not built: broken: " in project.out
    assert set(project.json("build", "--keep-going", code=5)["failed"]) == {"app", "broken"}
    built(project.root / "dist", project)
    code = project.run("record", "--db", project.database("db"))

    assert code == Exit.INCOMPLETE
    assert "not scanned: broken linux/amd64: it was not built: " in project.out
    assert "app linux/amd64: 1 high, 1 medium" in project.out
    assert project.run("verify") == Exit.DONE


def test_nothing_is_built_on_a_base_that_could_not_be_built(project: Project) -> None:
    """An engine may still have an older one under its name."""
    (project.root / "hullmark.toml").write_text("version = 1\n[images.app]\n[images.base]\n")
    for name, text in (("app", "FROM localhost/hullmark/base:build\n"), ("base", "FROM\n")):
        folder = project.root / "images" / name
        folder.mkdir(parents=True)
        (folder / "Dockerfile").write_text(text)

    failed = project.json("build", "app", "--keep-going", code=5)["failed"]

    assert set(failed) == {"base", "app"}
    assert "base, which it is built from, was not built" in failed["app"]


def built(out: Path, project: Project) -> None:
    """What a build of `app` leaves."""
    failure = out / "app.failed.json"
    assert json.loads(failure.read_text())["version"] == 1
    failure.unlink()
    (out / "app.tar").write_bytes((project.root / project.image("app.tar")).read_bytes())
