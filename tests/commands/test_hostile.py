"""What somebody does who wants the record lost, or a vulnerable image called clean."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import EnvironmentFaultError, Exit, InputError, RepositoryError
from hullmark.projection import MANIFEST, read_manifest, write_generated

if TYPE_CHECKING:
    from pathlib import Path

    from tests.commands.project import Project


def recorded(project: Project) -> str:
    """Record one image, and return its database."""
    database = project.database("db")
    assert project.run("record", "--db", database, f"app={project.image('app.tar')}") == Exit.DONE
    return database


def write_manifest(root: Path, content: bytes) -> None:
    (root / MANIFEST).parent.mkdir(parents=True)
    (root / MANIFEST).write_bytes(content)


def test_a_list_of_generated_files_never_costs_a_file_that_nobody_generates(project: Project) -> None:
    database = recorded(project)
    before = project.files()
    (project.root / "docs/data/generated.json").write_text('["audit-logs/app/2026-02.jsonl"]')

    assert project.run("record", "--db", database, "app=app.tar") == Exit.ERROR

    assert "docs/data/generated.json: [0]: 'audit-logs/app/2026-02.jsonl' is no file" in project.err
    after = project.files()
    assert all(after[name].startswith(before[name]) for name in before if name.endswith(".jsonl"))
    assert project.run("verify") == Exit.DONE


@pytest.mark.parametrize(
    "listed",
    [
        "audit-logs/./app/2026-02.jsonl",
        "audit-logs/.gitattributes",
        "cve-baseline/app/notes.json",
        "cve-baseline/notes.md",
        "cve-baseline/\0.json",
        "../outside.json",
        "/etc/passwd",
    ],
)
def test_a_path_that_nobody_generates_is_refused(tmp_path: Path, listed: str) -> None:
    write_manifest(tmp_path, json.dumps([listed]).encode())

    with pytest.raises(InputError, match=r"generated\.json: \[0\]: "):
        read_manifest(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[1]", b"[" * 100_000, b'["\xff"]'])
def test_a_damaged_list_of_generated_files_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    write_manifest(tmp_path, content)

    with pytest.raises(InputError, match=r"generated\.json: not a list of paths") as raised:
        read_manifest(tmp_path)
    assert raised.value.hint == "Delete it; the next run writes it."


def test_generated_files_are_not_written_through_a_link_that_leads_out_of_the_repository(
    tmp_path: Path,
) -> None:
    outside, root = tmp_path / "outside", tmp_path / "repository"
    outside.mkdir()
    root.mkdir()
    (root / "cve-baseline").symlink_to(outside)

    with pytest.raises(RepositoryError, match="cve-baseline: is a symbolic link"):
        write_generated(root, {"cve-baseline/app.json": b"{}"}, folders=())
    assert not list(outside.iterdir())


def test_a_folder_in_the_place_of_a_generated_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "cve-baseline/old.json").mkdir(parents=True)
    write_manifest(tmp_path, b'["cve-baseline/old.json"]')

    with pytest.raises(EnvironmentFaultError, match=r"cve-baseline/old\.json: Is a directory"):
        write_generated(tmp_path, {}, folders=("cve-baseline/",))
