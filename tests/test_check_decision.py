"""Findings of the repository's files pass the same gate, and are never mixed with vulnerabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from hullmark.decision import Seen, decide, explain
from hullmark.finding import Counts, Finding, Kind, Severity
from hullmark.image import REPOSITORY, SOURCE
from hullmark.policy import Preset, Verdict, preset
from hullmark.scan import Coverage, Gap, GapReason
from tests.gates import exemption, gate, judge, rules, side
from tests.gates import finding as vulnerability
from tests.gates import image as image_of
from tests.values import EVERYTHING

if TYPE_CHECKING:
    from hullmark.decision import Decision, Side

NO_TOOL = Coverage(gaps=(Gap(GapReason.NO_TOOL, "bandit (code)"),))


def weakness(
    severity: Severity = Severity.HIGH,
    kind: Kind = Kind.CODE,
    path: str = "src/a.py",
    content: str = "c0",
    **fields: Any,  # noqa: ANN401 - those of a finding
) -> Finding:
    values = {"id": "B602", "title": "A call with a shell.", "line": 7, **fields}
    return Finding(
        kind=kind,
        package_type="bandit",
        package="bandit",
        path=path,
        severity=severity,
        discriminator=content,
        **values,
    )


def tree(*findings: Finding, coverage: Coverage = EVERYTHING) -> Side:
    bare = side(coverage=coverage, seen=Seen.TREE, unowned_elf=None)
    return msgspec.structs.replace(bare, findings=findings)


def decided(base: Side, head: Side, **fields: Any) -> Decision:  # noqa: ANN401 - those of the inputs
    one = image_of(base, head, name=REPOSITORY)
    return decide(gate(one, **fields))


@pytest.mark.parametrize("name", list(Preset))
@pytest.mark.parametrize(
    ("found", "verdict", "rule"),
    [
        (weakness(kind=Kind.SECRET, severity=Severity.LOW), Verdict.BLOCK, "introduces-secret"),
        (weakness(kind=Kind.SECRET, severity=Severity.UNKNOWN), Verdict.BLOCK, "introduces-secret"),
        (weakness(), Verdict.BLOCK, "introduces-weakness"),
        (weakness(Severity.CRITICAL), Verdict.BLOCK, "introduces-weakness"),
        (weakness(Severity.MEDIUM), Verdict.REVIEW, "introduces-medium-weakness"),
        (weakness(Severity.UNKNOWN), Verdict.REVIEW, "introduces-medium-weakness"),
        (weakness(kind=Kind.MISCONFIGURATION), Verdict.BLOCK, "introduces-misconfiguration"),
        (
            weakness(Severity.MEDIUM, Kind.MISCONFIGURATION),
            Verdict.REVIEW,
            "introduces-medium-misconfiguration",
        ),
        (weakness(Severity.CRITICAL, Kind.LICENCE), Verdict.REVIEW, "introduces-licence"),
    ],
)
def test_introduced_findings_of_a_kind_at_a_severity_block_or_are_for_a_person(
    name: Preset, found: Finding, verdict: Verdict, rule: str
) -> None:
    decision = decided(tree(), tree(found), policy=preset(name))

    assert decision.verdict is verdict
    assert rules(decision) == [rule]


def test_a_finding_of_low_severity_and_one_that_went_away_are_no_vote() -> None:
    for base, head in ((tree(), tree(weakness(Severity.LOW))), (tree(weakness()), tree())):
        decision = decided(base, head)
        assert rules(decision) == ["nothing-changed"]


def test_older_findings_never_block() -> None:
    old = weakness(Severity.CRITICAL), weakness(kind=Kind.SECRET, path="k")
    assert rules(decided(tree(*old), tree(*old))) == ["nothing-changed"]


def test_a_policy_of_ones_own_must_have_a_word_for_what_the_change_brings() -> None:
    from hullmark.policy import parse_policy

    own = parse_policy(
        b'version = 1\n[[rules]]\nname = "a"\nverdict = "block"\nwhen.some = { state = "introduced", '
        b'kind = "vulnerability" }\n',
        file="p",
    )
    assert rules(decided(tree(), tree(weakness()), policy=own)) == ["unjudged"]
    assert rules(decided(tree(), tree(weakness(Severity.LOW)), policy=own)) == ["nothing-changed"]


def test_the_counts_of_vulnerabilities_are_not_mixed_with_other_kinds() -> None:
    one = vulnerability("CVE-2026-1", Severity.HIGH)
    decision = judge([one], [one])
    [outcome] = decision.outcomes
    assert (outcome.before, outcome.others) == (Counts(high=1), ())

    [outcome] = decided(tree(weakness(Severity.LOW)), tree(weakness(), weakness(content="c1"))).outcomes
    assert (outcome.before, outcome.after) == (Counts(), Counts())
    [code] = outcome.others
    assert (code.kind, code.before, code.after) == (Kind.CODE, Counts(low=1), Counts(high=2))


def test_fewer_weaknesses_never_allow_an_image_that_is_no_better() -> None:
    found = vulnerability("CVE-2026-1", Severity.HIGH)
    before, after = side(found), side(found)
    decision = decide(gate(image_of(before, after), image_of(tree(weakness()), tree(), name=REPOSITORY)))
    assert decision.verdict is Verdict.REVIEW


def test_a_finding_of_a_file_that_was_moved_is_the_same_finding() -> None:
    moved = decided(tree(weakness()), tree(weakness(path="src/b.py", line=90)))
    copied = decided(tree(weakness()), tree(weakness(), weakness(path="src/b.py")))
    worse = decided(tree(weakness(Severity.MEDIUM)), tree(weakness(path="src/b.py")))
    other = decided(tree(weakness()), tree(weakness(path="src/b.py", content="c1")))

    assert rules(moved) == ["nothing-changed"]
    for decision in (copied, worse, other):
        assert rules(decision) == ["introduces-weakness"]


def test_a_tool_that_is_missing_in_head_blocks_and_one_that_is_missing_on_both_sides_does_not_allow() -> None:
    assert rules(decided(tree(), tree(coverage=NO_TOOL))) == ["coverage-shrank"]
    assert rules(decided(tree(coverage=NO_TOOL), tree(coverage=NO_TOOL))) == ["nothing-changed"]


def test_for_a_finding_of_the_repositorys_files_the_package_of_an_entry_is_a_path() -> None:
    accepted = exemption("B602", images=(REPOSITORY,), package="src/*")
    elsewhere = exemption("B602", images=(REPOSITORY,), package="tests/*")

    assert rules(decided(tree(), tree(weakness()), exemptions=(accepted,))) == ["nothing-changed"]
    assert rules(decided(tree(), tree(weakness()), exemptions=(elsewhere,))) == ["introduces-weakness"]
    assert rules(decided(tree(), tree(weakness()), added_exemptions=(accepted,))) == ["exempted-by-change"]
    # A path says nothing about a package of an image.
    assert rules(judge([], [vulnerability(path="src/a.py")], exemptions=(exemption(package="src/*"),))) == [
        "relevant-rise",
        "introduces-high",
    ]


def test_a_reason_names_the_rule_the_place_and_what_satisfies_it() -> None:
    text = "\n".join(explain(decided(tree(), tree(weakness(), weakness(kind=Kind.SECRET, id="github-pat")))))

    assert "code B602, HIGH in src/a.py line 7 (bandit): A call with a shell." in text
    assert "take the secret out of the change, and out of use" in text
    assert "findings of kind code: 0 in base, 1 in head." in text


def test_the_files_of_the_repository_have_no_smoke_test_and_were_all_seen() -> None:
    allowed = decided(tree(), tree(), policy=preset(Preset.RATCHET))
    assert allowed.verdict is Verdict.ALLOW
    assert str(SOURCE) == "source/any"
