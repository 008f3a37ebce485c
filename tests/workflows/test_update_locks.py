"""update-locks, pr-compare and pr-report, executed: from a newer package in the archive to the merge."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.build.debs import serve
from tests.build.signing import Signer
from tests.github.fake.world import BOT, NAME, TOKEN
from tests.github.update_locks import CONFIG, NOW, Keeper, stock
from tests.remotes import run_git
from tests.repositories import write
from tests.scanners.support import database_files, push, registry, require
from tests.workflows.files import FOLDER
from tests.workflows.runner import Runner, describe, machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.github.fake import FakeGitHub
    from tests.workflows.runner import Result

INSTALL = f'#!/bin/sh\necho "{Path(sys.executable).parent}" >>"$GITHUB_PATH"\n'
BRANCH = "hullmark/lock-tiny"


class Night:
    """Runs workflows on the repository of a keeper, as GitHub would start them."""

    def __init__(self, keeper: Keeper, folder: Path, host: str, signer: Signer) -> None:
        self.keeper, self.folder, self.signer = keeper, folder, signer
        self.artefacts: dict[str, Path] = {}
        self.runs = 0
        scan = f'[scan]\ncontainment = "required"\nrepositories = ["{host}/db:2"]\n'
        write(keeper.root, {"hullmark.toml": CONFIG + scan, ".github/hullmark/install.sh": INSTALL})
        keeper.database()
        push(host, "db", database_files(keeper.root / ".hullmark/db"))
        keeper.save("workflows")

    def run(self, name: str, event: dict[str, Any], *, revision: str = "main") -> dict[str, Result]:
        """Run one workflow on the head of a branch."""
        self.runs += 1
        keeper = self.keeper
        runner = Runner(
            keeper.bare,
            self.folder / f"run-{self.runs}",
            environ=machine(
                GITHUB_API_URL=keeper.github.base,
                DOCKER_HOST="unix:///nonexistent/docker.sock",
                HULLMARK_DEBIAN_MIRROR=keeper.mirror.debian,
                HULLMARK_DEBIAN_KEYRING=str(self.signer.keyring),
                HULLMARK_NOW=NOW.isoformat(),
            ),
            event={"repository": {"default_branch": "main"}, **event},
            github={
                "sha": run_git(keeper.bare, "rev-parse", revision),
                "ref": f"refs/heads/{revision}",
                "repository": NAME,
                "token": TOKEN,
            },
            earlier=self.artefacts,
        )
        results = runner.run(FOLDER / f"{name}.yml")
        self.artefacts[str(self.runs)] = runner.artefacts
        return results

    def compare(self) -> dict[str, Result]:
        """The run that was asked for, and the report after it."""
        head = self.keeper.branch()
        (asked,) = (run for run in self.keeper.world.runs if run["head_sha"] == head)
        results = self.run("pr-compare", {}, revision=BRANCH)
        asked |= {"id": self.runs, "status": "completed", "conclusion": "success"}
        about = {"head_sha": asked["head_sha"], "event": "workflow_dispatch", "conclusion": "success"}
        self.report = self.run("pr-report", {"workflow_run": about})
        return results


@pytest.fixture
def night(
    tmp_path: Path,
    github: FakeGitHub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Night]:
    for program in ("gpg", "gpg-agent", "gpgv", "trivy", "bwrap", "docker-registry"):
        require(program)
    with tempfile.TemporaryDirectory(prefix="gpg-") as name, registry(tmp_path) as host:
        signer = Signer(Path(name))
        with serve(signer.sign) as mirror:
            stock(mirror)
            keeper = Keeper(tmp_path, mirror, signer, github, monkeypatch, capsys)
            yield Night(keeper, tmp_path, host, signer)
        signer.stop()


def test_a_newer_package_is_proposed_compared_and_merged_without_anybody(night: Night) -> None:
    night.keeper.offer("1.1")

    found = night.run("update-locks", {})

    assert found["propose"].result == "success", describe(found)
    pull = night.keeper.pull()
    assert pull.author == BOT
    assert "resolves 1 vulnerability (1 HIGH)" in night.keeper.text(pull)

    compared = night.compare()
    assert compared["compare"].result == "success", describe(compared)
    assert pull.merged, describe(night.report)
    assert "package amd64 tool 1.1 " in night.keeper.lock()


def test_a_lock_that_was_edited_by_hand_waits_for_a_person(night: Night) -> None:
    night.keeper.offer("1.1")
    night.run("update-locks", {})
    pull = night.keeper.pull()
    lock = night.keeper.lock(night.keeper.branch())
    before = night.keeper.branch()
    after = night.keeper.push_as(night.keeper.world.people[BOT].mail, lock + "# by hand\n", name=BOT)
    for run in night.keeper.world.runs:  # as if it had been pushed before the comparison was started
        run["head_sha"] = run["head_sha"].replace(before, after)

    night.compare()

    assert not pull.merged
    assert "is not proved" in night.keeper.world.issues[pull.number].comments[-1].body


def test_an_image_that_cannot_be_resolved_keeps_no_other_back_and_the_run_ends_red(night: Night) -> None:
    night.keeper.offer("1.1")
    path = night.keeper.root / "images/tiny/image.toml"
    path.write_text(path.read_text().replace("tool = {", 'gone = { reason = "x" }\ntool = {'))
    night.keeper.save("a package that Debian does not have")

    results = night.run("update-locks", {})

    assert (results["find"].result, results["propose"].result) == ("failure", "failure"), describe(results)
    assert [pull.branch for pull in night.keeper.world.pulls.values()] == ["hullmark/lock-other"]
