"""Publishing to a real bare repository, from clones and from processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from hullmark import branch
from hullmark import publisher as module
from hullmark.branch import open_branch
from hullmark.errors import NetworkError, TamperedError
from hullmark.git import git
from hullmark.journal import Journal
from hullmark.ledger.verify import verify
from hullmark.outbox import Outbox
from hullmark.publisher import Publisher, Surroundings
from hullmark.verification import verify_history
from tests.parcels import make_parcel, never
from tests.remotes import IDENTITY, clone, make_remote, run_git
from tests.repositories import commit
from tests.values import HIGH

if TYPE_CHECKING:
    from collections.abc import Callable

    from hullmark.publisher import Publication

NOW = datetime(2026, 1, 6, tzinfo=UTC)
WRITERS = 12
OTHER = msgspec.structs.replace(HIGH, id="CVE-2026-2")


class Clone:
    """A clone with an outbox, from which tests publish."""

    def __init__(self, bare: Path, folder: Path, branch: str = "hullmark-data") -> None:
        self.root = folder if folder.exists() else clone(bare, folder)
        self.branch = branch
        self.outbox = Outbox(self.root / ".hullmark/outbox")
        self.pauses: list[float] = []

    def publisher(self, now: datetime = NOW) -> Publisher:
        return Publisher(
            open_branch(self.root, "origin", self.branch, {}),
            self.outbox,
            state=self.root / ".hullmark",
            now=now,
            surroundings=Surroundings(
                sleep=self.pauses.append, random=lambda: 0.5, tell=lambda _: None, identity=IDENTITY
            ),
            match=never,
        )

    def publish(self, *, dry_run: bool = False, further: Callable[[Path], None] | None = None) -> Publication:
        return self.publisher().publish(dry_run=dry_run, further=further)

    def published(self, folder: Path) -> Journal:
        """What the remote's branch holds, in a fresh clone."""
        clone(Path(run_git(self.root, "remote", "get-url", "origin")), folder)
        run_git(folder, "checkout", "-q", self.branch)
        return Journal(folder / "audit-logs")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    return make_remote(tmp_path, {"hullmark.toml": "version = 1\n[images.app]\n", "a.txt": "a\n"})


@pytest.fixture
def mine(bare: Path, tmp_path: Path) -> Clone:
    return Clone(bare, tmp_path / "mine")


def forge(one: Clone, *, keep_first: bool) -> None:
    """Push a branch whose ledger was written anew from its beginning: sound, but another one."""
    root = one.root.parent / "forger"
    other = Clone(Path(run_git(one.root, "remote", "get-url", "origin")), root, "forged")
    make_parcel(other.outbox, OTHER, image="app" if keep_first else "else")
    other.publish()
    run_git(root, "fetch", "-q", "origin", "forged")
    run_git(root, "push", "-q", "--force", "origin", "FETCH_HEAD:refs/heads/hullmark-data")


def test_a_parcel_arrives_with_its_evidence_baselines_and_audit_log(mine: Clone, tmp_path: Path) -> None:
    digest = make_parcel(mine.outbox, HIGH)

    done = mine.publish()

    journal = mine.published(tmp_path / "check")
    assert [each.parcel for each in done.published] == [digest]
    assert done.after == run_git(tmp_path / "check", "rev-parse", "HEAD")
    assert verify_history(journal).ok
    assert journal.findings(journal.timelines("app")["linux/amd64"].latest.findings) == (HIGH,)
    assert json.loads((tmp_path / "check/cve-baseline/app.json").read_text())["high"] == 1
    assert "CVE" in (tmp_path / "check/audit-logs/app.md").read_text()
    assert "audit-logs/** -text -merge" in (tmp_path / "check/.gitattributes").read_text()
    assert mine.outbox.digests() == ()


def test_git_never_merges_two_ledgers(mine: Clone, tmp_path: Path) -> None:
    make_parcel(mine.outbox, HIGH)
    mine.publish()
    mine.published(tmp_path / "check")
    root = tmp_path / "check"
    ledger = "audit-logs/app/2026-01.jsonl"
    before = (root / ledger).read_text()
    run_git(root, "checkout", "-qb", "theirs")
    commit(root, {ledger: before + "theirs\n"})
    run_git(root, "checkout", "-q", "hullmark-data")
    commit(root, {ledger: before + "ours\n"})

    merged = subprocess.run(
        ["git", "-c", "user.name=T", "-c", "user.email=t@example.org", "merge", "theirs"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert merged.returncode == 1
    assert "CONFLICT" in merged.stdout
    assert (root / ledger).read_text() == before + "ours\n"


def test_of_many_writers_at_once_all_survive_with_every_entry_of_each(bare: Path, tmp_path: Path) -> None:
    clones = [Clone(bare, tmp_path / f"w{number}") for number in range(WRITERS)]
    for number, each in enumerate(clones):
        # Half of them write the same image's ledger.
        make_parcel(each.outbox, HIGH, image="app" if number % 2 else f"app-{number}", sbom=b"%d" % number)
    command = [sys.executable, "-m", "hullmark", "publish"]
    environ = {**os.environ, "HULLMARK_NOW": "2026-01-06T00:00:00+00:00"}
    writers = [
        subprocess.Popen(
            command, cwd=each.root, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for each in clones
    ]
    said = [writer.communicate(timeout=240)[0].decode() for writer in writers]

    assert [writer.returncode for writer in writers] == [0] * WRITERS, said
    journal = clones[0].published(tmp_path / "check")
    check = verify_history(journal)
    assert check.ok
    assert not check.unfinished
    assert len(journal.runs()) == WRITERS
    assert len(journal.timelines("app")["linux/amd64"].scans) == WRITERS // 2
    assert len(journal.images()) == 1 + WRITERS // 2
    assert run_git(tmp_path / "check", "rev-list", "--count", "HEAD") == str(WRITERS)
    assert all(each.outbox.digests() == () for each in clones)


def test_a_writer_that_was_slower_applies_its_facts_again_on_the_new_head(
    bare: Path, mine: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = Clone(bare, tmp_path / "theirs")
    make_parcel(mine.outbox, HIGH)
    make_parcel(theirs.outbox, HIGH, OTHER)
    push = branch.push
    waiting = [theirs]

    def slow(*arguments: object, **named: object) -> bool:
        while waiting:
            waiting.pop().publish()
        return push(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "push", slow)
    done = mine.publish()

    assert (done.attempts, mine.pauses) == (2, [0.1])
    (event,) = done.published[0].events
    assert [change.id for change in event.resolved] == ["CVE-2026-2"]
    assert verify_history(mine.published(tmp_path / "check")).ok


def test_a_branch_that_never_stands_still_ends_with_an_error_after_a_bounded_number_of_attempts(
    mine: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_parcel(mine.outbox, HIGH)
    monkeypatch.setattr(module, "push", lambda *_, **__: False)

    with pytest.raises(NetworkError, match="moved by others 40 times"):
        mine.publish()
    assert len(mine.pauses) == module.ATTEMPTS
    assert max(mine.pauses) <= module.LONGEST_PAUSE
    assert mine.outbox.digests()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_any_moment_nothing_is_lost_and_nothing_is_published_twice(
    mine: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    make_parcel(mine.outbox, HIGH)
    push = branch.push

    class Killed(BaseException):
        pass

    def dying(*arguments: object, **named: object) -> bool:
        if moment == "after":
            push(*arguments, **named)  # type: ignore[arg-type]
        raise Killed

    monkeypatch.setattr(module, "push", dying)
    with pytest.raises(Killed):
        mine.publish()
    monkeypatch.setattr(module, "push", push)
    done = mine.publish()

    assert (done.after is None) == (moment == "after")
    assert [bool(each.events) for each in done.published] == [moment == "before"]
    journal = mine.published(tmp_path / "check")
    assert verify_history(journal).ok
    assert len(journal.timelines("app")["linux/amd64"].scans) == 1
    assert mine.outbox.digests() == ()


@pytest.mark.parametrize("hook", ["pre-receive", "post-receive"])
def test_a_publisher_that_is_killed_by_the_system_leaves_everything_to_the_next(
    mine: Clone, tmp_path: Path, hook: str
) -> None:
    """The remote kills the pusher's whole family before or after it takes the push."""
    make_parcel(mine.outbox, HIGH)
    remote = Path(run_git(mine.root, "remote", "get-url", "origin"))
    path = remote / f"hooks/{hook}"
    pidfile = tmp_path / "pid"
    path.write_text(f"#!/bin/sh\nkill -9 $(cat {pidfile})\n")
    path.chmod(0o755)
    environ = {**os.environ, "HULLMARK_NOW": "2026-01-06T00:00:00+00:00"}
    script = (
        f"import os; open({str(pidfile)!r}, 'w').write(str(os.getpid())); "
        "from hullmark.cli import run; run(['publish'])"
    )
    killed = subprocess.Popen([sys.executable, "-c", script], cwd=mine.root, env=environ)
    assert killed.wait(timeout=120) == -signal.SIGKILL
    # Its git may still be talking to the remote; the lock of the remote's branch says when it has ended.
    path.unlink()

    done = mine.publish()

    assert len(done.published) == 1
    assert not list((mine.root / ".hullmark").glob("publishing-*"))
    journal = mine.published(tmp_path / "check")
    assert verify_history(journal).ok
    assert len(journal.timelines("app")["linux/amd64"].scans) == 1


@pytest.mark.parametrize("keep_first", [True, False])
def test_a_remote_whose_ledger_does_not_extend_the_last_head_seen_is_refused(
    mine: Clone, keep_first: bool
) -> None:
    make_parcel(mine.outbox, HIGH)
    mine.publish()
    forge(mine, keep_first=keep_first)
    forged = run_git(mine.root, "ls-remote", "origin", "hullmark-data")
    make_parcel(mine.outbox, OTHER)

    with pytest.raises(TamperedError, match="is not what was published"):
        mine.publish()
    assert run_git(mine.root, "ls-remote", "origin", "hullmark-data") == forged
    assert mine.outbox.digests()


def test_a_remote_whose_branch_was_deleted_is_refused(mine: Clone) -> None:
    make_parcel(mine.outbox, HIGH)
    mine.publish()
    run_git(mine.root, "push", "-q", "origin", ":hullmark-data")
    make_parcel(mine.outbox, OTHER)

    with pytest.raises(TamperedError, match="does not exist any more"):
        mine.publish()


def test_a_remote_that_does_not_extend_what_a_scan_was_compared_with_is_refused(
    bare: Path, mine: Clone, tmp_path: Path
) -> None:
    """A fresh clone, as in a workflow, has seen nothing itself: the parcel brings the heads along."""
    make_parcel(mine.outbox, HIGH)
    mine.publish()
    heads = mine.published(tmp_path / "check").heads()
    forge(mine, keep_first=True)
    fresh = Clone(bare, tmp_path / "fresh")
    make_parcel(fresh.outbox, OTHER, heads=heads)

    with pytest.raises(TamperedError, match="does not extend the one that this scan was compared with"):
        fresh.publish()


def test_a_remote_whose_ledger_was_edited_is_refused_with_the_place(
    bare: Path, mine: Clone, tmp_path: Path
) -> None:
    make_parcel(mine.outbox, HIGH)
    mine.publish()
    mine.published(tmp_path / "check")
    path = tmp_path / "check/audit-logs/app/2026-01.jsonl"
    text = path.read_text()
    commit(tmp_path / "check", {"audit-logs/app/2026-01.jsonl": text.replace("CVE-2026-1", "CVE-2026-9")})
    run_git(tmp_path / "check", "push", "-q")
    fresh = Clone(bare, tmp_path / "fresh")
    make_parcel(fresh.outbox, OTHER)

    with pytest.raises(TamperedError, match=r"app/2026-01\.jsonl:\d"):
        fresh.publish()


def test_a_result_that_does_not_extend_the_remotes_ledger_is_never_pushed(mine: Clone) -> None:
    make_parcel(mine.outbox, HIGH)
    mine.publish()
    before = run_git(mine.root, "ls-remote", "origin", "hullmark-data")

    def forget(folder: Path) -> None:
        path = folder / "audit-logs/app/2026-01.jsonl"
        path.write_text(path.read_text().splitlines(keepends=True)[0])

    with pytest.raises(TamperedError, match="the result does not extend"):
        mine.publish(further=forget)
    assert run_git(mine.root, "ls-remote", "origin", "hullmark-data") == before


def test_a_parcel_that_cannot_be_recorded_keeps_no_other_back_stays_and_is_named(
    mine: Clone, tmp_path: Path
) -> None:
    newest = make_parcel(mine.outbox, HIGH, database="b", updated_at="2026-01-04T00:00:00Z")
    mine.publish()
    older = make_parcel(mine.outbox, HIGH, image="old")
    real = make_parcel(mine.outbox, HIGH, image="real", sample=False)
    torn = make_parcel(mine.outbox, HIGH, image="torn", sbom=b"[7]")
    mine.outbox.evidence.path(mine.outbox.get(torn).scans[0].sbom).unlink()
    good = make_parcel(mine.outbox, OTHER, database="b", updated_at="2026-01-04T00:00:00Z")

    done = mine.publish()

    reasons = {each.parcel: each.reason for each in done.refused}
    assert [each.parcel for each in done.published] == [good]
    assert newest not in reasons
    assert "what it does not know yet would look resolved" in reasons[older]
    assert "holds a sample history, and this database is a real one" in reasons[real]
    assert "evidence is missing" in reasons[torn]
    assert set(mine.outbox.digests()) == {older, real, torn}
    assert verify_history(mine.published(tmp_path / "check")).ok


def test_parcels_are_published_in_the_order_in_which_they_were_seen(mine: Clone, tmp_path: Path) -> None:
    for hours in (5, 1, 3):
        make_parcel(mine.outbox, HIGH, sbom=b"%d" % hours, at=NOW - timedelta(hours=hours))

    mine.publish()

    scans = mine.published(tmp_path / "check").timelines("app")["linux/amd64"].scans
    assert [scan.at[11:13] for scan in scans] == ["19", "21", "23"]


def test_a_dry_run_pushes_nothing_and_says_what_it_would(mine: Clone) -> None:
    make_parcel(mine.outbox, HIGH)

    done = mine.publish(dry_run=True)

    assert "audit-logs/app/2026-01.jsonl" in done.written
    assert run_git(mine.root, "ls-remote", "origin", "hullmark-data") == ""
    assert mine.outbox.digests()


def test_nothing_to_publish_makes_no_commit(mine: Clone) -> None:
    make_parcel(mine.outbox, HIGH)
    first = mine.publish()
    second = mine.publish()

    assert (second.before, second.after, second.written) == (first.after, None, ())


def test_on_a_shared_branch_only_our_own_files_change(bare: Path, tmp_path: Path) -> None:
    mine = Clone(bare, tmp_path / "mine", "main")
    make_parcel(mine.outbox, HIGH)

    done = mine.publish()

    assert {name.split("/")[0] for name in done.written} == {"audit-logs", "cve-baseline", "docs"}
    mine.published(tmp_path / "check")
    assert (tmp_path / "check/a.txt").read_text() == "a\n"
    assert not (tmp_path / "check/.gitattributes").exists()


def test_the_users_work_tree_index_and_branches_stay_as_they_are(mine: Clone) -> None:
    (mine.root / "a.txt").write_text("being edited")
    (mine.root / ".gitignore").write_text(".hullmark/\n")
    run_git(mine.root, "add", ".gitignore")
    asked = ("status", "--porcelain"), ("rev-parse", "HEAD"), ("branch",), ("stash", "list")
    before = [run_git(mine.root, *question) for question in asked]
    make_parcel(mine.outbox, HIGH)

    mine.publish()

    assert [run_git(mine.root, *question) for question in asked] == before


def test_what_is_published_is_fetched_as_a_ledger(mine: Clone, tmp_path: Path) -> None:
    assert mine.publisher().fetch(tmp_path / "none") is None
    make_parcel(mine.outbox, HIGH)
    done = mine.publish()

    assert mine.publisher().fetch(tmp_path / "out") == done.after
    assert verify(tmp_path / "out/audit-logs").ok
    assert git(mine.root, "rev-parse", "refs/hullmark/origin/hullmark-data").decode().strip() == done.after
