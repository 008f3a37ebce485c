"""A report as paragraphs and tables: what every format shows, in the same words and with the same numbers.

Text stands here as it is; each format escapes it for itself. A short document is for a customer, a full one
for an auditor: the same sections, and beside them everything that they rest on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hullmark.report import tables, words
from hullmark.report.tables import Table
from hullmark.report.words import plural

if TYPE_CHECKING:
    from hullmark.report.model import Report

_FINDINGS = 8
_OTHERS = 4
"""Rows of other tables that a summary shows."""
_RISKS = 3
"""Accepted risks that it shows: their reasons are long."""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part with a heading."""

    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of the first page."""

    label: str
    value: str
    tone: str = ""
    detail: str = ""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A whole report."""

    title: str
    period: str
    made: str
    """Time of the newest scan that it rests on, RFC 3339; empty when nothing was scanned."""
    audience: str
    sample: bool
    verdict: str
    tone: str
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]


def make_document(report: Report, *, full: bool) -> Document:
    """What `report` says: in short for a customer, or in full for an auditor."""
    limits = (None, None) if full else (_FINDINGS, _OTHERS)
    looked = tables.images(report).cut(limits[1], "image")
    sections = [
        Section(title="Scope and coverage", paragraphs=words.scope(report, full=full), tables=(looked,)),
        _open(report, limits[0]),
        _changes(report, limits[1]),
        _decisions(report, limits[1]),
        _evidence(report, full=full),
        Section(title="Method", paragraphs=words.prose().method),
    ]
    if full:
        annex = Section(
            title="Annex: what these sections support",
            paragraphs=words.prose().support,
            tables=(tables.controls(),),
        )
        sections.append(annex)
    return Document(
        title="Container image security report",
        period=words.period(report.period),
        made=report.made_from,
        audience="Full report for auditors" if full else "Summary for customers",
        sample=report.sample,
        verdict=words.verdict(report),
        tone=words.tone(report),
        facts=_facts(report),
        sections=tuple(sections),
    )


def _facts(report: Report) -> tuple[Fact, ...]:
    severities = [
        Fact(
            label=name.capitalize(),
            value=f"{getattr(report.distinct, name):,}",
            tone=name if getattr(report.distinct, name) else "",
            detail=plural(getattr(report.counts, name), "finding"),
        )
        for name in ("critical", "high", "medium")
    ]
    number = len(report.expected)
    covered = number - len(report.uncovered)
    everything = [each for _, each in tables.open_vulnerabilities(report)]
    relevant = [each for each in everything if each.finding.severity.is_relevant]
    return (
        *severities,
        Fact(
            label="With a fix",
            value=f"{sum(each.is_fixable for each in relevant)} of {len(relevant)}",
            detail="findings, medium and up",
        ),
        Fact(
            label="Oldest",
            value=plural(max((each.age for each in everything), default=0), "day"),
            detail="since first seen",
        ),
        Fact(
            label="Covered",
            value=f"{covered} of {number}",
            tone="good" if covered and covered == number else "bad",
            detail="images, in the period",
        ),
    )


def _open(report: Report, limit: int | None) -> Section:
    listed = [
        tables.vulnerabilities(report).cut(limit, "row"),
        tables.others(report).cut(limit, "finding"),
    ]
    return Section(
        title="What is open",
        paragraphs=words.open_findings(report),
        tables=(tables.by_severity(report), *(table for table in listed if table.rows)),
    )


def _changes(report: Report, limit: int | None) -> Section:
    listed = tables.changes(report).cut(limit, "row")
    return Section(
        title="What changed, and why",
        paragraphs=words.changes(report),
        tables=(tables.balance(report), listed) if listed.rows else (tables.balance(report),),
    )


def _decisions(report: Report, limit: int | None) -> Section:
    listed = (
        tables.decisions(report).cut(limit, "decision"),
        tables.accepted_risks(report).cut(_RISKS if limit else None, "accepted risk"),
    )
    return Section(
        title="Decisions and accepted risks",
        paragraphs=words.decisions(report),
        tables=tuple(table for table in listed if table.rows),
    )


def _evidence(report: Report, *, full: bool) -> Section:
    return Section(
        title="Evidence",
        paragraphs=words.prose().evidence,
        tables=(tables.heads(report), tables.scans(report)) if full else (tables.last_run(report),),
    )
