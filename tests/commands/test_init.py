"""`hullmark init` and `hullmark doctor` on real folders, with the real parts of this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hullmark.cli import run
from hullmark.config import load_project
from hullmark.errors import Exit
from hullmark.exemptions import load_exemptions
from hullmark.starter import shipped_workflows
from tests.commands.project import Project
from tests.repositories import new_repository
from tests.scanners.support import require

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
ORIGIN = "https://forge.example/hullmark/hullmark@" + "a" * 40


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A repository with a Dockerfile, as its owner left it."""
    new_repository(tmp_path)
    (tmp_path / "images/web").mkdir(parents=True)
    (tmp_path / "images/web/Dockerfile").write_text("FROM scratch\n")
    return tmp_path


def contents(root: Path) -> dict[str, str]:
    """Every file of a repository but git's own."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes().decode("latin-1")
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".git/" not in path.as_posix()
    }


def call(root: Path, *arguments: str) -> int:
    return run(["-C", str(root), *arguments])


def test_what_is_written_is_read_by_hullmark_without_a_complaint(work: Path) -> None:
    assert call(work, "init", "--from", ORIGIN) == Exit.DONE

    project = load_project(work)
    assert [image.name for image in project.images] == ["web"]
    assert (project.scan.containment, project.scan.require_verified) == ("required", True)
    assert load_exemptions(work / "exemptions.toml").entries == ()
    assert json.loads((work / "renovate.json").read_text())["automerge"] is False
    assert ".hullmark/" in (work / ".gitignore").read_text().splitlines()
    assert "audit-logs/** -text -merge" in (work / ".gitattributes").read_text().splitlines()


def test_a_second_run_changes_nothing(work: Path) -> None:
    call(work, "init", "--from", ORIGIN)
    before = contents(work)

    assert call(work, "init", "--from", ORIGIN) == Exit.DONE
    assert contents(work) == before


def test_a_file_that_is_there_is_never_overwritten(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(work, "init", "--from", ORIGIN)
    own = {name: f"{name} is mine" for name in contents(work) if not name.startswith(".gitat")}
    own.pop(".gitignore")
    for name, text in own.items():
        (work / name).write_text(text)
    capsys.readouterr()

    assert call(work, "init", "--from", ORIGIN) == Exit.DONE

    assert {name: contents(work)[name] for name in own} == own
    assert "kept hullmark.toml" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["dist/\n", "dist/", "/.hullmark/\r\n*.log", ""])
def test_lines_are_added_to_an_ignore_file_and_none_is_lost(work: Path, text: str) -> None:
    (work / ".gitignore").write_bytes(text.encode())

    call(work, "init")

    lines = (work / ".gitignore").read_text().splitlines()
    assert set(text.split()) <= set(lines)
    bare = [line.lstrip("/") for line in lines if line]
    assert {".hullmark/", ".cache/", "dist/"} <= set(bare)
    assert len(bare) == len(set(bare))


def test_a_dry_run_writes_nothing_and_says_the_same(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(work)
    assert call(work, "init", "--from", ORIGIN, "--dry-run", "--json") == Exit.DONE
    would = json.loads(capsys.readouterr().out)

    assert contents(work) == before
    call(work, "init", "--from", ORIGIN, "--json")
    did = json.loads(capsys.readouterr().out)
    assert would["files"] == did["files"]
    assert {file["path"] for file in did["files"]} == contents(work).keys() - {"images/web/Dockerfile"}


def test_workflows_install_the_named_commit_and_no_other(work: Path) -> None:
    call(work, "init", "--from", ORIGIN)

    text = (work / ".github/hullmark/install.sh").read_text()
    assert "repository=https://forge.example/hullmark/hullmark\n" in text
    assert f"commit={'a' * 40}\n" in text
    assert "@" not in text.replace('"$@"', "")


@pytest.mark.parametrize(
    "text",
    ["x", "https://forge.example/a", "https://forge.example/a;rm@" + "a" * 40, "http://a/b@" + "a" * 40],
)
def test_an_origin_that_names_no_commit_is_refused(work: Path, text: str) -> None:
    assert call(work, "init", "--from", text) == Exit.USAGE
    assert not (work / "hullmark.toml").exists()


def test_workflows_are_written_only_where_it_is_known_which_hullmark_they_install(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hullmark.commands.init.find_origin", lambda: None)

    assert call(work, "init") == Exit.DONE

    assert not (work / ".github").exists()
    assert "next: hullmark init --from ADDRESS@COMMIT" in capsys.readouterr().out


def test_images_are_found_at_the_top_below_it_and_in_their_folder(tmp_path: Path) -> None:
    root = tmp_path / "My Shop"
    for place in (".", "api", "images/web", "images/runs", ".hidden", "docs"):
        (root / place).mkdir(parents=True, exist_ok=True)
        if place != "docs":
            (root / place / "Dockerfile").write_text("FROM scratch\n")

    call(root, "init")

    folders = {image.name: image.folder.relative_to(root).as_posix() for image in load_project(root).images}
    assert folders == {"my-shop": ".", "api": "api", "web": "images/web", "runs-image": "images/runs"}


def test_a_repository_without_an_image_gets_a_configuration_to_begin_with(tmp_path: Path) -> None:
    call(tmp_path, "init")

    assert [image.name for image in load_project(tmp_path).images] == ["app"]


def test_nothing_is_written_through_a_link(work: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (work / ".github").symlink_to(outside)

    assert call(work, "init", "--from", ORIGIN) == Exit.ERROR
    assert list(outside.iterdir()) == []
    assert not (work / "hullmark.toml").exists()


def test_the_workflows_that_are_shipped_are_those_of_this_repository() -> None:
    for name, text in shipped_workflows():
        assert (ROOT / ".github/workflows" / name).read_text() == text, f"make workflows; {name}"
    assert (ROOT / "src/hullmark/starter/renovate.json").read_text() == (ROOT / "renovate.json").read_text()
    own = {"checks.yml"}
    assert {path.name for path in (ROOT / ".github/workflows").iterdir()} == own | dict(
        shipped_workflows()
    ).keys()


# doctor


def parts(project: Project, *, code: int = 0) -> dict[str, dict[str, str]]:
    return {part["name"]: part for part in project.json("doctor", code=code)["parts"]}


@pytest.fixture
def ready(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Project:
    """A repository that has everything."""
    for program in ("trivy", "bwrap", "buildah"):
        require(program)
    project = Project(new_repository(tmp_path / "repository"), capsys, monkeypatch)
    project.run("init", "--from", ORIGIN)
    monkeypatch.setenv("HULLMARK_DB", project.database("db"))
    return project


def test_a_repository_that_has_everything_is_ready(ready: Project) -> None:
    found = parts(ready)

    assert {name: part["health"] for name, part in found.items()} == dict.fromkeys(
        ("configuration", "git", "containment", "trivy", "database", "engines", "workflows"), "good"
    )
    assert ready.run("doctor") == Exit.DONE
    assert ready.out.splitlines()[-1] == "ready"


def no_database(project: Project) -> None:
    shutil.rmtree(project.root / "db")


def no_configuration(project: Project) -> None:
    (project.root / "hullmark.toml").unlink()


def faulty_configuration(project: Project) -> None:
    (project.root / "hullmark.toml").write_text("version = 1\n[images.app]\npaths = 'x'\n")


def edited_history(project: Project) -> None:
    project.run("record", f"app={project.image('app.tar')}")
    path = project.root / "audit-logs/app/2026-02.jsonl"
    path.write_text(path.read_text().replace("CVE-2026-1", "CVE-2026-9"))


@pytest.mark.parametrize(
    ("damage", "part", "said", "then"),
    [
        (no_database, "database", "no vulnerability database", "hullmark db update"),
        (no_configuration, "configuration", "file not found", "hullmark init"),
        (faulty_configuration, "configuration", "nearest is `path`", ""),
        (edited_history, "history", "is not what was recorded", "hullmark verify"),
    ],
)
def test_one_part_that_is_missing_keeps_no_other_from_being_looked_at(
    ready: Project, damage: Callable[[Project], None], part: str, said: str, then: str
) -> None:
    damage(ready)

    found = parts(ready, code=Exit.INCOMPLETE)

    assert found[part]["health"] == "missing"
    assert said in found[part]["said"]
    assert then in found[part]["next"]
    assert {name for name, each in found.items() if each["health"] == "missing"} == {part}
    assert ready.run("doctor") == Exit.INCOMPLETE
    assert ready.out.splitlines()[-1] == "1 missing"


def test_what_could_be_better_is_advice_and_no_fault(ready: Project) -> None:
    (ready.root / ".gitignore").unlink()
    (ready.root / ".gitattributes").write_text("*.txt text\n")
    (ready.root / ".github/workflows/rescan.yml").write_text("on: push\n")
    (ready.root / ".github/workflows/pipeline.yml").unlink()

    found = parts(ready)

    advice = {name: part for name, part in found.items() if part["health"] == "advice"}
    assert set(advice) == {"git ignores", "git attributes", "workflows"}
    assert "changed: rescan.yml; missing: pipeline.yml" in advice["workflows"]["said"]


def test_what_a_repository_does_not_use_is_not_asked_for(
    ready: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an image of its own, a repository needs neither an engine nor a package archive."""
    monkeypatch.setattr("hullmark.doctor.find_engines", lambda _: iter(()))
    assert "engines" not in parts(ready)

    (ready.root / "images/app").mkdir(parents=True)
    (ready.root / "images/app/Dockerfile").write_text("FROM scratch\n")
    assert parts(ready, code=Exit.INCOMPLETE)["engines"]["next"] == "sudo apt-get install buildah"


def test_outside_of_a_repository_only_the_history_is_missed(ready: Project) -> None:
    shutil.rmtree(ready.root / ".git")

    assert parts(ready)["git"]["next"] == "git init"


def test_nothing_is_changed(ready: Project) -> None:
    before = contents(ready.root)

    ready.run("doctor")

    assert contents(ready.root) == before
