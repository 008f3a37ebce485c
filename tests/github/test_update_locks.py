"""`hullmark update-locks`: from a newer package in the archive to a pull request, and to its merge."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.build.debs import DATE, Mirror, make_deb, regular, serve
from tests.build.signing import Signer
from tests.github.fake import Account, FakeGitHub, Fault
from tests.github.fake.world import TOKEN
from tests.github.update_locks import BOT, PUBLISHED, Keeper, stock, tool
from tests.remotes import run_git
from tests.scanners.support import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    """The key of the archive on loopback."""
    for program in ("gpg", "gpg-agent", "gpgv"):
        require(program)
    with tempfile.TemporaryDirectory(prefix="gpg-") as name:  # the agent's socket needs a short path
        made = Signer(Path(name))
        yield made
        made.stop()


@pytest.fixture
def mirror(signer: Signer) -> Iterator[Mirror]:
    with serve(signer.sign) as running:
        stock(running)
        yield running


@pytest.fixture
def keeper(  # noqa: PLR0917 - fixtures
    tmp_path: Path,
    mirror: Mirror,
    signer: Signer,
    github: FakeGitHub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Keeper:
    return Keeper(tmp_path, mirror, signer, github, monkeypatch, capsys)


def test_from_a_newer_package_in_the_archive_to_a_merge(keeper: Keeper) -> None:
    require("trivy")
    keeper.database()
    keeper.offer("1.1")

    keeper.update("tiny")

    pull = keeper.pull()
    text = keeper.text(pull)
    assert text.startswith("Update the packages of tiny: 1 security update\n<!-- hullmark:lock tiny sha256:")
    assert "| `tool` | `amd64` | `1.0` | `1.1` | `trixie-security` | **security update** (newer) |" in text
    assert "resolves 1 vulnerability (1 HIGH) and introduces 0 vulnerabilities" in text
    assert "| resolved | `CVE-2023-1` | HIGH | `tool` | `tool` |" in text
    assert (pull.author, pull.commits) == (BOT, [(keeper.branch(), BOT, BOT)])
    assert [file["filename"] for file in pull.files] == ["images/tiny/packages.lock"]

    comment = keeper.compare(pull)

    assert "It merges by itself" in comment
    assert pull.merged
    assert "package amd64 tool 1.1 " in keeper.lock()
    run_git(keeper.root, "pull", "-q", "origin", "main")
    assert "tiny: up to date" in keeper.update("tiny")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda text: text.replace("T10:13:20Z", "T11:13:20Z"), "its header states another date"),
        (lambda text: text + "# by hand\n", "its text is not what `hullmark lock` writes"),
    ],
)
def test_a_lock_that_was_edited_by_hand_is_not_merged_by_itself_whoever_it_claims_to_be_by(
    keeper: Keeper, edit: Callable[[str], str], words: str
) -> None:
    require("trivy")
    keeper.database()
    keeper.offer("1.1")
    keeper.update("tiny")
    pull = keeper.pull()
    lock = keeper.lock(keeper.branch())
    assert edit(lock) != lock
    keeper.push_as(keeper.world.people[BOT].mail, edit(lock), name=BOT)

    comment = keeper.compare(pull)

    assert words.replace("`", "\\`") in comment
    assert (pull.merged, pull.merging_for, keeper.world.unmet(pull)) == (False, "", [])
    assert "package amd64 tool 1.0 " in keeper.lock()


def test_a_lock_that_names_an_older_package_than_the_newest_is_not_merged_by_itself(keeper: Keeper) -> None:
    """It is signed, it can be built, and it fixes something: it is only not what resolving gives."""
    require("trivy")
    keeper.database()
    keeper.offer("1.1")
    keeper.update("tiny")
    old = keeper.lock(keeper.branch())
    keeper.offer("1.2", days=1)
    keeper.update("tiny")
    pull = keeper.pull()
    newest = keeper.lock(keeper.branch())
    (package,) = (line for line in old.splitlines() if " tool " in line)
    (other,) = (line for line in newest.splitlines() if " tool " in line)
    keeper.push_as(keeper.world.people[BOT].mail, newest.replace(other, package), name=BOT)

    comment = keeper.compare(pull)

    assert "tool (amd64) is 1.1 of trixie-security, and resolving gives 1.2" in comment
    assert not pull.merged


def test_what_was_proved_for_a_head_stays_proved_when_the_lists_are_on_no_mirror_any_more(
    keeper: Keeper,
) -> None:
    """A person approves hours later, and the report runs again."""
    require("trivy")
    keeper.database()
    keeper.world.required.append("other")  # something that keeps it from being merged at once
    keeper.offer("1.1")
    keeper.update("tiny")
    pull = keeper.pull()
    assert "It merges by itself" in keeper.compare(pull)
    assert pull.merging_for == BOT
    keeper.mirror.archive.publish("trixie-security", date=DATE + 80_000)

    keeper.do("pr-report", "--head", pull.head, "--bundle", "bundle.json")
    assert pull.merging_for == BOT

    # Another head has to be proved itself.
    lock = keeper.lock(keeper.branch())
    keeper.push_as(keeper.world.people[BOT].mail, lock + "# by hand\n", name=BOT)
    for _ in range(2):
        keeper.do("pr-report", "--head", keeper.branch(), "--bundle", "bundle.json")
        assert pull.merging_for == ""


def test_lists_that_moved_before_the_first_report_prove_nothing_and_the_next_run_writes_them_anew(
    keeper: Keeper,
) -> None:
    require("trivy")
    keeper.database()
    keeper.offer("1.1")
    keeper.update("tiny")
    pull = keeper.pull()
    keeper.mirror.archive.publish("trixie-security", date=DATE + 80_000)

    assert "no mirror has the list of trixie-security that it names any more" in keeper.compare(pull)
    assert not pull.merged

    keeper.update("tiny")
    assert "It merges by itself" in keeper.compare(pull)
    assert pull.merged


def test_a_second_run_changes_nothing(keeper: Keeper) -> None:
    keeper.offer("1.1")
    keeper.update()
    before, branch = list(keeper.github.changes), keeper.branch()

    assert "tiny: unchanged #" in keeper.update()

    assert (keeper.github.changes, keeper.branch()) == (before, branch)


def test_there_is_one_pull_request_an_image_brought_up_to_date_in_place(keeper: Keeper) -> None:
    keeper.offer("1.1")
    keeper.update()
    numbers = {name: keeper.pull(name).number for name in ("tiny", "other")}
    keeper.offer("1.2", days=1)

    assert "tiny: updated #" in keeper.update()

    assert {name: keeper.pull(name).number for name in ("tiny", "other")} == numbers
    assert "| `1.0` | `1.2` |" in keeper.text(keeper.pull())
    assert len(keeper.pull().commits) == 1


def test_what_cannot_be_predicted_is_said_with_its_reason_and_proposed_all_the_same(keeper: Keeper) -> None:
    require("trivy")
    keeper.offer("1.1")
    keeper.update("tiny")
    assert (
        ": no vulnerability database. Fetch one with: hullmark db update). The gate will tell."
        in keeper.text(keeper.pull())
    )
    assert str(keeper.root) not in keeper.text(keeper.pull())

    keeper.database(canary=False)
    keeper.update("tiny")
    assert "not predicted (scanner or database are not trusted" in keeper.text(keeper.pull())
    assert "The gate will tell." in keeper.text(keeper.pull())

    path = keeper.root / "images/tiny/image.toml"
    path.write_text(
        "".join(x for x in path.read_text().splitlines(keepends=True) if not x.startswith("base-files"))
    )
    keeper.do("lock", "tiny")
    keeper.save("an image of nobody knows which release")
    keeper.offer("1.2", days=1)
    keeper.update("tiny")
    assert "no base-files is locked, so nobody can say whose advisories apply" in keeper.text(keeper.pull())


def test_a_release_that_the_database_does_not_know_is_not_called_clean(keeper: Keeper) -> None:
    require("trivy")
    keeper.database()
    files = [regular("etc/debian_version", b"99\n"), regular("usr/lib/os-release", b"ID=debian\n")]
    deb = make_deb("base-files", "99.1", files)
    keeper.mirror.archive.add("trixie-security", "base-files", "99.1", deb)

    keeper.update("tiny")

    assert "not predicted (not covered: " in keeper.text(keeper.pull())


def test_a_file_that_only_moved_to_another_suite_is_no_reason_to_propose_anything(keeper: Keeper) -> None:
    keeper.offer("1.1")
    keeper.do("lock", "--refresh", "tiny")
    keeper.save("newest")
    keeper.mirror.archive.add("trixie", "tool", "1.1", tool("1.1"))

    assert keeper.update("tiny") == "tiny: up to date\n"
    assert keeper.world.pulls == {}


def test_nobodys_work_tree_index_or_branches_are_touched(keeper: Keeper) -> None:
    keeper.offer("1.1")
    (keeper.root / "images/tiny/notes").write_text("mine")
    before = run_git(keeper.root, "status", "--porcelain"), run_git(keeper.root, "branch")

    keeper.update("tiny")

    assert (run_git(keeper.root, "status", "--porcelain"), run_git(keeper.root, "branch")) == before


def test_a_branch_with_a_commit_of_somebody_else_is_never_overwritten_and_this_is_said(
    keeper: Keeper,
) -> None:
    keeper.offer("1.1")
    keeper.update("tiny")
    edited = keeper.push_as("alice@example.org", keeper.lock(keeper.branch()) + "# mine\n")
    keeper.offer("1.2", days=1)
    keeper.set("GITHUB_ACTIONS", "true")

    said = keeper.update("tiny")

    assert "tiny: left alone #1: its branch has a commit by Alice; without that commit" in said
    assert "::warning::tiny: left alone #1" in keeper.err
    assert keeper.branch() == edited
    assert "`1.1`" in keeper.text(keeper.pull())

    run_git(keeper.bare, "update-ref", "refs/heads/hullmark/lock-tiny", f"{edited}^")
    assert "tiny: updated #1" in keeper.update("tiny")


def test_a_branch_that_was_pushed_to_meanwhile_is_never_overwritten(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper.offer("1.1")
    keeper.update("tiny")
    keeper.offer("1.2", days=1)
    from hullmark.proposals.proposer import Proposer

    write = Proposer._write
    pushed = []

    def push_first(self: Proposer, *given: object) -> str:
        pushed.append(keeper.push_as("alice@example.org", keeper.lock(keeper.branch()) + "# mine\n"))
        return write(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Proposer, "_write", push_first)

    keeper.update("tiny", code=1)

    assert "was pushed to by somebody else meanwhile; nothing was overwritten" in keeper.err
    assert [keeper.branch()] == pushed


def test_a_pull_request_of_somebody_else_from_our_branch_is_left_alone(keeper: Keeper) -> None:
    keeper.offer("1.1")
    keeper.update("tiny")
    pull = keeper.pull()
    pull.author = keeper.world.issues[pull.number].author = "alice"
    keeper.world.join(Account("alice"))
    before = keeper.branch()
    keeper.offer("1.2", days=1)

    assert "tiny: left alone: its branch has a pull request by alice" in keeper.update("tiny")
    assert keeper.branch() == before


def test_where_nothing_is_newer_any_more_ours_is_closed_and_nothing_is_opened(keeper: Keeper) -> None:
    keeper.offer("1.1")
    keeper.update("tiny")
    pull = keeper.pull()
    keeper.do("lock", "--refresh", "tiny")
    keeper.save("by hand")

    said = keeper.update("tiny")

    issue = keeper.world.issues[pull.number]
    assert "tiny: closed #1: nothing is newer any more" in said
    assert (issue.state, issue.body.split("\n")[0]) == ("closed", "<!-- hullmark:lock tiny - -->")
    assert "already names the newest packages" in issue.comments[-1].body
    assert keeper.update("tiny") == "tiny: up to date\n"
    assert len(keeper.world.pulls) == 1


def test_what_a_person_closed_is_proposed_again_only_when_there_is_something_newer(keeper: Keeper) -> None:
    keeper.offer("1.1")
    keeper.update("tiny")
    keeper.world.issues[keeper.pull().number].state = "closed"
    keeper.mirror.archive.publish("trixie-security", date=DATE + 80_000)  # newer lists, the same packages

    assert "tiny: left alone: somebody closed it" in keeper.update("tiny")
    assert len(keeper.world.pulls) == 1

    keeper.offer("1.2", days=1)
    assert "tiny: opened #2" in keeper.update("tiny")


def test_the_same_packages_from_newer_lists_are_written_anew_so_that_they_can_be_proved(
    keeper: Keeper,
) -> None:
    keeper.offer("1.1")
    keeper.update("tiny")
    before = keeper.branch()
    keeper.mirror.archive.publish("trixie-security", date=DATE + 80_000)

    assert "tiny: updated #1" in keeper.update("tiny")
    assert keeper.branch() != before

    written = keeper.branch()
    keeper.pull().reviews.append(("alice", "APPROVED", written))
    keeper.mirror.archive.publish("trixie-security", date=DATE + 90_000)
    assert "tiny: unchanged #1" in keeper.update("tiny")
    assert keeper.branch() == written


def test_what_was_resolved_from_another_lock_than_the_default_branch_has_is_not_proposed(
    keeper: Keeper,
) -> None:
    keeper.offer("1.1")
    keeper.update("tiny", "--out", "found.json")
    assert keeper.world.pulls == {}
    keeper.offer("1.2", days=1)
    keeper.do("lock", "--refresh", "tiny")
    keeper.save("by hand")

    said = keeper.update("tiny", "--from", "found.json")

    assert "tiny: left alone: the default branch has another lock or definition" in said
    assert (keeper.world.pulls, keeper.branch()) == ({}, "")


def test_what_one_job_found_another_proposes(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job that holds the token asks no mirror and runs no scanner."""
    keeper.offer("1.1")
    monkeypatch.delenv("GITHUB_TOKEN")
    said = keeper.update("--out", "found.json")
    assert said == (
        "Update the packages of other: 1 security update\nUpdate the packages of tiny: 1 security update\n"
    )
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    keeper.mirror.requests.clear()

    keeper.update("--from", "found.json")

    assert keeper.mirror.requests == []
    assert "package amd64 tool 1.1 " in keeper.lock(keeper.branch())


@pytest.mark.parametrize(
    "data", [b"", b"{}x", b'{"version": 2}', b"\xff", b'{"proposals": [{"image": "x"}]}']
)
def test_proposals_that_cannot_be_read_are_refused(keeper: Keeper, data: bytes) -> None:
    (keeper.root / "found.json").write_bytes(data)

    keeper.update("--from", "found.json", code=1)

    assert "error: found.json: no proposals" in keeper.err


def test_a_lock_that_was_spoilt_on_its_way_is_not_proposed(keeper: Keeper) -> None:
    keeper.offer("1.1")
    keeper.update("--out", "found.json")
    path = keeper.root / "found.json"
    path.write_text(path.read_text().replace("package amd64 tool 1.1", "package amd64 tool ../1.1"))

    keeper.update("tiny", "--from", "found.json", code=1)

    assert "error: tiny: packages.lock: line 6: expected a version, got '../1.1'" in keeper.err
    assert (keeper.world.pulls, keeper.branch()) == ({}, "")


def test_a_project_in_a_folder_of_its_repository_is_served_too(keeper: Keeper) -> None:
    (keeper.root / "services").mkdir()
    run_git(keeper.root, "mv", "hullmark.toml", "images", "services")
    keeper.save("moved")
    keeper.offer("1.1")

    keeper.do("-C", "services", "update-locks", "tiny")

    assert [file["filename"] for file in keeper.pull().files] == ["services/images/tiny/packages.lock"]
    assert "tiny: unchanged" in keeper.do("-C", "services", "update-locks", "tiny")


def test_a_dry_run_says_what_it_would_do_and_does_nothing(keeper: Keeper) -> None:
    keeper.offer("1.1")

    assert "tiny: would be opened" in keeper.update("--dry-run")

    assert (keeper.github.changes, keeper.branch(), keeper.world.pulls) == ([], "", {})


def test_what_a_workflows_own_token_opened_or_pushed_is_compared_all_the_same(keeper: Keeper) -> None:
    """GitHub starts no workflow for it: the comparison is started on the branch, once for each head."""
    keeper.offer("1.1")
    assert "tiny: opened #1; the comparison was started" in keeper.update("tiny")
    keeper.update("tiny")
    assert [run["head_sha"] for run in keeper.world.runs] == [keeper.branch()]

    keeper.offer("1.2", days=1)
    keeper.update("tiny")
    assert [run["head_sha"] for run in keeper.world.runs][1:] == [keeper.branch()]


def test_with_the_token_of_an_app_its_checks_start_by_themselves(keeper: Keeper) -> None:
    keeper.join("hullmark-locks[bot]", "ghs_app", kind="Bot", id=99)
    keeper.offer("1.1")

    assert "tiny: opened #1\n" in keeper.update("tiny")

    assert keeper.world.runs == []
    assert keeper.pull().commits == [(keeper.branch(), "hullmark-locks[bot]", "hullmark-locks[bot]")]


def test_without_a_token_nothing_is_pushed_and_it_says_so(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper.offer("1.1")
    monkeypatch.setenv("GITHUB_TOKEN", "wrong")

    keeper.update("tiny", code=1)

    assert "401: Bad credentials" in keeper.err
    assert "set GITHUB_TOKEN anew" in keeper.err
    assert keeper.branch() == ""


@pytest.mark.parametrize("lacks", ["pull_requests", "actions"])
def test_a_token_without_a_scope_is_an_error_that_names_it(keeper: Keeper, lacks: str) -> None:
    held = dict.fromkeys(("actions", "contents", "pull_requests"), "write") | {lacks: "read"}
    keeper.world.join(Account(BOT, kind="Bot", id=41_898_282, permissions=held), token=TOKEN)
    keeper.offer("1.1")

    keeper.update("tiny", code=1)

    assert f"The token needs the permission `{lacks}: write`" in keeper.err

    # With it the next run goes on where this one stopped.
    keeper.world.join(Account(BOT, kind="Bot", id=41_898_282), token=TOKEN)
    keeper.update("tiny")
    assert [run["head_sha"] for run in keeper.world.runs] == [keeper.branch()]
    assert keeper.pull().head == keeper.branch()


def test_where_the_repository_does_not_let_workflows_open_one_the_setting_is_named(keeper: Keeper) -> None:
    keeper.world.may_propose = False
    keeper.offer("1.1")

    keeper.update("tiny", code=1)

    assert "GitHub Actions is not permitted to create or approve pull requests" in keeper.err
    assert "next: Allow it (Settings, Actions, General" in keeper.err


def test_an_image_that_cannot_be_resolved_keeps_no_other_back_and_is_named(keeper: Keeper) -> None:
    keeper.offer("1.1")
    path = keeper.root / "images/tiny/image.toml"
    path.write_text(path.read_text().replace("tool = {", 'gone = { reason = "x" }\ntool = {'))

    keeper.update(code=1)

    assert "error: tiny: " in keeper.err
    assert "packages.gone: no suite has this package for amd64" in keeper.err
    assert keeper.pull("other").branch == "hullmark/lock-other"


def test_an_archive_whose_lists_cannot_be_believed_proposes_nothing(keeper: Keeper) -> None:
    keeper.offer("1.1")
    files = keeper.mirror.archive.files
    files[PUBLISHED] = files[PUBLISHED].replace(b"Codename", b"codename")

    keeper.update("tiny", code=1)

    assert "error: tiny: " in keeper.err
    assert (keeper.world.pulls, keeper.branch()) == ({}, "")


def test_a_version_that_debian_could_not_have_is_refused(keeper: Keeper) -> None:
    keeper.mirror.archive.add("trixie-security", "tool", "1.1|@alice", tool("1.1"))

    keeper.update("tiny", code=1)

    assert "error: tiny: Packages of trixie-security: not a package paragraph" in keeper.err
    assert keeper.world.pulls == {}


def state(keeper: Keeper) -> dict[str, object]:
    """What is there in the end."""
    pull = keeper.pull()
    return {
        "pulls": [(each.branch, each.author) for each in keeper.world.pulls.values()],
        "text": keeper.text(pull),
        "lock": keeper.lock(keeper.branch()),
        "runs": [(run["path"], run["head_sha"] == keeper.branch()) for run in keeper.world.runs],
    }


@pytest.mark.parametrize("fault", list(Fault))
def test_every_single_call_failing_once_gives_the_same_end_state(keeper: Keeper, fault: Fault) -> None:
    keeper.offer("1.1")
    first = len(keeper.github.log)
    keeper.update("tiny")
    expected, calls = state(keeper), keeper.github.log[first:]

    for number, call in enumerate(calls):
        keeper.world.pulls.clear()
        keeper.world.issues.clear()
        keeper.world.runs.clear()
        run_git(keeper.bare, "update-ref", "-d", "refs/heads/hullmark/lock-tiny")
        keeper.github.faults = {len(keeper.github.log) + number: fault}
        keeper.update("tiny")
        assert state(keeper) == expected, f"call {number}: {call}"
