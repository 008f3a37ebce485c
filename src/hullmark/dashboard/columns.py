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


def _place(words: dict[str, int], value: str) -> int:
    """The place of `value` in a dictionary, which grows where it is new."""
    return words.setdefault(value, len(words))


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


def findings_document(fleet: Fleet, rows: Iterable[Row]) -> FindingsDocument:
    """The document of `rows`: worst first, then by vulnerability, image and package."""
    return _Findings(fleet, sorted(rows, key=_worst_first)).document()


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
        self.words: dict[str, dict[str, int]] = {name: {} for name in names}
        times = {at for row in rows for at in _times(row)}
        self.times = {at: place for place, at in enumerate(sorted(times))}

    def document(self) -> FindingsDocument:
        rows = list(map(self._places, self.rows))
        names = Columns.__struct_fields__
        columns = map(list, zip(*rows, strict=True)) if rows else ([] for _ in names)
        ratings = {
            str(number): [(self.times[at], _SEVERITY[each]) for at, each in row.interval.severities]
            for number, row in enumerate(self.rows)
            if len(row.interval.severities) > 1
        }
        return FindingsDocument(
            as_of=self.fleet.as_of,
            sample=self.fleet.sample,
            rows=len(rows),
            dictionaries=Dictionaries(
                advisory=self.advisories.tell(),
                retired=tuple(self.retired[name] for name in self.words["image"]),
                time=tuple(self.times),
                **{name: tuple(words) for name, words in self.words.items()},
            ),
            columns=Columns(**dict(zip(names, columns, strict=True))),
            ratings=ratings,
        )

    def _places(self, row: Row) -> tuple[int, ...]:
        """One number for each column, in their order."""
        words, times, interval, opened = self.words, self.times, row.interval, row.opened
        identity, change = interval.identity, interval.change
        packages, versions = words["package"], words["version"]
        # What is open now is told by its finding, what is gone by its last change.
        told = opened.finding if opened else change
        is_open = opened is not None and not row.until
        owner = opened.exemption.owner if opened and opened.exemption else ""
        return (
            _place(words["image"], row.member),
            _place(words["kind"], identity.kind.value),
            self.advisories.places[identity.id],
            _SEVERITY[interval.severities[-1][1]],
            _place(words["package_type"], identity.package_type),
            _place(packages, identity.package),
            _place(packages, change.source or identity.package),
            _place(words["path"], identity.path),
            _place(versions, ", ".join(told.versions)),
            _place(versions, told.fixed) if told.fixed else NONE,
            _place(words["status"], opened.finding.status if opened else ""),
            times[interval.first_seen],
            _CAUSE[interval.cause],
            times[row.until] if row.until else NONE,
            _CAUSE[row.end_cause] if row.end_cause else NONE,
            times[opened.fixable_since] if is_open and opened and opened.fixable_since else NONE,
            opened.late if is_open and opened else 0,
            _place(words["owner"], owner) if owner else NONE,
        )


def _times(row: Row) -> Iterable[str]:
    yield from (at for at, _ in row.interval.severities)
    yield row.interval.first_seen
    if row.until:
        yield row.until
    if row.opened and row.opened.fixable_since:
        yield row.opened.fixable_since


def cve_document(fleet: Fleet, found: Iterable[Row]) -> CveDocument:
    """The index over all images, retired ones too, by id and image."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in found:
        if row.interval.identity.kind is Kind.VULNERABILITY:
            groups.setdefault((row.interval.identity.id, row.member), []).append(row)
    ordered = [(image, groups[name, image]) for name, image in sorted(groups)]
    advisories = _Advisories(row for _, rows in ordered for row in rows)
    images: dict[str, int] = {}
    packages: dict[str, int] = {}
    fixed: dict[str, int] = {}
    times = {
        at: place for place, at in enumerate(sorted({at for _, rows in ordered for at in _spell(rows) if at}))
    }
    columns = CveColumns(**{name: [] for name in CveColumns.__struct_fields__})
    for image, rows in ordered:
        since, until = _spell(rows)
        still = [row for row in rows if not row.until] or rows
        columns.advisory.append(advisories.places[rows[0].interval.identity.id])
        columns.image.append(_place(images, image))
        columns.severity.append(min(_SEVERITY[row.interval.severities[-1][1]] for row in still))
        names = {row.interval.change.source or row.interval.identity.package for row in still}
        columns.packages.append(_place(packages, ", ".join(sorted(names))))
        fixes = {row.interval.change.fixed for row in still if row.interval.change.fixed}
        columns.fixed.append(_place(fixed, ", ".join(sorted(fixes))) if fixes else NONE)
        columns.since.append(times[since])
        columns.until.append(times[until] if until else NONE)
        columns.open.append(sum(not row.until for row in rows))
    return CveDocument(
        as_of=fleet.as_of,
        sample=fleet.sample,
        rows=len(ordered),
        dictionaries=CveDictionaries(
            image=tuple(images),
            advisory=advisories.tell(),
            packages=tuple(packages),
            fixed=tuple(fixed),
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
