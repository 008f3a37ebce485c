"""The locks that a pull request changes, resolved again."""
# ruff: noqa: ANN401 - fields of what is made

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from hullmark.config import load_project
from hullmark.lock_proof import Prover
from hullmark.pull_requests import ChangedFile, Person
from tests.pull_requests.requests import request
from tests.remotes import clone, make_remote, run_git
from tests.repositories import commit, switch

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.pull_requests import PullRequest

CONFIG = 'version = 1\n[images.tiny]\n[images.plain]\npath = "plain"\n'
LOCK = "images/tiny/packages.lock"
DEFINITION = """version = 1
title = "tiny"
description = "tiny"
licenses = "MIT"
version_from = "tool"
suites = ["trixie"]
[config]
user = "1000:1000"
entrypoint = ["/usr/bin/tool"]
[packages]
tool = { reason = "the program" }
"""
BASE = f"""hullmark-lock 1
index debian trixie sha256:{"a" * 64} 2026-01-01T00:00:00Z
package amd64 tool 1.0 sha256:{"b" * 64} 10 trixie pool/t/tool.deb tool 1.0
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone whose remote has a branch with another lock."""
    files: dict[str, str | None] = {
        "hullmark.toml": CONFIG,
        "images/tiny/image.toml": DEFINITION,
        LOCK: BASE,
        "plain/Dockerfile": "FROM scratch\n",
        "plain/packages.lock": "x\n",
    }
    bare = make_remote(tmp_path, files)
    run_git(bare, "config", "uploadpack.allowAnySHA1InWant", "true")
    other = clone(bare, tmp_path / "other")
    switch(other, "change", new=True)
    commit(other, {LOCK: "no lock\n", "images/tiny/image.toml": DEFINITION + "# edited\n"})
    run_git(other, "push", "-q", "origin", "change")
    return clone(bare, tmp_path / "here")


def prove(root: Path, *paths: str, status: str = "modified", **fields: Any) -> dict[str, str]:
    prover = Prover(
        root=root,
        project=load_project(root),
        branch="main",
        remote="origin",
        cache=root / ".cache",
        environ={"HULLMARK_DEBIAN_MIRROR": "http://127.0.0.1:9/debian", "PATH": os.environ["PATH"]},
        now=datetime(2026, 1, 2, tzinfo=UTC),
    )
    head = run_git(root, "ls-remote", "origin", "refs/heads/change").split()[0]
    files = tuple(ChangedFile(path=path, status=status) for path in paths or (LOCK,))
    asked: PullRequest = request(head=head, files=files, **fields)
    return prover.prove(asked, was_proved=False)


def test_of_the_pull_request_nothing_is_read_but_the_bytes_of_its_locks(repository: Path) -> None:
    found = prove(repository)

    assert list(found) == [LOCK]
    assert "the lock: line 1: expected `hullmark-lock 1`" in found[LOCK]
    assert "# edited" not in (repository / "images/tiny/image.toml").read_text()


def test_only_a_lock_of_an_image_that_the_folder_builds_from_slices_is_looked_at(repository: Path) -> None:
    assert prove(repository, "plain/packages.lock", "images/other/packages.lock", "packages.lock") == {}


@pytest.mark.parametrize("status", ["added", "removed", "renamed"])
def test_only_a_lock_that_is_there_already_is_looked_at(repository: Path, status: str) -> None:
    assert prove(repository, status=status) == {}


@pytest.mark.parametrize(
    "fields", [{"base": "release"}, {"from_here": False}, {"author": Person(login="alice")}]
)
def test_only_a_pull_request_of_an_update_bot_into_the_default_branch_is_looked_at(
    repository: Path, fields: dict[str, Any]
) -> None:
    assert prove(repository, **fields) == {}


def test_a_commit_that_cannot_be_had_is_a_reason_and_no_proof(repository: Path) -> None:
    run_git(repository, "remote", "set-url", "origin", str(repository.parent / "remote.git"))
    head = "1" * 40

    prover = Prover(
        root=repository,
        project=load_project(repository),
        branch="main",
        remote="origin",
        cache=repository / ".cache",
        environ={},
        now=datetime(2026, 1, 2, tzinfo=UTC),
    )
    asked = request(head=head, files=(ChangedFile(path=LOCK, status="modified"),))

    assert "it cannot be resolved again: git fetch origin" in prover.prove(asked, was_proved=False)[LOCK]
    # What was proved for a head stays proved when the lists are on no mirror any more.
    assert prover.prove(asked, was_proved=True) == {LOCK: ""}


def test_a_project_in_a_folder_of_its_repository_is_served_too(tmp_path: Path) -> None:
    files: dict[str, str | None] = {
        "services/hullmark.toml": CONFIG,
        "services/images/tiny/image.toml": DEFINITION,
        f"services/{LOCK}": BASE,
    }
    bare = make_remote(tmp_path, files)
    other = clone(bare, tmp_path / "other")
    switch(other, "change", new=True)
    commit(other, {f"services/{LOCK}": "no lock\n"})
    run_git(other, "push", "-q", "origin", "change")
    root = clone(bare, tmp_path / "here") / "services"

    assert list(prove(root, f"services/{LOCK}", LOCK)) == [f"services/{LOCK}"]
