"""The dossier of one vulnerability: when each image had it, why it came and went, who decided, who accepted.

The answer to an auditor who picks one finding and asks what happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hullmark.report import tables, words
from hullmark.report.document import Document, Fact, Section
from hullmark.report.tables import Cell, Table
from hullmark.report.words import CAUSES, in_words, plural

if TYPE_CHECKING:
    from hullmark.history import Interval, ScanRecord, Timeline
    from hullmark.report.model import DecisionEntry, Report


def make_dossier(
    report: Report, finding: str, timelines: tuple[Timeline, ...], story: tuple[str, ...]
) -> Document:
    """All that `report` and `timelines` know of the vulnerability `finding`; `story` tells it in words."""
    lives = [
        (timeline, life)
        for timeline in timelines
        for life in timeline.intervals
        if life.identity.id == finding
    ]
    still = sum(life.is_open for _, life in lives)
    first = min(life.first_seen for _, life in lives)
    return Document(
        title=f"Dossier of {finding}",
        period=f"As recorded up to {in_words(report.period.end)}",
        made=report.made_from,
        audience="For auditors",
        sample=report.sample,
        verdict=_verdict(finding, len(lives), still),
        tone="bad" if still else "good",
        facts=(
            Fact(label="First seen", value=in_words(first)),
            Fact(label="Still open", value=f"{still} of {plural(len(lives), 'finding')}"),
            Fact(label="Images", value=str(len({timeline.image for timeline, _ in lives}))),
        ),
        sections=(
            Section(title="What happened", paragraphs=story),
            Section(title="In which package, from when to when", tables=(_lives(lives),)),
            Section(title="Scans that saw it come or go", tables=(_scans(lives),)),
            _decisions(report, finding),
            Section(title="Evidence", paragraphs=words.prose().evidence, tables=(tables.heads(report),)),
        ),
    )


def _verdict(finding: str, total: int, still: int) -> str:
    if not still:
        return f"{finding} was seen in {plural(total, 'place')}, and is gone from all of them."
    return f"{finding} is still there in {still} of {plural(total, 'place')} where it was seen."


def _lives(lives: list[tuple[Timeline, Interval]]) -> Table:
    return Table(
        caption="Every place where it was seen",
        head=("Image", "Package", "Installed", "Fixed in", "Severity", "First seen", "Because of", "Ended"),
        rows=tuple(_life(timeline, life) for timeline, life in lives),
    )


def _life(timeline: Timeline, life: Interval) -> tuple[Cell, ...]:
    ended = "still open"
    if life.resolved_cause is not None:
        ended = f"{life.resolved_at[:10]}, by {CAUSES[life.resolved_cause]}"
    path = f" at {life.identity.path}" if life.identity.path else ""
    worst = life.severities[-1][1]
    return (
        Cell(f"{timeline.image} {timeline.platform}"),
        Cell(f"{life.identity.package}{path}"),
        Cell(", ".join(life.change.versions)),
        Cell(life.change.fixed or "no fix yet"),
        Cell(" to ".join(severity.value for _, severity in life.severities), tone=worst.value.lower()),
        Cell(life.first_seen[:10]),
        Cell(CAUSES[life.cause]),
        Cell(ended, tone="bad" if life.is_open else "good"),
    )


def _scans(lives: list[tuple[Timeline, Interval]]) -> Table:
    moments = {
        (timeline.image, timeline.platform, at): timeline
        for timeline, life in lives
        for at in (life.first_seen, life.resolved_at)
        if at
    }
    found = [
        (timeline, scan)
        for (_, _, at), timeline in sorted(moments.items(), key=lambda item: (item[0][2], item[0]))
        for scan in timeline.scans
        if scan.at == at
    ]
    return Table(
        caption="With image, SBOM, scanner and database",
        head=("Time", "Image", "Digest", "SBOM", "Scanner", "Database"),
        rows=tuple(_scan(timeline, scan) for timeline, scan in found),
    )


def _scan(timeline: Timeline, scan: ScanRecord) -> tuple[Cell, ...]:
    return (
        Cell(scan.at.replace("T", " ").replace("Z", "")),
        Cell(timeline.image),
        Cell(scan.digest),
        Cell(scan.sbom),
        Cell(f"{scan.run.scanner.name} {scan.run.scanner.version}"),
        Cell(scan.run.database.updated_at[:10]),
    )


def _decisions(report: Report, finding: str) -> Section:
    decided = [entry for entry in report.decisions if _names(entry, finding)]
    accepted = [each for each in report.exemptions if each.id == finding]
    sentences = [
        f"{entry.at[:10]}: {entry.event.verdict.value}, decision {entry.event.decision[:19]}…"
        for entry in decided
    ]
    sentences += [
        f"Accepted by {each.owner} until {each.expires} as {each.status.replace('_', ' ')}: {each.reason}"
        for each in accepted
    ]
    return Section(
        title="Who decided, and who accepted it",
        paragraphs=tuple(sentences) or ("No decision of the period names it, and nobody accepted it.",),
    )


def _names(entry: DecisionEntry, finding: str) -> bool:
    decision = entry.decision
    return decision is not None and any(
        concern.id == finding for reason in decision.reasons for concern in reason.concerns
    )
