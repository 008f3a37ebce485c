"""A report as PDF, made by typst: built to PDF/UA-1 and PDF/A-3a, with its own data attached.

Rules (each has a test with the same words):
- the same input gives the same bytes on every machine: shipped fonts, the report's own date, no clock;
- text is data for the template, never a part of it: nothing in a report is read as markup;
- the compiler reads one private folder and nothing else, and no network.
"""

from __future__ import annotations

import re
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import msgspec

from hullmark.errors import EnvironmentFaultError, InputError
from hullmark.files import scratch_folder
from hullmark.report.words import in_words
from hullmark.text import encodable, escape_terminal

if TYPE_CHECKING:
    from datetime import date

    from hullmark.report.document import Document

STANDARDS = ["ua-1", "a-3a"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*\.json")
_DRAWN = re.compile(r"[^\n -~\u00a0-\u017f\u2013\u2014\u2018-\u201e\u2022\u2026\u2212]")
"""What the shipped fonts cannot draw, or what turns the direction of text."""


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON file inside the PDF."""

    name: str
    description: str
    content: bytes


def render_pdf(document: Document, attachments: tuple[Attachment, ...], *, day: date) -> bytes:
    """The whole report, dated `day`. EnvironmentFaultError when typst is not installed."""
    typst = _typst()
    template = files("hullmark.formats").joinpath("templates", "report.typ").read_bytes()
    fonts = files("hullmark.formats").joinpath("fonts")
    with as_file(fonts) as folder, scratch_folder() as root:
        listed = [{"name": each.name, "description": each.description} for each in attachments]
        (root / "main.typ").write_bytes(template)
        (root / "report.json").write_bytes(_data(document, day))
        (root / "attached.json").write_bytes(msgspec.json.encode(listed))
        for each in attachments:
            if not _NAME.fullmatch(each.name):
                raise InputError("cannot be the name of an attachment", file=each.name)
            (root / each.name).write_bytes(each.content)
        try:
            pdf: bytes = typst.compile(
                str(root / "main.typ"),
                root=str(root),
                font_paths=[str(folder)],
                ignore_system_fonts=True,
                format="pdf",
                pdf_standards=STANDARDS,
                package_path=str(root),
                package_cache_path=str(root),
            )
        except RuntimeError as error:
            raise EnvironmentFaultError(
                f"typst could not make the PDF: {escape_terminal(str(error))}",
                hint="Make the report as HTML with --format html, and print it.",
            ) from error
    return pdf


def _typst() -> Any:  # noqa: ANN401 - a module
    try:
        import typst  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise EnvironmentFaultError(
            "reports as PDF need typst, which is not installed", hint="pip install 'hullmark[pdf]'"
        ) from error
    return typst


def _data(document: Document, day: date) -> bytes:
    plain: dict[str, Any] = msgspec.to_builtins(document)
    for section, given in zip(plain["sections"], document.sections, strict=True):
        for table, source in zip(section["tables"], given.tables, strict=True):
            table["numbers"] = sorted(source.numbers)
    plain["date"] = [day.year, day.month, day.day]
    plain["made"] = in_words(document.made) if document.made else ""
    return msgspec.json.encode(_drawable(plain))


def _drawable(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """`value` with every text such that the shipped fonts can draw it."""
    if isinstance(value, str):
        return _DRAWN.sub(lambda found: encodable(found[0]).encode("unicode_escape").decode(), value)
    if isinstance(value, dict):
        return {key: _drawable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_drawable(each) for each in value]
    return value
