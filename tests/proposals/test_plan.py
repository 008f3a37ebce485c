"""What is to be done about the pull request of one image."""

from __future__ import annotations

import pytest

from hullmark.proposals.plan import Act, Ours, Standing, choose

NEW, OLD = "sha256:new", "sha256:old"
MINE = Ours(number=5, content=NEW, is_held=False)
HELD = Ours(number=5, content=NEW, is_held=True)
STALE = Ours(number=5, content=OLD, is_held=True)


@pytest.mark.parametrize(
    ("standing", "content", "act"),
    [
        (Standing(), NEW, Act.OPEN),
        (Standing(lock="left over"), NEW, Act.OPEN),
        (Standing(ours=MINE, lock="now"), NEW, Act.KEEP),
        (Standing(ours=MINE, lock="of older lists"), NEW, Act.UPDATE),
        (Standing(ours=HELD, lock="of older lists"), NEW, Act.KEEP),
        (Standing(ours=STALE, lock="other"), NEW, Act.UPDATE),
        (Standing(ours=MINE, editor="Alice", lock="now"), NEW, Act.LEAVE),
        (Standing(editor="Alice", lock="now"), NEW, Act.LEAVE),
        (Standing(stranger="alice"), NEW, Act.LEAVE),
        (Standing(refused=NEW), NEW, Act.LEAVE),
        (Standing(refused=OLD), NEW, Act.OPEN),
        (Standing(), "", Act.NOTHING),
        (Standing(editor="Alice", lock="x"), "", Act.NOTHING),
        (Standing(ours=MINE), "", Act.CLOSE),
        (Standing(ours=HELD), "", Act.CLOSE),
        (Standing(ours=MINE, editor="Alice"), "", Act.LEAVE),
        (Standing(stranger="alice"), "", Act.LEAVE),
    ],
)
def test_each_standing_has_one_answer(standing: Standing, content: str, act: Act) -> None:
    step = choose(standing, content=content, lock="now")

    assert step.act is act
    assert bool(step.why) is (act in (Act.LEAVE, Act.CLOSE))
    if act in (Act.KEEP, Act.UPDATE, Act.CLOSE):
        assert step.number == 5
