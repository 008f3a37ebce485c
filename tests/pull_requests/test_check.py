"""Whether the required check of a pull request passes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from hullmark.decision import Decision, Touch, Touched, decide
from hullmark.finding import Severity
from hullmark.policy import Verdict
from hullmark.pull_requests import PullRequest, State, annotate, conclude
from tests.gates import finding, gate, image, judge, side
from tests.pull_requests.requests import ALICE, OLD, approval, dockerfile, request

MEDIUM = finding("CVE-2026-2", Severity.MEDIUM)
CRITICAL = finding("CVE-2026-3", Severity.CRITICAL)
ALLOW = judge([MEDIUM], [])
REVIEW = judge([CRITICAL, MEDIUM], [CRITICAL])
BLOCK = judge([], [CRITICAL])
WORKFLOW = (dockerfile(path=".github/workflows/x.yml"),)


def state(
    asked: PullRequest | None, decision: Decision | None, *, is_bot: bool = False, self_review: bool = False
) -> State:
    return conclude(asked, decision, is_bot=is_bot, self_review=self_review).state


def test_the_decisions_of_these_tests() -> None:
    assert (ALLOW.verdict, REVIEW.verdict, BLOCK.verdict) == (Verdict.ALLOW, Verdict.REVIEW, Verdict.BLOCK)


def test_block_never_passes_and_neither_does_a_comparison_that_gave_no_decision() -> None:
    approved = request(reviews=(approval(),), writers=frozenset({"bob"}))

    for asked in (approved, None):
        assert state(asked, BLOCK) is State.FAIL
        assert state(asked, None) is State.FAIL
    assert conclude(approved, BLOCK).title.startswith("Block: introduces-critical")
    assert "the artefact is missing" in conclude(None, None, fault="the artefact is missing").lines


def test_review_waits_for_an_approval_where_an_update_bot_asks() -> None:
    assert state(request(), REVIEW, is_bot=True) is State.WAIT
    assert state(request(), ALLOW, is_bot=True) is State.PASS
    old = request(reviews=(approval(commit=OLD),), writers=frozenset({"bob"}))
    assert state(old, REVIEW, is_bot=True) is State.WAIT

    done = conclude(
        request(reviews=(approval(),), writers=frozenset({"bob"})), REVIEW, is_bot=True, self_review=True
    )
    assert (done.state, done.title) == (State.PASS, "Review: approved by bob")


def test_a_change_that_touches_what_judges_waits_for_an_approval_whatever_its_verdict_says() -> None:
    for decision in (ALLOW, REVIEW):
        asked = request(author=ALICE, files=WORKFLOW)
        assert state(asked, decision) is State.WAIT
        assert ".github/workflows/x.yml" in conclude(asked, decision).lines[0]
        approved = replace(asked, reviews=(approval(),), writers=frozenset({"bob"}))
        assert state(approved, decision) is State.PASS


def test_what_the_comparison_saw_as_touched_counts_too() -> None:
    one = image(side(MEDIUM), side())
    decision = decide(gate(one, touched=(Touch(Touched.SMOKE_TESTS, "images/app/image.toml"),)))

    assert state(request(author=ALICE), decision) is State.WAIT


def test_on_other_pull_requests_review_passes_and_says_so() -> None:
    done = conclude(request(author=ALICE), REVIEW)

    assert (done.state, done.title) == (State.PASS, "Review: a person decides, the check passes")


def test_self_review_lets_a_persons_own_change_pass_without_another_person_and_says_so() -> None:
    done = conclude(request(author=ALICE, files=WORKFLOW), REVIEW, self_review=True)

    assert (done.state, done.title) == (State.PASS, "Review: approval waived")
    assert "`gate.self_review` waives that here" in done.lines[-1]
    assert state(request(files=WORKFLOW), REVIEW, is_bot=True, self_review=True) is State.WAIT


@pytest.mark.parametrize(
    ("decision", "expected"), [(ALLOW, State.PASS), (REVIEW, State.PASS), (BLOCK, State.FAIL)]
)
def test_in_a_merge_group_only_block_fails(decision: Decision, expected: State) -> None:
    assert state(None, decision) is expected


def test_a_reason_is_told_at_the_file_that_the_image_is_made_from() -> None:
    (annotation,) = annotate(BLOCK, {"app": "images/app/Dockerfile"})[:1]

    assert (annotation.path, annotation.annotation_level) == ("images/app/Dockerfile", "failure")
    assert "CVE-2026-3, CRITICAL" in annotation.message
    assert annotate(BLOCK, {}) == ()
    assert annotate(ALLOW, {"app": "x"}) == ()
