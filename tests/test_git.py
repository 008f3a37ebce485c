from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import InputError, RepositoryError
from hullmark.git import git, merge_base, read_file, read_tree, resolve

if TYPE_CHECKING:
    from pathlib import Path

_WHO = ("-c", "user.name=T", "-c", "user.email=t@example.org")


def commit(root: Path, files: dict[str, str], message: str = "change") -> str:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    subprocess.run(["git", *_WHO, "commit", "-qm", message], cwd=root, check=True)
    return resolve(root, "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", "-b", "main", tmp_path], check=True)
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
