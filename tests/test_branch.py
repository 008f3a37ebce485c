"""A branch of a real remote, read and written with real git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hullmark.branch import Branch, commit_folder, fetch, lay_out, open_branch, push
from hullmark.errors import InputError, NetworkError, RepositoryError, UsageError
from tests.remotes import IDENTITY, clone, make_remote, run_git
from tests.repositories import commit

RAW = b"one\r\ntwo\n\xff\x00"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return clone(make_remote(tmp_path, {"a.txt": "a\n"}), tmp_path / "work")


def data_branch(work: Path) -> Branch:
    return open_branch(work, "origin", "data", {})


def write(branch: Branch, folder: Path, files: dict[str, bytes], *, parent: str | None = None) -> str:
    """A commit that leaves exactly `files` of what `parent` has below `records`."""
    before = lay_out(branch, parent, ["records"], folder / "before") if parent else {}
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    made = commit_folder(branch, parent, before, folder, files, message="change\n", identity=IDENTITY)
    assert made is not None
    return made


def test_a_branch_that_does_not_exist_is_created_and_read_again(work: Path, tmp_path: Path) -> None:
    branch = data_branch(work)
    assert fetch(branch) is None

    made = write(branch, tmp_path / "new", {"records/a.json": RAW, ".gitattributes": b"* text eol=crlf\n"})

    assert push(branch, made, expected=None)
    assert fetch(branch) == made


def test_files_are_laid_out_and_stored_as_they_are(work: Path, tmp_path: Path) -> None:
    branch = data_branch(work)
    run_git(work, "config", "core.autocrlf", "true")
    push(
        branch,
        write(branch, tmp_path / "new", {".gitattributes": b"* text eol=crlf\n", "records/a": RAW}),
        expected=None,
    )

    lay_out(data_branch(work), fetch(branch) or "", ["records"], tmp_path / "out")

    assert (tmp_path / "out/records/a").read_bytes() == RAW
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["records"]


def test_a_branch_that_moved_meanwhile_is_never_overwritten(work: Path, tmp_path: Path) -> None:
    branch = data_branch(work)
    first = write(branch, tmp_path / "1", {"records/a": b"1"})
    assert push(branch, first, expected=None)
    mine = write(branch, tmp_path / "2", {"records/b": b"2"}, parent=first)
    theirs = write(branch, tmp_path / "3", {"records/c": b"3"}, parent=first)
    assert push(branch, theirs, expected=first)

    assert not push(branch, mine, expected=first)
    assert not push(branch, first, expected=None)
    assert fetch(branch) == theirs


def test_only_what_differs_is_committed_and_the_rest_of_the_branch_stays(work: Path, tmp_path: Path) -> None:
    branch = open_branch(work, "origin", "main", {})
    tip = fetch(branch)
    assert tip is not None
    second = write(branch, tmp_path / "1", {"records/a": b"1", "records/b": b"1"}, parent=tip)
    third = write(branch, tmp_path / "2", {"records/a": b"2"}, parent=second)

    names = run_git(work, "ls-tree", "-r", "--name-only", third).splitlines()
    assert names == ["a.txt", "records/a"]
    assert run_git(work, "cat-file", "blob", f"{third}:records/a") == "2"
    before = lay_out(data_branch(work), third, ["records"], tmp_path / "out")
    assert (
        commit_folder(branch, third, before, tmp_path / "out", ["records/a"], message="m", identity=IDENTITY)
        is None
    )


@pytest.mark.parametrize("mode", ["120000", "160000"])
def test_a_link_or_a_submodule_is_refused(work: Path, tmp_path: Path, mode: str) -> None:
    name = (
        run_git(work, "hash-object", "-w", "a.txt")
        if mode == "120000"
        else run_git(work, "rev-parse", "HEAD")
    )
    run_git(work, "update-index", "--add", "--cacheinfo", f"{mode},{name},records/x")
    run_git(work, "commit", "-qm", "odd")

    with pytest.raises(RepositoryError, match="records/x: is a link or a submodule"):
        lay_out(data_branch(work), run_git(work, "rev-parse", "HEAD"), ["records"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("path", ["records/../../x", "records/.git/config"])
def test_a_path_that_leads_out_of_the_folder_is_refused(work: Path, tmp_path: Path, path: str) -> None:
    def tree(entries: str) -> str:
        made = subprocess.run(
            ["git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
            input=entries.encode("latin-1"),
            cwd=work,
            check=True,
            capture_output=True,
        )
        return made.stdout.decode().strip()

    held = bytes.fromhex(run_git(work, "hash-object", "-w", "a.txt")).decode("latin-1")
    *folders, name = path.split("/")
    inner = tree(f"100644 {name}\0{held}")
    for folder in reversed(folders):
        inner = tree(f"40000 {folder}\0{bytes.fromhex(inner).decode('latin-1')}")
    odd = run_git(work, "commit-tree", inner, "-m", "odd")

    with pytest.raises(RepositoryError, match="leads out of the repository"):
        lay_out(data_branch(work), odd, ["records"], tmp_path / "out")


def test_credentials_reach_git_by_its_environment_and_only_for_their_own_server(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    run_git(tmp_path, "remote", "add", "origin", "https://github.com/a/b.git")
    run_git(tmp_path, "remote", "add", "other", "https://github.com.example.org/a/b.git")
    environ = {"GITHUB_TOKEN": "secret"}

    given = open_branch(tmp_path, "origin", "data", environ).environ
    assert given["GIT_CONFIG_KEY_0"] == "http.https://github.com/.extraheader"
    assert given["GIT_CONFIG_VALUE_0"].startswith("AUTHORIZATION: basic ")
    assert open_branch(tmp_path, "other", "data", environ).environ == {}
    assert open_branch(tmp_path, "origin", "data", {}).environ == {}


@pytest.mark.parametrize(
    ("remote", "name", "error"),
    [
        ("--upload-pack=x", "data", UsageError),
        ("origin", "a..b", UsageError),
        ("origin", "", UsageError),
        ("absent", "data", InputError),
    ],
)
def test_a_name_that_cannot_be_is_refused_at_once(
    work: Path, remote: str, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        open_branch(work, remote, name, {})


def test_a_folder_without_a_repository_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no git repository"):
        open_branch(tmp_path, "origin", "data", {})


def test_a_refusal_of_the_remote_is_reported_with_its_words(work: Path, tmp_path: Path) -> None:
    hook = Path(run_git(work, "remote", "get-url", "origin")) / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'this branch is protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    branch = data_branch(work)

    with pytest.raises(NetworkError, match="this branch is protected") as caught:
        push(branch, write(branch, tmp_path / "1", {"records/a": b"1"}), expected=None)
    assert "`publish.branch` names another" in caught.value.hint


def test_a_remote_that_is_gone_is_reported_without_its_password(work: Path) -> None:
    run_git(work, "remote", "set-url", "origin", "http://user:secret@127.0.0.1:9/none.git")

    with pytest.raises(NetworkError) as caught:
        fetch(data_branch(work))
    assert "secret" not in caught.value.message


def test_the_user_s_work_tree_index_and_branches_are_not_touched(work: Path, tmp_path: Path) -> None:
    commit(work, {"b.txt": "b"})
    (work / "c.txt").write_text("not committed")
    run_git(work, "add", "c.txt")
    before = [run_git(work, *q) for q in (("status", "--porcelain"), ("branch", "-a"), ("rev-parse", "HEAD"))]
    branch = data_branch(work)

    push(branch, write(branch, tmp_path / "1", {"records/a": b"1"}), expected=None)
    fetch(branch)

    after = [run_git(work, *q) for q in (("status", "--porcelain"), ("branch", "-a"), ("rev-parse", "HEAD"))]
    assert [line for line in after[1].splitlines() if "data" not in line] == before[1].splitlines()
    assert (after[0], after[2]) == (before[0], before[2])


def test_a_project_in_a_folder_of_its_repository_keeps_its_files_there(work: Path, tmp_path: Path) -> None:
    commit(work, {"services/hullmark.toml": "version = 1"})
    branch = data_branch(work / "services")
    made = write(branch, tmp_path / "1", {"records/a": b"1"})

    assert run_git(work, "ls-tree", "-r", "--name-only", made) == "services/records/a"
    assert list(lay_out(branch, made, ["records"], tmp_path / "out")) == ["records/a"]
    assert (tmp_path / "out/records/a").read_bytes() == b"1"


def test_a_folder_that_git_ignores_is_no_place_to_publish_from(work: Path) -> None:
    commit(work, {".gitignore": "/demo/\n"})
    (work / "demo").mkdir()

    with pytest.raises(InputError, match="a folder that git ignores"):
        open_branch(work / "demo", "origin", "data", {})
