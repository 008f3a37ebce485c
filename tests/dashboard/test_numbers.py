"""Numbers agree: on all pages, with the lists that they lead to, with the summary and with the reports."""

from __future__ import annotations

import re
from datetime import date
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec
import pytest

from hullmark.config import ReportSettings
from hullmark.documents import FORMATS, Maker, read_report
from hullmark.finding import Counts, Kind, Severity
from hullmark.fleet import State
from hullmark.report import Period, tables
from hullmark.report.document import make_document
from hullmark.summary_document import parse_summary
from tests.dashboard import world
from tests.dashboard.lists import Lists, links_of

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.fleet import Fleet
    from hullmark.journal import Journal
    from hullmark.report import Report

PERIOD = Period(start=date(2026, 10, 27), end=date(2026, 11, 2))


@pytest.fixture(scope="module")
def report(home: Path, journal: Journal) -> Report:
    """The report about the last week of the site."""
    return read_report(journal, world.EXPECTED, PERIOD, root=home)


def test_every_number_that_links_to_a_place_on_a_page_links_to_a_list_of_that_length(
    site: dict[str, bytes],
) -> None:
    """Those that link to the list of findings are followed in the browser, by the script that filters it."""
    lists = {path: Lists(data) for path, data in site.items() if path.endswith(".html")}
    followed = 0
    for path, data in site.items():
        if not path.endswith(".html"):
            continue
        for href, number in links_of(data):
            target, _, anchor = href.partition("#")
            if target.endswith("findings.html"):
                continue
            page = str(PurePosixPath(path).parent / target).replace("images/../", "") if target else path
            assert lists[page].length(anchor) == number, f"{path}: {href}"
            followed += 1
    assert followed > 20


def test_a_link_with_a_number_shows_that_number(site: dict[str, bytes]) -> None:
    for path, data in site.items():
        if path.endswith(".html"):
            found = re.findall(r'<a [^>]*data-count="(\d+)"[^>]*>(.*?)</a>', data.decode(), re.DOTALL)
            for number, inner in found:
                text = re.sub(r"<[^>]+>", "", inner)
                signed = text.lstrip("+±\N{MINUS SIGN}") != text
                assert signed or f"{int(number):,}" in text, f"{path}: {inner}"


def test_the_sum_of_a_row_of_the_week_is_its_last_number(fleet: Fleet) -> None:
    for week in fleet.weeks:
        assert week.before + week.new - week.gone + week.rerated + week.scope == week.after


def test_weeks_of_all_images_add_up_to_those_of_the_fleet(fleet: Fleet) -> None:
    for place in range(1, len(fleet.weeks) + 1):
        own = [member.weeks[-place] for member in fleet.members if len(member.weeks) >= place]
        assert fleet.weeks[-place].after == sum((week.after for week in own), Counts())
        assert fleet.weeks[-place].rerated_findings == sum(week.rerated_findings for week in own)


def test_numbers_of_reports_summary_and_site_are_the_same(home: Path, fleet: Fleet, report: Report) -> None:
    summary = parse_summary(
        (home / "docs/data/security-summary.json").read_bytes(), file="security-summary.json"
    )

    assert report.counts == fleet.counts == summary.totals
    known = [image.vulnerabilities for image in summary.images if image.vulnerabilities]
    assert report.distinct == fleet.vulnerabilities == sum(known, Counts())
    by_image = {image.image: image.counts for image in report.expected}
    assert by_image == {member.name: member.counts for member in fleet.expected}
    assert by_image == {image.name: image.counts for image in summary.images}
    assert {image.image for image in report.uncovered} == {member.name for member in fleet.uncovered}
    assert set(summary.coverage.missing) == {member.name for member in fleet.uncovered}


def test_the_week_of_a_report_is_that_of_the_site(fleet: Fleet, report: Report) -> None:
    week, flow = fleet.weeks[-1], report.flow

    for name in ("introduced", "resolved", "rerated", "joined", "left", "after"):
        assert getattr(flow, name) == getattr(week, name), name


def test_tables_of_a_report_have_the_rows_that_the_site_counts(fleet: Fleet, report: Report) -> None:
    listed = tables.findings(report)
    kinds = [row[2].text for row in listed.rows]

    assert kinds.count("vulnerability") == fleet.counts.total
    others = sum(len(member.findings) for member in fleet.repository)
    assert len(kinds) - kinds.count("vulnerability") == others == 3
    assert len(tables.others(report).rows) == others
    assert sum(int(row[2].number or 0) for row in tables.by_severity(report).rows) == fleet.counts.total


@pytest.mark.parametrize("form", ["cyclonedx", "vulns", "csv", "json", "html", "markdown", "csaf"])
def test_every_form_is_made_where_files_were_checked(journal: Journal, report: Report, form: str) -> None:
    settings = ReportSettings(publisher="Acme", namespace="https://acme.example")
    maker = Maker(
        journal=journal, report=report, document=make_document(report, full=True), stem="r", settings=settings
    )

    made = FORMATS[form](maker)

    assert made
    assert all(made.values())
    assert not [name for name in made if "repository" in name or "legacy" in name]


def test_findings_of_other_kinds_are_in_no_number_of_vulnerabilities(
    site: dict[str, bytes], fleet: Fleet, report: Report
) -> None:
    rules = {each.finding.id for member in fleet.repository for each in member.findings}
    document = msgspec.json.decode(site["data/findings.json"])

    assert rules == {"B602", "B101", "DS-0002"}
    assert not rules & set(document["dictionaries"]["advisory"]["id"])
    assert not rules & set(msgspec.json.decode(site["data/cves.json"])["dictionaries"]["advisory"]["id"])
    assert all(each.finding.kind is Kind.VULNERABILITY for _, each in fleet.findings)
    assert all(each.finding.kind is Kind.VULNERABILITY for _, each in tables.open_vulnerabilities(report))
    assert [image.image for image in report.current if image.image not in by_name(fleet)] == ["repository"]


def by_name(fleet: Fleet) -> set[str]:
    return {member.name for member in fleet.members}


def test_the_repositorys_own_files_are_no_image_and_never_retired(
    site: dict[str, bytes], fleet: Fleet
) -> None:
    assert "repository" not in by_name(fleet)
    assert [member.name for member in fleet.repository] == ["repository"]
    assert all(member.is_expected for member in fleet.repository)
    assert [member.name for member in fleet.members if member.state is State.RETIRED] == ["legacy"]
    assert "images/repository.html" not in site
    assert b"repository.html" not in b"".join(
        data for path, data in site.items() if path.endswith((".html", ".js"))
    )


def test_a_check_of_files_is_no_scan_of_an_image(fleet: Fleet) -> None:
    """The repository was checked in the week in which no image was scanned."""
    assert len(fleet.runs) == len(fleet.scan_runs) + 3
    assert not fleet.weeks[2].scanned


def test_a_change_of_severity_links_to_the_findings_that_it_moved(fleet: Fleet) -> None:
    rerated = [week for week in fleet.weeks if week.rerated_findings]

    assert [week.rerated for week in rerated] == [Counts(high=1, medium=-1)]
    assert [week.rerated_from_or_to for week in rerated] == [Counts(high=1, medium=1)]
    assert Severity.HIGH.is_relevant
