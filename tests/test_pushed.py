"""What went into a registry, in the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hullmark.event import Kept, Pushed
from hullmark.outbox import Outbox, apply, is_applied, pack_push
from hullmark.pushed import find_published, find_pushes, kept_tags, was_tried
from hullmark.recording import begin_decision
from tests.issues.histories import History
from tests.values import digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.journal import Journal

INPUTS = {"linux/amd64": digest_of("inputs")}


def event(name: str, kept: Kept | None = None, *, repository: str = "r.example/app") -> Pushed:
    return Pushed(
        repository=repository,
        tag="latest",
        digest=None if kept is Kept.INCOMPLETE else digest_of(name),
        images={} if kept is Kept.INCOMPLETE else {"linux/amd64": digest_of(name)},
        built_from={} if kept is Kept.INCOMPLETE else INPUTS,
        kept=kept,
        detail="it was not built" if kept is Kept.INCOMPLETE else "",
    )


def record(history: History, *events: Pushed) -> Journal:
    for each in events:
        with begin_decision(history.journal, sample=True, now=history.now, clock_overridden=True) as deciding:
            deciding.record_push("app", each)
    return history.journal


def test_published_is_the_newest_push_that_moved_the_tag(tmp_path: Path) -> None:
    moved = event("new")
    pushes = (event("old"), moved, event("worse", Kept.BLOCKED), event("x", Kept.INCOMPLETE))
    journal = record(History(tmp_path).scan(), *pushes)

    assert find_published(journal, "app") == moved
    assert find_published(journal, "app", "r.example/app") == moved
    assert find_published(journal, "app", "other.example/app") is None
    assert find_published(journal, "strange") is None


def test_a_tag_that_stayed_is_told_until_a_push_moves_it(tmp_path: Path) -> None:
    history = History(tmp_path).scan()

    journal = record(history, event("a", Kept.BLOCKED))
    assert kept_tags(journal) == {"app": "stays where it was: the build was blocked on 2026-01-05"}
    record(history, event("b", Kept.INCOMPLETE))
    assert kept_tags(journal) == {"app": "stays where it was: incomplete on 2026-01-05: it was not built"}
    record(history, event("c"))
    assert kept_tags(journal) == {}


def test_what_was_pushed_and_judged_was_tried_and_what_was_incomplete_was_not(tmp_path: Path) -> None:
    history = History(tmp_path).scan()

    assert not was_tried(record(history, event("x", Kept.INCOMPLETE)), "app", INPUTS)
    assert was_tried(record(history, event("x", Kept.BLOCKED)), "app", INPUTS)
    assert not was_tried(history.journal, "app", {"linux/amd64": digest_of("other")})


def test_a_scan_is_compared_with_the_scan_before_whatever_was_pushed_between(tmp_path: Path) -> None:
    history = History(tmp_path).scan()
    before = history.journal.standings("app")

    assert record(history, event("a")).standings("app") == before
    assert set(history.scan().journal.timelines("app")) == {"linux/amd64"}


def test_a_push_travels_in_a_parcel_and_is_recorded_once(tmp_path: Path) -> None:
    history = History(tmp_path / "ledger").scan()
    outbox = Outbox(tmp_path / "outbox")
    digest = pack_push(outbox, at="2026-01-05T09:00:00Z", image="app", event=event("a"), sample=True)
    parcel = outbox.get(digest)

    assert not is_applied(digest, parcel, history.journal)
    apply(
        outbox,
        digest,
        history.journal,
        lambda *_: pytest.fail("nothing is matched"),
        now=history.now,
        clock_overridden=True,
    )
    assert is_applied(digest, parcel, history.journal)
    assert [each for _, each in find_pushes(history.journal, "app")] == [event("a")]
    assert parcel.labels == ("push of app",)
