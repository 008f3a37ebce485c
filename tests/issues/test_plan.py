"""What must be done so that each image has the issue that it should have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hullmark.finding import Severity
from hullmark.issues import Action, Edit, ImageFacts, Leave, Open, Posted, State, Why, label_of, plan
from hullmark.issues.body import END, begin
from tests.issues.histories import LOW, RULES, UNRATED, History, finding, posted, replace
from tests.values import NO_JAVA

if TYPE_CHECKING:
    from pathlib import Path


def apply(actions: tuple[Action, ...], present: list[Posted]) -> list[Posted]:
    """GitHub after `actions`."""
    found = {each.number: each for each in present}
    for action in actions:
        if isinstance(action, Open):
            number = max(found, default=0) + 1
            found[number] = posted(number, action.body, labels=action.labels, title=action.title)
        elif isinstance(action, Edit):
            parts = {
                "body": action.body,
                "labels": action.labels,
                "state": action.state,
                "reason": action.reason,
            }
            given = {name: part for name, part in parts.items() if part is not None}
            found[action.number] = replace(found[action.number], **given)
    return list(found.values())


def settle(facts: ImageFacts, *present: Posted) -> list[Posted]:
    """GitHub after the plan was done; doing it again changes nothing."""
    after = apply(plan(facts, present, RULES), list(present))
    assert plan(facts, after, RULES) == ()
    return after


def only(actions: tuple[Action, ...]) -> Edit:
    (action,) = actions
    assert isinstance(action, Edit)
    return action


def test_one_issue_for_an_image_with_relevant_findings(tmp_path: Path) -> None:
    (issue,) = settle(History(tmp_path).scan(finding()).facts())

    assert issue.title == "Security findings in app"
    assert issue.labels == ("security", "trivy", "image:app", "severity:high")
    assert issue.body.startswith(begin("app"))


@pytest.mark.parametrize("found", [(), (LOW,), (UNRATED,)])
def test_none_is_opened_where_there_are_none(tmp_path: Path, found: tuple[()]) -> None:
    assert settle(History(tmp_path).scan(*found).facts()) == []


def test_a_second_scan_is_appended_and_the_severity_follows(tmp_path: Path) -> None:
    history = History(tmp_path).scan(finding())
    before = settle(history.facts())
    history.scan(finding(), finding("CVE-2026-2", Severity.CRITICAL))

    edit = only(plan(history.facts(), before, RULES))

    assert (edit.why, edit.state) == (Why.UPDATED, None)
    assert edit.labels == ("security", "trivy", "image:app", "severity:critical")
    assert edit.body is not None
    assert edit.body.index("2026-01-06 09:00 UTC, linux/amd64: 1 introduced") < edit.body.index("1 found")


@pytest.mark.parametrize(
    "fields",
    [
        {"author": "stranger"},
        {"labels": ("security",)},
        {"body": "no marker"},
        {"body": f"{begin('other')}\n{END}"},
    ],
)
def test_an_issue_is_ours_by_its_label_its_hidden_marker_and_its_author_all_three(
    tmp_path: Path, fields: dict[str, str]
) -> None:
    history = History(tmp_path).scan(finding())
    (ours,) = settle(history.facts())
    forged = replace(ours, **fields)

    actions = plan(history.scan().facts(), [forged], RULES)

    assert actions == ()


def test_an_issue_that_lost_its_label_is_not_opened_a_second_time(tmp_path: Path) -> None:
    facts = History(tmp_path).scan(finding()).facts()
    (ours,) = settle(facts)

    (action,) = plan(facts, [replace(ours, labels=("security",))], RULES)

    assert isinstance(action, Leave)
    assert "lost its label image:app" in action.reason


def test_a_forged_issue_of_a_stranger_keeps_none_from_being_opened(tmp_path: Path) -> None:
    facts = History(tmp_path).scan(finding()).facts()
    forged = posted(1, f"{begin('app')}\n{END}", author="stranger")

    actions = plan(facts, [forged], RULES)

    assert [type(action) for action in actions] == [Open]


def test_of_several_the_one_with_the_lowest_number_stays(tmp_path: Path) -> None:
    history = History(tmp_path).scan(finding())
    (ours,) = settle(history.facts())
    twins = [replace(ours, number=number, body=f"{ours.body}\n\nnote {number}") for number in (7, 3, 5)]

    after = {each.number: each for each in settle(history.facts(), *twins)}

    assert {number: (each.state.value, each.reason) for number, each in after.items()} == {
        3: ("open", ""),
        5: ("closed", "duplicate"),
        7: ("closed", "duplicate"),
    }
    assert "Duplicate of #3." in after[7].body
    assert after[7].body.endswith("note 7")


def test_it_is_closed_with_proof_when_a_complete_scan_found_nothing(tmp_path: Path) -> None:
    history = History(tmp_path).scan(finding())
    before = settle(history.facts())

    edit = only(plan(history.scan(LOW).facts(), before, RULES))

    assert (edit.why, edit.state, edit.reason) == (Why.CLEAN, State.CLOSED, "completed")
    latest = history.journal.timelines("app")["linux/amd64"].latest
    assert edit.body is not None
    status = edit.body.split("| | |")[0]
    for proof in (latest.digest, latest.run.database.digest, "2026-01-06 09:00 UTC", "trivy `0.76.0`"):
        assert proof in status


def test_it_is_closed_when_enough_complete_scans_in_a_row_found_nothing(tmp_path: Path) -> None:
    rules = replace(RULES, close_after=2)
    history = History(tmp_path).scan(finding())
    before = settle(history.facts())

    waiting = only(plan(history.scan().facts(close_after=2), before, rules))
    assert waiting.state is None
    assert "Clean in 1 of 2 complete scans" in (waiting.body or "")
    assert only(plan(history.scan().facts(close_after=2), before, rules)).why is Why.CLEAN


@pytest.mark.parametrize(
    ("found", "coverage", "missing"),
    [
        ((UNRATED,), None, {}),
        ((), NO_JAVA, {}),
        ((), None, {"linux/amd64": "not built"}),
    ],
)
def test_an_unknown_a_gap_or_a_scan_that_is_missing_keeps_it_open(
    tmp_path: Path, found: tuple[()], coverage: object, missing: dict[str, str]
) -> None:
    history = History(tmp_path).scan(finding())
    before = settle(history.facts())
    history.scan(*found, **({"coverage": coverage} if coverage else {}))  # type: ignore[arg-type]

    (after,) = settle(history.facts(missing=missing), *before)

    assert after.state is State.OPEN


def test_the_issue_of_an_image_that_the_configuration_no_longer_has_is_closed_as_not_planned(
    tmp_path: Path,
) -> None:
    history = History(tmp_path).scan(finding())
    before = settle(history.facts())
    history.scan()

    edit = only(plan(history.facts(expected=()), before, RULES))

    assert (edit.why, edit.state, edit.reason) == (Why.RETIRED, State.CLOSED, "not_planned")
    assert "retired by commit `cccccccccccc`" in (edit.body or "")
    assert "not found clean" in (edit.body or "")
    assert "with proof" not in (edit.body or "")


def test_no_issue_is_opened_for_a_retired_image(tmp_path: Path) -> None:
    assert settle(History(tmp_path).scan(finding()).facts(expected=())) == []


def test_it_is_reopened_never_opened_again(tmp_path: Path) -> None:
    history = History(tmp_path).scan(finding())
    opened = settle(history.facts())
    closed = settle(history.scan().facts(), *opened)
    assert closed[0].state is State.CLOSED
    history.scan(finding())

    edit = only(plan(history.facts(), closed, RULES))

    assert (edit.why, edit.state, edit.number) == (Why.REOPENED, State.OPEN, 1)


def test_labels_of_others_stay(tmp_path: Path) -> None:
    history = History(tmp_path).scan(finding("x", Severity.CRITICAL))
    (ours,) = settle(history.facts())
    history.scan(finding())

    (after,) = settle(history.facts(), replace(ours, labels=("help wanted", *ours.labels)))

    assert after.labels == ("help wanted", "security", "trivy", "image:app", "severity:high")


def test_text_of_others_that_leaves_no_room_is_left_alone(tmp_path: Path) -> None:
    history = History(tmp_path).scan(finding())
    (ours,) = settle(history.facts())
    history.scan()

    (action,) = plan(history.facts(), [replace(ours, body=ours.body + "\n" + "x" * 65_000)], RULES)

    assert isinstance(action, Leave)
    assert "leaves no room" in action.reason


def test_a_long_name_gives_a_label_that_github_takes() -> None:
    one, other = "a" * 63 + "b", "a" * 63 + "c"

    assert len(label_of(one)) == 50
    assert label_of(one) != label_of(other)
