"""The shipped workflows, executed: real git, real builds, real Trivy, a database from a registry."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hullmark.bundle import read_bundle
from hullmark.journal import Journal
from hullmark.ledger import parse_checkpoint
from hullmark.policy import Verdict
from hullmark.pushed import find_pushes
from hullmark.scanners import sample
from hullmark.scanners.specimen import Installed, _layer_files
from hullmark.verification import verify_history
from tests.commands.project import DEBIAN, FIXED, KNOWN, LATER, OLD, SOURCE
from tests.github.fake import Account, FakeGitHub
from tests.github.fake.world import NAME, TOKEN
from tests.layouts import pull
from tests.remotes import clone, make_remote, run_git
from tests.repositories import commit
from tests.scanners.support import database_files, push, registry, require
from tests.workflows.files import FOLDER, ROOT
from tests.workflows.runner import Runner, describe, keep, machine, upload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.workflows.runner import Action, Job, Result

CONFIG = """version = 1
[images.app]
package_types = ["debian"]
[scan]
containment = "required"
repositories = ["{host}/db:2"]
[publish]
registry = "{host}/images"
"""
INSTALL = '#!/bin/sh\necho "{bin}" >>"$GITHUB_PATH"\n'
"""The environment of the tests is the installation; `install.sh` itself has a test of its own."""


class Forge:
    """A repository on which the workflows run, with its GitHub, and a registry that has its database."""

    def __init__(self, folder: Path, host: str, github: FakeGitHub) -> None:
        self.github = github
        self.world = github.world
        self.artefacts: dict[str, Path] = {}
        self.folder = folder
        self.host = host
        self.runs = 0
        self.reported: dict[str, Result] = {}
        self.attested: list[dict[str, Any]] = []
        self.offer(until=date(2026, 2, 1))
        self.bare = self.world.repository = make_remote(folder, {"README.md": "images\n"})
        self.work = clone(self.bare, folder / "work")
        commit(
            self.work,
            {
                "hullmark.toml": CONFIG.format(host=host),
                ".gitignore": ".hullmark/\ndist/\n.cache/\n",
                ".github/hullmark/install.sh": INSTALL.format(bin=Path(sys.executable).parent),
                "images/app/Dockerfile": "FROM scratch\nCOPY root /\n",
                **image_files(OLD),
            },
        )
        run_git(self.work, "push", "-q", "origin", "main")
        run_git(self.bare, "config", "uploadpack.allowAnySHA1InWant", "true")

    def offer(self, *, until: date | None = None) -> None:
        """Put a database into the registry that knows what was known until then."""
        folder = self.folder / f"db-{self.runs}-{until}"
        sample.build((KNOWN, LATER), folder=folder, updated_at=datetime(2026, 6, 1, tzinfo=UTC), until=until)
        push(self.host, "db", database_files(folder))

    def propose(self, files: dict[str, str | None]) -> dict[str, Any]:
        """A pull request from a fork, with a name that is a command: its commit is in no branch of ours."""
        base = run_git(self.bare, "rev-parse", "main")
        run_git(self.work, "checkout", "-q", "--detach", base)
        head = commit(self.work, files)
        run_git(self.work, "push", "-q", "origin", f"+{head}:refs/pull/7/head")
        run_git(self.work, "checkout", "-q", "main")
        return {
            "number": 7,
            "base": {"sha": base, "ref": "main"},
            "head": {"sha": head, "ref": "feat;touch${IFS}PWNED;#"},
        }

    def run(self, name: str, *, event: dict[str, Any] | None = None, **actions: Action) -> dict[str, Result]:
        """Run one workflow on the head of main; `upload` and so on stand in for the actions of that name."""
        self.runs += 1
        storage = self.folder / "storage.conf"
        storage.write_text(
            f'[storage]\ndriver = "vfs"\nrunroot = "{self.folder}/run"\ngraphroot = "{self.folder}/store"\n'
        )
        environ = machine(
            CONTAINERS_STORAGE_CONF=str(storage),
            BUILDAH_ISOLATION="chroot",
            DOCKER_HOST="unix:///nonexistent/docker.sock",
            GITHUB_API_URL=self.github.base,
        )
        sha = run_git(self.bare, "rev-parse", "main")
        runner = Runner(
            self.bare,
            self.folder / f"run-{self.runs}",
            environ=environ,
            event=event,
            github={"sha": sha, "ref": "refs/heads/main", "repository": NAME, "token": TOKEN},
            earlier=self.artefacts,
            actions={
                "actions/upload-pages-artifact": upload_pages,
                "actions/deploy-pages": deploy_pages,
                "actions/attest": self.attest,
                **{f"actions/{each.replace('_', '-')}": action for each, action in actions.items()},
            },
        )
        results = runner.run(FOLDER / f"{name}.yml")
        if name == "pr-compare":
            self.artefacts[str(self.runs)] = runner.artefacts
        return results

    def compare(self, files: dict[str, str | None], *, author: str = "renovate[bot]") -> dict[str, Result]:
        """Compare a pull request, and let GitHub know it and the run."""
        pull = self.propose(files)
        head = pull["head"]["sha"]
        self.world.join(Account(author, kind="Bot" if author.endswith("[bot]") else "User"))
        changed = [{"filename": name, "patch": "@@\n-a\n+b"} for name in files]
        self.world.add_pull(author, head, changed)
        results = self.run("pr-compare", event={"pull_request": pull})
        path = ".github/workflows/pr-compare.yml"
        self.world.runs.append({"id": self.runs, "path": path, "head_sha": head, "status": "completed"})
        self.world.runs[-1]["conclusion"] = results["compare"].result
        about = {"head_sha": head, "event": "pull_request", "conclusion": results["compare"].result}
        self.reported = self.run("pr-report", event={"workflow_run": about})
        return results

    def attest(self, job: Job, given: dict[str, Any]) -> None:
        """Sign, as whoever may."""
        assert job.permissions == {"attestations": "write", "id-token": "write"}
        for name in ("sbom-path", "subject-path"):
            assert name not in given or (job.workspace / given[name]).is_file()
        self.attested.append(given)

    def push(self, version: str) -> dict[str, Result]:
        """Merge another version of the image, and run what a push to main starts."""
        commit(self.work, dict(image_files(version)))
        run_git(self.work, "push", "-q", "origin", "main")
        return self.run("scan-main")

    @property
    def image(self) -> str:
        """The image in the registry."""
        return f"{self.host}/images/app"

    def published(self) -> Journal:
        """What lies on the publish branch."""
        folder = self.folder / f"published-{self.runs}"
        if not folder.exists():
            clone(self.bare, folder)
            run_git(folder, "checkout", "-q", "hullmark-data")
        return Journal(folder / "audit-logs")


def upload_pages(job: Job, given: dict[str, Any]) -> None:
    """Keep the site as the artefact that Pages takes."""
    upload(job, {**given, "name": "github-pages", "if-no-files-found": "error"})


def deploy_pages(job: Job, given: dict[str, Any]) -> dict[str, str]:
    """Pages takes what was kept, from whoever may deploy."""
    assert not given
    assert job.permissions == {"id-token": "write", "pages": "write"}
    assert (job.runner.artefacts / "github-pages").is_dir()
    return {"page_url": "https://pages.example"}


def image_files(version: str) -> dict[str, str]:
    """The files of an image with one package."""
    packages = (Installed(name="gnutls-bin", version=version, source=SOURCE, source_version=version),)
    files = {
        f"images/app/root/{name}": content.decode()
        for name, content in _layer_files(packages, DEBIAN).items()
    }
    return {**files, "images/app/root/etc/keep": ""}


@pytest.fixture
def forge(tmp_path: Path, github: FakeGitHub) -> Iterator[Forge]:
    for program in ("trivy", "buildah", "bwrap", "docker-registry", "skopeo"):
        require(program)
    with registry(tmp_path) as host:
        yield Forge(tmp_path, host, github)


def test_a_push_is_built_scanned_recorded_and_published(forge: Forge) -> None:
    results = forge.run("scan-main")

    assert results["pipeline"].result == "success", describe(results)
    journal = forge.published()
    scan = journal.timelines("app")["linux/amd64"].latest
    assert [change.id for change in scan.event.introduced] == ["CVE-2026-1"]
    assert scan.inputs is not None
    assert verify_history(journal).ok
    assert (journal.root.parent / "cve-baseline/app.json").is_file()
    (issue,) = forge.world.issues.values()
    assert "image:app" in issue.labels
    assert "CVE-2026-1" in issue.body


def test_what_was_scanned_is_pushed_by_digest_after_it_was_recorded(forge: Forge, tmp_path: Path) -> None:
    results = forge.run("scan-main")

    assert {each.result for each in results.values()} == {"success", "skipped"}, describe(results)
    assert results["attest"].result == "skipped"
    scan = forge.published().timelines("app")["linux/amd64"].latest
    (pushed,) = [event for _, event in find_pushes(forge.published(), "app")]
    manifest = pull(f"{forge.image}:latest", tmp_path / "pulled")
    assert (manifest["digest"], manifest["config"]["digest"]) == (pushed.digest, scan.digest)
    assert pushed.images == {"linux/amd64": scan.digest}
    assert pushed.commit == run_git(forge.bare, "rev-parse", "main")
    ((_, decided),) = forge.published().decisions()
    assert (decided.decision, decided.verdict) == (pushed.decision, Verdict.REVIEW)

    again = forge.run("scan-main")
    assert {each.result for each in again.values()} == {"success", "skipped"}, describe(again)
    _, rebuilt = [event for _, event in find_pushes(forge.published(), "app")]
    assert (rebuilt.before, rebuilt.kept) == (
        pushed.digest,
        None,
    )  # an engine stamps each build with its time
    assert verify_history(forge.published()).ok


def test_a_worse_build_of_main_leaves_the_tag_and_the_issue_says_so(forge: Forge, tmp_path: Path) -> None:
    better = forge.push(FIXED)
    assert better["record"].result == "success", describe(better)
    published = pull(f"{forge.image}:latest", tmp_path / "better")["digest"]

    results = forge.push(OLD)

    assert results["build-and-scan"].result == "failure"
    assert results["record"].result == "success", describe(results)
    assert pull(f"{forge.image}:latest", tmp_path / "still")["digest"] == published
    (issue,) = forge.world.issues.values()
    assert "stays where it was: the build was blocked on" in issue.body

    forge.push(FIXED)
    assert "stays where it was" not in issue.body


def test_an_image_that_may_be_public_is_attested_with_its_sbom(forge: Forge) -> None:
    config = (forge.work / "hullmark.toml").read_text()
    commit(forge.work, {"hullmark.toml": config + "public = true\n"})
    run_git(forge.work, "push", "-q", "origin", "main")

    results = forge.run("scan-main")

    assert results["attest"].result == "success", describe(results)
    (pushed,) = [event for _, event in find_pushes(forge.published(), "app")]
    subject = {"subject-name": forge.image, "subject-digest": pushed.digest}
    assert forge.attested == [subject, {**subject, "sbom-path": "attest/app.cdx.json"}]


def test_what_main_has_and_nobody_published_is_built_once(forge: Forge) -> None:
    """A merge by a workflow's own token starts no push run: the daily rescan starts it."""
    forge.run("scan-main")
    forge.run("rescan")
    assert [line for line in forge.github.changes if line.endswith("/dispatches")] == []

    commit(forge.work, dict(image_files(FIXED)))
    run_git(forge.work, "push", "-q", "origin", "main")
    results = forge.run("rescan")
    assert results["pending"].result == "success", describe(results)
    (run,) = forge.world.runs
    assert (run["path"], run["event"]) == (".github/workflows/scan-main.yml", "workflow_dispatch")

    assert forge.run("rescan")["pending"].result == "failure"  # it runs; nothing is started beside it
    run["status"] = "completed"
    assert forge.run("rescan")["pending"].result == "failure"  # it ended without a push: a person looks
    assert forge.world.runs == [run]
    forge.run("scan-main")
    assert forge.run("rescan")["pending"].result == "success"
    assert forge.github.violations == []


def test_the_daily_rescan_looks_at_what_is_published_and_not_at_what_was_blocked(forge: Forge) -> None:
    forge.push(FIXED)
    published = forge.published().timelines("app")["linux/amd64"].latest.digest
    forge.push(OLD)
    forge.offer()

    results = forge.run("rescan")

    assert results["pipeline/record"].result == "success", describe(results)
    assert forge.published().timelines("app")["linux/amd64"].latest.digest == published


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
            "hullmark.toml": config.replace("[scan]", "[images.broken]\n[scan]") + "public = true\n",
            "images/broken/Dockerfile": "FROM scratch\nCOPY nothing /\n",
        },
    )
    run_git(forge.work, "push", "-q", "origin", "main")

    results = forge.run("security_summary")

    assert results["pipeline"].result == "failure"
    pinned = forge.folder / f"run-{forge.runs}/artefacts/checkpoint/checkpoint.json"
    checkpoint = parse_checkpoint(pinned.read_bytes(), file=pinned)
    assert verify_history(forge.published(), checkpoint).ok
    assert results["attest"].result == "success", describe(results)
    assert forge.attested == [{"subject-path": "public/checkpoint.json"}]
    assert results["pipeline/record"].result == "success", describe(results)
    journal = forge.published()
    assert verify_history(journal).ok
    summary = json.loads((journal.root.parent / "docs/data/security-summary.json").read_text())
    assert [image["name"] for image in summary["images"]] == ["app", "broken"]
    assert summary["coverage"]["complete"] is False
    assert (journal.root.parent / "SECURITY_SUMMARY.md").is_file()


def test_the_site_is_off_until_it_may_be_public(forge: Forge) -> None:
    forge.run("scan-main")

    results = forge.run("dashboard")

    assert results["build"].result == "success", describe(results)
    assert results["deploy"].result == "skipped"
    config = (forge.work / "hullmark.toml").read_text()
    commit(forge.work, {"hullmark.toml": config + "public = true\n"})
    run_git(forge.work, "push", "-q", "origin", "main")
    results = forge.run("dashboard")
    assert results["deploy"].result == "success", describe(results)
    assert (forge.folder / f"run-{forge.runs}/artefacts/github-pages/index.html").is_file()


def verdict(forge: Forge, run: int = 0) -> Verdict:
    """What the newest comparison handed over."""
    path = forge.folder / f"run-{run or forge.runs}/artefacts/decision/bundle.json"
    return read_bundle(path.read_bytes(), file=path).decision.verdict


def test_a_better_change_is_allowed_and_a_worse_one_blocked(forge: Forge) -> None:
    forge.offer()
    forge.run("scan-main")

    results = forge.run("pr-compare", event={"pull_request": forge.propose(dict(image_files(FIXED)))})

    assert {name: result.result for name, result in results.items()} == dict.fromkeys(
        ("plan", "build-base", "build-head", "test", "compare"), "success"
    ), describe(results)
    assert verdict(forge) is Verdict.ALLOW, describe(results)
    assert not list(forge.folder.rglob("PWNED"))

    commit(forge.work, dict(image_files(FIXED)))
    run_git(forge.work, "push", "-q", "origin", "main")
    results = forge.run("pr-compare", event={"pull_request": forge.propose(dict(image_files(OLD)))})
    assert results["compare"].result == "failure", describe(results)
    assert verdict(forge) is Verdict.BLOCK


def test_a_build_that_replaces_what_other_jobs_handed_over_gains_nothing(forge: Forge) -> None:
    """A build runs the change's own steps: it may delete and leave artefacts under any name of its run."""
    forge.offer()
    forge.compare(dict(image_files(FIXED)))
    better = forge.folder / f"run-{forge.runs - 1}/artefacts/decision"
    assert verdict(forge, forge.runs - 1) is Verdict.ALLOW
    commit(forge.work, dict(image_files(FIXED)))
    run_git(forge.work, "push", "-q", "origin", "main")
    forge.run("scan-main")

    def upload_as_the_head_does(job: Job, given: dict[str, Any]) -> dict[str, str]:
        handed = upload(job, given)
        if given["name"] == "built-head":
            keep(job.runner, "decision", better, overwrite=True)
            for name in ("plan", "built-base", "smoke"):
                keep(job.runner, name, job.workspace / "built", overwrite=True)
        return handed

    event = {"pull_request": forge.propose(dict(image_files(OLD)))}
    results = forge.run("pr-compare", event=event, upload_artifact=upload_as_the_head_does)

    assert results["compare"].result == "failure", describe(results)
    handed = forge.folder / f"run-{forge.runs}/artefacts/decision/bundle.json"
    assert not handed.exists() or verdict(forge) is Verdict.BLOCK


def test_a_decision_that_a_build_left_is_gone_even_when_none_was_made(forge: Forge) -> None:
    def upload_as_the_head_does(job: Job, given: dict[str, Any]) -> dict[str, str]:
        handed = upload(job, given)
        if given["name"] == "built-head":
            (job.temporary / "forged").mkdir()
            (job.temporary / "forged/bundle.json").write_text("{}")
            keep(job.runner, "decision", job.temporary / "forged", overwrite=True)
        return handed

    (forge.work / "hullmark.toml").write_text(CONFIG.format(host="127.0.0.1:9"))
    commit(forge.work, {"README.md": "no database can be fetched\n"})
    run_git(forge.work, "push", "-q", "origin", "main")
    event = {"pull_request": forge.propose(dict(image_files(FIXED)))}
    results = forge.run("pr-compare", event=event, upload_artifact=upload_as_the_head_does)

    assert results["compare"].result == "failure"
    left = forge.folder / f"run-{forge.runs}/artefacts/decision"
    assert [path.name for path in left.iterdir()] == ["none"]


def test_what_a_change_does_is_reported_on_it_and_recorded(forge: Forge) -> None:
    forge.offer()
    commit(forge.work, dict(image_files(FIXED)))
    run_git(forge.work, "push", "-q", "origin", "main")
    forge.run("scan-main")

    forge.compare(dict(image_files(OLD)))

    assert forge.reported["report"].result == "success", describe(forge.reported)
    (check,) = forge.world.checks
    assert (check.name, check.conclusion) == ("hullmark/gate", "failure")
    (comment,) = forge.world.issues[next(iter(forge.world.pulls))].comments
    assert "CVE-2026-1" in comment.body
    (decided,) = [event for _, event in forge.published().decisions() if event.pull_request]
    assert (decided.verdict, decided.head) == (Verdict.BLOCK, check.head)
    assert forge.github.violations == []


def test_a_comparison_that_handed_over_nothing_fails_the_check(forge: Forge) -> None:
    pull = forge.propose({"README.md": "other\n"})
    head = pull["head"]["sha"]
    forge.world.join(Account("alice"))
    forge.world.add_pull("alice", head, [{"filename": "README.md", "patch": "@@\n-a\n+b"}])

    about = {"head_sha": head, "event": "pull_request", "conclusion": "failure"}
    forge.run("pr-report", event={"workflow_run": about})

    (check,) = forge.world.checks
    assert check.conclusion == "failure"


def test_a_change_that_touches_no_image_builds_nothing_and_is_for_a_person(forge: Forge) -> None:
    results = forge.run("pr-compare", event={"pull_request": forge.propose({"README.md": "other\n"})})

    assert results["compare"].result == "success", describe(results)
    assert verdict(forge) is Verdict.REVIEW


@pytest.mark.parametrize(
    "files",
    [
        {"images/app/Dockerfile": "FROM scratch\nCOPY nothing /\n"},
        {"hullmark.toml": "version = 2\n"},
        {"images/app": None},
    ],
)
def test_a_change_whose_image_cannot_be_built_is_blocked_with_a_decision(
    forge: Forge, files: dict[str, str | None]
) -> None:
    results = forge.run("pr-compare", event={"pull_request": forge.propose(files)})

    assert results["compare"].result == "failure", describe(results)
    assert verdict(forge) is Verdict.BLOCK, describe(results)


def test_a_merge_group_is_compared_with_the_head_of_main(forge: Forge) -> None:
    change = forge.propose(dict(image_files(FIXED)))
    group = {
        "base_sha": run_git(forge.bare, "rev-parse", "main"),
        "head_sha": run_git(forge.bare, "rev-parse", "refs/pull/7/head"),
    }
    assert change["number"] == 7

    results = forge.run("pr-compare", event={"merge_group": group})

    assert results["compare"].result == "success", describe(results)


def test_a_build_job_that_dies_leaves_the_published_history_alone(forge: Forge) -> None:
    commit(forge.work, {"hullmark.toml": "version = 2\n"})
    run_git(forge.work, "push", "-q", "origin", "main")

    results = forge.run("scan-main")

    assert results["pipeline"].result == "failure"
    ended = {name: results[f"pipeline/{name}"].result for name in ("build", "test", "scan", "record")}
    assert ended == {"build": "failure", "test": "skipped", "scan": "failure", "record": "skipped"}
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
    assert told == {
        "Fetch what is published",
        "Fetch what is published now",
        "Push by digest, and move the tags that may move",
        "Publish",
        "Keep the issues",
        "Show the findings in code scanning",
    }


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
