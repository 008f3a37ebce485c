"""The shipped workflows, executed: real git, real builds, real Trivy, a database from a registry."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hullmark.journal import Journal
from hullmark.scanners import sample
from hullmark.scanners.specimen import Installed, _layer_files
from hullmark.verification import verify_history
from tests.commands.project import DEBIAN, KNOWN, LATER, OLD, SOURCE
from tests.remotes import clone, make_remote, run_git
from tests.repositories import commit
from tests.scanners.support import database_files, push, registry, require
from tests.workflows.files import FOLDER, ROOT
from tests.workflows.runner import Runner, describe, machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.workflows.runner import Result

CONFIG = """version = 1
[images.app]
package_types = ["debian"]
[scan]
containment = "required"
repositories = ["{repository}"]
"""
INSTALL = '#!/bin/sh\necho "{bin}" >>"$GITHUB_PATH"\n'
"""The environment of the tests is the installation; `install.sh` itself has a test of its own."""


class Forge:
    """A repository on which the workflows run, with a registry that has its database."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder
        self.host = host
        self.runs = 0
        self.offer(until=date(2026, 2, 1))
        self.bare = make_remote(folder, {"README.md": "images\n"})
        self.work = clone(self.bare, folder / "work")
        commit(
            self.work,
            {
                "hullmark.toml": CONFIG.format(repository=f"{host}/db:2"),
                ".gitignore": ".hullmark/\ndist/\n.cache/\n",
                ".github/hullmark/install.sh": INSTALL.format(bin=Path(sys.executable).parent),
                "images/app/Dockerfile": "FROM scratch\nCOPY root /\n",
                **image_files(OLD),
            },
        )
        run_git(self.work, "push", "-q", "origin", "main")

    def offer(self, *, until: date | None = None) -> None:
        """Put a database into the registry that knows what was known until then."""
        folder = self.folder / f"db-{self.runs}-{until}"
        sample.build((KNOWN, LATER), folder=folder, updated_at=datetime(2026, 6, 1, tzinfo=UTC), until=until)
        push(self.host, "db", database_files(folder))

    def run(self, name: str) -> dict[str, Result]:
        """Run one workflow on the head of main."""
        self.runs += 1
        storage = self.folder / "storage.conf"
        storage.write_text(
            f'[storage]\ndriver = "vfs"\nrunroot = "{self.folder}/run"\ngraphroot = "{self.folder}/store"\n'
        )
        environ = machine(
            CONTAINERS_STORAGE_CONF=str(storage),
            BUILDAH_ISOLATION="chroot",
            DOCKER_HOST="unix:///nonexistent/docker.sock",
        )
        sha = run_git(self.bare, "rev-parse", "main")
        runner = Runner(
            self.bare,
            self.folder / f"run-{self.runs}",
            environ=environ,
            github={"sha": sha, "ref": "refs/heads/main"},
        )
        return runner.run(FOLDER / f"{name}.yml")

    def published(self) -> Journal:
        """What lies on the publish branch."""
        folder = self.folder / f"published-{self.runs}"
        clone(self.bare, folder)
        run_git(folder, "checkout", "-q", "hullmark-data")
        return Journal(folder / "audit-logs")


def image_files(version: str) -> dict[str, str]:
    """The files of an image with one package."""
    packages = (Installed(name="gnutls-bin", version=version, source=SOURCE, source_version=version),)
    files = {
        f"images/app/root/{name}": content.decode()
        for name, content in _layer_files(packages, DEBIAN).items()
    }
    return {**files, "images/app/root/etc/keep": ""}


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    for program in ("trivy", "buildah", "bwrap", "docker-registry"):
        require(program)
    with registry(tmp_path) as host:
        yield Forge(tmp_path, host)


def test_a_push_is_built_scanned_recorded_and_published(forge: Forge) -> None:
    results = forge.run("scan-main")

    assert results["pipeline"].result == "success", describe(results)
    journal = forge.published()
    scan = journal.timelines("app")["linux/amd64"].latest
    assert [change.id for change in scan.event.introduced] == ["CVE-2026-1"]
    assert scan.inputs is not None
    assert verify_history(journal).ok
    assert (journal.root.parent / "cve-baseline/app.json").is_file()


def test_what_was_disclosed_since_is_found_by_the_daily_rescan_which_builds_nothing(forge: Forge) -> None:
    forge.run("scan-main")
    forge.offer()

    results = forge.run("rescan")

    assert results["pipeline/build"].result == "skipped"
    assert results["pipeline"].result == "success", describe(results)
    scans = forge.published().timelines("app")["linux/amd64"].scans
    assert len(scans) == 2
    assert scans[0].digest == scans[1].digest


def test_the_weekly_summary_is_published_with_an_image_that_fails(forge: Forge) -> None:
    """The image that cannot be built is said; the others go on; the run ends red, after all is recorded."""
    config = (forge.work / "hullmark.toml").read_text()
    commit(
        forge.work,
        {
            "hullmark.toml": config.replace("[scan]", "[images.broken]\n[scan]"),
            "images/broken/Dockerfile": "FROM scratch\nCOPY nothing /\n",
        },
    )
    run_git(forge.work, "push", "-q", "origin", "main")

    results = forge.run("security_summary")

    assert results["pipeline"].result == "failure"
    assert results["pipeline/record"].result == "success", describe(results)
    journal = forge.published()
    assert verify_history(journal).ok
    summary = json.loads((journal.root.parent / "docs/data/security-summary.json").read_text())
    assert [image["name"] for image in summary["images"]] == ["app", "broken"]
    assert summary["coverage"]["complete"] is False
    assert (journal.root.parent / "SECURITY_SUMMARY.md").is_file()


def test_a_build_job_that_dies_leaves_the_published_history_alone(forge: Forge) -> None:
    commit(forge.work, {"hullmark.toml": "version = 2\n"})
    run_git(forge.work, "push", "-q", "origin", "main")

    results = forge.run("scan-main")

    assert results["pipeline"].result == "failure"
    assert {results[f"pipeline/{name}"].result for name in ("build", "scan", "record")} == {"failure"}
    assert run_git(forge.bare, "branch", "--list", "hullmark-data") == ""


def test_the_token_reaches_only_the_steps_that_name_it(forge: Forge) -> None:
    spy = Path(forge.work / ".github/hullmark/install.sh")
    text = spy.read_text() + 'echo "BASH_ENV=$PWD/.github/spy" >>"$GITHUB_ENV"\n'
    commit(
        forge.work,
        {
            ".github/hullmark/install.sh": text,
            ".github/spy": 'test -z "${GITHUB_TOKEN:-}" || echo "HAS A TOKEN"\n',
        },
    )
    run_git(forge.work, "push", "-q", "origin", "main")

    results = forge.run("scan-main")

    told = {step.name for result in results.values() for step in result.steps if "HAS A TOKEN" in step.said}
    assert told == {"Fetch what is published", "Publish"}


@pytest.mark.network
def test_hullmark_is_installed_for_workflows_with_hashes(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for name in ("scripts", "src", "requirements"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)

    done = subprocess.run(
        ["sh", "scripts/install.sh", tmp_path / "venv"], cwd=copy, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hullmark ")
    assert (tmp_path / "venv/bin/trivy").exists() or sys.platform != "linux"
