"""Reports: the PDF, the spreadsheet and the audit bundle, against what the machine does at best."""

from __future__ import annotations

import io
import os
import zipfile
from datetime import UTC, date, datetime
from time import perf_counter
from typing import TYPE_CHECKING

from bench.budget import Figure
from hullmark.audit_bundle import write_bundle
from hullmark.formats.report_pdf import render_pdf
from hullmark.formats.xlsx import render_workbook
from hullmark.report.document import Document, Section
from hullmark.report.tables import Cell, Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.workspace import Workspace

FINDINGS = 2_000
ROWS = 100_000
PDF_SECONDS = 1
"""Wanted for the PDF after its first use; of any machine, so it decides nothing here."""
XLSX_SECONDS = 6
_MEMBERS = 400
_HEAD = ("Severity", "Id", "Image", "Package", "Installed", "Fixed in", "First seen", "Accepted")


def reports(workspace: Workspace) -> Iterator[Figure]:
    """One figure for each form."""
    yield _pdf()
    yield _xlsx()
    yield _bundle(workspace)


def _table(rows: int) -> Table:
    cells = tuple(
        (
            Cell("HIGH", tone="high"),
            *(Cell(text) for text in (f"CVE-2026-{row:05}", "postgres-secured", "openssl", "3.5.1-1")),
            *(Cell(text) for text in ("3.5.4-1~deb13u2", "2026-11-01", "")),
        )
        for row in range(rows)
    )
    return Table(caption="Open vulnerabilities", head=_HEAD, rows=cells)


def _document(rows: int) -> Document:
    return Document(
        title="Report",
        period="November 2026",
        made="",
        audience="Full",
        sample=True,
        verdict="2,000 high vulnerabilities are known to be open.",
        tone="bad",
        facts=(),
        sections=(Section(title="What is open", tables=(_table(rows),)),),
    )


def _pdf() -> Figure:
    day = date(2026, 11, 25)
    render_pdf(_document(1), (), day=day)  # loads the compiler and the fonts
    begin = perf_counter()
    small = render_pdf(_document(FINDINGS // 4), (), day=day)
    quarter = perf_counter() - begin
    begin = perf_counter()
    render_pdf(_document(FINDINGS), (), day=day)
    seconds = perf_counter() - begin
    return Figure(
        what=f"PDF of {FINDINGS:,} findings / a quarter of them",
        measured=seconds / quarter,
        at_most=6,
        note=f"{seconds:.2f} s after start, wanted: {PDF_SECONDS}; a quarter has {len(small) >> 10} kB",
    )


def _xlsx() -> Figure:
    table = _table(ROWS)
    created = datetime(2026, 11, 25, tzinfo=UTC)
    begin = perf_counter()
    render_workbook({"s": _table(ROWS // 4)}, title="t", created=created)
    quarter = perf_counter() - begin
    begin = perf_counter()
    data = render_workbook({"s": table}, title="t", created=created)
    seconds = perf_counter() - begin
    return Figure(
        what=f"spreadsheet of {ROWS:,} rows / a quarter of them",
        measured=seconds / quarter,
        at_most=5,
        note=f"{seconds:.1f} s, wanted: {XLSX_SECONDS}; {len(data) >> 20} MB",
    )


def _bundle(workspace: Workspace) -> Figure:
    contents: dict[str, bytes | Path] = {}
    for number in range(_MEMBERS):
        line = f'{{"at":"2026-11-25T00:00:00Z","number":{number},"type":"scan"}}\n'.encode()
        contents[f"audit-logs/app/{number:04}.jsonl"] = line * 2000
        contents[f"audit-logs/evidence/{number:04}.json.gz"] = os.urandom(20_000)
    folder = workspace.fresh("bundle")
    folder.mkdir(parents=True, exist_ok=True)
    begin = perf_counter()
    _plain_zip(contents)
    plain = perf_counter() - begin
    begin = perf_counter()
    write_bundle(folder / "audit.zip", contents)
    return Figure(
        what="audit bundle, throughput / plain zip",
        measured=plain / (perf_counter() - begin),
        at_least=0.5,
        note=f"{sum(len(content) for content in contents.values() if isinstance(content, bytes)) >> 20} MB",
    )


def _plain_zip(contents: dict[str, bytes | Path]) -> None:
    with zipfile.ZipFile(io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content if isinstance(content, bytes) else content.read_bytes())
