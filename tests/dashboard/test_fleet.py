"""The numbers that site and reports share."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bench.fleets import record_fleet

from hullmark.deadline import Band, Deadlines, band_of
from hullmark.finding import Cause, Counts, Severity, count_by_severity, count_findings
from hullmark.fleet import Condition, Fleet, State, read_fleet
from hullmark.fleet.action import Means
from tests.dashboard import world

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.history import Interval
    from hullmark.journal import Journal


def test_the_same_history_gives_the_same_fleet_and_the_clock_is_not_asked(
    journal: Journal, fleet: Fleet
) -> None:
    assert world.fleet_of(journal) == fleet
    assert fleet.as_of == "2026-11-02T06:00:00Z"


def test_an_image_that_nobody_looked_at_keeps_its_last_known_findings_and_is_never_clean(
    fleet: Fleet,
) -> None:
    blind, never = fleet.member("blind"), fleet.member("never")
    assert blind is not None
    assert never is not None

    assert (blind.condition, blind.state) == (Condition.INCOMPLETE, State.NOT_KNOWN)
    assert "no-java-database" in blind.reason
    assert blind.counts == Counts(high=1)
    assert (never.condition, never.state, never.timeline) == (
        Condition.NEVER_SCANNED,
        State.NOT_KNOWN,
        None,
    )


def test_a_retired_image_is_listed_and_counts_in_nothing_that_is_open_now(fleet: Fleet) -> None:
    legacy = fleet.member("legacy")
    assert legacy is not None

    assert legacy.state is State.RETIRED
    assert legacy.retired_at == "2026-10-26T06:00:00Z"
    assert legacy.counts == Counts(high=1)
    assert fleet.counts == sum((member.counts for member in fleet.members), Counts()) - legacy.counts
    assert all(action.member != "legacy" for action in fleet.actions)


def test_an_image_with_no_finding_is_clear(fleet: Fleet) -> None:
    clean = fleet.member("clean")
    assert clean is not None
    assert (clean.state, clean.counts) == (State.CLEAR, Counts())


def test_previous_introduced_resolved_rerated_and_scope_make_now_for_every_severity(fleet: Fleet) -> None:
    check_reconciled(fleet)
    last, before = fleet.weeks[-1], fleet.weeks[-2]
    assert last.after == fleet.counts
    assert before.left == Counts(high=1)
    assert not fleet.weeks[-3].scanned
    assert before.rerated == Counts(high=1, medium=-1)


def test_weeks_of_a_long_history_agree_with_a_count_of_their_own(tmp_path: Path) -> None:
    journal, expected = record_fleet(tmp_path, images=3, weeks=9, absent={4: frozenset({"postgres"})})
    fleet = read_fleet(journal, expected)

    check_reconciled(fleet)
    assert fleet.weeks[-1].after == fleet.counts
    assert sum(week.rerated_findings for week in fleet.weeks) > 0


def check_reconciled(fleet: Fleet) -> None:
    """Compare every week with what was open at its ends, counted from the intervals alone."""
    for week in fleet.weeks:
        assert week.before + week.new - week.gone + week.rerated + week.scope == week.after
        assert week.after == open_at(fleet, week.end)
        assert Cause.SCOPE not in week.introduced


def open_at(fleet: Fleet, at: str) -> Counts:
    return count_by_severity(
        severity
        for member in fleet.members
        if member.timeline and not (member.retired_at and member.retired_at <= at)
        for interval in member.timeline.intervals
        if (severity := severity_at(interval, at)) is not None
    )


def severity_at(interval: Interval, at: str) -> Severity | None:
    if interval.first_seen > at or (interval.resolved_at and interval.resolved_at <= at):
        return None
    return [severity for since, severity in interval.severities if since <= at][-1]


def test_counts_are_those_of_the_evidence(journal: Journal, fleet: Fleet) -> None:
    for member in fleet.members:
        if member.timeline:
            found = journal.findings(member.timeline.latest.findings)
            assert member.counts == count_findings(found)
            assert sorted(each.finding.identity for each in member.findings) == sorted(
                one.identity for one in found
            )


def test_a_finding_is_cleared_by_exactly_one_action(fleet: Fleet) -> None:
    cleared = Counter(
        (action.member, each.finding.identity) for action in fleet.actions for each in action.findings
    )
    fixable = {
        (member.name, each.finding.identity)
        for member, each in fleet.findings
        if each.is_fixable and each.exemption is None
    }

    assert set(cleared) == fixable
    assert set(cleared.values()) == {1}


def test_what_is_late_comes_first_then_what_clears_the_worst_and_the_most(fleet: Fleet) -> None:
    assert [bool(action.late) for action in fleet.actions] == sorted(
        (bool(action.late) for action in fleet.actions), reverse=True
    )
    first = fleet.actions[0]
    assert (first.member, first.means, first.counts) == ("app", Means.REBUILD, Counts(critical=1, high=2))


def test_a_program_is_replaced_as_a_whole_and_packages_of_one_ecosystem_are_one_update(fleet: Fleet) -> None:
    web = {action.means: action for action in fleet.actions if action.member == "web"}

    assert web[Means.REPLACE].target == "usr/local/bin/gosu"
    assert [upgrade.package for upgrade in web[Means.UPDATE].upgrades] == ["ws"]


def test_the_clock_of_a_finding_starts_when_it_was_there_and_had_a_fix(fleet: Fleet) -> None:
    app = fleet.member("app")
    assert app is not None
    old = next(each for each in app.findings if each.finding.id == "CVE-2026-1")

    assert (old.since[:10], old.fixable_since[:10]) == ("2026-10-05", "2026-10-26")
    assert (old.age, str(old.due), old.late) == (28, "2026-11-02", 0)
    assert Deadlines(critical=1).due(Severity.CRITICAL, old.fixable_since) is not None
    assert Deadlines().due(Severity.LOW, old.fixable_since) is None


def test_an_accepted_risk_stops_covering_on_the_day_it_ends(journal: Journal, fleet: Fleet) -> None:
    web = fleet.member("web")
    assert web is not None
    ended = next(each for each in web.findings if each.finding.id == "CVE-2026-9")
    assert ended.exemption is None

    longer = world.EXEMPTIONS.replace(b"2026-11-01", b"2026-11-03")
    from hullmark.exemptions import parse_exemptions

    again = read_fleet(journal, world.EXPECTED, exemptions=parse_exemptions(longer, file="exemptions.toml"))
    member = again.member("web")
    assert member is not None
    covered = next(each for each in member.findings if each.finding.id == "CVE-2026-9")
    assert covered.exemption is not None
    assert not covered.is_actionable


def test_what_the_newest_run_missed_is_said(tmp_path: Path) -> None:
    from hullmark.journal import Journal

    journal = Journal(tmp_path)
    world.record(journal, {"app": {world.OLD}}, world.START)
    world.record(journal, {}, world.START + world.WEEK / 2, missing={"app": "it could not be built"})

    member = read_fleet(journal, world.EXPECTED[:1]).member("app")
    assert member is not None
    assert member.missed == "it could not be built"


def test_an_empty_history_gives_an_empty_fleet(tmp_path: Path) -> None:
    from hullmark.journal import Journal

    fleet = read_fleet(Journal(tmp_path / "audit-logs"), world.EXPECTED)

    assert (fleet.as_of, fleet.weeks, fleet.actions) == ("", (), ())
    assert {member.state for member in fleet.members} == {State.NOT_KNOWN}


def test_every_age_has_one_band() -> None:
    assert [band_of(days) for days in (0, 7, 8, 30, 31, 90, 91, 4000)] == [
        Band.WEEK, Band.WEEK, Band.MONTH, Band.MONTH, Band.QUARTER, Band.QUARTER, Band.LONGER, Band.LONGER,
    ]  # fmt: skip
