"""Comma-separated values (RFC 4180), safe to open in a spreadsheet.

Rules (each has a test with the same words):
- a cell that a spreadsheet would take for a formula begins with an apostrophe;
- the file begins with a byte order mark, since spreadsheets guess wrongly without one.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from hullmark.text import encodable

if TYPE_CHECKING:
    from hullmark.report.tables import Cell, Table

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
_MARK = "\N{BYTE ORDER MARK}"


def render_csv(table: Table) -> bytes:
    """The table with its head. Numbers stand as they are."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(table.head)
    writer.writerows([_value(cell) for cell in row] for row in table.rows)
    return (_MARK + out.getvalue()).encode()


def _value(cell: Cell) -> str | float:
    return safe_text(cell.text) if cell.number is None else cell.number


def safe_text(text: str) -> str:
    """`text`, harmless in a spreadsheet: control characters become spaces, and no formula begins it."""
    plain = "".join(character if character.isprintable() else " " for character in encodable(text))
    # Some spreadsheets look past spaces.
    return f"'{plain}" if text.startswith(_FORMULA) or plain.lstrip().startswith(_FORMULA) else plain
