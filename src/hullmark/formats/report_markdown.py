"""A report as GitHub's Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hullmark.formats.markdown import table
from hullmark.text import escape_markdown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hullmark.report.document import Document, Section
    from hullmark.report.tables import Cell, Table

_MARKS = {
    "critical": "🟥",
    "high": "🟧",
    "medium": "🟨",
    "low": "🟦",
    "unknown": "⬜",
    "bad": "✘",
    "good": "✔",
}
_SAMPLE = (
    "> **Sample.** Made with a small demonstration database: the figures say nothing about these images."
)


def render_report_markdown(document: Document) -> str:
    """The whole report, with all text escaped."""
    parts = [
        f"# {escape_markdown(document.title)}",
        f"{escape_markdown(document.period)}. {document.audience}.",
    ]
    if document.sample:
        parts.append(_SAMPLE)
    parts.append(f"**{escape_markdown(document.verdict)}**")
    parts.append(_facts(document))
    for section in document.sections:
        parts += _section(section)
    return "\n\n".join(parts) + "\n"


def _facts(document: Document) -> str:
    heads = [escape_markdown(fact.label) for fact in document.facts]
    values = [f"**{escape_markdown(fact.value)}**" for fact in document.facts]
    details = [escape_markdown(fact.detail) for fact in document.facts]
    return table(heads, (values, details), numbers=range(0))


def _section(section: Section) -> Iterator[str]:
    yield f"## {escape_markdown(section.title)}"
    for paragraph in section.paragraphs:
        yield escape_markdown(paragraph)
    for each in section.tables:
        yield from _table(each)


def _table(given: Table) -> Iterator[str]:
    yield f"### {escape_markdown(given.caption)}"
    rule = ["---:" if column in given.numbers else "---" for column in range(len(given.head))]
    rows = ([_cell(cell) for cell in row] for row in given.rows)
    head = [escape_markdown(text) for text in given.head]
    yield "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))
    if given.note:
        yield escape_markdown(given.note)


def _cell(cell: Cell) -> str:
    mark = _MARKS.get(cell.tone, "")
    return f"{mark} {escape_markdown(cell.text)}".strip()
