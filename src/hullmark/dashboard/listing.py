"""Long tables as markup: findings, packages, weeks and scans, by the ten thousand rows.

Each text in them goes through `cells.text`, which escapes it; everything else is made here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from hullmark.dashboard import links
from hullmark.dashboard.cells import day, moment, num, num_signed, severity, short_digest, text
from hullmark.dashboard.charts import SHOWN, count
from hullmark.dashboard.words import CAUSES
from hullmark.finding import Severity
from hullmark.formats.markdown import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hullmark.dashboard.contents import PackageRow
    from hullmark.dashboard.imagepage import FindingRow, ScanRow
    from hullmark.fleet import Week

_PACKAGES = 4
_PATHS = 2
_LICENCES = 6


def _made(lines: Iterable[str]) -> Markup:
    return Markup("\n".join(lines))  # noqa: S704 - each text in the lines was escaped


def findings(rows: Iterable[FindingRow], root: str) -> Markup:
    """Vulnerabilities of one image, each with the packages that carry it."""
    return _made(_finding(row, root) for row in rows)


def _finding(row: FindingRow, root: str) -> str:
    first, finding = row.first, row.first.finding
    entry = first.exemption
    accepted = (
        f' <span class="tag">accepted until {day(entry.expires)} by {text(entry.owner)}</span>'
        if entry
        else ""
    )
    exploited = ' <span class="tag bad">exploited</span>' if first.exploited else ""
    more = len(row.packages) - _PACKAGES
    packages = ", ".join(map(text, row.packages[:_PACKAGES])) + (f" and {more} more" if more > 0 else "")
    paths = "".join(f'<span class="under">{text(path)}</span>' for path in row.paths[:_PATHS])
    if len(row.paths) > _PATHS:
        paths += f'<span class="under">and {len(row.paths) - _PATHS} more places</span>'
    return (
        f'<tr><td class="whole">{severity(first.severity)}</td>'
        f'<th scope="row"><a href="{root}{links.cve(finding.id)}">{text(finding.id)}</a>{exploited}{accepted}'
        f'<span class="under">{text(finding.title)}</span></th>'
        f'<td class="whole">{packages}{paths}</td>'
        f'<td data-label="Has">{", ".join(map(text, row.versions))}</td>'
        f'<td data-label="Fixed in">{_fix(finding.fixed, finding.status)}</td>'
        f'<td class="fixed" data-label="Seen">{day(first.since)}<span class="under">{_term(row)}</span></td>'
        f'<td class="whole fixed"><span class="quiet">{first.cause.value}</span></td></tr>'
    )


def _fix(fixed: str, status: str) -> str:
    if fixed:
        return text(fixed)
    why = f": {text(status.replace('_', ' '))}" if status and status != "affected" else ""
    return f'<span class="quiet">none yet{why}</span>'


def _term(row: FindingRow) -> str:
    if row.late:
        return f'<span class="bad-text">{plural(row.late, "day")} late</span>'
    if row.due:
        return f"due by {day(row.due)}"
    return plural(row.first.age, "day") if row.first.age else "new"


def packages(rows: Iterable[PackageRow], root: str, image: str, state: str) -> Markup:
    """Packages of one image, each with the number of findings in it. `state` is that of their list."""
    return _made(_package(row, root, image, state) for row in rows)


def _package(row: PackageRow, root: str, image: str, state: str) -> str:
    one, licences = row.installed.package, row.installed.licences
    path = f'<span class="under">{text(one.path)}</span>' if one.path else ""
    more = f" and {len(licences) - _LICENCES} more" if len(licences) > _LICENCES else ""
    href = ""
    if row.findings:
        href = root + links.findings(image=image, package=one.name, type=one.type, path=one.path, state=state)
    return (
        f'<tr><th scope="row">{text(one.name)}{path}</th><td data-label="Version">{text(one.version)}</td>'
        f'<td data-label="Source">{text(one.source or one.type)}</td>'
        f'<td class="whole quiet">{", ".join(map(text, licences[:_LICENCES]))}{more}</td>'
        f'<td class="num" data-label="Findings">{num(row.findings, href)}</td></tr>'
    )


def weeks(all_weeks: Sequence[Week], root: str, image: str = "") -> Markup:
    """Every week, newest first, with what came and what went."""
    return _made(_week(week, root, image) for week in reversed(all_weeks))


def _week(week: Week, root: str, image: str) -> str:
    span = f"{week.start}..{week.end}"
    parts = [
        (week.before.total, {"at": week.start}),
        (week.new.total, {"new": span}),
        (week.gone.total, {"gone": span}),
        (week.rerated_findings, {"rerated": span}),
        (week.joined.total, {"joined": span}),
        (week.left.total, {"left": span}),
        (week.after.total, {"at": week.end}),
        *((count(week.after, each), {"at": week.end, "severity": each.value}) for each in SHOWN),
    ]
    numbers = (num(value, root + links.findings(image=image, **to) if value else "") for value, to in parts)
    seen = "" if week.scanned else ' <span class="quiet">no scan</span>'
    cells = "".join(f'<td class="num">{each}</td>' for each in numbers)
    return f'<tr><th scope="row">{day(week.end)}{seen}</th>{cells}</tr>'


def reconciled(week: Week, root: str, image: str = "") -> Markup:
    """How the number of each severity came about in a week."""
    return _made(_reconciled(week, each, root, image) for each in Severity)


def _reconciled(week: Week, of: Severity, root: str, image: str) -> str:
    span = f"{week.start}..{week.end}"

    def to(**filters: str) -> str:
        return root + links.findings(image=image, **filters, severity=of.value)

    rerated, scope = count(week.rerated, of), count(week.scope, of)
    moved = count(week.joined, of) + count(week.left, of)
    numbers = (
        num(count(week.before, of), to(at=week.start)),
        num(count(week.new, of), to(new=span)),
        num(count(week.gone, of), to(gone=span)),
        num_signed(rerated, count(week.rerated_from_or_to, of), to(rerated=span)),
        num_signed(scope, moved, to(scope=span)),
        f"<strong>{num(count(week.after, of), to(at=week.end))}</strong>",
    )
    cells = "".join(f'<td class="num">{each}</td>' for each in numbers)
    return f'<tr><th scope="row">{severity(of)}</th>{cells}</tr>'


def causes(week: Week, root: str, image: str = "") -> Markup:
    """Why findings came and went in a week, each cause with its list."""
    return Markup("; ".join(_causes(week, root, image)))  # noqa: S704 - escaped


def _causes(week: Week, root: str, image: str) -> Iterator[str]:
    span = f"{week.start}..{week.end}"
    for key, word, found in (("new", "introduced", week.introduced), ("gone", "resolved", week.resolved)):
        for cause, counts in found.items():
            href = root + links.findings(image=image, **{key: span}, cause=cause.value)
            told = f"{counts.total:,} {word}</a>: {CAUSES[cause]}"
            yield f'<a href="{text(href)}" data-count="{counts.total}">{told}'


def scans(rows: Sequence[ScanRow], root: str, image: str, *, is_expected: bool) -> Markup:
    """What every scan of an image changed. `rows` are the newest ones, newest first."""
    return _made(
        _scan(row, root, image, is_last=not place and not is_expected) for place, row in enumerate(rows)
    )


def _scan(row: ScanRow, root: str, image: str, *, is_last: bool) -> str:
    """`is_last` says that nothing is open after it any more: the image was retired."""
    scan = row.scan
    span = f"{row.before}..{scan.at}"
    after = {"state": "last"} if is_last else {"at": scan.at}
    parts = (
        (row.introduced, {"born": span}),
        (row.resolved, {"gone": span}),
        (row.rerated, {"rerated": span}),
        (row.counts.total, after),
    )
    numbers = (num(value, root + links.findings(image=image, **to) if value else "") for value, to in parts)
    gaps = "".join(f'<span class="under bad-text">{text(str(gap))}</span>' for gap in scan.coverage.gaps)
    return (
        f'<tr><th scope="row">{moment(scan.at)}{gaps}</th><td><code>{short_digest(scan.digest)}</code></td>'
        f"<td>{day(scan.run.database.updated_at)}</td>"
        + "".join(f'<td class="num">{each}</td>' for each in numbers)
        + "</tr>"
    )
