"""What a report says, of small ledgers."""

from __future__ import annotations

from datetime import date, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hullmark.decision import SmokeResult
from hullmark.event import SmokeTested
from hullmark.exemptions import Exemption
from hullmark.finding import Cause, Counts, Finding, Kind, Severity, count_findings
from hullmark.report import Period
from hullmark.vex import Status
from tests.ledgers import Ledger
from tests.report.reports import JANUARY, report_of
from tests.strategies import finding_sets
from tests.values import HIGH, NO_JAVA, digest_of

change = msgspec.structs.replace
LOW = change(HIGH, id="CVE-2026-2", severity=Severity.LOW)
SECRET = change(
    HIGH, id="aws-key", kind=Kind.SECRET, severity=Severity.CRITICAL, path="a.txt", discriminator="1"
)
ACCEPTED = Exemption(
    id=HIGH.id,
    images=("app",),
    owner="@team",
    reason="why",
    expires=date(2026, 1, 20),
    status=Status.AFFECTED,
)


def days(first: int, last: int) -> Period:
    return Period(start=date(2026, 1, first), end=date(2026, 1, last))


def test_what_is_open_is_what_the_last_scan_showed_with_the_day_it_was_first_seen() -> None:
    ledger = Ledger()
    ledger.scan(HIGH)
    ledger.scan(HIGH, LOW, sbom="2")
    ledger.scan(LOW, sbom="3")

    image = report_of(ledger, days(1, 10)).images[0]

    assert [each.finding.id for each in image.findings] == [LOW.id]
    assert (image.findings[0].since[:10], image.findings[0].age) == ("2026-01-03", 7)
    assert image.findings[0].cause is Cause.IMAGE


def test_a_report_about_an_earlier_period_does_not_know_what_came_later() -> None:
    ledger = Ledger()
    ledger.scan(HIGH)
    ledger.scan(LOW, sbom="2")

    report = report_of(ledger, days(1, 2))

    assert [each.finding.id for each in report.images[0].findings] == [HIGH.id]
    assert report.made_from == "2026-01-02T00:00:00Z"
    assert [each.introduced for each in report.images[0].changes] == [True]


@given(st.lists(finding_sets, min_size=1, max_size=6), st.integers(1, 9), st.integers(0, 8))
def test_open_before_introduced_resolved_rerated_and_scope_give_what_is_open(
    scans: list[tuple[Finding, ...]], first: int, length: int
) -> None:
    ledger = Ledger()
    for number, findings in enumerate(scans):
        ledger.scan(*findings, sbom=str(number))
    period = days(first, first + length)

    report = report_of(ledger, period)

    flow = report.flow
    assert flow.before + flow.new - flow.gone + flow.rerated + flow.scope == flow.after
    shown = scans[min(period.end.day - 2, len(scans) - 1)] if period.end.day >= 2 else ()
    assert flow.after == report.counts == count_findings(shown)
    before = [day for day in range(2, first) if day - 2 < len(scans)]
    assert flow.before == count_findings(scans[before[-1] - 2] if before else ())


def test_rerating_is_shown_apart() -> None:
    ledger = Ledger()
    ledger.scan(HIGH)
    worse = change(HIGH, severity=Severity.CRITICAL)
    ledger.scan(worse, base_today=(worse,), database="b")

    flow = report_of(ledger, days(3, 5)).flow

    assert flow.before == Counts(high=1)
    assert flow.after == Counts(critical=1)
    assert flow.rerated == Counts(critical=1, high=-1)
    assert flow.new == flow.gone == Counts()


def test_an_image_that_was_not_scanned_in_the_period_is_not_covered() -> None:
    ledger = Ledger()
    ledger.scan(HIGH)

    image = report_of(ledger, days(3, 9)).images[0]

    assert image.missing == "it was not scanned since 2026-01-02"
    assert [each.finding.id for each in image.findings] == [HIGH.id]


def test_an_image_that_was_not_scanned_completely_is_not_covered() -> None:
    ledger = Ledger()
    ledger.scan(coverage=NO_JAVA)

    report = report_of(ledger)

    assert report.uncovered == report.images
    assert report.images[0].missing.startswith("its scan was not complete: no-java-database")


def test_an_image_that_was_never_scanned_or_has_left_is_not_covered() -> None:
    ledger = Ledger()
    ledger.scan()

    report = report_of(
        ledger, expected=("other linux/amd64",), retired={"app linux/amd64": "2026-01-09T00:00:00Z"}
    )

    assert {image.image: image.missing for image in report.images} == {
        "app": "it is no longer among the images that are looked after",
        "other": "it was never scanned",
    }


def test_an_image_that_was_retired_by_the_end_is_listed_and_counts_in_nothing_that_is_open() -> None:
    ledger = Ledger()
    ledger.scan(HIGH)
    retired = {"app linux/amd64": "2026-01-09T00:00:00Z"}

    before = report_of(ledger, days(1, 8), expected=(), retired=retired)
    after = report_of(ledger, days(1, 9), expected=(), retired=retired)

    assert (before.counts, before.flow.left, len(before.expected)) == (Counts(high=1), Counts(), 1)
    assert (after.counts, after.flow.left, after.flow.after) == (Counts(), Counts(high=1), Counts())
    assert [image.image for image in after.images] == ["app"]
    assert after.uncovered == ()


def test_an_exempted_finding_stays_in_the_counts_and_is_listed_as_exempted() -> None:
    ledger = Ledger()
    ledger.scan(HIGH, LOW)

    report = report_of(ledger, days(1, 19), exemptions=(ACCEPTED,))

    assert report.counts == Counts(high=1, low=1)
    assert [each.finding.id for each in report.images[0].exempted] == [HIGH.id]


def test_an_exemption_covers_nothing_from_the_day_it_expires() -> None:
    ledger = Ledger()
    ledger.scan(HIGH)

    report = report_of(ledger, days(1, 20), exemptions=(ACCEPTED,))

    assert report.images[0].exempted == ()
    assert report.exemptions == (ACCEPTED,)
    later = report_of(ledger, days(21, 31), exemptions=(ACCEPTED,))
    assert later.exemptions == ()


def test_findings_of_other_kinds_are_listed_and_not_counted_as_vulnerabilities() -> None:
    ledger = Ledger()
    ledger.scan(SECRET, LOW)

    report = report_of(ledger)

    assert report.counts == Counts(low=1)
    assert report.flow.after == Counts(low=1)
    assert [each.finding.id for each in report.images[0].others] == [SECRET.id]


def test_the_last_smoke_test_up_to_the_end_of_the_period_counts() -> None:
    ledger = Ledger()
    ledger.scan()
    passed = SmokeTested(platform="linux/amd64", digest=digest_of("1"), result=SmokeResult.PASSED)
    failed = change(passed, result=SmokeResult.FAILED)
    tests = (("2026-01-02T00:00:00Z", passed), ("2026-01-05T00:00:00Z", failed))

    assert report_of(ledger, days(1, 4), smoke=tests).images[0].smoke == passed
    assert report_of(ledger, days(1, 5), smoke=tests).images[0].smoke == failed


@given(finding_sets, st.randoms())
def test_the_order_of_findings_never_changes_a_byte(findings: tuple[Finding, ...], random: object) -> None:
    shuffled = list(findings)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    reports = []
    for order in (findings, tuple(shuffled)):
        ledger = Ledger()
        ledger.scan(*order)
        ledger.evidence = dict.fromkeys(ledger.evidence, order)
        reports.append(report_of(ledger).images[0].findings)
    assert reports[0] == reports[1]


def test_a_period_of_one_day_is_reported() -> None:
    ledger = Ledger()
    ledger.scan(HIGH)
    day = JANUARY.start + timedelta(days=1)

    assert report_of(ledger, Period(start=day, end=day)).flow.joined == Counts(high=1)
