"""`hullmark issues sync` against a GitHub that keeps state: its life, its bad input, load and faults."""

from __future__ import annotations

import json
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from hullmark.cli import run
from hullmark.finding import Finding, Severity
from hullmark.github.repository import find_author, find_repository
from hullmark.github.tracker import Tracker
from hullmark.issues import Rules, label_of
from hullmark.issues.body import END, begin
from hullmark.text import ISSUE_BUDGET, utf16_length
from tests.dashboard import world
from tests.github.fake import Account, FakeGitHub, Fault, Issue
from tests.github.fake.world import BOT, NAME, TOKEN
from tests.issues.histories import COMMIT, LOW, History, finding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hullmark.github.client import Client
    from tests.github.fake.rest import Reply

CONFIG = "version = 1\n[images.app]\n"


class Desk:
    """A repository with a ledger, and the command that brings its issues up to date."""

    def __init__(
        self,
        root: Path,
        github: FakeGitHub,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.root = root
        self.github = github
        self.history = History(root / "audit-logs")
        self._capsys = capsys
        (root / "hullmark.toml").write_text(CONFIG)
        monkeypatch.chdir(root)
        self.set = monkeypatch.setenv
        for name in ("GITHUB_GRAPHQL_URL", "HULLMARK_NOW"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {
            "GITHUB_API_URL": github.base,
            "GITHUB_REPOSITORY": NAME,
            "GITHUB_TOKEN": TOKEN,
            "GITHUB_SHA": COMMIT,
        }.items():
            monkeypatch.setenv(name, value)
        # The command waits in real time; here it waits in the time of the fake.
        monkeypatch.setattr("hullmark.commands.forge.connect", self._connect)
        self.out = self.err = ""

    def _connect(self, base: str, token: str, *, graphql: str) -> Client:
        assert (base, graphql) == (self.github.base, "")
        return self.github.client(token)

    def scan(self, *findings: Finding) -> Desk:
        self.history.scan(*findings)
        self.set("HULLMARK_NOW", self.history.now.isoformat())
        return self

    def call(self, *arguments: str) -> int:
        """Run a command line and keep what it printed."""
        self._capsys.readouterr()
        answer = run(list(arguments))
        self.out, self.err = self._capsys.readouterr()
        return answer

    def sync(self, *arguments: str, code: int = 0) -> str:
        """Run the command; return what it printed."""
        assert self.call("issues", "sync", *arguments) == code, self.err
        return self.out

    def settled(self) -> None:
        """A second run changes nothing."""
        before = len(self.github.changes)
        assert "every issue says what the ledger says" in self.sync()
        assert len(self.github.changes) == before

    @property
    def issue(self) -> Issue:
        (issue,) = (each for each in self.github.world.issues.values() if each.author == BOT)
        return issue


@pytest.fixture
def desk(
    tmp_path: Path, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    return Desk(tmp_path, github, monkeypatch, capsys)


def test_the_repositorys_own_files_have_an_issue_beside_those_of_the_images(desk: Desk) -> None:
    desk.scan(finding())
    world.check(desk.history.journal, 0, desk.history.now + timedelta(hours=1))
    desk.set("HULLMARK_NOW", (desk.history.now + timedelta(hours=2)).isoformat())

    told = desk.sync()

    assert "open: app: " in told
    assert "open: repository: " in told
    titles = {each.title for each in desk.github.world.issues.values()}
    assert titles == {"Security findings in app", "Security findings in this repository's own files"}
    desk.settled()


def test_an_issue_is_opened_extended_closed_with_proof_and_reopened(desk: Desk) -> None:
    assert "open: app: https://github.example/acme/images/issues/1" in desk.scan(finding()).sync()
    assert desk.issue.labels == ["security", "trivy", "image:app", "severity:high"]
    desk.settled()

    assert "edit: app: #1, updated" in desk.scan(finding(), finding("CVE-2026-2", Severity.CRITICAL)).sync()
    assert "severity:critical" in desk.issue.labels
    assert "severity:high" not in desk.issue.labels
    desk.settled()

    assert "edit: app: #1, clean" in desk.scan(LOW).sync()
    assert (desk.issue.state, desk.issue.reason) == ("closed", "completed")
    assert "**Closed with proof.**" in desk.issue.body
    desk.settled()

    assert "edit: app: #1, reopened" in desk.scan(finding()).sync()
    assert desk.issue.state == "open"
    desk.settled()


def test_a_retired_image_is_closed_as_not_planned_naming_the_commit(desk: Desk) -> None:
    desk.scan(finding()).sync()
    (desk.root / "hullmark.toml").write_text("version = 1\n[images.other]\n")

    desk.sync()

    assert (desk.issue.state, desk.issue.reason) == ("closed", "not_planned")
    assert f"retired by commit `{COMMIT[:12]}`" in desk.issue.body
    desk.settled()


def test_an_exempted_finding_closes_the_issue_and_its_end_reopens_it(desk: Desk) -> None:
    desk.scan(finding()).sync()
    (desk.root / "exemptions.toml").write_text(
        'version = 1\n[[exemptions]]\nid = "CVE-2026-1"\nimages = ["app"]\npackage = "openssl"\n'
        'owner = "@team"\nreason = "Never parsed."\nexpires = 2026-01-07\nstatus = "affected"\n'
    )

    desk.sync()
    assert desk.issue.state == "closed"
    assert "CVE-2026-1 by `@team`: Never parsed." in desk.issue.body

    desk.scan(finding()).scan(finding()).sync()
    assert desk.issue.state == "open"


def test_a_dry_run_says_what_would_be_done_and_does_nothing(desk: Desk) -> None:
    assert "would open: app: Security findings in app" in desk.scan(finding()).sync("--dry-run")
    document = json.loads(desk.sync("--dry-run", "--json"))

    assert desk.github.changes == []
    assert document["done"][0]["action"]["action"] == "open"


def test_a_pull_request_is_never_taken_for_an_issue(desk: Desk) -> None:
    world = desk.github.world
    world.add_issue("x", f"{begin('app')}\n{END}", BOT, [label_of("app")]).is_pull = True

    desk.scan(finding()).sync()

    assert [issue.is_pull for issue in world.issues.values()] == [True, False]
    desk.settled()


def test_markers_forged_by_a_stranger_are_ignored(desk: Desk) -> None:
    world = desk.github.world
    world.join(Account("stranger", role="read"))
    body = f"{begin('app')}\n{END}"
    forged = world.add_issue("x", body, "stranger", [])
    labelled = world.add_issue("x", body, "stranger", [label_of("app")])

    desk.scan(finding()).sync()
    desk.scan().sync()

    assert (forged.edits, labelled.edits) == (0, 0)
    assert desk.issue.state == "closed"


def test_duplicates_are_healed(desk: Desk) -> None:
    desk.scan(finding()).sync()
    twin = desk.github.world.add_issue("x", desk.issue.body, BOT, list(desk.issue.labels))

    desk.sync()

    assert (twin.state, twin.reason) == ("closed", "duplicate")
    assert desk.github.world.issues[1].state == "open"
    before = len(desk.github.changes)
    desk.sync()
    assert len(desk.github.changes) == before


def test_text_that_people_add_meanwhile_is_kept(desk: Desk) -> None:
    desk.scan(finding()).sync()
    desk.issue.body = f"Hello!\r\n\r\n{desk.issue.body}\r\n\r\nI look at it. @me #5\r\n"
    desk.issue.labels.append("help wanted")
    desk.issue.title = "Our title"

    desk.scan(finding(), LOW).sync()

    assert desk.issue.body.startswith("Hello!\n")
    assert desk.issue.body.endswith("I look at it. @me #5")
    assert "help wanted" in desk.issue.labels
    assert desk.issue.title == "Our title"
    desk.settled()


def test_a_locked_issue_is_kept_up_to_date(desk: Desk) -> None:
    desk.scan(finding()).sync()
    desk.issue.locked = True

    desk.scan(LOW).sync()

    assert desk.issue.state == "closed"


@pytest.mark.parametrize("how", ["deleted", "transferred"])
def test_an_issue_that_vanished_meanwhile_is_planned_for_anew(desk: Desk, how: str) -> None:
    """It vanishes between being listed and being edited."""
    desk.scan(finding()).sync()
    old = desk.issue
    carry_out = desk.github._carry_out

    def vanish(method: str, url: str, headers: dict[str, str], raw: bytes) -> Reply:
        if method == "PATCH":
            if how == "deleted":
                old.is_deleted = True
            else:
                old.moved_to = "https://github.example/other"
        return carry_out(method, url, headers, raw)

    desk.github._carry_out = vanish  # type: ignore[method-assign]
    desk.scan(finding(), LOW).sync()

    assert [issue.state for issue in desk.github.world.issues.values()] == ["open", "open"]
    assert desk.github.world.issues[2].body.count("2026-01-06") >= 1


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda d: d.set("GITHUB_TOKEN", ""), ["no token", "GITHUB_TOKEN"]),
        (lambda d: d.set("GITHUB_TOKEN", "expired"), ["401", "wrong, expired or revoked"]),
        (lambda d: d.set("GITHUB_REPOSITORY", ""), ["no repository on GitHub is named", "--repository"]),
        (lambda d: d.set("GITHUB_REPOSITORY", "acme"), ["'acme' is no repository"]),
        (lambda d: setattr(d.github.world, "archived", True), ["acme/images is archived", "Unarchive"]),
        (lambda d: setattr(d.github.world, "has_issues", False), ["issues are turned off", "settings"]),
        (
            lambda d: vars(d.github.world).update(name="acme/new", renamed_from=NAME),
            ["acme/images was renamed or moved", "new name"],
        ),
        (lambda d: setattr(d.github.world, "name", "acme/gone"), ["404", "does not exist"]),
    ],
)
def test_bad_input_is_explained(desk: Desk, prepare: Callable[[Desk], Any], words: list[str]) -> None:
    desk.scan(finding())
    prepare(desk)

    desk.sync(code=2 if "GITHUB_TOKEN" in words or "repository" in words[0] else 1)

    for word in words:
        assert word in desk.err
    assert desk.github.changes == []


def test_a_token_without_the_permission_is_told_which(desk: Desk) -> None:
    desk.github.world.join(Account(BOT, kind="Bot", permissions={"issues": "read"}), token=TOKEN)

    desk.scan(finding()).sync(code=1)

    assert "error: app: POST" in desk.err
    assert "The token needs the permission `issues: write`." in desk.err
    assert TOKEN not in desk.err


def test_labels_that_github_drops_without_a_word_are_noticed(desk: Desk) -> None:
    desk.github.world.join(
        Account(BOT, kind="Bot", role="read", permissions={"issues": "write"}), token=TOKEN
    )

    desk.scan(finding()).sync(code=1)

    assert "GitHub dropped the labels of issue 1" in desk.err
    assert desk.issue.state == "closed"


def test_one_issue_that_cannot_be_written_keeps_no_other_back(desk: Desk) -> None:
    (desk.root / "hullmark.toml").write_text(f"{CONFIG}[images.zoo]\n")
    History(desk.root / "audit-logs", "zoo").scan(finding())
    desk.scan(finding())
    desk.github.later.extend([("POST /repos", Fault.TIMEOUT)] * 5)

    desk.sync(code=1)

    assert "error: app: POST" in desk.err
    assert desk.issue.labels[2] == "image:zoo"


def test_a_ledger_without_entries_is_told(desk: Desk) -> None:
    desk.sync(code=1)

    assert "nothing was recorded here" in desk.err


def changing(number: int) -> list[Finding]:
    """Findings that change from run to run: none, some, many, with text that means harm."""
    if number % 9 == 8:
        return []
    names = range(number % 13, number % 13 + 1 + (number * 7) % 60)
    text = f"`|` @everyone <!-- {END} --> ::set-output name=x::"
    return [
        finding(
            f"CVE-2026-{name}",
            list(Severity)[(name + number) % 4],
            package=f"{text}{name}",
            fixed=text if name % 3 else "",
        )
        for name in names
    ]


def test_a_hundred_runs_on_changing_findings_keep_one_issue_within_the_limit(
    tmp_path: Path, github: FakeGitHub
) -> None:
    history = History(tmp_path)
    client = github.client()
    repository, author = find_repository(client, NAME), find_author(client)
    rules = Rules(author=author, commit=COMMIT, logs="https://github.example/logs")
    states = set()
    for number in range(100):
        facts = history.scan(*changing(number)).facts()
        Tracker(client, repository, author).sync(facts, rules)
        assert Tracker(client, repository, author).sync(facts, rules) == ()
        (issue,) = github.world.issues.values()
        assert utf16_length(issue.body) <= ISSUE_BUDGET
        assert issue.comments == []
        assert (issue.state == "open") is facts.is_relevant
        states.add(issue.state)

    assert states == {"open", "closed"}
    assert "older scans are in the [audit log](https://github.example/logs/app.md)" in issue.body


def life(root: Path, github: FakeGitHub) -> dict[str, object]:
    """Open, extend, close and reopen, in four runs as four processes would; then what is there."""
    history = History(root)
    for found in ([finding()], [finding(), LOW], [], [finding("CVE-2026-2")]):
        facts = history.scan(*found).facts()
        client = github.client()
        repository, author = find_repository(client, NAME), find_author(client)
        rules = Rules(author=author, commit=COMMIT, logs="https://github.example/logs")
        Tracker(client, repository, author).sync(facts, rules)
    issues = github.world.issues.values()
    return {"issues": [(each.number, each.title, each.body, each.labels, each.state) for each in issues]}


@pytest.mark.parametrize("fault", list(Fault))
def test_every_single_call_failing_once_gives_the_same_end_state(
    tmp_path: Path, github: FakeGitHub, fault: Fault
) -> None:
    expected = life(tmp_path / "good", github)
    calls = len(github.log)
    assert calls >= 16

    for number in range(calls):
        with FakeGitHub() as other:
            other.faults[number] = fault
            assert life(tmp_path / str(number), other) == expected, f"call {number}: {github.log[number]}"
            assert other.violations == []


@pytest.mark.parametrize("fault", list(Fault))
def test_calls_that_fail_again_and_again_give_the_same_end_state(
    tmp_path: Path, github: FakeGitHub, fault: Fault
) -> None:
    expected = life(tmp_path / "good", github)

    dice = Random(7)  # noqa: S311 - the same in every run
    with FakeGitHub() as other:
        other.faults = {number: fault for number in range(500) if dice.random() < 0.4}
        assert life(tmp_path / "bad", other) == expected
        assert len(other.log) > len(github.log)
        assert other.violations == []
