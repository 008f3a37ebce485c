"""Reports: what they are made from, read from ledger and evidence, and every form that they are made in."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec

from hullmark.audit_bundle import README
from hullmark.baseline import file_stem
from hullmark.config import CONFIG_FILE, ReportSettings
from hullmark.deadline import Deadlines
from hullmark.errors import InputError
from hullmark.event import Decided, SmokeTested, SummaryPublished
from hullmark.exemptions import EXEMPTIONS_FILE, load_exemptions
from hullmark.fleet import when_retired
from hullmark.formats.csv import render_csv
from hullmark.formats.exchange import render_csaf, render_cyclonedx, render_vulns
from hullmark.formats.report_html import render_report_html
from hullmark.formats.report_markdown import render_report_markdown
from hullmark.formats.report_pdf import Attachment, render_pdf
from hullmark.formats.xlsx import render_workbook
from hullmark.image import REPOSITORY
from hullmark.journal import Journal
from hullmark.ledger.layout import RUNS
from hullmark.projection import AUDIT_LOGS, BASELINES
from hullmark.report import DecisionEntry, ImageReport, Report, Sources, make_report, tables
from hullmark.report.document import Document
from hullmark.report.dossier import make_dossier
from hullmark.scanners.trivy.sbom import references
from hullmark.story import load_decision, tell_vulnerability

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from hullmark.decision import Decision
    from hullmark.exemptions import Exemption
    from hullmark.history import Timeline
    from hullmark.image import Platform
    from hullmark.report import Period


def read_report(
    journal: Journal,
    expected: Iterable[tuple[str, Platform]],
    period: Period,
    *,
    root: Path,
    only: frozenset[str] = frozenset(),
    deadlines: Deadlines | None = None,
) -> Report:
    """The report about `period`, of all images or `only` of some. InputError when nothing was recorded."""
    names = [name for name in journal.subjects() if not only or name in only]
    if not names:
        raise InputError("nothing was recorded here", file=journal.root, hint="Run `hullmark run --record`.")
    runs = journal.runs()
    timelines = tuple(
        timeline for name in names for timeline in journal.timelines(name, runs, until=period.last).values()
    )
    labels = {f"{name} {platform}" for name, platform in expected if not only or name in only}
    # No configuration names what is found in the repository itself, and it never retires.
    labels |= {f"{each.image} {each.platform}" for each in timelines if each.image == REPOSITORY}
    sources = Sources(
        timelines=timelines,
        expected=tuple(sorted(labels)),
        retired=_retired(journal, timelines, labels),
        smoke_tests={name: _smoke_tests(journal, name) for name in names},
        decisions=tuple(
            DecisionEntry(at=at, event=event, decision=_decision(journal, event))
            for at, event in journal.decisions()
            if period.holds(at) and (not only or _concerns(event, only))
        ),
        exemptions=read_exemptions(root),
        deadlines=deadlines or Deadlines(),
        heads=journal.heads(),
    )
    return make_report(sources, period, journal.findings)


def _retired(journal: Journal, timelines: Iterable[Timeline], labels: Collection[str]) -> dict[str, str]:
    """For each image and platform that is not among `labels`: when it was found to have left."""
    summarised = [
        (entry.at, event.images)
        for entry, event in journal.events(RUNS)
        if isinstance(event, SummaryPublished)
    ]
    last = [entry.at for name in journal.store.names() if (entry := journal.store.last(name))]
    as_of = max(last, default="")
    return {
        label: when_retired(file_stem(each.image, each.platform), each, summarised, as_of)
        for each in timelines
        if (label := f"{each.image} {each.platform}") not in labels
    }


def read_exemptions(root: Path) -> tuple[Exemption, ...]:
    """Accepted risks of the repository in `root`; none where it has no such file."""
    path = root / EXEMPTIONS_FILE
    return load_exemptions(path).entries if path.exists() else ()


def _smoke_tests(journal: Journal, name: str) -> tuple[tuple[str, SmokeTested], ...]:
    return tuple((entry.at, event) for entry, event in journal.events(name) if isinstance(event, SmokeTested))


def _concerns(event: Decided, only: frozenset[str]) -> bool:
    return any(label.partition(" ")[0] in only for label in event.images)


def _decision(journal: Journal, event: Decided) -> Decision | None:
    if not journal.evidence.has(event.decision):
        return None
    return load_decision(journal, event.decision)


class Maker(msgspec.Struct, frozen=True, kw_only=True):
    """What every form is made from."""

    journal: Journal
    report: Report
    document: Document
    stem: str
    """Name of the files, without their endings."""
    settings: ReportSettings

    def scanned(self) -> list[ImageReport]:
        """Images of which there is something to state; the repository's own files have no SBOM."""
        return [image for image in self.report.expected if image.scan]


def file_name(text: str) -> str:
    """`text` as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9._@-]+", "-", text)[:100].strip("-.")


def period_name(report: Report) -> str:
    """The period as part of a file's name."""
    return f"{report.period.start}-to-{report.period.end}"


def read_dossier(journal: Journal, report: Report, finding: str) -> Document:
    """Everything that is known of one vulnerability. InputError when nothing was recorded about it."""
    lines = tell_vulnerability(journal, finding)
    runs = journal.runs()
    names = sorted({image.image for image in report.images})
    timelines = tuple(
        timeline
        for name in names
        for timeline in journal.timelines(name, runs, until=report.period.last).values()
    )
    if not any(life.identity.id == finding for timeline in timelines for life in timeline.intervals):
        raise InputError(
            f"nothing about {finding!r} was recorded in {', '.join(names)}",
            file=journal.root,
            hint="Give the id as `hullmark history --open` shows it.",
        )
    return make_dossier(report, finding, timelines, tuple(lines))


def _pdf(maker: Maker) -> dict[str, bytes]:
    attached = (
        Attachment(name="findings.json", description="All open findings", content=_json(maker)),
        *(
            Attachment(
                name=f"{file_name(_label(image))}.cdx.json",
                description=f"SBOM of {_label(image)} with its vulnerabilities (CycloneDX)",
                content=_cyclonedx_of(maker, image),
            )
            for image in maker.scanned()
        ),
    )
    return {f"{maker.stem}.pdf": render_pdf(maker.document, attached, day=maker.report.period.end)}


def _label(image: ImageReport) -> str:
    return f"{image.image}@{image.platform}"


def _cyclonedx_of(maker: Maker, image: ImageReport) -> bytes:
    assert image.scan is not None  # noqa: S101 - asked of scanned images only
    sbom = maker.journal.evidence.get(image.scan.sbom)
    return render_cyclonedx(image, sbom, references(sbom))


def _json(maker: Maker) -> bytes:
    """All open findings as one document: the table's columns as keys."""
    table = tables.findings(maker.report)
    keys = [re.sub(r"[^a-z]+", "_", head.lower()) for head in table.head]
    rows = [
        {key: cell.text if cell.number is None else cell.number for key, cell in zip(keys, row, strict=True)}
        for row in table.rows
    ]
    document = {
        "period": maker.report.period,
        "sample": maker.report.sample,
        "made_from": maker.report.made_from,
        "verdict": maker.document.verdict,
        "findings": rows,
    }
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=1) + b"\n"


def _xlsx(maker: Maker) -> dict[str, bytes]:
    report = maker.report
    sheets = {
        "Findings": tables.findings(report),
        "Images": tables.images(report),
        "Changes": tables.changes(report),
        "Decisions": tables.decisions(report),
        "Accepted risks": tables.accepted_risks(report),
        "Ledgers": tables.heads(report),
    }
    created = datetime.combine(report.period.end, datetime.min.time(), UTC)
    title = f"{maker.document.title}, {maker.document.period}"
    return {f"{maker.stem}.xlsx": render_workbook(sheets, title=title, created=created)}


def _csaf(maker: Maker) -> dict[str, bytes]:
    settings = maker.settings
    if not (settings.publisher and settings.namespace):
        raise InputError(
            "CSAF documents name their publisher",
            file=CONFIG_FILE,
            key="report",
            hint='Add [report] with publisher = "…" and namespace = "https://…".',
        )
    content = render_csaf(maker.report, publisher=settings.publisher, namespace=settings.namespace)
    return {f"{maker.stem}.csaf.json": content}


def _cyclonedx(maker: Maker) -> dict[str, bytes]:
    return {f"{file_name(_label(image))}.cdx.json": _cyclonedx_of(maker, image) for image in maker.scanned()}


def _vulns(maker: Maker) -> dict[str, bytes]:
    return {f"{file_name(_label(image))}.vulns.json": render_vulns(image) for image in maker.scanned()}


FORMATS: dict[str, Callable[[Maker], dict[str, bytes]]] = {
    "csaf": _csaf,
    "csv": lambda maker: {f"{maker.stem}.csv": render_csv(tables.findings(maker.report))},
    "cyclonedx": _cyclonedx,
    "html": lambda maker: {f"{maker.stem}.html": render_report_html(maker.document).encode()},
    "json": lambda maker: {f"{maker.stem}.json": _json(maker)},
    "markdown": lambda maker: {f"{maker.stem}.md": render_report_markdown(maker.document).encode()},
    "pdf": _pdf,
    "vulns": _vulns,
    "xlsx": _xlsx,
}
"""Every form of a report: each gives files by their names."""

_SINGLE = (CONFIG_FILE, EXEMPTIONS_FILE, "SECURITY_SUMMARY.md", "docs/data/security-summary.json")


def bundle_contents(root: Path, reports: Mapping[str, bytes]) -> dict[str, bytes | Path]:
    """What an audit bundle of the repository in `root` holds, with `reports` beside it."""
    template = files("hullmark.formats").joinpath("templates", "bundle.md")
    contents: dict[str, bytes | Path] = {README: template.read_bytes()}
    for folder in (AUDIT_LOGS, BASELINES):
        for path in sorted((root / folder).rglob("*")):
            if path.is_symlink():
                raise InputError("is a symbolic link, and is not packed", file=path)
            if path.is_file() and not path.name.startswith("."):
                contents[path.relative_to(root).as_posix()] = path
    for name in _SINGLE:
        if (root / name).is_file():
            contents[name] = root / name
    return contents | {f"reports/{name}": content for name, content in reports.items()}
