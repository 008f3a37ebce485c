"""The life of each vulnerability in an image."""

from __future__ import annotations

from datetime import date

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hullmark.decision import key_of
from hullmark.finding import Cause, Finding, Kind, Severity
from hullmark.lifecycle import Life, What, find_ages, trace_lives, trace_steps
from tests.ledgers import Ledger
from tests.strategies import finding_sets
from tests.values import HIGH, NO_JAVA

change = msgspec.structs.replace
OTHER = change(HIGH, package="openssl")


def told(*scans: tuple[Finding, ...]) -> Ledger:
    """A ledger with one scan a day, from 2 January on, each of another image."""
    ledger = Ledger()
    for number, findings in enumerate(scans):
        ledger.scan(*findings, sbom=str(number))
    return ledger


def lives(ledger: Ledger) -> tuple[Life, ...]:
    timeline = ledger.timeline
    assert timeline is not None
    return trace_lives(timeline)


def steps(ledger: Ledger) -> list[tuple[str, str]]:
    timeline = ledger.timeline
    assert timeline is not None
    return [(step.at[:10], step.what.value) for step in trace_steps(timeline, HIGH.id)]


def test_packages_of_one_source_share_one_life_from_the_first_to_the_last_of_them() -> None:
    ledger = told((HIGH,), (HIGH, OTHER), (OTHER,), (OTHER,), ())

    (life,) = lives(ledger)

    assert life.packages == ("libssl3t64", "openssl")
    (period,) = life.periods
    assert (period.since[:10], period.until[:10]) == ("2026-01-02", "2026-01-06")
    assert (period.cause, period.resolved_cause) == (Cause.SCOPE, Cause.IMAGE)
    assert not life.is_open
    assert steps(ledger) == [
        ("2026-01-02", "first seen"),
        ("2026-01-03", "in more packages"),
        ("2026-01-04", "in fewer packages"),
        ("2026-01-06", "resolved"),
    ]


def test_what_was_resolved_and_comes_back_is_reopened_and_its_age_counts_from_then() -> None:
    ledger = told((HIGH,), (), (), (HIGH,))

    (life,) = lives(ledger)

    assert life.first_seen[:10] == "2026-01-02"
    assert [at[:10] for at in life.reopened] == ["2026-01-05"]
    assert ledger.timeline is not None
    (age,) = find_ages(ledger.timeline)
    assert (age.key, age.first_seen) == (key_of(HIGH), date(2026, 1, 5))
    assert [what for _, what in steps(ledger)] == ["first seen", "resolved", "seen again"]


def test_a_fix_is_known_from_the_first_scan_that_named_one_for_as_long_as_scans_go_on_naming_one() -> None:
    fixable = change(HIGH, fixed="3.5.2")
    ledger = told((HIGH,), (fixable,), (change(HIGH, fixed="3.5.3"),))
    assert ledger.timeline is not None
    assert find_ages(ledger.timeline)[0].fix_since == date(2026, 1, 3)
    assert steps(ledger) == [("2026-01-02", "first seen"), ("2026-01-03", "a fix is known")]

    ledger.scan(HIGH, sbom="withdrawn")
    assert find_ages(ledger.timeline)[0].fix_since is None
    ledger.scan(fixable, sbom="again")
    assert find_ages(ledger.timeline)[0].fix_since == date(2026, 1, 6)
    assert find_ages(told((fixable,)).timeline or ledger.timeline)[0].fix_since == date(2026, 1, 2)


def test_a_life_goes_on_through_a_rating_and_a_scan_that_looks_at_less() -> None:
    worse = change(HIGH, severity=Severity.CRITICAL)
    ledger = told((HIGH,), (worse,))
    ledger.scan(coverage=NO_JAVA)

    (life,) = lives(ledger)

    assert life.is_open
    assert life.severity is Severity.CRITICAL
    assert steps(ledger) == [("2026-01-02", "first seen"), ("2026-01-03", "rated otherwise")]


def test_a_package_that_is_built_from_another_source_takes_its_age_along() -> None:
    ledger = told((HIGH,), (change(HIGH, source="openssl4"),))

    (life,) = lives(ledger)

    assert life.key == key_of(change(HIGH, source="openssl4"))
    assert life.is_open
    assert life.first_seen[:10] == "2026-01-02"


def test_secrets_in_one_file_have_lives_of_their_own() -> None:
    secrets = [
        change(HIGH, kind=Kind.SECRET, id="aws-key", path="app/x", discriminator=each) for each in ("1", "2")
    ]
    ledger = told(tuple(secrets), (secrets[0],))

    assert [life.is_open for life in lives(ledger)] == [True, False]
    assert [life.key for life in lives(ledger)] == [key_of(each) for each in secrets]


@given(st.lists(finding_sets, min_size=1, max_size=5))
def test_only_what_is_open_has_an_age_and_every_period_follows_the_one_before(
    scans: list[tuple[Finding, ...]],
) -> None:
    ledger = told(*scans)
    timeline = ledger.timeline
    assert timeline is not None

    ages = find_ages(timeline)
    open_ = {key_of(finding) for finding in ledger.evidence[timeline.latest.findings]}
    assert [age.key for age in ages] == sorted(open_)
    last = date.fromisoformat(timeline.latest.at[:10])
    for age in ages:
        assert age.first_seen <= (age.fix_since or last) <= last
    for life in lives(ledger):
        for before, after in zip(life.periods, life.periods[1:], strict=False):
            assert "" < before.until < after.since
        assert {each.what for each in trace_steps(timeline, life.key.id)} >= {What.SEEN}
