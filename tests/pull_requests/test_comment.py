"""The one comment on a pull request."""

from __future__ import annotations

from hullmark.finding import Severity
from hullmark.pull_requests import MARKER, Conclusion, State, compose, is_sticky
from hullmark.text import ISSUE_BUDGET, utf16_length
from tests.gates import finding, judge
from tests.pull_requests.requests import HEAD
from tests.pull_requests.test_check import ALLOW, BLOCK
from tests.values import digest_of

DIGEST = digest_of("decision")
FAIL = Conclusion(state=State.FAIL, title="Block: x <b>", lines=("Because @all.",))


def test_a_comment_is_ours_by_its_hidden_first_line_and_its_author_both() -> None:
    assert is_sticky(f"{MARKER}\nx", "us", us="us")
    assert not is_sticky(f"{MARKER}\nx", "stranger", us="us")
    assert not is_sticky(f"quoted:\n{MARKER}", "us", us="us")


def test_it_says_the_decision_the_check_and_whether_it_merges_by_itself() -> None:
    text = compose(HEAD, FAIL, (BLOCK, DIGEST), merging=["it is a draft"], missing=["403: no"])

    assert text.startswith(MARKER)
    assert "CVE-2026-3, CRITICAL" in text
    assert "Check `hullmark/gate`: Block: x \\<b\\>" in text
    assert "- Because @&#8203;all." in text
    assert "It does not merge by itself:\n\n- it is a draft" in text
    assert "**What GitHub refused**, so that it is missing here:\n\n- 403: no" in text
    assert "It merges by itself" in compose(HEAD, FAIL, (ALLOW, DIGEST), merging=[])
    assert "by itself" not in compose(HEAD, FAIL, None)


def test_it_is_never_longer_than_github_takes() -> None:
    many = [finding(f"CVE-2026-{n}", Severity.CRITICAL, package="|" * 300 + str(n)) for n in range(900)]

    text = compose(HEAD, FAIL, (judge([], many), DIGEST), missing=["x" * 5_000] * 50)

    assert utf16_length(text) <= ISSUE_BUDGET
    assert "and 30 more" in text
