"""Recording into a real ledger and a real evidence store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from hullmark.errors import RepositoryError, UsageError
from hullmark.event import ImageCounts, LedgerStarted, RunFinished, RunStarted, SummaryPublished
from hullmark.finding import Cause, Counts, Finding
from hullmark.journal import Journal
from hullmark.recording import begin_run, begin_summary
from tests.values import HIGH, run_started, scan_of

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.event import Scanned

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
DISCLOSED = msgspec.structs.replace(HIGH, id="CVE-2026-2")


def never(sbom: bytes) -> tuple[Finding, ...]:
    raise AssertionError(f"{sbom!r} need not be matched again")


def record(
    journal: Journal,
    *findings: Finding,
    now: datetime = NOW,
    database: str = "a",
    sbom: bytes = b"{}",
    base_today: tuple[Finding, ...] | None = None,
) -> Scanned:
    run = run_started(database=database)
    with begin_run(journal, run, now=now, clock_overridden=True) as recording:
        event = recording.add(
            scan_of(*findings, run=run, sbom=sbom.decode()),
            sbom,
            never if base_today is None else lambda _: base_today,
            inputs=None,
        )
        recording.finish(("app linux/amd64",), {})
    return event


def test_a_run_is_recorded_as_begun_and_as_finished_with_the_heads_of_all_ledgers(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record(journal, HIGH)

    events = [event for _, event in journal.events("runs")]
    assert [type(event) for event in events] == [LedgerStarted, RunStarted, RunFinished]
    assert journal.store.recorded_heads() == {"app": journal.heads()["app"]}


def test_findings_are_evidence_before_an_event_names_them(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record(journal, HIGH)

    timeline = journal.timelines("app")["linux/amd64"]
    assert journal.findings(timeline.latest.findings) == (HIGH,)
    assert journal.evidence.get(timeline.latest.sbom) == b"{}"


def test_the_base_is_matched_again_only_when_sbom_and_knowledge_have_changed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record(journal, HIGH)

    assert [c.cause for c in record(journal, HIGH, DISCLOSED, database="b").introduced] == [Cause.DATABASE]
    assert [c.cause for c in record(journal, HIGH, database="b", sbom=b"[]").resolved] == [Cause.IMAGE]
    event = record(journal, DISCLOSED, database="c", sbom=b"{}", base_today=(HIGH, DISCLOSED))
    assert [c.cause for c in event.introduced] == [Cause.DATABASE]
    assert [c.cause for c in event.resolved] == [Cause.IMAGE]


def test_an_unchanged_scan_is_under_250_bytes(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record(journal, HIGH)
    record(journal, HIGH, database="b")

    last = journal.store.last("app")
    assert last is not None
    assert len(last.raw) < 250


def test_sample_and_real_events_never_mix(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record(journal, HIGH)

    with (
        pytest.raises(RepositoryError, match="holds a sample history, and this database is a real one"),
        begin_run(journal, run_started(sample=False), now=NOW, clock_overridden=False),
    ):
        pass


def test_only_a_sample_takes_a_time_that_is_made_up(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="HULLMARK_NOW"),
        begin_run(Journal(tmp_path), run_started(sample=False), now=NOW, clock_overridden=True),
    ):
        pass


def test_a_clock_that_went_back_over_a_months_end_is_recorded_with_its_lag(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record(journal, HIGH, now=datetime(2026, 2, 1, 0, 0, 5, tzinfo=UTC))
    record(journal, HIGH, now=datetime(2026, 1, 31, 23, 59, 55, tzinfo=UTC))

    last = journal.store.last("app")
    assert last is not None
    assert (last.at, last.lag, last.file) == ("2026-02-01T00:00:05Z", 10, "app/2026-02.jsonl")


def test_a_run_that_breaks_leaves_what_it_recorded_and_no_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    run = run_started()

    def interrupted() -> None:
        with begin_run(journal, run, now=NOW, clock_overridden=True) as recording:
            recording.add(scan_of(HIGH, run=run, sbom="{}"), b"{}", never, inputs=None)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert [type(event) for _, event in journal.events("runs")] == [LedgerStarted, RunStarted]
    assert len(journal.timelines("app")["linux/amd64"].scans) == 1
    assert record(journal, HIGH, now=NOW + timedelta(days=1)).is_unchanged


def test_a_summary_is_recorded_and_read_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record(journal, HIGH)
    summary = SummaryPublished(
        generated_at="2026-01-05T09:00:00Z", images={"app": ImageCounts(findings=Counts(high=1))}
    )

    with begin_summary(journal, now=NOW, clock_overridden=True) as summarising:
        summarising.record(summary)

    assert journal.summaries() == (summary,)


def test_evidence_that_is_no_list_of_findings_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path)

    with pytest.raises(RepositoryError, match="not a list of findings"):
        journal.findings(journal.evidence.put(b'{"a": 1}'))
