"""The site's data: columns with dictionaries, for the pages and for other programs.

Every row is spread over columns of equal length; a value that repeats stands once in a dictionary, and its
column holds the place. -1 stands for "none". Text is as the scanner gave it: whoever shows it escapes it.
Schemas: `schema/site-findings/1.json`, `schema/site-cves/1.json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from hullmark.finding import Cause, Kind, Severity
from hullmark.fleet import OpenFinding
from hullmark.history import Interval

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hullmark.fleet import Fleet, Member

NONE = -1
SEVERITIES = tuple(severity.value for severity in Severity)
CAUSES = tuple(cause.value for cause in Cause)
_SEVERITY = {severity: place for place, severity in enumerate(Severity)}
_CAUSE = {cause: place for place, cause in enumerate(Cause)}


class Advisories(msgspec.Struct, frozen=True, kw_only=True):
    """The dictionary of vulnerabilities: three lists of equal length."""

    id: tuple[str, ...]
    title: tuple[str, ...]
    url: tuple[str, ...]
    """Where the advisory is; only `https:`, else empty."""


class Dictionaries(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Values that columns name by their place."""

    severity: tuple[str, ...] = SEVERITIES
    cause: tuple[str, ...] = CAUSES
    image: tuple[str, ...]
    retired: tuple[str, ...]
    """For each image the time when it was found to be retired; empty while it is expected."""
    kind: tuple[str, ...]
    advisory: Advisories
    package_type: tuple[str, ...]
    package: tuple[str, ...]
    """Names of packages and of their sources."""
    path: tuple[str, ...]
    version: tuple[str, ...]
    """Installed versions and versions that fix; several are joined by `, `."""
    status: tuple[str, ...]
    time: tuple[str, ...]
    """RFC 3339, UTC, sorted."""
    owner: tuple[str, ...]
    """Who accepted a risk."""


class Columns(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One number for each row in each column."""

    image: list[int]
    kind: list[int]
    advisory: list[int]
    severity: list[int]
    package_type: list[int]
    package: list[int]
    source: list[int]
    path: list[int]
    version: list[int]
    fixed: list[int]
    """-1 where no version is known that fixes it."""
    status: list[int]
    since: list[int]
    cause: list[int]
    until: list[int]
    """-1 while it is open."""
    end_cause: list[int]
    fixable_since: list[int]
    """When it was there and had a fix; -1 where it has none, and where it is gone."""
    late: list[int]
    """Days since its deadline; 0 within it."""
    owner: list[int]
    """-1 unless somebody accepted the risk."""


class FindingsDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`data/findings.json` and `data/findings/<image>.json`: what is open, and what was."""

    version: Literal[1] = 1
    as_of: str
    sample: bool
    rows: int
    dictionaries: Dictionaries
    columns: Columns
    ratings: dict[str, list[tuple[int, int]]]
    """By row, only where the severity changed: each time and the severity from then."""


class CveDictionaries(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Values that the columns of the index name by their place."""

    severity: tuple[str, ...] = SEVERITIES
    image: tuple[str, ...]
    advisory: Advisories
    packages: tuple[str, ...]
    """Source packages or language packages; several are joined by `, `."""
    fixed: tuple[str, ...]
    time: tuple[str, ...]


class CveColumns(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One row for each vulnerability in each image that has it or had it."""

    advisory: list[int]
    image: list[int]
    severity: list[int]
    """The worst of its findings."""
    packages: list[int]
    fixed: list[int]
    since: list[int]
    until: list[int]
    """-1 while any of its findings is open."""
    open: list[int]
    """Open findings: binary packages that carry it now."""


class CveDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`data/cves.json`: which images have or had a vulnerability, since when, until when."""

    version: Literal[1] = 1
    as_of: str
    sample: bool
    rows: int
    dictionaries: CveDictionaries
    columns: CveColumns


class _Dictionary:
    """Gives each value a place, in the order in which they come."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}

    def place(self, value: str) -> int:
        return self.places.setdefault(value, len(self.places))

    def optional(self, value: str) -> int:
        return self.place(value) if value else NONE

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(self.places)


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One finding over time, open or gone."""

    member: str
    interval: Interval
    opened: OpenFinding | None
    """None when it is gone."""
    until: str
    end_cause: Cause | None


def rows_of(member: Member) -> list[Row]:
    """Everything that one image has and had. What a retired image still had went with it."""
    if member.timeline is None:
        return []
    opened = {each.finding.identity: each for each in member.findings}
    rows = []
    for interval in member.timeline.intervals:
        until, cause = interval.resolved_at, interval.resolved_cause
        if interval.is_open and not member.is_expected:
            until, cause = member.retired_at, Cause.SCOPE
        known = opened.get(interval.identity) if interval.is_open else None
        rows.append(Row(member=member.name, interval=interval, opened=known, until=until, end_cause=cause))
    return rows


def findings_document(fleet: Fleet, members: Iterable[Member]) -> FindingsDocument:
    """The document of `members`: worst first, then by vulnerability, image and package."""
    rows = sorted((row for member in members for row in rows_of(member)), key=_worst_first)
    return _Findings(fleet, rows).document()


def _worst_first(row: Row) -> tuple[object, ...]:
    identity = row.interval.identity
    return (
        bool(row.until),
        _SEVERITY[row.interval.severities[-1][1]],
        identity.id,
        row.member,
        identity.package,
        identity.path,
        identity.discriminator,
        row.interval.first_seen,
    )


class _Advisories:
    """The dictionary of vulnerabilities; what is told about one that is gone is what is known of its like."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.places: dict[str, int] = {}
        self.known: dict[str, OpenFinding] = {}
        for row in rows:
            name = row.interval.identity.id
            self.places.setdefault(name, len(self.places))
            if row.opened is not None:
                self.known.setdefault(name, row.opened)

    def tell(self) -> Advisories:
        known = [self.known.get(name) for name in self.places]
        return Advisories(
            id=tuple(self.places),
            title=tuple(each.finding.title if each else "" for each in known),
            url=tuple(https_only(each.finding.url) if each else "" for each in known),
        )


def https_only(url: str) -> str:
    """`url` if it is an address that a page may link to, else nothing."""
    return (
        url if url.startswith("https://") and url.isascii() and url.isprintable() and " " not in url else ""
    )


class _Findings:
    def __init__(self, fleet: Fleet, rows: list[Row]) -> None:
        self.fleet = fleet
        self.rows = rows
        self.retired = {member.name: member.retired_at for member in fleet.members}
        self.advisories = _Advisories(rows)
        names = ("image", "kind", "package_type", "package", "path", "version", "status", "owner")
        self.words = {name: _Dictionary() for name in names}
        times = {at for row in rows for at in _times(row)}
        self.times = {at: place for place, at in enumerate(sorted(times))}

    def document(self) -> FindingsDocument:
        columns = Columns(**{name: [] for name in Columns.__struct_fields__})
        ratings: dict[str, list[tuple[int, int]]] = {}
        for number, row in enumerate(self.rows):
            self._add(columns, row)
            severities = row.interval.severities
            if len(severities) > 1:
                ratings[str(number)] = [(self.times[at], _SEVERITY[each]) for at, each in severities]
        return FindingsDocument(
            as_of=self.fleet.as_of,
            sample=self.fleet.sample,
            rows=len(self.rows),
            dictionaries=Dictionaries(
                advisory=self.advisories.tell(),
                retired=tuple(self.retired[name] for name in self.words["image"].values),
                time=tuple(self.times),
                **{name: words.values for name, words in self.words.items()},
            ),
            columns=columns,
            ratings=ratings,
        )

    def _add(self, columns: Columns, row: Row) -> None:
        words, interval, opened = self.words, row.interval, row.opened
        identity, change = interval.identity, interval.change
        columns.image.append(words["image"].place(row.member))
        columns.kind.append(words["kind"].place(identity.kind.value))
        columns.advisory.append(self.advisories.places[identity.id])
        columns.severity.append(_SEVERITY[interval.severities[-1][1]])
        columns.package_type.append(words["package_type"].place(identity.package_type))
        columns.package.append(words["package"].place(identity.package))
        columns.source.append(words["package"].place(change.source or identity.package))
        columns.path.append(words["path"].place(identity.path))
        versions = opened.finding.versions if opened else change.versions
        columns.version.append(words["version"].place(", ".join(versions)))
        columns.fixed.append(words["version"].optional(opened.finding.fixed if opened else change.fixed))
        columns.status.append(words["status"].place(opened.finding.status if opened else ""))
        columns.since.append(self.times[interval.first_seen])
        columns.cause.append(_CAUSE[interval.cause])
        columns.until.append(self.times[row.until] if row.until else NONE)
        columns.end_cause.append(_CAUSE[row.end_cause] if row.end_cause else NONE)
        is_waiting = opened is not None and bool(opened.fixable_since) and not row.until
        columns.fixable_since.append(self.times[opened.fixable_since] if is_waiting and opened else NONE)
        columns.late.append(opened.late if opened and not row.until else 0)
        accepted = opened.exemption if opened else None
        columns.owner.append(words["owner"].optional(accepted.owner if accepted else ""))


def _times(row: Row) -> Iterable[str]:
    yield from (at for at, _ in row.interval.severities)
    yield row.interval.first_seen
    if row.until:
        yield row.until
    if row.opened and row.opened.fixable_since:
        yield row.opened.fixable_since


def cve_document(fleet: Fleet) -> CveDocument:
    """The index over all images, retired ones too, by id and image."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for member in fleet.members:
        for row in rows_of(member):
            if row.interval.identity.kind is Kind.VULNERABILITY:
                groups.setdefault((row.interval.identity.id, member.name), []).append(row)
    ordered = [(image, groups[name, image]) for name, image in sorted(groups)]
    advisories = _Advisories(row for _, rows in ordered for row in rows)
    images, packages, fixed = _Dictionary(), _Dictionary(), _Dictionary()
    times = {
        at: place for place, at in enumerate(sorted({at for _, rows in ordered for at in _spell(rows) if at}))
    }
    columns = CveColumns(**{name: [] for name in CveColumns.__struct_fields__})
    for image, rows in ordered:
        since, until = _spell(rows)
        still = [row for row in rows if not row.until] or rows
        columns.advisory.append(advisories.places[rows[0].interval.identity.id])
        columns.image.append(images.place(image))
        columns.severity.append(min(_SEVERITY[row.interval.severities[-1][1]] for row in still))
        names = {row.interval.change.source or row.interval.identity.package for row in still}
        columns.packages.append(packages.place(", ".join(sorted(names))))
        fixes = {row.interval.change.fixed for row in still if row.interval.change.fixed}
        columns.fixed.append(fixed.optional(", ".join(sorted(fixes))))
        columns.since.append(times[since])
        columns.until.append(times[until] if until else NONE)
        columns.open.append(sum(not row.until for row in rows))
    return CveDocument(
        as_of=fleet.as_of,
        sample=fleet.sample,
        rows=len(ordered),
        dictionaries=CveDictionaries(
            image=images.values,
            advisory=advisories.tell(),
            packages=packages.values,
            fixed=fixed.values,
            time=tuple(times),
        ),
        columns=columns,
    )


def _spell(rows: list[Row]) -> tuple[str, str]:
    """When the first of them was seen, and when the last of them went; empty while one is open."""
    until = "" if any(not row.until for row in rows) else max(row.until for row in rows)
    return min(row.interval.first_seen for row in rows), until


def encode(document: FindingsDocument | CveDocument) -> bytes:
    """The document as JSON on one line."""
    return msgspec.json.encode(document) + b"\n"


def as_script(name: str, data: bytes) -> bytes:
    """A script that gives the page the JSON `data` under `name`: from `file:` a page can read no JSON."""
    return b'(window.hullmark = window.hullmark || {})["%s"] =\n%s;\n' % (name.encode(), data.strip())
