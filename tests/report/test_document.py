"""The words and tables of a report, and the forms it is made in."""

from __future__ import annotations

import csv
import html
import io
import re
from datetime import UTC, date, datetime

import msgspec
import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hullmark.exemptions import Exemption
from hullmark.finding import Severity
from hullmark.formats.csv import render_csv, safe_text
from hullmark.formats.report_html import render_report_html
from hullmark.formats.report_markdown import render_report_markdown
from hullmark.formats.xlsx import render_workbook
from hullmark.report import tables, words
from hullmark.report.document import Document, make_document
from hullmark.report.tables import Cell, Table
from hullmark.vex import Status
from tests.ledgers import Ledger
from tests.report.reports import report_of
from tests.values import HIGH, NO_JAVA

change = msgspec.structs.replace
NASTY = [
    '=HYPERLINK("http://evil","x")',
    "+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    " =1",
    "<script>alert(1)</script>",
    "![x](http://evil) | `a` #1 @user",
    "#let x = [*bold*] $a$ \\",
    "right\u202eleft",
    "a\x1b[31mred\x00",
]


def nasty_ledger(text: str) -> Ledger:
    ledger = Ledger()
    ledger.scan(change(HIGH, title=text, fixed=text, versions=(text,), source=text, url=text))
    return ledger


def findings(count: int) -> Ledger:
    ledger = Ledger()
    ledger.scan(*(change(HIGH, id=f"CVE-2026-{number:04}") for number in range(count)))
    return ledger


@pytest.mark.parametrize(
    ("severities", "sentence"),
    [
        ((), "No vulnerability is known in 1 image."),
        (
            ("LOW",),
            "No vulnerability of medium severity or above is known; 1 vulnerability of lower or unknown",
        ),
        (
            ("MEDIUM",),
            "No critical or high vulnerability is known; 1 medium vulnerability is known to be open",
        ),
        (
            ("CRITICAL", "HIGH", "HIGH"),
            "1 critical and 2 high vulnerabilities are known to be open in 1 image.",
        ),
    ],
)
def test_the_verdict_names_the_worst_first(severities: tuple[str, ...], sentence: str) -> None:
    ledger = Ledger()
    ledger.scan(
        *(
            change(HIGH, id=f"CVE-2026-{number}", severity=Severity(severity))
            for number, severity in enumerate(severities)
        )
    )

    assert words.verdict(report_of(ledger)).startswith(sentence)


def test_an_incomplete_report_never_reads_as_clean() -> None:
    ledger = Ledger()
    ledger.scan(coverage=NO_JAVA)
    report = report_of(ledger)

    assert words.verdict(report).startswith(
        "Incomplete: 1 of 1 image could not be covered, and nothing here may be"
    )
    assert words.tone(report) != "good"
    document = make_document(report, full=False)
    assert next(fact for fact in document.facts if fact.label == "Covered").value == "0 of 1"


def test_a_short_report_says_what_it_leaves_out_and_a_full_one_leaves_out_nothing() -> None:
    report = report_of(findings(30))

    short, full = (make_document(report, full=each) for each in (False, True))

    def listed(document: Document) -> Table:
        return next(
            table
            for section in document.sections
            for table in section.tables
            if "worst first" in table.caption
        )

    assert listed(short).note == "8 of 30 rows are shown; the full report lists all."
    assert (len(listed(short).rows), len(listed(full).rows), listed(full).note) == (8, 30, "")


def test_what_only_the_platform_tells_apart_is_one_row_and_what_one_platform_has_names_it() -> None:
    report = report_of(findings(2))
    (amd64,) = report.images
    arm64 = change(amd64, platform="linux/arm64", findings=amd64.findings[:1], changes=amd64.changes[:1])
    report = change(report, images=(amd64, arm64))

    for table in (tables.vulnerabilities(report), tables.changes(report)):
        assert [row[0].text for row in table.rows] == ["app", "app linux/amd64"]
        assert table.note == "A row stands for every platform of its image, unless it names some."


def test_two_equal_rows_of_one_platform_stay_two() -> None:
    report = report_of(findings(1))
    (image,) = report.images
    report = change(report, images=(change(image, changes=image.changes * 2),))

    assert [row[0].text for row in tables.changes(report).rows] == ["app", "app"]


def test_the_numbers_of_every_table_are_those_of_the_report() -> None:
    report = report_of(findings(7))

    by_severity = {row[0].text: [cell.number for cell in row[1:3]] for row in tables.by_severity(report).rows}
    assert by_severity["HIGH"] == [7, 7]
    assert len(tables.findings(report).rows) == report.counts.total == 7
    assert tables.balance(report).rows[-1][-1].number == 7


@pytest.mark.parametrize("text", NASTY)
def test_no_text_is_markup_in_html(text: str) -> None:
    page = render_report_html(make_document(report_of(nasty_ledger(text)), full=True))

    assert "<script" not in page.replace("&lt;script", "")
    assert not re.search(r"\sstyle=|\son[a-z]+=|javascript:", re.sub(r">[^<]*<", "><", page))
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "default-src 'none'; style-src 'sha256-" in html.unescape(page)


@pytest.mark.parametrize("text", NASTY)
def test_no_text_is_markup_in_markdown(text: str) -> None:
    page = render_report_markdown(make_document(report_of(nasty_ledger(text)), full=True))

    assert "<script>" not in page
    assert not re.search(r"(?<!\\)\[[^\]]*\]\(", page)
    assert "\u202e" not in page
    rows = [line for line in page.splitlines() if "CVE\\-2026" in line or "CVE-2026" in line]
    assert rows


@pytest.mark.parametrize("text", NASTY)
def test_a_cell_that_a_spreadsheet_would_take_for_a_formula_begins_with_an_apostrophe(text: str) -> None:
    data = render_csv(tables.findings(report_of(nasty_ledger(text))))

    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
    assert len(rows) == 2
    for cell in rows[1]:
        assert not cell.lstrip().startswith(("=", "+", "@", "-"))


@given(st.text())
def test_no_text_begins_a_formula_or_hides_a_character(text: str) -> None:
    safe = safe_text(text)

    assert not safe.lstrip().startswith(("=", "+", "-", "@", "|", "%"))
    assert safe.isprintable()


def test_a_workbook_has_the_rows_as_text_with_filters_and_the_same_bytes_twice() -> None:
    report = report_of(nasty_ledger("=1+1"))
    sheets = {"Findings": tables.findings(report), "Accepted risks": tables.accepted_risks(report)}
    created = datetime(2026, 1, 31, tzinfo=UTC)

    data, again = (render_workbook(sheets, title="t", created=created) for _ in range(2))

    assert data == again
    book = openpyxl.load_workbook(io.BytesIO(data))
    assert book.sheetnames == ["Findings", "Accepted risks"]
    sheet = book["Findings"]
    assert sheet.max_row == 2
    assert sheet.auto_filter.ref == "A1:R2"
    assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)
    assert [cell.value for cell in sheet[1]] == list(tables.findings(report).head)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=20)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_any_text_makes_a_workbook_that_reads_back(texts: list[str]) -> None:
    table = Table(caption="c", head=("a",), rows=tuple((Cell(text),) for text in texts))

    data = render_workbook({"s": table}, title="t", created=datetime(2026, 1, 1, tzinfo=UTC))

    assert openpyxl.load_workbook(io.BytesIO(data))["s"].max_row >= 1


def test_accepted_risks_are_listed_with_owner_reason_and_end() -> None:
    accepted = Exemption(
        id=HIGH.id,
        images=("app",),
        owner="@team",
        reason="never reached",
        expires=date(2026, 3, 1),
        status=Status.AFFECTED,
    )
    ledger = Ledger()
    ledger.scan(HIGH)

    row = tables.accepted_risks(report_of(ledger, exemptions=(accepted,))).rows[0]

    assert [cell.text for cell in row] == [
        *(HIGH.id, "app", "any", "affected", "@team", "2026-03-01", "never reached"),
    ]
