"""The whole life on GitHub, with real Trivy, real git and a GitHub that keeps state."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import Exit
from hullmark.finding import Severity
from hullmark.journal import Journal
from hullmark.scanners import sample, specimen
from hullmark.scanners.advisory import Advisory
from hullmark.scanners.specimen import Installed
from hullmark.verification import verify_history
from tests.commands.project import DEBIAN, FIXED, KNOWN, LATER, OLD, SOURCE, Project
from tests.github.fake import Account, FakeGitHub
from tests.github.fake.world import NAME, TOKEN
from tests.remotes import clone, make_remote, run_git
from tests.repositories import commit, switch
from tests.scanners.support import require

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.github.client import Client
    from tests.github.fake import Comment, Issue, Pull

RENOVATE = "renovate[bot]"
ALARM = Advisory(
    id="CVE-2026-9", package="openssl", fixed="9", severity=Severity.CRITICAL, known=date(2026, 1, 1)
)
CONFIG = 'version = 1\n[images.app]\npackage_types = ["debian"]\n'
IGNORED = ".hullmark/\n/db/\n/reports/\n*.tar\n*.json\n"


def dockerfile(release: int) -> str:
    """A Dockerfile whose base is pinned: its digest is all that an update moves."""
    return f"FROM debian:13.1@sha256:{release:064x}\nUSER 1000\n"


class Pipeline(Project):
    """A clone of a repository on GitHub, in which the steps of its workflows are taken."""

    def __init__(
        self,
        root: Path,
        github: FakeGitHub,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        bare = make_remote(
            root, {"hullmark.toml": CONFIG, ".gitignore": IGNORED, "images/app/Dockerfile": dockerfile(1)}
        )
        super().__init__(clone(bare, root / "repository"), capsys, monkeypatch)
        (self.root / "hullmark.toml").write_text(CONFIG)
        self.github, self.world = github, github.world
        self.world.merge = self.merge
        for account in (Account(RENOVATE, kind="Bot"), Account("alice"), Account("bob")):
            self.world.join(account)
        values = {"GITHUB_API_URL": github.base, "GITHUB_REPOSITORY": NAME, "GITHUB_TOKEN": TOKEN}
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("GITHUB_GRAPHQL_URL", raising=False)
        monkeypatch.setattr("hullmark.commands.forge.connect", self._connect)
        self.set = monkeypatch.setenv
        self.release = 1
        sample.build(
            (KNOWN, LATER, ALARM), folder=self.root / "db", updated_at=datetime(2026, 1, 31, tzinfo=UTC)
        )

    def _connect(self, base: str, token: str, *, graphql: str) -> Client:
        assert (base, graphql) == (self.github.base, "")
        return self.github.client(token)

    def build(self, name: str, *, tls: str = OLD, zlib: str = "1", openssl: str = "") -> str:
        """An image with these versions, as a builder would hand it over."""
        versions = {
            "libgnutls30t64": (SOURCE, tls),
            "zlib1g": ("zlib", zlib),
            "libssl3t64": ("openssl", openssl),
        }
        packages = tuple(
            Installed(name=package, version=version, source=source, source_version=version)
            for package, (source, version) in versions.items()
            if version
        )
        (self.root / name).write_bytes(specimen.archive(packages, system=DEBIAN))
        return name

    def do(self, *arguments: str, code: int = 0) -> str:
        """Run one command line."""
        assert self.run(*arguments) == code, self.err
        return self.out

    def pushed(self, archive: str, moment: str) -> None:
        """What `scan-main` does after a push: scan, record, publish, bring issues up to date."""
        self.at(moment)
        run_git(self.root, "pull", "-q", "origin", "main")
        self.set("GITHUB_SHA", run_git(self.root, "rev-parse", "HEAD"))
        self.do("publish", "--fetch")
        self.do("record", "--local", "--db", "db", f"app={archive}")
        self.do("publish")
        self.do("publish", "--fetch")
        self.do("issues", "sync", "--audit-logs", ".hullmark/published/audit-logs")

    def propose(self, author: str = RENOVATE) -> Pull:
        """Push a branch that moves the pin, and open a pull request of it."""
        self.release += 1
        branch = f"renovate/app-{self.release}"
        switch(self.root, branch, new=True)
        head = commit(self.root, {"images/app/Dockerfile": dockerfile(self.release)})
        run_git(self.root, "push", "-q", "origin", branch)
        patch = run_git(self.root, "diff", "main", branch, "--", "images/app/Dockerfile")
        switch(self.root, "main")
        file = {"filename": "images/app/Dockerfile", "patch": patch[patch.index("@@") :]}
        pull = self.world.add_pull(author, head, [file])
        pull.branch = branch
        return pull

    def compare(self, pull: Pull, base: str, head: str, verdict: Exit) -> str:
        """What `pr-compare` and `pr-report` do; the comment."""
        self.do("plan", "--base", "main", "--head", pull.head, "--out", "plan.json")
        sides = ("--base", f"app={base}", "--head", f"app={head}")
        gate = ("gate", "--plan", "plan.json", "--db", "db", *sides, "--write", "bundle=bundle.json")
        assert self.run(*gate) == verdict, self.out
        self.do("pr-report", "--head", pull.head, "--bundle", "bundle.json")
        comment: Comment = self.world.issues[pull.number].comments[-1]
        return comment.body

    def merge(self, pull: Pull) -> None:
        """What GitHub does when it merges."""
        run_git(self.root, "merge", "-q", "--squash", pull.branch)
        run_git(self.root, "commit", "-q", "-m", f"Merge #{pull.number}")
        run_git(self.root, "push", "-q", "origin", "main")

    @property
    def issue(self) -> Issue:
        (issue,) = (each for each in self.world.issues.values() if not each.is_pull)
        return issue

    def entries(self) -> int:
        """Entries of the published ledger of the image, which verifies."""
        journal = Journal(self.root / ".hullmark/published/audit-logs")
        assert verify_history(journal).ok
        return sum(1 for _ in journal.events("app"))


@pytest.fixture
def pipeline(
    tmp_path: Path, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Pipeline:
    require("trivy")
    return Pipeline(tmp_path, github, monkeypatch, capsys)


def blocks(issue: Issue) -> list[str]:
    return re.findall(r"^#### (\S+)", issue.body, re.MULTILINE)


def test_from_a_push_to_an_issue_to_updates_to_a_close_with_proof(pipeline: Pipeline) -> None:
    first = pipeline.build("first.tar")
    pipeline.pushed(first, "2026-02-01T09:00:00+00:00")
    assert pipeline.issue.labels == ["security", "trivy", "image:app", "severity:high"]
    assert blocks(pipeline.issue) == ["2026-02-01"]
    entries = pipeline.entries()

    # A worse update is blocked, and the comment says why.
    worse = pipeline.propose()
    comment = pipeline.compare(worse, first, pipeline.build("worse.tar", openssl="1"), Exit.BLOCK)
    assert "CVE-2026-9, CRITICAL, in libssl3t64 1 (not in base)" in comment.replace("\\", "")
    assert pipeline.world.unmet(worse) == ["hullmark/gate"]
    assert not worse.merged

    # A better update by the bot is merged; the ledger goes on, and the issue is extended.
    better = pipeline.propose()
    second = pipeline.build("second.tar", tls=FIXED)
    assert "It merges by itself" in pipeline.compare(better, first, second, Exit.DONE)
    assert better.merged
    pipeline.pushed(second, "2026-02-02T09:00:00+00:00")
    assert dockerfile(3) == (pipeline.root / "images/app/Dockerfile").read_text()
    assert pipeline.entries() == entries + 1
    assert blocks(pipeline.issue) == ["2026-02-02", "2026-02-01"]
    assert "severity:medium" in pipeline.issue.labels
    assert f"commit `{run_git(pipeline.root, 'rev-parse', 'HEAD')[:12]}`" in pipeline.issue.body

    # A clean one closes the issue with proof.
    clean = pipeline.propose()
    third = pipeline.build("third.tar", tls=FIXED, zlib="2")
    pipeline.compare(clean, second, third, Exit.DONE)
    assert clean.merged
    pipeline.pushed(third, "2026-02-03T09:00:00+00:00")
    assert (pipeline.issue.state, pipeline.issue.reason) == ("closed", "completed")
    assert "**Closed with proof.** 1 complete scan found nothing of MEDIUM or worse" in pipeline.issue.body
    assert pipeline.entries() == entries + 2

    # Nothing is done a second time.
    before = list(pipeline.github.changes)
    pipeline.do("issues", "sync", "--audit-logs", ".hullmark/published/audit-logs")
    assert pipeline.github.changes == before


def test_an_update_with_an_old_critical_still_there_is_not_merged_by_itself(pipeline: Pipeline) -> None:
    base = pipeline.build("base.tar", openssl="1")
    pipeline.pushed(base, "2026-02-01T09:00:00+00:00")
    assert "severity:critical" in pipeline.issue.labels

    pull = pipeline.propose()
    head = pipeline.build("head.tar", openssl="1", tls=FIXED, zlib="2")
    comment = pipeline.compare(pull, base, head, Exit.REVIEW)

    assert "the verdict is review, not allow" in comment
    assert "still has a CRITICAL" in comment
    assert (pull.merged, pull.merging_for, pipeline.world.unmet(pull)) == (False, "", ["hullmark/gate"])

    # A person may take it: the check passes, and still nothing merges by itself.
    pull.reviews.append(("bob", "APPROVED", pull.head))
    pipeline.compare(pull, base, head, Exit.REVIEW)
    assert (pull.merged, pipeline.world.unmet(pull)) == (False, [])
