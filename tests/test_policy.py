"""Policies: the presets, one's own rules, and rules that could never do anything."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullmark.decision import decide
from hullmark.decision.table import select
from hullmark.errors import InputError
from hullmark.finding import Kind, Severity
from hullmark.policy import (
    Fact,
    Preset,
    Rule,
    Selector,
    State,
    Verdict,
    describe,
    format_policy,
    load_policy,
    parse_policy,
    preset,
)
from hullmark.policy.check import covers, faults
from tests.gates import finding, gate, image, judge, rules, side

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.policy import Policy

HEAD = 'preset = "strict"\n'


def rule(when: str, verdict: str = "review", name: str = "mine") -> str:
    return f'[[rules]]\nname = "{name}"\nverdict = "{verdict}"\n{when}\n'


def some(conditions: str, verdict: str = "review") -> str:
    return rule(f"when.some = {{ {conditions} }}", verdict)


def own(*texts: str) -> Policy:
    return parse_policy("".join(texts).encode(), file="policy.toml")


@pytest.mark.parametrize("name", list(Preset))
def test_presets_have_no_fault_that_is_refused_in_ones_own_rules(name: Preset) -> None:
    assert list(faults(preset(name).rules, beside_preset=False)) == []


def test_the_strict_preset_is_the_table_of_the_design() -> None:
    strict = preset(Preset.STRICT)

    assert [(rule.name, rule.verdict.value) for rule in strict.rules if not _is_check(rule)] == [
        ("introduces-critical", "block"),
        ("relevant-rise", "block"),
        ("introduces-high", "block"),
        ("critical-persists", "review"),
        ("introduces-high-while-falling", "review"),
        ("introduces-unknown", "review"),
        ("known-exploited", "review"),
        ("relevant-fall", "allow"),
        ("findings-differ", "review"),
    ]


def _is_check(rule: Rule) -> bool:
    """Whether it is about the repository's own files."""
    return any(one.kind not in (None, Kind.VULNERABILITY) for one in rule.when.selectors)


def test_both_presets_have_the_same_rules_for_the_repositorys_files() -> None:
    strict, ratchet = (tuple(filter(_is_check, preset(name).rules)) for name in Preset)

    assert strict == ratchet
    assert {one.kind for rule in strict for one in rule.when.selectors} == set(Kind) - {Kind.VULNERABILITY}


def test_every_fact_has_a_rule_under_every_policy() -> None:
    policy = own(rule("when.differs = true"))

    assert {rule.when.fact for rule in (*policy.ground, *policy.caps)} == set(Fact)
    assert all(rule.verdict is Verdict.REVIEW for rule in policy.caps)
    assert all(rule.means and rule.remedies for rule in (*policy.ground, *policy.caps))


def test_a_policy_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(HEAD)

    assert load_policy(path) == preset(Preset.STRICT)


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("", "rules", "without rules"),
        ('preset = "strickt"', "preset", "strickt"),
        ("presets = 1", "presets", "nearest is `preset`"),
        ("version = 2", "version", "2"),
        (rule("when = {}"), "rules[0].when", "at least one condition"),
        (rule("when.differs = true", name="No Name"), "rules[0].name", "regex"),
        (rule("when.differs = true", verdict="deny"), "rules[0].verdict", "deny"),
        (
            some('sevrity = ["LOW"], state = "present"'),
            "rules[0].when.some.sevrity",
            "severity",
        ),
        (rule("when.some = {}"), "rules[0].when.some", "`state`"),
        (some('state = "present", age = 0'), "rules[0].when.some.age", ">= 1"),
        (rule('when.fact = "unjudged"'), "rules[0].when.fact", "never match"),
        (some('state = "introduced", age = 3'), "rules[0].when.some.age", "is new"),
        (
            some('state = "present", severity = ["LOW"], at_least = "HIGH"'),
            "rules[0].when.some.severity",
            "never match",
        ),
        (
            some('state = "present", at_least = "UNKNOWN"'),
            "rules[0].when.some.at_least",
            "rank",
        ),
        (
            some('state = "present", fix = false, fix_age = 3'),
            "rules[0].when.some.fix_age",
            "never match",
        ),
        (some('state = "resolved", age = 3'), "rules[0].when.some.state", "never match"),
        (
            some('state = "present", cause = "scanner"'),
            "rules[0].when.some.cause",
            "never judged",
        ),
        (
            some('state = "persisting", cause = "database"'),
            "rules[0].when.some.cause",
            "never match",
        ),
        (
            rule('when.some = { state = "introduced", cause = "database" }', "block"),
            "rules[0].when.some.cause",
            "only what the change did",
        ),
        (rule('when = { differs = false, relevant = "rises" }'), "rules[0].when", "never match"),
        (rule('when = { differs = false, some = { state = "resolved" } }'), "rules[0].when", "never match"),
        (
            rule('when = { some = { state = "introduced" }, none = { state = "present" } }'),
            "rules[0].when",
            "never match",
        ),
        (HEAD + rule("when.differs = true", "allow"), "rules[0].verdict", "stricter"),
        (HEAD + rule("when.differs = true", name="relevant-fall"), "rules[0].name", "already there"),
        (rule("when.differs = true", name="no-base"), "rules[0].name", "already there"),
        (rule("when.differs = true") + rule("when.differs = false"), "rules[1].name", "rules[0]"),
        (
            rule("when.differs = true") + rule("when.differs = true", "block", "two"),
            "rules[1]",
            "contradicts `mine`",
        ),
        (
            some('state = "introduced", at_least = "HIGH"')
            + rule('when.some = { state = "introduced", severity = ["CRITICAL"] }', "block", "two"),
            "rules[1]",
            "can never decide: `mine`",
        ),
        (
            rule("when.differs = true") + rule('when.relevant = "falls"', "allow", "two"),
            "rules[1]",
            "can never decide",
        ),
        (
            rule('when.relevant = "does-not-fall"') + rule('when.relevant = "rises"', "block", "two"),
            "rules[1]",
            "can never decide",
        ),
    ],
)
def test_unknown_keys_and_rules_that_can_never_match_are_errors(text: str, key: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        own(text)

    assert (caught.value.file, caught.value.key) == ("policy.toml", key)
    assert message in caught.value.message


def test_a_rule_above_of_the_same_verdict_is_another_reason_and_no_fault() -> None:
    policy = own(
        rule('when.some = { state = "introduced", at_least = "HIGH" }', "block"),
        rule('when.some = { state = "introduced", severity = ["CRITICAL"] }', "block", "two"),
    )

    assert len(policy.rules) == 2


severities = st.sampled_from(list(Severity))
selectors = st.builds(
    Selector,
    state=st.sampled_from(list(State)),
    severity=st.lists(severities, max_size=2).map(tuple),
    at_least=st.none() | severities,
    fix=st.none() | st.booleans(),
    package=st.sampled_from(["", "*", "lib*", "libxml2"]),
    kev=st.none() | st.booleans(),
)


@given(selectors, selectors)
def test_a_selector_that_covers_another_chooses_everything_that_the_other_does(
    wide: Selector, narrow: Selector
) -> None:
    from hullmark.decision.comparison import compare_image
    from hullmark.decision.table import View
    from tests.gates import TODAY

    ranks = list(Severity)
    world = [
        (finding(f"CVE-{place}", was, fixed=fix), finding(f"CVE-{place}", now, fixed=fix))
        for place, (was, now, fix) in enumerate(product(ranks, ranks, ["", "2"]))
    ]
    base = [one for place, (one, _) in enumerate(world) if place % 5]
    head = [one for place, (_, one) in enumerate(world) if place % 7]
    comparison = compare_image(image(side(*base), side(*head)), (), TODAY)
    view = View({}, comparison, TODAY, frozenset({f"CVE-{place}" for place in range(0, 60, 3)}), {})

    if covers(wide, narrow):
        assert set(select(narrow, view)[0]) <= set(select(wide, view)[0])


def test_rules_beside_a_preset_can_only_make_it_stricter() -> None:
    stricter = own(HEAD, rule('when.some = { state = "present", package = "libxml*" }', "block"))
    worse = finding("CVE-2", Severity.MEDIUM)
    better, kept = [finding(), worse], [worse]

    assert judge(better, kept).verdict is Verdict.ALLOW
    decision = judge(better, kept, policy=stricter)
    assert (decision.verdict, rules(decision), decision.policy) == (Verdict.BLOCK, ["mine"], "strict+own")


def test_what_ones_own_table_says_nothing_about_is_never_passed() -> None:
    policy = own(rule('when.some = { state = "introduced" }', "block"))
    decision = judge([finding()], [], policy=policy)

    assert (decision.verdict, rules(decision)) == (Verdict.REVIEW, ["unjudged"])


def test_a_whole_policy_is_told_with_the_rules_that_none_can_leave_out() -> None:
    policy = own(HEAD, some('state = "present", at_least = "HIGH", fix_age = 30'))
    text = format_policy(policy)

    assert "block   relevant-rise: The change raises the number of relevant vulnerabilities" in text
    assert "review  mine: Some vulnerability is present, HIGH or worse" in text
    assert "block   not-built:" in text


def test_conditions_are_told_in_words() -> None:
    when = own(
        rule(
            'when = { relevant = "does-not-rise", differs = true, none = { state = "introduced", kev = true, '
            'fix = true, package = "linux-*", kind = "secret", severity = ["LOW", "HIGH"] } }'
        )
    ).rules[0]

    assert describe(when.when) == (
        "No vulnerability is introduced, LOW or HIGH, of cause image, of kind secret, in package linux-*, "
        "with a fix, known to be exploited, and the number of relevant vulnerabilities does not rise, "
        "and findings differ."
    )


def test_the_name_of_a_policy_is_part_of_the_decision() -> None:
    same = image(side(), side())

    assert decide(gate(same, policy=preset(Preset.RATCHET))).policy == "ratchet"
