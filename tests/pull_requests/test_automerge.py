"""Whether a pull request may merge by itself."""

# ruff: noqa: ANN401 - fields of what is made

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from hullmark.finding import Severity
from hullmark.pull_requests import (
    Capabilities,
    Commit,
    Conclusion,
    Person,
    PullRequest,
    State,
    conclude,
    obstacles,
)
from tests.gates import finding, judge
from tests.pull_requests.requests import ALICE, HEAD, READY, SETTINGS, dockerfile, request
from tests.pull_requests.test_check import ALLOW, BLOCK, CRITICAL, MEDIUM, REVIEW

if TYPE_CHECKING:
    from hullmark.decision import Decision

GREEN = Conclusion(state=State.PASS, title="Allow")


def why(
    asked: PullRequest, decision: Decision | None = ALLOW, conclusion: Conclusion = GREEN, **options: Any
) -> list[str]:
    given = {"settings": SETTINGS, "capabilities": READY, **options}
    settings, capabilities = given.pop("settings"), given.pop("capabilities")
    return list(obstacles(asked, decision, conclusion, settings, capabilities, **given))


def test_a_pin_moved_by_the_bot_and_allowed_merges_by_itself() -> None:
    assert conclude(request(), ALLOW, is_bot=True).state is State.PASS
    assert why(request()) == []


@pytest.mark.parametrize("decision", [REVIEW, BLOCK, None])
def test_only_on_allow(decision: Decision | None) -> None:
    assert any("not allow" in line for line in why(request(), decision))


def test_only_with_a_check_that_passes() -> None:
    waiting = Conclusion(state=State.WAIT, title="")

    assert why(request(), ALLOW, waiting) == ["the check does not pass"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"author": ALICE}, "alice is not one of the update bots"),
        ({"author": Person(login="renovate[bot]")}, "not one of the update bots"),
        ({"author": Person(login="evil[bot]", is_bot=True)}, "not one of the update bots"),
        ({"from_here": False}, "its branch is one of a fork"),
        ({"is_draft": True}, "it is a draft"),
        ({"commits": ()}, "not every commit is by renovate[bot]"),
        (
            {"commits": (Commit(sha=HEAD, author="alice", committer="alice"),)},
            "not every commit is by renovate[bot]",
        ),
        (
            {"commits": (Commit(sha=HEAD, author="renovate[bot]", committer="alice"),)},
            "not every commit is by renovate[bot]",
        ),
        ({"is_whole": False}, "too large to be read whole"),
        ({"files": ()}, "it changes no file"),
        ({"files": (dockerfile(), dockerfile("@@\n-a\n+b", path="x.py"))}, "more than pins differs: x.py"),
        ({"files": (dockerfile("@@\n-FROM a:1.2\n+FROM a:1.3"),)}, "more than a patch version differs"),
        ({"files": (dockerfile(path=".github/Dockerfile"),)}, "it touches what judges: .github/Dockerfile"),
        ({"files": (dockerfile(path="images/app/packages.lock"),)}, "more than pins differs"),
    ],
)
def test_every_condition_must_hold_and_each_that_does_not_is_said(fields: dict[str, Any], words: str) -> None:
    assert any(words in line for line in why(request(**fields)))


def test_a_commit_through_githubs_own_interface_is_the_bots() -> None:
    commit = Commit(sha=HEAD, author="renovate[bot]", committer="web-flow")

    assert why(request(commits=(commit,))) == []


def test_a_lock_that_resolving_gives_again_byte_for_byte_counts_as_a_pin() -> None:
    lock = dockerfile(path="images/app/packages.lock")

    assert why(request(files=(lock,)), locks={lock.path: ""}) == []


def test_of_a_workflows_own_bot_only_proved_locks_merge_by_themselves() -> None:
    """Whoever may write can run a workflow that opens a pull request with its token."""
    bot = Person(login="github-actions[bot]", is_bot=True)
    lock = dockerfile(path="images/app/packages.lock")
    settings = replace(SETTINGS, bots=(*SETTINGS.bots, bot.login))

    assert why(request(author=bot, files=(lock,)), locks={lock.path: ""}, settings=settings) == []
    found = why(request(author=bot, files=(lock, dockerfile())), locks={lock.path: ""}, settings=settings)
    assert found == ["of github-actions[bot] only proved locks merge by themselves: images/app/Dockerfile"]


def test_a_lock_that_is_not_proved_is_said_with_its_reason() -> None:
    lock = dockerfile(path="images/app/packages.lock")

    found = why(request(files=(lock,)), locks={lock.path: "tool is another"})

    assert found == ["images/app/packages.lock is not proved: tool is another"]


def test_never_when_it_leaves_a_critical_or_lets_any_severity_rise() -> None:
    assert "app (linux/amd64) still has a CRITICAL" in why(request(), judge([CRITICAL, MEDIUM], [CRITICAL]))
    unknown = finding("CVE-2026-8", Severity.UNKNOWN)
    rises = why(request(), judge([MEDIUM], [unknown]))
    assert "app (linux/amd64) has more of UNKNOWN" in rises


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"capabilities": Capabilities(allows_merging=False, requires_check=True)},
            "does not allow auto-merge",
        ),
        ({"capabilities": Capabilities(allows_merging=True, requires_check=False)}, "requires the check"),
        ({"settings": replace(SETTINGS, is_on=False)}, "`pull_requests.auto_merge` is off"),
    ],
)
def test_only_where_the_repository_allows_auto_merge_and_requires_the_check(
    options: dict[str, Any], words: str
) -> None:
    (line,) = why(request(), **options)

    assert words in line
