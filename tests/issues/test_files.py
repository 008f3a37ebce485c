"""The issue of the repository's own files: one section a kind, each with its own count and its tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from hullmark.finding import Kind, Severity
from hullmark.issues import Edit, ImageFacts, Open, Why, gather, plan
from hullmark.issues.body import Others, compose
from hullmark.journal import Journal
from tests.dashboard import world
from tests.gates import exemption
from tests.issues.histories import NOW, RULES, posted
from tests.issues.test_body import NASTY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Three checks: a secret that went, a weakness, a misconfiguration; hadolint is missing in the last."""
    journal = Journal(tmp_path / "audit-logs")
    for number in range(3):
        world.check(journal, number, world.START + number * world.WEEK)
    return journal


def facts_of(journal: Journal, **options: Any) -> ImageFacts:  # noqa: ANN401 - those of gather
    timelines = journal.timelines("repository")
    given = {"expected": tuple(timelines), "today": NOW.date(), **options}
    return gather("repository", timelines, journal.findings, **given)


def text_of(facts: ImageFacts) -> str:
    text = compose(facts, "Status.", Others(), log="https://github.example/log.md")
    assert text is not None
    return text


def test_what_is_found_in_the_files_has_one_section_a_kind_with_its_count_and_tools(journal: Journal) -> None:
    lines = text_of(facts_of(journal)).splitlines()

    for line in (
        "| Code weaknesses | 1 high, 1 low; looked for by `bandit 1.8.0` |",
        "| Misconfigurations | 1 high; looked for by `trivy 0.70.0` |",
        "| Secrets | none; looked for by `trivy 0.70.0` |",
        "| Licences | none; looked for by `trivy 0.70.0` |",
        "### Code weaknesses: 2",
        "### Misconfigurations: 1",
        "| HIGH | DS-0002 | `images/app/Dockerfile:2` | trivy |  | 2026-10-05 |",
    ):
        assert line in lines
    assert [line for line in lines if line.startswith("| HIGH | B602 | `tools/run.py:5` | bandit |")]
    assert not [line for line in lines if "vulnerabilit" in line.lower() or "### Secrets" in line]
    assert [line for line in lines if line.startswith("| **Not covered** |") and "hadolint" in line]


def test_each_match_of_a_rule_has_a_day_of_its_own(journal: Journal) -> None:
    assert "| LOW | B101 | `tools/other.py:9` | bandit |  | 2026-10-12 |" in text_of(facts_of(journal))


def test_what_a_check_changed_is_told_in_its_own_words(journal: Journal) -> None:
    text = text_of(facts_of(journal))

    assert "#### 2026-10-12 06:00 UTC, source/any: 1 introduced, 1 resolved" in text
    assert "- Code weaknesses open after it: 1 high, 1 low" in text
    assert "| CRITICAL | secret | generic-token | config/app.env | trivy | image |" in text
    assert "- Database: of" not in text


def test_the_files_have_an_issue_as_an_image_has_one(journal: Journal) -> None:
    (opened,) = plan(facts_of(journal), (), RULES)

    assert isinstance(opened, Open)
    assert opened.title == "Security findings in this repository's own files"
    assert {"image:repository", "severity:high"} <= set(opened.labels)
    assert plan(facts_of(journal), [posted(body=opened.body, labels=opened.labels)], RULES) == ()


def test_a_tool_that_is_missing_keeps_the_issue_open_and_accepted_risks_do_not(journal: Journal) -> None:
    accepted = [
        exemption("B602", images=("repository",), package="tools/*"),
        exemption("DS-0002", images=("repository",), package=""),
    ]
    (opened,) = plan(facts_of(journal), (), RULES)
    assert isinstance(opened, Open)
    issue = posted(body=opened.body, labels=opened.labels)

    (kept,) = plan(facts_of(journal, exemptions=accepted), [issue], RULES)
    assert isinstance(kept, Edit)
    assert kept.state is None
    assert "not everything was looked at" in (kept.body or "")
    world.check(journal, 1, world.START + 3 * world.WEEK)
    (closed,) = plan(facts_of(journal, exemptions=accepted), [issue], RULES)
    assert isinstance(closed, Edit)
    assert closed.why is Why.CLEAN
    assert "files `sha256:" in (closed.body or "")


def test_no_text_of_a_tool_becomes_markup(journal: Journal) -> None:
    bad = world.check_finding(NASTY, Kind.CODE, Severity.HIGH, NASTY, tool="bandit", line=1, title=NASTY)
    facts = facts_of(journal)
    text = text_of(msgspec.structs.replace(facts, findings=(bad,)))

    assert text.splitlines().count("<!-- /hullmark:issue -->") == 1
    for active in ("<b>", "<script>", "@all", "\n::set-output", "\u202e"):
        assert active not in text.replace("`" + NASTY, "")
