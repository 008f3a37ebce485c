"""Spreadsheets: one sheet for each table, with filters set; the same bytes on the same input.

Text is written as text, whatever it begins with, so that no cell is ever a formula or a link.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from hullmark.errors import EnvironmentFaultError, InputError
from hullmark.text import encodable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from hullmark.report.tables import Table

MAX_ROWS = 1_048_575
"""Of a sheet, without its head (the format's own limit)."""
_MAX_TEXT = 32_767
_WIDEST = 60
_SAMPLED = 500
_COLOURS = {
    "critical": ("#7F1D1D", "#FEE2E2"),
    "high": ("#9A3412", "#FFEDD5"),
    "medium": ("#854D0E", "#FEF9C3"),
    "bad": ("#7F1D1D", "#FEE2E2"),
    "good": ("#14532D", "#DCFCE7"),
}


def render_workbook(sheets: Mapping[str, Table], *, title: str, created: datetime) -> bytes:
    """A workbook of `sheets`, by their names. EnvironmentFaultError when XlsxWriter is not installed."""
    try:
        import xlsxwriter  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise EnvironmentFaultError(
            "spreadsheets need XlsxWriter, which is not installed", hint="pip install 'hullmark[xlsx]'"
        ) from error
    out = io.BytesIO()
    book = xlsxwriter.Workbook(
        out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    book.set_properties({"title": title, "created": created.replace(tzinfo=None)})
    formats = _formats(book)
    for name, table in sheets.items():
        _write(book.add_worksheet(name), table, formats)
    book.close()
    return out.getvalue()


def _formats(book: Any) -> dict[str, Any]:  # noqa: ANN401 - the library has no types
    formats = {
        tone: book.add_format({"font_color": dark, "bg_color": light, "valign": "top"})
        for tone, (dark, light) in _COLOURS.items()
    }
    formats["head"] = book.add_format({"bold": True, "bottom": 1, "valign": "top", "text_wrap": True})
    formats[""] = book.add_format({"valign": "top"})
    formats["number"] = book.add_format({"valign": "top", "num_format": "#,##0"})
    return formats


def _text(text: str) -> str:
    plain = text if text.isascii() else encodable(text)
    return plain[:_MAX_TEXT]


def _write(sheet: Any, table: Table, formats: Mapping[str, Any]) -> None:  # noqa: ANN401 - same
    if len(table.rows) > MAX_ROWS:
        raise InputError(f"more than {MAX_ROWS:,} rows in one sheet", file=table.caption, hint="Use CSV.")
    for column, head in enumerate(table.head):
        sheet.write_string(0, column, head, formats["head"])
    plain, numeric = formats[""], formats["number"]
    for number, row in enumerate(table.rows, 1):
        for column, cell in enumerate(row):
            if cell.number is not None:
                sheet.write_number(number, column, cell.number, numeric)
            elif cell.text:
                style = formats.get(cell.tone, plain) if cell.tone else plain
                sheet.write_string(number, column, _text(cell.text), style)
    for column in range(len(table.head)):
        texts = [len(row[column].text) for row in table.rows[:_SAMPLED]]
        sheet.set_column(column, column, min(max([len(table.head[column]), *texts], default=8) + 2, _WIDEST))
    sheet.freeze_panes(1, 0)
    if table.rows:
        sheet.autofilter(0, 0, len(table.rows), len(table.head) - 1)
