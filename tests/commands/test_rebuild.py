"""An image whose content no lock fixes, built twice from the same inputs by real buildah."""

from __future__ import annotations

import json
import subprocess
from datetime import date
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import Exit
from hullmark.scanners.specimen import Installed, _layer_files
from tests.commands.project import DEBIAN, FIXED, OLD, SOURCE
from tests.scanners.support import require

if TYPE_CHECKING:
    from pathlib import Path

    from tests.commands.project import Project

BASE = "localhost/moving-base:1"


@pytest.fixture
def engine(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose image is built from a base that moves, with an engine of its own."""
    require("buildah")
    storage = tmp_path / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "vfs"\nrunroot = "{tmp_path}/run"\ngraphroot = "{tmp_path}/store"\n'
    )
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(storage))
    monkeypatch.setenv("BUILDAH_ISOLATION", "chroot")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    folder = project.root / "images/app"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(f"FROM {BASE}\nCOPY hello /hello\n")
    (folder / "hello").write_text("hello")
    return project


def move_base(context: Path, version: str) -> None:
    """Give the base a package of this version."""
    packages = (Installed(name="gnutls-bin", version=version, source=SOURCE, source_version=version),)
    for name, content in _layer_files(packages, DEBIAN).items():
        path = context / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY root /\n")
    subprocess.run(["buildah", "build", "--no-cache", "-q", "-t", BASE, str(context)], check=True)


def events(project: Project) -> list[dict[str, object]]:
    lines = (project.root / "audit-logs/app/2026-02.jsonl").read_text().splitlines()
    return [entry["data"] for entry in map(json.loads, lines) if entry["type"] == "scan"]


def test_packages_that_move_while_the_inputs_stay_are_of_cause_rebuild(
    engine: Project, tmp_path: Path
) -> None:
    database = engine.database("db", until=date(2026, 2, 1))
    move_base(tmp_path / "base", OLD)
    assert engine.run("build") == Exit.DONE
    assert engine.run("record", "--db", database) == Exit.DONE, engine.err
    move_base(tmp_path / "base", FIXED)
    engine.at("2026-02-02T09:00:00+00:00")
    assert engine.run("run", "--record", "--db", database) == Exit.DONE, engine.err
    (engine.root / "images/app/hello").write_text("another")
    move_base(tmp_path / "base", OLD)
    engine.at("2026-02-03T09:00:00+00:00")
    assert engine.run("run", "--record", "--db", database) == Exit.DONE, engine.err

    first, second, third = events(engine)
    assert "inputs" not in second
    assert first["inputs"] != third["inputs"]
    assert [change["cause"] for change in second["resolved"]] == ["rebuild"]  # type: ignore[attr-defined]
    assert [change["cause"] for change in third["introduced"]] == ["image"]  # type: ignore[attr-defined]
    assert engine.run("history", "--finding", "CVE-2026-1") == Exit.DONE
    assert "2026-02-02 by rebuild" in engine.out


def test_what_an_image_was_built_from_counts_for_that_image_only(project: Project) -> None:
    database = project.database("db")
    name = project.image("app.tar")
    other = json.dumps(
        {
            "version": 1,
            "images": [
                {
                    "platform": "linux/amd64",
                    "digest": f"sha256:{'0' * 64}",
                    "config": f"sha256:{'1' * 64}",
                    "inputs": f"sha256:{'2' * 64}",
                }
            ],
        }
    )
    (project.root / "app.inputs.json").write_text(other)

    assert project.run("record", "--db", database, f"app={name}") == Exit.DONE
    assert "inputs" not in events(project)[0]

    (project.root / "app.inputs.json").write_text("{")
    assert project.run("record", "--db", database, f"app={name}") == Exit.ERROR
    assert "app.inputs.json: Input data was truncated" in project.err
