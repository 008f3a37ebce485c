"""What the ledger says about one image, as its issue needs it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from hullmark.finding import Counts, Severity
from tests.gates import exemption
from tests.issues.histories import COMMIT, LOW, NOW, UNRATED, History, finding
from tests.values import NO_JAVA

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.finding import Finding
    from hullmark.scan import Coverage


def test_an_exempted_finding_does_not_keep_an_issue_open_and_is_named(tmp_path: Path) -> None:
    history = History(tmp_path).scan(finding())
    entry = exemption(package="openssl", expires=NOW.date() + timedelta(days=1))

    facts = history.facts(exemptions=[entry])
    assert (facts.is_relevant, facts.exempted, facts.clean_scans) == (False, (entry,), 1)

    after = history.facts(exemptions=[entry], today=NOW.date() + timedelta(days=1))
    assert (after.is_relevant, after.exempted, after.clean_scans) == (True, (), 0)


@pytest.mark.parametrize(
    ("scans", "clean"),
    [
        ([(), ()], 2),
        ([(), (finding(),), ()], 1),
        ([(), (finding(),)], 0),
        ([(), (LOW,)], 2),
        ([(), (UNRATED,)], 0),
        ([(), (), (), ()], 3),
    ],
)
def test_complete_scans_count_as_clean_in_an_unbroken_row_up_to_the_newest(
    tmp_path: Path, scans: list[tuple[Finding, ...]], clean: int
) -> None:
    history = History(tmp_path)
    for found in scans:
        history.scan(*found)

    assert history.facts(close_after=3).clean_scans == clean


@pytest.mark.parametrize("last", [NO_JAVA])
def test_only_complete_scans_count_as_clean(tmp_path: Path, last: Coverage) -> None:
    facts = History(tmp_path).scan().scan(coverage=last).facts()

    assert facts.clean_scans == 0
    assert facts.uncovered[0].startswith("linux/amd64: no-java-database")


def test_an_expected_platform_that_was_never_scanned_is_no_clean_result(tmp_path: Path) -> None:
    facts = History(tmp_path).scan().facts(expected=("linux/amd64", "linux/arm64"))

    assert facts.uncovered == ("linux/arm64: it was never scanned",)


def test_a_platform_that_the_newest_run_did_not_scan_is_no_clean_result(tmp_path: Path) -> None:
    facts = History(tmp_path).scan().facts(missing={"linux/amd64": "the build failed"})

    assert facts.uncovered == ("linux/amd64: the newest run did not scan it: the build failed",)


def test_a_blind_scan_does_not_hide_what_is_open(tmp_path: Path) -> None:
    facts = History(tmp_path).scan(finding()).scan(coverage=NO_JAVA).facts()

    assert facts.is_relevant


def test_scans_of_one_date_commit_and_digest_are_one_block(tmp_path: Path) -> None:
    history = History(tmp_path).scan(LOW, commit=COMMIT, hours=1).scan(LOW, finding(), commit=COMMIT, hours=1)
    history.scan(commit=COMMIT, hours=1).scan(finding(), commit="d" * 40, hours=24).scan(commit="d" * 40)

    blocks = history.facts().blocks

    assert [(b.at[:10], b.commit[:1], len(b.introduced), len(b.resolved)) for b in blocks] == [
        ("2026-01-06", "d", 0, 1),
        ("2026-01-05", "d", 1, 0),
        ("2026-01-05", "c", 2, 2),
    ]
    assert [block.is_first for block in blocks] == [False, False, True]


def test_a_scan_that_changed_nothing_is_no_block(tmp_path: Path) -> None:
    assert len(History(tmp_path).scan(LOW).scan(LOW).facts().blocks) == 1


def test_what_is_open_is_told_with_its_age_and_the_changes_of_the_newest_scan(tmp_path: Path) -> None:
    other = finding("CVE-2026-2", Severity.MEDIUM)
    facts = History(tmp_path).scan(finding(), LOW).scan(finding(), other).facts()

    assert facts.counts == Counts(high=1, medium=1)
    assert facts.first_seen == {"CVE-2026-1": "2026-01-05T09:00:00Z", "CVE-2026-2": "2026-01-06T09:00:00Z"}
    assert (facts.introduced, facts.resolved) == (Counts(medium=1), Counts(low=1))
    assert facts.sample


def test_an_image_without_platforms_is_retired(tmp_path: Path) -> None:
    facts = History(tmp_path).scan(finding()).facts(expected=())

    assert facts.retired
    assert facts.is_relevant
