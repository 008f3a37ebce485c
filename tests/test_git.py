from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import InputError, RepositoryError
from hullmark.git import (
    changed_paths,
    git,
    list_kept,
    merge_base,
    place_in_repository,
    read_blobs,
    read_file,
    read_tree,
    resolve,
)
from tests.repositories import commit, new_repository

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    new_repository(tmp_path)
    commit(tmp_path, {"a.txt": "one\n", "images/app/ä.txt": "two\n"})
    return tmp_path


def test_files_of_a_commit_are_read_with_their_names_and_modes(repository: Path) -> None:
    head = resolve(repository, "main")

    assert list(read_tree(repository, head)) == ["a.txt", "images/app/ä.txt"]
    assert list(read_tree(repository, head, "images/app")) == ["images/app/ä.txt"]
    assert read_tree(repository, head)["a.txt"].mode == "100644"
    assert read_file(repository, head, "a.txt", limit=10) == b"one\n"
    assert read_file(repository, head, "absent", limit=10) is None


def test_a_file_above_its_limit_is_refused_with_its_place(repository: Path) -> None:
    head = resolve(repository, "HEAD")

    with pytest.raises(InputError, match=rf"{head[:12]}:a.txt: has 4 bytes, at most 3"):
        read_file(repository, head, "a.txt", limit=3)


def test_the_newest_common_commit_is_found(repository: Path) -> None:
    base = resolve(repository, "main")
    subprocess.run(["git", "checkout", "-qb", "topic"], cwd=repository, check=True)
    topic = commit(repository, {"b.txt": "b"})
    subprocess.run(["git", "checkout", "-q", "main"], cwd=repository, check=True)
    main = commit(repository, {"c.txt": "c"})

    assert merge_base(repository, topic, main) == base


@pytest.mark.parametrize("name", ["--help", "-h", "--output=x", "no-such-branch", "main:a.txt", ""])
def test_a_revision_is_never_taken_for_an_option(repository: Path, name: str) -> None:
    with pytest.raises(InputError, match="no commit"):
        resolve(repository, name)


def test_nothing_of_the_callers_configuration_hooks_or_prompts_takes_part(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = repository / ".git/hooks/post-checkout"
    hook.write_text("#!/bin/sh\ntouch ran\n")
    hook.chmod(0o755)
    settings = tmp_path / "gitconfig"
    settings.write_text("[alias]\n\tgreet = !echo hello\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_DIR", "/nowhere")

    git(repository, "checkout", "-q", "-b", "other")
    assert not (repository / "ran").exists()
    with pytest.raises(RepositoryError, match="git greet"):
        git(repository, "greet")


def test_files_are_read_without_being_checked_out(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = "x" * 100_000
    head = commit(repository, {"big.txt": big, "empty.txt": "", "twice.txt": big})
    monkeypatch.setattr("hullmark.git._GROUP", 10)
    entries = read_tree(repository, head)

    read = dict(read_blobs(repository, [entry.object for entry in entries.values()], limit=1 << 20))

    for path in ("big.txt", "empty.txt", "a.txt", "images/app/ä.txt"):
        assert read[entries[path].object] == (repository / path).read_bytes()
    with pytest.raises(InputError, match="files of more than 99 bytes"):
        list(read_blobs(repository, [entries["big.txt"].object], limit=99))


def test_paths_that_differ_are_named_with_both_names_of_a_move(repository: Path) -> None:
    before = resolve(repository, "HEAD")
    (repository / "images/app/ä.txt").rename(repository / "images/app/b.txt")
    after = commit(repository, {"a.txt": "other"})

    assert changed_paths(repository, before, after) == ("a.txt", "images/app/b.txt", "images/app/ä.txt")
    assert changed_paths(repository, after, after) == ()


def test_what_git_ignores_is_not_kept(repository: Path) -> None:
    commit(repository, {".gitignore": "*.log\n/demo/\n", "images/app/old": "1"})
    (repository / "images/app/new").write_text("2")
    (repository / "images/app/run.log").write_text("3")
    (repository / "demo").mkdir()

    assert list_kept(repository, "images/app") == ["images/app/new", "images/app/old", "images/app/ä.txt"]
    assert list_kept(repository, "images/*") == []
    assert place_in_repository(repository) == ""
    assert place_in_repository(repository / "images") == "images/"
    assert place_in_repository(repository / "demo") is None


def test_outside_of_a_repository_there_is_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert place_in_repository(tmp_path) is None
    monkeypatch.setenv("PATH", "/nowhere")
    assert place_in_repository(tmp_path) is None
