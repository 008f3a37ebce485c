"""A branch of a remote that is reached over HTTP, as on GitHub, with a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hullmark.branch import Branch, commit_folder, fetch, open_branch, push
from hullmark.errors import NetworkError
from tests.git_http import READER, WRITER, GitServer, serving
from tests.remotes import IDENTITY, clone, make_remote, run_git

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    make_remote(tmp_path, {"a.txt": "a\n"})
    with serving(tmp_path) as found:
        yield found


@pytest.fixture
def work(tmp_path: Path, server: GitServer) -> Path:
    root = clone(tmp_path / "remote.git", tmp_path / "work")
    run_git(root, "remote", "set-url", "origin", f"{server.address}/remote.git")
    return root


def branch_of(work: Path, server: GitServer, token: str) -> Branch:
    environ = {"GITHUB_SERVER_URL": server.address, "GITHUB_TOKEN": token}
    return open_branch(work, "origin", "data", environ)


def write(branch: Branch, folder: Path, data: bytes = b"{}\n") -> str:
    (folder / "records").mkdir(parents=True)
    (folder / "records/a.json").write_bytes(data)
    made = commit_folder(branch, None, {}, folder, ["records/a.json"], message="m\n", identity=IDENTITY)
    assert made is not None
    return made


def test_with_a_token_that_may_write_the_branch_is_pushed_and_read_again(
    work: Path, server: GitServer, tmp_path: Path
) -> None:
    branch = branch_of(work, server, WRITER)
    made = write(branch, tmp_path / "new", bytes(range(256)) * 8192)

    assert fetch(branch) is None
    assert push(branch, made, expected=None)
    assert fetch(branch_of(work, server, READER)) == made
    assert {server.token_of(login) for login in server.logins} == {WRITER, READER}
    assert WRITER not in (work / ".git/config").read_text()


def test_a_token_that_may_only_read_is_refused_with_what_it_lacks_and_nothing_is_lost(
    work: Path, server: GitServer, tmp_path: Path
) -> None:
    branch = branch_of(work, server, READER)
    made = write(branch, tmp_path / "new")

    with pytest.raises(NetworkError, match="refuses the push to data") as caught:
        push(branch, made, expected=None)

    assert "403" in caught.value.message
    assert "contents: write" in caught.value.hint
    assert READER not in caught.value.message
    assert run_git(work, "cat-file", "-t", made) == "commit"
    assert fetch(branch) is None


@pytest.mark.parametrize("token", ["", "expired"])
def test_without_a_token_that_counts_nobody_is_asked_for_a_password(
    work: Path, server: GitServer, token: str
) -> None:
    with pytest.raises(NetworkError, match="git ") as caught:
        fetch(branch_of(work, server, token))

    assert "permission to read" in caught.value.hint


def test_the_token_does_not_follow_to_another_server(work: Path, server: GitServer, tmp_path: Path) -> None:
    with serving(tmp_path, moved_to=server.address) as old:
        run_git(work, "remote", "set-url", "origin", f"{old.address}/remote.git")
        with pytest.raises(NetworkError):
            fetch(branch_of(work, old, WRITER))

    assert {old.token_of(login) for login in old.logins} == {WRITER}
    assert not any(server.logins)
