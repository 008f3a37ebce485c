"""The tables of a report: one function each, from the report alone. Text stands in them as it is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from hullmark.finding import Finding, Kind, Severity, VulnerabilityKey
from hullmark.ledger.layout import RUNS
from hullmark.report.words import CAUSES, KINDS, in_words, plural, prose

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hullmark.fleet import OpenFinding
    from hullmark.report.model import DecisionEntry, ImageReport, Report, ReportedChange

OLD_DAYS = 30
"""Open for longer than this many days is said to be old."""
SEVERITIES = tuple(severity.value.lower() for severity in Severity)
_DIGEST = 19
_JOINED = "A row stands for every platform of its image, unless it names some."


class Cell(msgspec.Struct, frozen=True):
    """One cell of a table."""

    text: str
    tone: str = ""
    """A severity, `good`, `bad` or `unknown`, shown by colour and shape; empty for plain text."""
    number: float | None = None
    """The value of `text`, for spreadsheets."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows under a head."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    """What is left out, or how it is to be read."""

    @property
    def numbers(self) -> frozenset[int]:
        """Columns of which every cell is a number."""
        columns = range(len(self.head))
        return frozenset(
            c for c in columns if self.rows and all(row[c].number is not None for row in self.rows)
        )

    def cut(self, limit: int | None, one: str, many: str = "") -> Table:
        """The first `limit` rows, with a note that says so; all of them for None."""
        if limit is None or len(self.rows) <= limit:
            return self
        note = f"{limit} of {plural(len(self.rows), one, many)} are shown; the full report lists all."
        note = f"{note} {self.note}".rstrip()
        return msgspec.structs.replace(self, rows=self.rows[:limit], note=note)


_Row = tuple[str, str, tuple[Cell, ...]]
"""An image, a platform, and the cells."""


def number(value: int) -> Cell:
    """A cell that is a number."""
    return Cell(f"{value:,}", number=value)


def _severity(severity: Severity) -> Cell:
    return Cell(severity.value, tone=severity.value.lower())


def images(report: Report) -> Table:
    """How each image was looked at."""
    return Table(
        caption="Images and how they were looked at",
        head=("Image", "Platform", "Digest", "Last scan", "Packages", "System", "Smoke test", "Covered"),
        rows=tuple(map(_image, report.images)),
    )


def _image(image: ImageReport) -> tuple[Cell, ...]:
    scan = image.scan
    system = scan.coverage.system if scan else None
    tested = image.smoke is not None and scan is not None and image.smoke.digest == scan.digest
    smoke = image.smoke.result.value if image.smoke and tested else "not recorded"
    return (
        Cell(image.image),
        Cell(image.platform),
        Cell(f"{scan.digest[:_DIGEST]}…" if scan else "-"),
        Cell(in_words(scan.at) if scan else "never"),
        number(image.packages),
        Cell(str(system) if system else "unknown", tone="" if system else "unknown"),
        Cell(smoke, tone={"passed": "good", "failed": "bad"}.get(smoke, "unknown")),
        Cell("no" if image.missing else "yes", tone="bad" if image.missing else "good"),
    )


def by_severity(report: Report) -> Table:
    """Open vulnerabilities in numbers."""
    return Table(
        caption="Open vulnerabilities by severity",
        head=(
            *("Severity", "Vulnerabilities", "Findings", "With a fix", "Accepted"),
            *(f"Older than {OLD_DAYS} days", "Oldest, days"),
        ),
        rows=tuple(_numbers(report, severity) for severity in Severity),
        note="A vulnerability counts once an image, at its worst severity; "
        "findings count once for each affected package.",
    )


def _numbers(report: Report, severity: Severity) -> tuple[Cell, ...]:
    members = [each for _, each in open_vulnerabilities(report) if each.finding.severity is severity]
    return (
        _severity(severity),
        number(getattr(report.distinct, severity.value.lower())),
        number(len(members)),
        number(sum(each.is_fixable for each in members)),
        number(sum(each.exemption is not None for each in members)),
        number(sum(each.age > OLD_DAYS for each in members)),
        number(max((each.age for each in members), default=0)),
    )


def open_vulnerabilities(report: Report) -> Iterator[tuple[ImageReport, OpenFinding]]:
    """Every open finding that is a vulnerability, of the images that count."""
    return (
        (image, each)
        for image in report.expected
        for each in image.findings
        if each.finding.kind is Kind.VULNERABILITY
    )


def vulnerabilities(report: Report) -> Table:
    """Every open vulnerability of every image, worst first."""
    groups: dict[tuple[str, str, VulnerabilityKey], list[OpenFinding]] = {}
    for image, each in open_vulnerabilities(report):
        key = (image.image, image.platform, each.finding.vulnerability)
        groups.setdefault(key, []).append(each)
    ordered = sorted(groups.items(), key=lambda item: (_rank(item[1]), item[0]))
    rows = [(image, platform, _vulnerability(members)) for (image, platform, _), members in ordered]
    return Table(
        caption="Open vulnerabilities, worst first",
        head=(
            "Image",
            "Severity",
            "Vulnerability",
            "Package",
            "Installed",
            "Fixed in",
            "First seen",
            "Accepted",
        ),
        rows=_join_platforms(report, rows),
        note=_JOINED if len({image.image for image in report.images}) < len(report.images) else "",
    )


def _join_platforms(report: Report, rows: Iterable[_Row]) -> tuple[tuple[Cell, ...], ...]:
    """One row where only the platform differs; the image comes first."""
    of_image: dict[str, list[str]] = {}
    for image in report.images:
        of_image.setdefault(image.image, []).append(image.platform)
    joined: dict[tuple[str, tuple[Cell, ...], int], list[str]] = {}
    for (name, platform, cells), time in _count_times(rows):
        joined.setdefault((name, cells, time), []).append(platform)
    return tuple(
        (Cell(name if len(platforms) == len(of_image[name]) else f"{name} {', '.join(platforms)}"), *cells)
        for (name, cells, _), platforms in joined.items()
    )


def _count_times(rows: Iterable[_Row]) -> Iterator[tuple[_Row, int]]:
    """Each row, with how often the very same came before: two rows of one platform never become one."""
    before: Counter[_Row] = Counter()
    for row in rows:
        yield row, before[row]
        before[row] += 1


def _rank(members: Iterable[OpenFinding]) -> int:
    return -max(each.finding.severity.rank for each in members)


def _vulnerability(members: Sequence[OpenFinding]) -> tuple[Cell, ...]:
    worst = max(members, key=lambda each: each.finding.severity.rank)
    finding = worst.finding
    accepted = next((each.exemption for each in members if each.exemption), None)
    return (
        _severity(finding.severity),
        Cell(finding.id),
        Cell(finding.source or finding.package),
        Cell(", ".join(sorted({version for each in members for version in each.finding.versions}))),
        Cell(finding.fixed or "no fix yet", tone="" if finding.fixed else "unknown"),
        Cell(min(each.since[:10] for each in members)),
        Cell(f"until {accepted.expires} by {accepted.owner}" if accepted else ""),
    )


def others(report: Report) -> Table:
    """Open findings that are no vulnerabilities."""
    found = [each for image in report.current for each in image.others]
    found.sort(key=lambda each: (-each.finding.severity.rank, each.finding.identity))
    return Table(
        caption="Open findings of other kinds",
        head=("Severity", "Kind", "Rule", "Place", "What it says", "First seen"),
        rows=tuple(
            (
                _severity(each.finding.severity),
                Cell(KINDS[each.finding.kind]),
                Cell(each.finding.id),
                Cell(_place(each.finding)),
                Cell(each.finding.title),
                Cell(each.since[:10]),
            )
            for each in found
        ),
    )


def _place(finding: Finding) -> str:
    return finding.path or finding.package


def findings(report: Report) -> Table:
    """Every open finding with all that is known of it: for spreadsheets and programs."""
    return Table(
        caption="Open findings",
        head=(
            *(
                "Image",
                "Platform",
                "Kind",
                "Severity",
                "Id",
                "Package",
                "Source package",
                "Path",
                "Installed",
            ),
            *("Fixed in", "State", "First seen", "Days open", "Because of", "Accepted until", "Accepted by"),
            *("Title", "Link"),
        ),
        rows=tuple(_finding(image, each) for image in report.current for each in image.findings),
    )


def _finding(image: ImageReport, each: OpenFinding) -> tuple[Cell, ...]:
    finding, accepted = each.finding, each.exemption
    return (
        Cell(image.image),
        Cell(image.platform),
        Cell(KINDS[finding.kind]),
        _severity(finding.severity),
        Cell(finding.id),
        Cell(finding.package),
        Cell(finding.source),
        Cell(finding.path),
        Cell(", ".join(finding.versions)),
        Cell(finding.fixed),
        Cell(finding.status.replace("_", " ")),
        Cell(each.since[:10]),
        number(each.age),
        Cell(CAUSES[each.cause]),
        Cell(str(accepted.expires) if accepted else ""),
        Cell(accepted.owner if accepted else ""),
        Cell(finding.title),
        Cell(finding.url),
    )


def balance(report: Report) -> Table:
    """How the number of open findings came about."""
    flow = report.flow
    first, last = in_words(report.period.start), in_words(report.period.end)
    parts = (
        (f"Open before {first}", flow.before),
        ("+ New", flow.new),
        ("- Gone", flow.gone),
        ("± Rated otherwise", flow.rerated),
        ("± Scope: joined, less what left", flow.scope),
        (f"= Open on {last}", flow.after),
    )
    return Table(
        caption="From the first day to the last, in findings of vulnerabilities",
        head=("", *(name.capitalize() for name in SEVERITIES), "All"),
        rows=tuple(
            (Cell(label), *(number(getattr(counts, name)) for name in SEVERITIES), number(counts.total))
            for label, counts in parts
        ),
    )


def changes(report: Report) -> Table:
    """What came and went, worst first."""
    found = [(image, change) for image in report.images for change in image.changes]
    found.sort(key=lambda row: (-row[1].change.severity.rank, row[1].at, row[0].image, row[1].change.id))
    return Table(
        caption="What came and went, worst first",
        head=("Image", "Date", "", "Severity", "Id", "Package", "Because of"),
        rows=_join_platforms(report, ((each.image, each.platform, _went(change)) for each, change in found)),
        note=_JOINED if len({image.image for image in report.images}) < len(report.images) else "",
    )


def _went(change: ReportedChange) -> tuple[Cell, ...]:
    return (
        Cell(change.at[:10]),
        Cell("new" if change.introduced else "gone", tone="bad" if change.introduced else "good"),
        _severity(change.change.severity),
        Cell(change.change.id),
        Cell(change.change.origin),
        Cell(CAUSES[change.change.cause]),
    )


def decisions(report: Report) -> Table:
    """What was decided about changes, oldest first."""
    return Table(
        caption="Decisions about changes",
        head=("Time", "Verdict", "Change", "Images", "Reasons"),
        rows=tuple(map(_decision, report.decisions)),
    )


def _decision(entry: DecisionEntry) -> tuple[Cell, ...]:
    event = entry.event
    change = f"#{event.pull_request}" if event.pull_request else ""
    compared = " to ".join(part for part in event.sides if part)
    reasons = "its evidence is not here"
    if entry.decision is not None:
        rules = Counter(reason.rule for reason in entry.decision.deciding)
        reasons = ", ".join(sorted(rules)) or "nothing differs"
    verdict = event.verdict.value
    return (
        Cell(entry.at.replace("T", " ").replace("Z", "")),
        Cell(verdict, tone={"allow": "good", "block": "bad"}.get(verdict, "unknown")),
        Cell(" ".join(part for part in (change, compared) if part) or "-"),
        Cell(", ".join(sorted({name.partition(" ")[0] for name in event.images})) or "-"),
        Cell(reasons),
    )


def accepted_risks(report: Report) -> Table:
    """Exemptions in force, and those that ended in the period."""
    return Table(
        caption="Accepted risks",
        head=("Id", "Images", "Package", "Status", "Owner", "Until", "Reason"),
        rows=tuple(
            (
                Cell(each.id),
                Cell(", ".join(each.images)),
                Cell(each.package or "any"),
                Cell(each.status.value.replace("_", " ")),
                Cell(each.owner),
                Cell(str(each.expires), tone="bad" if each.expires <= report.period.end else ""),
                Cell(each.reason),
            )
            for each in sorted(report.exemptions, key=lambda each: (each.expires, each.id, each.images))
        ),
    )


def heads(report: Report) -> Table:
    """How far each ledger went."""
    return Table(
        caption="How far each ledger went when this report was made",
        head=("Ledger", "Entries", "Hash of the last entry"),
        rows=tuple(
            (Cell(name), number(head.entries), Cell(head.head)) for name, head in sorted(report.heads.items())
        ),
    )


def last_run(report: Report) -> Table:
    """How far the ledger of runs went, which covers the others."""
    whole = heads(report)
    rows = tuple(row for row in whole.rows if row[0].text == RUNS)
    return msgspec.structs.replace(
        whole,
        rows=rows,
        note=f"Its run records hold the hashes of all others: {len(whole.rows) - len(rows)}.",
    )


def scans(report: Report) -> Table:
    """What each image's state rests on."""
    return Table(
        caption="What was scanned, with what",
        head=("Image", "Digest", "SBOM", "Scanner", "Database", "Contained by"),
        rows=tuple(
            (
                Cell(f"{image.image} {image.platform}"),
                Cell(image.scan.digest),
                Cell(image.scan.sbom),
                Cell(f"{image.scan.run.scanner.name} {image.scan.run.scanner.version}"),
                Cell(image.scan.run.database.updated_at[:10]),
                Cell(image.scan.run.containment.value),
            )
            for image in report.images
            if image.scan
        ),
    )


def controls() -> Table:
    """Which controls of the common standards each section supports."""
    return Table(
        caption="Sections and controls",
        head=("Section", "Control", "What it asks for"),
        rows=tuple(tuple(map(Cell, row)) for row in prose().controls),
    )
