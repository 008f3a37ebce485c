"""The chronology of one image for people."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hullmark.audit_log import render_audit_log
from hullmark.baseline import file_stem, format_baseline, project_baseline
from hullmark.decision import SmokeResult
from hullmark.event import Kept, Pushed, SmokeTested
from hullmark.finding import Finding, Severity
from hullmark.journal import Journal
from hullmark.recording import begin_decision, begin_run
from hullmark.scan import Coverage, Gap, GapReason, Note, NoteReason
from tests.strategies import finding_sets
from tests.values import EVERYTHING, HIGH, NO_JAVA, digest_of, run_started, scan_of

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
change = msgspec.structs.replace
TESTED = SmokeTested(
    platform="linux/amd64",
    digest=digest_of("image"),
    result=SmokeResult.FAILED,
    engine="podman",
    checks=("answers",),
    detail="keeps its data: no answer within 10 s",
)
PUSHED = Pushed(
    repository="registry.example/app",
    tag="latest",
    digest=digest_of("index"),
    images={"linux/amd64": digest_of("image")},
)


def record(journal: Journal, *findings: Finding, day: int = 0, coverage: Coverage = EVERYTHING) -> str:
    """Record one scan and return the chronology after it."""
    run = run_started()
    with begin_run(journal, run, now=NOW + timedelta(days=day), clock_overridden=True) as recording:
        recording.add(scan_of(*findings, run=run, coverage=coverage), b"{}", lambda _: findings, inputs=None)
    return render_audit_log("app", journal.timelines("app"), journal.happenings("app"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.lists(finding_sets, min_size=1, max_size=4))
def test_the_text_of_a_longer_history_begins_with_that_of_a_shorter_one(
    tmp_path_factory: object, scans: list[tuple[Finding, ...]]
) -> None:
    """Oldest first, and only ever extended."""
    journal = Journal(tmp_path_factory.mktemp("journal"))  # type: ignore[attr-defined]
    texts = [record(journal, *findings, day=day) for day, findings in enumerate(scans)]

    for shorter, longer in itertools.pairwise(texts):
        assert longer.startswith(shorter)


def test_critical_comes_before_high_always(tmp_path: Path) -> None:
    names = ("UNKNOWN", "LOW", "MEDIUM", "CRITICAL", "HIGH")
    found = [change(HIGH, id=f"CVE-{name}", severity=Severity(name)) for name in names]

    text = record(Journal(tmp_path), *found)

    rows = [line.split(" | ")[0] for line in text.splitlines() if "CVE-" in line]
    assert rows == ["| CRITICAL", "| HIGH", "| MEDIUM", "| LOW", "| UNKNOWN"]


def test_a_scan_that_changed_nothing_adds_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path)

    assert record(journal, HIGH) == record(journal, HIGH, day=1)


def test_what_was_not_covered_is_said(tmp_path: Path) -> None:
    assert "- **Not covered**: no-java-database: there are JAR files" in record(
        Journal(tmp_path), coverage=NO_JAVA
    )


def test_a_rating_and_a_new_fix_are_told(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record(journal, HIGH)

    text = record(journal, change(HIGH, severity=Severity.CRITICAL, fixed="3.5.2"), day=1)

    assert "CVE-2026-1 in openssl (libssl3t64): rated CRITICAL, was HIGH (rating); fixed in `3.5.2`" in text


def test_another_source_package_is_told(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record(journal, HIGH)

    text = record(journal, change(HIGH, source="openssl4"), day=1)

    assert "CVE-2026-1 in openssl4 (libssl3t64): was built from openssl" in text


def test_smoke_tests_and_pushes_stand_between_the_scans_where_they_happened(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    first = record(journal, HIGH)
    with begin_run(journal, run_started(), now=NOW + timedelta(days=1), clock_overridden=True) as recording:
        recording.add_test("app", TESTED)
    with begin_decision(journal, sample=True, now=NOW + timedelta(days=2), clock_overridden=True) as deciding:
        deciding.record_push("app", change(PUSHED, kept=Kept.INCOMPLETE, detail="<b> was not scanned"))
        deciding.record_push("app", PUSHED)
    text = record(journal, day=3)

    assert text.startswith(first)
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads == [
        "## 2026-01-05 09:00 UTC, linux/amd64",
        "## 2026-01-06 09:00 UTC, linux/amd64: smoke test **failed**",
        "## 2026-01-07 09:00 UTC, registry.example/app: not published",
        "## 2026-01-07 09:00 UTC, registry.example/app: published",
        "## 2026-01-08 09:00 UTC, linux/amd64",
    ]
    for line in (
        "- Started in podman",
        "- Passed: answers",
        "- keeps its data: no answer within 10 s",
        "- Tag `latest` stays where it was: incomplete",
        r"- \<b\> was not scanned",
        "- Tag `latest` names it now",
        f"- linux/amd64: `{digest_of('image')}`",
    ):
        assert line in text


def test_text_from_a_scanner_cannot_become_markup(tmp_path: Path) -> None:
    """Law 10: no scanner text reaches HTML, Markdown, a workflow log or a shell unescaped."""
    evil = change(
        HIGH, id="<img src=x>|", package="a|b\n# c", versions=("`1`",), fixed="<b>", source="[x](y)"
    )

    text = record(Journal(tmp_path), evil)

    assert "<img" not in text.replace("\\<", "")
    assert "\n# c" not in text
    (row,) = [line for line in text.splitlines() if "CRITICAL" not in line and line.startswith("| HIGH")]
    assert row.replace("\\|", "").count("|") == 7


def test_every_reason_has_a_meaning() -> None:
    for gap in GapReason:
        assert str(Gap(gap)).startswith(f"{gap.value}: ")
    for note in NoteReason:
        assert str(Note(note, "x")).endswith(": x")


def test_a_baseline_has_the_originals_keys_and_says_what_they_rest_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record(journal, HIGH, change(HIGH, package="openssl"))
    timeline = journal.timelines("app")["linux/amd64"]

    baseline = project_baseline(timeline, timeline.latest, journal.findings(timeline.latest.findings))

    document = msgspec.json.decode(format_baseline(baseline))
    assert {key: document[key] for key in ("date", "critical", "high", "medium", "risk_index", "cves")} == {
        "date": "2026-01-05",
        "critical": 0,
        "high": 2,
        "medium": 0,
        "risk_index": 3,
        "cves": ["CVE-2026-1"],
    }
    assert document["vulnerabilities"]["high"] == 1
    assert document["sample"] is True


def test_other_platforms_have_their_own_files() -> None:
    assert [file_stem("app", "linux/amd64"), file_stem("app", "linux/arm64/v8")] == [
        "app",
        "app@linux-arm64-v8",
    ]
