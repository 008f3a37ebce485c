"""Checks see a copy of the repository, and what they are not given is named."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import InputError, UsageError
from hullmark.scanners import tree as module
from hullmark.scanners.tree import copied_commit, copied_folder
from tests.checked import write
from tests.repositories import commit

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"a.py": "import os\n", "images/app/Dockerfile": "FROM scratch\n"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", "-b", "main", tmp_path], check=True)
    commit(tmp_path, {**FILES, ".gitignore": "ignored/\n"})
    return tmp_path


def test_tools_see_a_copy_without_ignored_files_links_and_own_records(repository: Path) -> None:
    """What git ignores, links and Hullmark's own records are not in it."""
    write(repository, {"ignored/x.py": "x", "audit-logs/app.md": "x", "cve-baseline/app.json": "{}"})
    write(repository, {"new.py": "x"})
    (repository / "link.py").symlink_to("/etc/passwd")
    (repository / "a.py").unlink()

    with copied_folder(repository) as tree:
        assert tree.files == (".gitignore", "images/app/Dockerfile", "new.py")
        assert (tree.folder / "new.py").read_text() == "x"
        assert not (tree.folder / "link.py").exists()
        assert tree.unread == ()
        folder = tree.folder
    assert not folder.exists()


def test_a_folder_without_git_is_walked(tmp_path: Path) -> None:
    with copied_folder(write(tmp_path, {**FILES, ".hullmark/x": "x"})) as tree:
        assert tree.files == tuple(sorted(FILES))
        assert tree.commit == ""


def test_a_folder_that_git_ignores_as_a_whole_is_walked(repository: Path) -> None:
    write(repository / "ignored", FILES)
    with copied_folder(repository / "ignored") as tree:
        assert tree.files == tuple(sorted(FILES))


def test_a_comment_that_tells_a_tool_to_look_away_has_no_effect_and_moves_no_byte(tmp_path: Path) -> None:
    told = "#trivy:ignore:DS-0002\n#tfsec:ignore:x\n// ast-grep-ignore\n"
    with copied_folder(write(tmp_path, {"Dockerfile": told})) as tree:
        copy = tree.read("Dockerfile").decode()

    assert copy == "#trivy_ignore:DS-0002\n#tfsec_ignore:x\n// ast-grep_ignore\n"
    assert len(copy) == len(told)


def test_the_digest_depends_on_names_and_contents_alone(repository: Path) -> None:
    head = commit(repository, {"b.py": "b\n"})
    with copied_folder(repository) as tree, copied_commit(repository, head) as same:
        assert (same.digest, same.files, same.commit) == (tree.digest, tree.files, head)
        assert tree.commit == head
    write(repository, {"b.py": "c\n"})
    with copied_folder(repository) as changed:
        assert changed.digest != tree.digest
        assert changed.commit == ""


def test_a_commit_is_read_as_it_was_whatever_the_working_tree_holds(repository: Path) -> None:
    head = commit(repository, {"sub/b.py": "b\n", "sub/big.bin": "x" * 100})
    write(repository, {"sub/b.py": "changed\n"})
    with copied_commit(repository, head) as tree:
        assert tree.read("sub/b.py") == b"b\n"
    with copied_commit(repository / "sub", head) as tree:
        assert tree.files == ("b.py", "big.bin")


def test_what_cannot_be_given_to_a_tool_is_named(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never left out in silence."""
    monkeypatch.setattr(module, "MAX_FILE", 20)
    write(repository, {"big.txt": "x" * 21, "line\nbreak.py": "x"})
    commit(repository, {})
    inner = repository / "inner"
    subprocess.run(["git", "init", "-q", inner], check=True)
    commit(inner, {"x": "x"})
    head = commit(repository, {})
    expected = [("big.txt", "larger than"), ("inner", "a submodule"), ("line\nbreak.py", "a name that")]
    for copied in (copied_folder(repository), copied_commit(repository, head)):
        with copied as tree:
            named = [(one.path, one.reason) for one in tree.unread]
            assert [path for path, _ in named] == [path for path, _ in expected]
            for (_, reason), (_, start) in zip(named, expected, strict=True):
                assert reason.startswith(start)


def test_only_what_is_named_is_copied(repository: Path) -> None:
    with copied_folder(repository, ["images"]) as tree:
        assert tree.files == ("images/app/Dockerfile",)
        assert tree.commit == ""
    with copied_folder(repository, ["a.py", "."]) as tree:
        assert len(tree.files) == 3


@pytest.mark.parametrize(
    ("path", "error"), [("../x", UsageError), ("absent", InputError), ("ignored", UsageError)]
)
def test_a_path_outside_absent_or_ignored_is_refused(
    repository: Path, path: str, error: type[Exception]
) -> None:
    write(repository, {"ignored/x": "x", "../x": "x"})
    with pytest.raises(error), copied_folder(repository, [path]):
        pass


def test_more_than_a_repository_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOTAL", 5)
    with pytest.raises(InputError, match="more than"), copied_folder(write(tmp_path, FILES)):
        pass
