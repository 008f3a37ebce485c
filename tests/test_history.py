"""The event that continues a history, and the replay of all of them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullmark.errors import RepositoryError
from hullmark.event import LedgerStarted, Scanned, format_event, parse_event
from hullmark.finding import Cause, Finding, Severity
from tests.ledgers import Ledger
from tests.strategies import finding_sets
from tests.values import EVERYTHING, HIGH, NO_JAVA, digest_of

change = msgspec.structs.replace


def test_everything_in_a_first_scan_is_of_cause_scope() -> None:
    event = Ledger().scan(HIGH)

    assert [(c.id, c.cause) for c in event.introduced] == [("CVE-2026-1", Cause.SCOPE)]


def test_an_unchanged_scan_states_nothing_but_its_run() -> None:
    ledger = Ledger()
    ledger.scan(HIGH)

    event = ledger.scan(HIGH, database="b")

    assert event.is_unchanged
    assert format_event(event) == ("scan", {"run": "run-1", "platform": "linux/amd64"})


def test_a_disclosure_is_of_cause_database_and_a_repair_of_cause_image() -> None:
    ledger = Ledger()
    ledger.scan(HIGH)
    disclosed = change(HIGH, id="CVE-2026-2")

    event = ledger.scan(disclosed, base_today=(HIGH, disclosed), database="b", sbom="2")

    assert [(c.id, c.cause) for c in event.introduced] == [("CVE-2026-2", Cause.DATABASE)]
    assert [(c.id, c.cause) for c in event.resolved] == [("CVE-2026-1", Cause.IMAGE)]


def test_equal_inputs_with_other_packages_are_of_cause_rebuild() -> None:
    ledger, inputs = Ledger(), digest_of("inputs")
    ledger.scan(HIGH, inputs=inputs)

    event = ledger.scan(base_today=(HIGH,), sbom="2", inputs=inputs)

    assert [(c.id, c.cause) for c in event.resolved] == [("CVE-2026-1", Cause.REBUILD)]


def test_inputs_that_are_not_known_are_not_those_of_the_scan_before() -> None:
    ledger, inputs = Ledger(), digest_of("inputs")
    assert "inputs" not in format_event(ledger.scan(inputs=None))[1]
    ledger.scan(HIGH, inputs=inputs)
    unknown = ledger.scan(base_today=(HIGH,), sbom="2")

    assert [c.cause for c in unknown.resolved] == [Cause.IMAGE]
    assert format_event(unknown)[1]["inputs"] is None
    again = ledger.scan(HIGH, base_today=(), sbom="3", inputs=inputs)
    assert [c.cause for c in again.introduced] == [Cause.IMAGE]
    timeline = ledger.timeline
    assert timeline is not None
    assert [scan.inputs for scan in timeline.scans] == [None, inputs, None, inputs]


def test_two_binaries_of_one_source_are_one_change() -> None:
    event = Ledger().scan(HIGH, change(HIGH, package="openssl"))

    assert [c.packages for c in event.introduced] == [("libssl3t64", "openssl")]


def test_a_findings_life_goes_on_through_a_rerating() -> None:
    ledger = Ledger()
    ledger.scan(HIGH)
    ledger.scan(
        change(HIGH, severity=Severity.CRITICAL), base_today=(change(HIGH, severity=Severity.CRITICAL),)
    )

    timeline = ledger.timeline
    assert timeline is not None
    (interval,) = timeline.intervals
    assert interval.first_seen == "2026-01-02T00:00:00Z"
    assert [severity for _, severity in interval.severities] == [Severity.HIGH, Severity.CRITICAL]


def test_a_findings_life_goes_on_through_a_carry_over() -> None:
    ledger = Ledger()
    ledger.scan(HIGH)
    ledger.scan(change(HIGH, package="libssl3"), sbom="2")

    timeline = ledger.timeline
    assert timeline is not None
    assert [(i.identity.package, i.first_seen, i.is_open) for i in timeline.intervals] == [
        ("libssl3", "2026-01-02T00:00:00Z", True)
    ]


def test_a_scan_that_looks_at_less_resolves_nothing() -> None:
    ledger = Ledger()
    ledger.scan(HIGH)
    disclosed = change(HIGH, id="CVE-2026-2")

    blind = ledger.scan(disclosed, coverage=NO_JAVA)
    assert (blind.resolved, len(blind.introduced)) == ((), 1)
    assert len(ledger.open) == 2

    again = ledger.scan(disclosed)
    assert [c.id for c in again.resolved] == ["CVE-2026-1"]
    assert len(ledger.open) == 1


def test_a_gap_that_was_there_from_the_start_does_not_keep_findings_open() -> None:
    ledger = Ledger()
    ledger.scan(HIGH, coverage=NO_JAVA)

    assert [c.id for c in ledger.scan(coverage=NO_JAVA).resolved] == ["CVE-2026-1"]


def test_what_appears_because_a_scan_looks_at_more_is_of_cause_scope() -> None:
    ledger = Ledger()
    ledger.scan(coverage=NO_JAVA)

    assert [c.cause for c in ledger.scan(HIGH).introduced] == [Cause.SCOPE]


def test_the_known_state_is_the_last_complete_scan() -> None:
    ledger = Ledger()
    ledger.scan(HIGH)
    ledger.scan(coverage=NO_JAVA)

    timeline = ledger.timeline
    assert timeline is not None
    assert timeline.latest_complete is timeline.scans[0]


@given(st.lists(st.tuples(finding_sets, st.booleans()), min_size=1, max_size=6))
def test_what_replay_holds_open_is_what_the_evidence_says(
    scans: list[tuple[tuple[Finding, ...], bool]],
) -> None:
    ledger = Ledger()
    for findings, blind in scans:
        ledger.scan(*findings, coverage=NO_JAVA if blind else EVERYTHING)

    timeline = ledger.timeline
    assert timeline is not None
    assert ledger.open == {finding.identity for finding in ledger.evidence[timeline.latest.findings]}


@given(st.lists(finding_sets, min_size=1, max_size=4))
def test_events_read_back_as_they_were_written(scans: list[tuple[Finding, ...]]) -> None:
    ledger = Ledger()
    for findings in scans:
        event = ledger.scan(*findings)
        type_, data = format_event(event)
        assert parse_event(type_, msgspec.json.encode(data), place="x:1") == event


def test_an_unknown_event_type_needs_a_newer_hullmark() -> None:
    with pytest.raises(RepositoryError, match="not known to this version") as caught:
        parse_event("moon-landing", b"{}", place="app/2026-01.jsonl:3")

    assert "newer Hullmark" in caught.value.hint


def test_unknown_keys_of_a_known_event_are_left_alone() -> None:
    event = parse_event("ledger-started", b'{"sample":true,"hullmark":"9","later":1}', place="x:1")

    assert event == LedgerStarted(sample=True, hullmark="9")


@pytest.mark.parametrize("events", [["resolved"], ["introduced", "introduced"]])
def test_a_history_that_does_not_add_up_is_refused(events: list[str]) -> None:
    ledger = Ledger()
    ledger.scan(HIGH)
    (introduced,) = [event for _, event in ledger.events if isinstance(event, Scanned)]
    ledger.events.pop()
    for name in events:
        parts = {"introduced": (), "resolved": (), name: introduced.introduced}
        ledger.events.append(("2026-01-05T00:00:00Z", change(introduced, **parts)))

    with pytest.raises(RepositoryError, match=r"begun|begins"):
        _ = ledger.timeline


def test_a_scan_of_a_run_that_is_not_recorded_is_refused() -> None:
    ledger = Ledger()
    ledger.scan(HIGH)
    ledger.runs.clear()

    with pytest.raises(RepositoryError, match="names run run-0"):
        _ = ledger.timeline
