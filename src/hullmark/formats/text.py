"""Plain text for a terminal or a log: no colours, no control characters, nothing wider than it must be."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING

from hullmark.event import Scanned, count_changed
from hullmark.finding import Counts, Finding, VulnerabilityKey, count_findings, count_vulnerabilities
from hullmark.text import escape_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hullmark.scan import Coverage, Provenance, Scan

_TITLE = 60
_PLACES = 5


def render_scan(scan: Scan, *, source: str) -> str:
    """The findings of one scan as a table, then what was counted and what it rests on."""
    coverage = scan.coverage
    system = str(coverage.system) if coverage.system else "no operating system"
    lines = [
        escape_terminal(f"{source}: {system}, {len(scan.packages)} packages, {scan.platform}"),
        str(scan.digest),
        "",
        *render_findings(scan.findings),
        render_counts(scan.findings),
        *_coverage(coverage),
        _provenance(scan.provenance),
    ]
    return "\n".join(lines)


def render_findings(findings: Sequence[Finding]) -> list[str]:
    """One row for each vulnerability, worst first, with all packages that carry it."""
    groups: dict[VulnerabilityKey, list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.vulnerability].append(finding)
    rows = [_row(key, members) for key, members in groups.items()]
    if not rows:
        return []
    cells = [row for _, row in sorted(rows)]
    return [*table(("severity", "id", "package", "installed", "fixed in", "title"), cells), ""]


def render_check(findings: Sequence[Finding], coverage: Coverage, *, files: int) -> str:
    """The findings of a check of the repository, each kind with its own count, then what was looked at."""
    rows = _check_rows(findings)
    lines = [*table(("severity", "kind", "rule", "tool", "place", "what"), rows), ""] if rows else []
    for kind, members in groupby(sorted(findings, key=lambda f: f.kind), key=lambda f: f.kind):
        lines.append(f"{kind.value}: {by_severity(count_findings(members))}")
    lines += [] if rows else ["No findings."]
    looked = "; ".join(f"{kind.value} ({', '.join(tools)})" for kind, tools in coverage.kinds.items())
    lines.append(escape_terminal(f"{plural(files, 'file', 'files')}; looked for {looked or 'nothing'}"))
    return "\n".join([*lines, *_coverage(coverage)])


def _check_rows(findings: Sequence[Finding]) -> list[tuple[str, ...]]:
    """One row for each place, worst first; of a rule that matches in many places only the first ones."""
    groups: dict[tuple[object, ...], list[Finding]] = defaultdict(list)
    for finding in sorted(findings, key=lambda f: (f.path, f.line, f.identity)):
        key = (-finding.severity.rank, finding.kind, finding.id, finding.package_type, finding.title)
        groups[key].append(finding)
    rows: list[tuple[str, ...]] = []
    for _, members in sorted(groups.items(), key=lambda group: group[0]):
        first, more = members[:_PLACES], len(members) - _PLACES
        rows += [(f.severity.value, f.kind.value, f.id, f.package_type, place_of(f), f.title) for f in first]
        if more > 0:
            rows.append((*rows[-1][:4], f"… and {plural(more, 'place', 'places')} more", ""))
    return rows


def place_of(finding: Finding) -> str:
    """`src/app.py:12`."""
    return f"{finding.path}:{finding.line}" if finding.line else finding.path


def _row(key: VulnerabilityKey, members: list[Finding]) -> tuple[tuple[object, ...], tuple[str, ...]]:
    worst = max(members, key=lambda finding: finding.severity.rank)
    names = sorted({finding.package for finding in members})
    more = f" (+{len(names) - 1})" if len(names) > 1 else ""
    versions = sorted({version for finding in members for version in finding.versions})
    title = worst.title if len(worst.title) <= _TITLE else worst.title[: _TITLE - 1] + "…"
    row = (
        worst.severity.value,
        key.id,
        names[0] + more,
        ", ".join(versions),
        worst.fixed or "-",
        title,
    )
    return (-worst.severity.rank, key), row


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Align `rows` under `heads`. Every cell is made safe for a terminal."""
    safe = [tuple(escape_terminal(cell) for cell in row) for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in safe) for column in range(len(heads))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in safe
    ]


def render_counts(findings: Sequence[Finding]) -> str:
    """Both counts in a sentence."""
    if not findings:
        return "No findings."
    vulnerabilities, total = count_vulnerabilities(findings), count_findings(findings)
    return (
        f"{plural(vulnerabilities.total, 'vulnerability', 'vulnerabilities')} "
        f"({by_severity(vulnerabilities)}); "
        f"{plural(total.total, 'finding', 'findings')}, one for each affected package"
    )


def by_severity(counts: Counts, *, none: str = "none") -> str:
    """`1 critical, 2 high`: severities with a count of nothing are left out."""
    parts = [f"{getattr(counts, name)} {name}" for name in counts.__struct_fields__ if getattr(counts, name)]
    return ", ".join(parts) or none


def plural(number: int, one: str, many: str) -> str:
    """`1 finding`, `2 findings`."""
    return f"{number:,} {one if number == 1 else many}"


def tell_changes(event: Scanned, one: str = "vulnerability", many: str = "vulnerabilities") -> str:
    """What a recorded scan changed, in the same number and words wherever it is told."""
    if event.is_unchanged:
        return "nothing changed"
    after = (rename.after for rename in event.changed)
    return (
        f"{plural(count_changed(event.introduced), one, many)} introduced, "
        f"{count_changed(event.resolved):,} resolved, {count_changed(after):,} changed"
    )


def _coverage(coverage: Coverage) -> list[str]:
    gaps = [f"not covered: {gap}" for gap in coverage.gaps]
    notes = [f"note: {note}" for note in coverage.notes]
    return [escape_terminal(line) for line in gaps + notes]


def _provenance(provenance: Provenance) -> str:
    scanner, database = provenance.scanner, provenance.database
    build = "a known official build" if scanner.verified else "not a known official build"
    kind = "sample database" if database.sample else "database"
    return escape_terminal(
        f"{scanner.name} {scanner.version} ({build}), {kind} of {database.updated_at[:10]}, "
        f"containment: {provenance.containment.value}"
    )
