"""`hullmark pr-report` against a GitHub with pull requests, checks, rules and auto-merge."""
# ruff: noqa: ANN401 - fields of what is made

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from hullmark.bundle import format_bundle
from hullmark.cli import run
from hullmark.decision import GateInputs, Side, decide_with_evidence, format_decision
from hullmark.finding import Severity
from hullmark.github.pulls import Pulls
from hullmark.policy import Preset, Verdict, preset
from hullmark.pull_requests import MARKER
from hullmark.text import ISSUE_BUDGET, utf16_length
from tests.gates import NOW, exemption, finding, gate, image, side
from tests.github.fake import Account, FakeGitHub, Fault
from tests.github.fake.world import BOT, NAME, TOKEN
from tests.pull_requests.requests import ONE, PIN, TWO
from tests.values import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hullmark.finding import Finding
    from hullmark.github.client import Client
    from hullmark.image import Digest
    from tests.github.fake import CheckRun, Pull

    Change = tuple[list[Finding], list[Finding]]

HEAD, NEXT = "a" * 40, "b" * 40
MEDIUM = finding("CVE-2026-2", Severity.MEDIUM)
CRITICAL = finding("CVE-2026-3", Severity.CRITICAL)
RENOVATE = "renovate[bot]"
PINNED = [{"filename": "images/app/Dockerfile", "patch": PIN}]
WORKFLOW = [{"filename": ".github/workflows/pr-compare.yml", "patch": "@@\n-a\n+b"}]
BETTER: Change = ([MEDIUM], [])
WORSE: Change = ([], [CRITICAL])
STILL: Change = ([CRITICAL, MEDIUM], [CRITICAL])


def bundle(inputs: GateInputs) -> bytes:
    """What the comparison hands over."""
    decision, evidence = decide_with_evidence(inputs)
    sboms: dict[Digest, bytes] = {}
    for one in inputs.images:
        for each in (one.base, one.head):
            assert isinstance(each, Side)
            content = [package.name for package in each.packages]
            sboms[digest_of(content)] = msgspec.json.encode(content)
    contents = {**sboms, **evidence}
    return format_bundle(format_decision(decision), decision, contents.__getitem__)


def compared(base: list[Finding], head: list[Finding], **fields: Any) -> GateInputs:
    return gate(image(side(*base), side(*head)), **fields)


class Desk:
    """A checkout of the default branch, and the command that reports."""

    def __init__(
        self,
        root: Path,
        github: FakeGitHub,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.root = root
        self.github = github
        self.world = github.world
        self._capsys = capsys
        self.world.join(Account(RENOVATE, kind="Bot"))
        self.world.join(Account("alice"))
        self.world.join(Account("bob"))
        (root / "hullmark.toml").write_text("version = 1\n[images.app]\n")
        (root / "images/app").mkdir(parents=True)
        (root / "images/app/Dockerfile").write_text("FROM scratch\n")
        monkeypatch.chdir(root)
        values = {"GITHUB_API_URL": github.base, "GITHUB_REPOSITORY": NAME, "GITHUB_TOKEN": TOKEN}
        for name, value in {**values, "HULLMARK_NOW": NOW.isoformat()}.items():
            monkeypatch.setenv(name, value)
        for name in ("GITHUB_GRAPHQL_URL", "GITHUB_ACTIONS"):
            monkeypatch.delenv(name, raising=False)
        self.set = monkeypatch.setenv
        monkeypatch.setattr("hullmark.commands.forge.connect", self._connect)
        self.out = self.err = ""

    def _connect(self, base: str, token: str, *, graphql: str) -> Client:
        assert (base, graphql) == (self.github.base, "")
        return self.github.client(token)

    def pull(self, author: str = RENOVATE, files: list[dict[str, Any]] = PINNED, **fields: Any) -> Pull:
        return self.world.add_pull(author, HEAD, files, **fields)

    def report(self, given: Any = BETTER, *arguments: str, head: str = HEAD, code: int = 0) -> str:
        """Run the command on what was compared; return what it printed."""
        if given is not None:
            data = given if isinstance(given, bytes) else bundle(compared(*given))
            (self.root / "bundle.json").write_bytes(data)
        self._capsys.readouterr()
        answer = run(["pr-report", "--head", head, "--bundle", "bundle.json", *arguments])
        self.out, self.err = self._capsys.readouterr()
        assert answer == code, self.err
        return self.out

    @property
    def check(self) -> CheckRun:
        (check,) = self.world.checks
        return check

    def comment(self, pull: Pull) -> str:
        (comment,) = (c for c in self.world.issues[pull.number].comments if c.author == BOT)
        return comment.body


@cache
def story_bundle(given: str) -> bytes:
    """What was compared, made once: it is read again in every run."""
    return bundle(compared(*{"better": BETTER, "worse": WORSE, "still": STILL}[given]))


@pytest.fixture
def desk(
    tmp_path: Path, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    return Desk(tmp_path, github, monkeypatch, capsys)


def test_a_better_update_by_the_bot_is_merged(desk: Desk) -> None:
    pull = desk.pull()

    assert "#1: success: Allow\nit merges by itself\n" in desk.report()

    assert (desk.check.name, desk.check.conclusion, pull.merged) == ("hullmark/gate", "success", True)
    assert pull.method == "SQUASH"
    assert "It merges by itself" in desk.comment(pull)


def test_a_worse_update_is_blocked_with_the_reason_in_the_comment(desk: Desk) -> None:
    pull = desk.pull()

    desk.report(WORSE)

    assert (desk.check.conclusion, pull.merging_for, pull.merged) == ("failure", "", False)
    assert "CVE-2026-3, CRITICAL" in desk.comment(pull)
    assert "the verdict is block, not allow" in desk.comment(pull)
    (annotation, *_) = desk.check.annotations
    assert annotation["path"] == "images/app/Dockerfile"
    assert "CVE-2026-3, CRITICAL" in annotation["message"]


def test_an_old_critical_that_is_still_there_waits_for_an_approval_and_does_not_merge(desk: Desk) -> None:
    pull = desk.pull()

    desk.report(STILL)
    assert (desk.check.conclusion, pull.merging_for) == ("action_required", "")

    pull.reviews.append(("bob", "APPROVED", HEAD))
    assert "approved by bob" in desk.report(STILL)
    assert (desk.check.conclusion, pull.merged) == ("success", False)

    pull.reviews[-1] = ("bob", "DISMISSED", HEAD)
    desk.report(STILL)
    assert desk.check.conclusion == "action_required"


def test_an_approval_of_another_head_or_by_somebody_without_write_access_does_not_count(desk: Desk) -> None:
    pull = desk.pull()
    desk.world.join(Account("reader", role="read"))
    pull.reviews += [("bob", "APPROVED", NEXT), ("reader", "APPROVED", HEAD), ("nobody", "APPROVED", HEAD)]

    desk.report(STILL)

    assert desk.check.conclusion == "action_required"


def test_the_comment_is_created_once_and_updated_in_place_after_that(desk: Desk) -> None:
    pull = desk.pull("alice")
    desk.world.issues[pull.number].comments.extend([])
    desk.report(WORSE)
    first = desk.comment(pull)
    desk.report(BETTER)

    assert desk.comment(pull) != first
    assert desk.comment(pull).startswith(MARKER)
    assert len(desk.world.checks) == 1


def test_a_comment_that_a_stranger_forged_is_left_alone(desk: Desk) -> None:
    pull = desk.pull("alice")
    issue = desk.world.issues[pull.number]
    desk.github.world.join(Account("stranger", role="read"), token="stranger")
    forged = f"{MARKER}\nAll good!"
    desk.github.client("stranger").create(
        f"/repos/{NAME}/issues/{pull.number}/comments", {"body": forged}, lambda: None, dict
    )

    desk.report(WORSE)

    assert issue.comments[0].body == forged
    assert "CVE-2026-3" in desk.comment(pull)


def test_on_a_persons_pull_request_review_passes_and_nothing_is_said_of_merging(desk: Desk) -> None:
    pull = desk.pull("alice")

    desk.report(STILL)

    assert desk.check.conclusion == "success"
    assert "by itself" not in desk.comment(pull)


@pytest.mark.parametrize("given", [BETTER, STILL])
@pytest.mark.parametrize("author", ["alice", RENOVATE])
def test_a_pull_request_that_edits_what_judges_waits_for_an_approval(
    desk: Desk, given: Any, author: str
) -> None:
    """Workflows, policy, exemptions, ledger: whatever the comparison, run by its own workflow, says."""
    pull = desk.pull(author, WORKFLOW)

    desk.report(given)
    assert (desk.check.conclusion, pull.merging_for) == ("action_required", "")

    pull.reviews.append(("bob", "APPROVED", HEAD))
    desk.report(given)
    assert (desk.check.conclusion, pull.merged) == ("success", False)


def test_self_review_is_read_from_the_default_branch_and_said(desk: Desk) -> None:
    pull = desk.pull("alice", WORKFLOW)
    (desk.root / "hullmark.toml").write_text("version = 1\n[images.app]\n[gate]\nself_review = true\n")

    desk.report()

    assert desk.check.conclusion == "success"
    assert "waives that here" in desk.comment(pull)


def test_the_verdict_is_computed_again_under_the_policy_and_exemptions_that_lie_here(desk: Desk) -> None:
    desk.pull()
    lax = compared(*WORSE, policy=preset(Preset.RATCHET), exemptions=(exemption("CVE-2026-3"),))
    assert decide_with_evidence(lax)[0].verdict is not Verdict.BLOCK

    desk.report(bundle(lax))

    assert desk.check.conclusion == "failure"


def test_exemptions_count_as_added_only_where_the_pull_request_changes_their_file(desk: Desk) -> None:
    added = bundle(compared(*WORSE, added_exemptions=(exemption("CVE-2026-3"),)))
    pull = desk.pull("alice")

    desk.report(added)
    assert desk.check.conclusion == "failure"

    pull.files.append({"filename": "exemptions.toml", "status": "added"})
    desk.report(added)
    assert desk.check.conclusion == "action_required"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a bundle"),
        (b"\xff\xfe", "not a bundle"),
        (b'{"decision":"{}","evidence":{}}', "not a bundle"),
        (
            bundle(compared(*BETTER)).replace(b"CVE-2026-2", b"CVE-2026-9"),
            "other content than its digest says",
        ),
        (bundle(compared(*BETTER, now=NOW.replace(year=2030))), "yet to come"),
        (None, "handed over no decision"),
    ],
)
def test_without_a_decision_that_can_be_believed_the_check_fails(
    desk: Desk, data: bytes | None, words: str
) -> None:
    pull = desk.pull()

    desk.report(data)

    assert desk.check.conclusion == "failure"
    assert words in desk.comment(pull)
    assert pull.merging_for == ""


def test_in_a_merge_group_only_block_fails(desk: Desk) -> None:
    desk.report(STILL, "--merge-group")
    assert desk.check.conclusion == "success"

    desk.report(WORSE, "--merge-group")
    assert desk.check.conclusion == "failure"


def test_a_pull_request_that_was_pushed_to_meanwhile_is_left_to_the_run_of_its_newest_head(
    desk: Desk,
) -> None:
    pull = desk.pull()
    desk.world.push(pull, NEXT, RENOVATE)

    assert "nothing was written" in desk.report()
    assert (desk.world.checks, desk.world.issues[pull.number].comments) == ([], [])


def test_a_push_between_finding_and_reading_a_pull_request_is_noticed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull = desk.pull()
    find = Pulls.find

    def find_and_push(self: Pulls, head: str) -> tuple[int, ...]:
        found = find(self, head)
        desk.world.push(pull, NEXT, RENOVATE)
        return found

    monkeypatch.setattr(Pulls, "find", find_and_push)

    assert "nothing was written" in desk.report()
    assert (desk.world.checks, desk.world.issues[pull.number].comments) == ([], [])


def test_auto_merge_is_taken_back_when_a_later_push_breaks_a_condition(desk: Desk) -> None:
    desk.world.required.append("other")  # something that keeps it from being merged at once
    pull = desk.pull()
    desk.report()
    assert pull.merging_for == BOT

    desk.world.push(pull, NEXT, "alice")
    desk.report(head=NEXT)

    assert pull.merging_for == ""
    assert "not every commit is by renovate" in desk.comment(pull)


def test_auto_merge_that_a_person_turned_on_is_left_to_the_required_check(desk: Desk) -> None:
    pull = desk.pull()
    pull.merging_for = "alice"

    desk.report(WORSE)

    assert (pull.merging_for, desk.check.conclusion) == ("alice", "failure")


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda d, _: setattr(d.world, "allows_merging", False), "does not allow auto-merge"),
        (lambda d, _: d.world.required.clear(), "requires the check"),
        (lambda _, p: setattr(p, "draft", True), "it is a draft"),
        (lambda _, p: setattr(p, "from_fork", True), "one of a fork"),
        (lambda _, p: p.commits.append(("c" * 40, "alice", "alice")), "not every commit"),
        (
            lambda _, p: p.files.append({"filename": "x.py", "status": "added"}),
            "more than pins differs: x.py",
        ),
        (
            lambda d, _: (d.root / "hullmark.toml").write_text(
                "version = 1\n[images.app]\n[pull_requests]\nauto_merge = false\n"
            ),
            "auto\\_merge` is off",
        ),
    ],
)
def test_what_keeps_it_from_merging_by_itself_is_said(
    desk: Desk, prepare: Callable[[Desk, Pull], object], words: str
) -> None:
    pull = desk.pull()
    prepare(desk, pull)

    desk.report()

    assert words.replace("\\_merge`", "\\_merge\\`") in desk.comment(pull)
    assert (pull.merging_for, pull.merged) == ("", False)
    assert desk.check.conclusion == "success"


@pytest.mark.parametrize(
    ("lacks", "code", "done"),
    [
        ("contents", 0, {"check", "comment"}),
        ("checks", 1, {"comment"}),
        ("pull_requests", 1, {"check"}),
    ],
)
def test_what_github_refuses_is_told_and_keeps_nothing_else_back(
    desk: Desk, lacks: str, code: int, done: set[str]
) -> None:
    held = dict.fromkeys(("contents", "checks", "pull_requests", "issues"), "write") | {lacks: "read"}
    desk.world.join(Account(BOT, kind="Bot", permissions=held), token=TOKEN)
    pull = desk.pull()

    desk.report(code=code)

    assert "missing: " in desk.err
    assert f"{lacks}: write" in desk.err.replace("contents: write, pull_requests: write", f"{lacks}: write")
    written = {"check"} if desk.world.checks else set()
    written |= {"comment"} if desk.world.issues[pull.number].comments else set()
    assert written == done
    if "comment" in done:
        assert "What GitHub refused" in desk.comment(pull)
    assert not pull.merged


def test_in_a_workflow_a_refusal_is_a_warning_of_the_run(desk: Desk) -> None:
    desk.set("GITHUB_ACTIONS", "true")
    desk.world.join(
        Account(BOT, kind="Bot", permissions={"checks": "write", "pull_requests": "write", "issues": "read"}),
        token=TOKEN,
    )
    desk.pull()

    desk.report()

    assert desk.err.startswith("::warning::missing: GraphQL")


def test_a_pull_request_too_large_to_be_read_whole_does_not_merge_by_itself(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GitHub shows no more than 3,000 files; here three stand for them."""
    monkeypatch.setattr("hullmark.github.pulls.MAX_FILES", 3)
    pull = desk.pull(RENOVATE, [{"filename": f"images/{n}/Dockerfile", "patch": PIN} for n in range(3)])

    desk.report()

    assert "too large to be read whole" in desk.comment(pull)


def test_text_from_outside_is_escaped_and_the_comment_stays_within_the_limit(desk: Desk) -> None:
    text = "`|` @everyone <b> ::set-output name=a::b \u202e"
    many = [finding(f"CVE-2026-{n}", Severity.CRITICAL, package=f"{text}{n}") for n in range(700)]
    pull = desk.pull("alice", [{"filename": f".github/{text}", "patch": "@@\n-a\n+b"}])

    desk.report(([], many))

    comment = desk.comment(pull)
    assert utf16_length(comment) <= ISSUE_BUDGET
    for active in ("@everyone", "<b>", "\u202e"):
        assert active not in comment
    assert "\n::set-output" not in desk.out


def test_the_newest_run_of_a_workflow_that_came_to_its_end_is_found_for_a_commit(desk: Desk) -> None:
    path = ".github/workflows/pr-compare.yml"
    for number, head, status, conclusion in (
        (3, HEAD, "completed", "success"),
        (7, HEAD, "completed", "failure"),
        (9, HEAD, "queued", None),
        (8, NEXT, "completed", "success"),
        (11, HEAD, "completed", "cancelled"),
    ):
        run = {"id": number, "path": path, "head_sha": head, "status": status, "conclusion": conclusion}
        desk.world.runs.append(run)

    assert desk.report(None, "--find-run", "pr-compare.yml") == "7\n"
    desk.report(None, "--find-run", "other.yml", code=1)
    assert "no run of other.yml ended for aaaaaaaaaaaa" in desk.err


def test_a_run_that_was_started_by_request_counts_only_where_no_other_was_started(desk: Desk) -> None:
    """Whoever may write can start one, and it compares with the default branch, whatever the base is."""
    path = ".github/workflows/pr-compare.yml"
    asked = {"path": path, "head_sha": HEAD, "status": "completed", "event": "workflow_dispatch"}
    desk.world.runs.append({"id": 9, "conclusion": "success", **asked})
    assert desk.report(None, "--find-run", "pr-compare.yml") == "9\n"

    own = {"id": 3, "path": path, "head_sha": HEAD, "status": "queued", "event": "pull_request"}
    desk.world.runs.append(own)
    desk.report(None, "--find-run", "pr-compare.yml", code=1)

    own |= {"status": "completed", "conclusion": "failure"}
    assert desk.report(None, "--find-run", "pr-compare.yml") == "3\n"


def test_a_decision_is_recorded_with_its_pull_request(desk: Desk) -> None:
    desk.pull()
    sample = compared(*BETTER)
    sample = msgspec.structs.replace(sample, database=msgspec.structs.replace(sample.database, sample=True))

    desk.report(bundle(sample), "--record")

    (line,) = (
        json.loads(x) for x in (desk.root / "audit-logs/runs/2026-11.jsonl").read_text().splitlines()[1:]
    )
    assert (line["type"], line["data"]["pull_request"], line["data"]["head"]) == ("decision", 1, HEAD)


def test_a_commit_is_named_in_full(desk: Desk) -> None:
    desk.report(head="abc", code=2)

    assert "no full id of a commit" in desk.err


def story(github: FakeGitHub) -> dict[str, Any]:
    """A worse update, then a better one: the calls of both, and what is there afterwards."""
    from hullmark.bundle import read_bundle
    from hullmark.github.repository import find_author, find_repository
    from hullmark.pull_requests import Settings
    from hullmark.reporting import Bench, rejudge, report_request

    world = github.world
    world.join(Account(RENOVATE, kind="Bot"))
    pull = world.add_pull(RENOVATE, HEAD, PINNED)
    settings = Settings(bots=(RENOVATE,))
    bench = Bench(
        policy=preset(Preset.STRICT),
        exemptions=(),
        unusable=(),
        max_age=7,
        self_review=False,
        settings=settings,
        places={"app": "images/app/Dockerfile"},
    )
    for given, head in (("worse", HEAD), ("still", NEXT), ("better", "c" * 40)):
        if head != HEAD:
            world.push(pull, head, RENOVATE)
        client = github.client()
        pulls = Pulls(client, find_repository(client, NAME), us := find_author(client))
        request = pulls.read(pulls.find(head)[0])
        judgement = rejudge(read_bundle(story_bundle(given), file="x"), bench, now=NOW, request=request)
        report_request(pulls, request, judgement, bench, us=us, fault="")
    return {
        "checks": [(c.head, c.status, c.conclusion, c.title, c.annotations) for c in world.checks],
        "comments": [c.body for c in world.issues[pull.number].comments],
        "merged": pull.merged,
    }


@pytest.mark.parametrize("fault", list(Fault))
def test_every_single_call_failing_once_gives_the_same_end_state(github: FakeGitHub, fault: Fault) -> None:
    expected = story(github)
    assert expected["merged"]
    assert len(expected["comments"]) == 1

    for number in range(len(github.log)):
        with FakeGitHub() as other:
            other.faults[number] = fault
            assert story(other) == expected, f"call {number}: {github.log[number]}"
            assert other.violations == []


def test_a_moved_digest_is_what_these_tests_call_a_pin() -> None:
    assert ONE in PIN
    assert TWO in PIN
