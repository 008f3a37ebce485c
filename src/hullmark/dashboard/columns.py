"""The site's data: columns with dictionaries, for the pages and for other programs.

Each image is read once. The document of all findings joins those of the images, and the index of
vulnerabilities is made from that: no row is looked at twice.

Every row is spread over columns of equal length; a value that repeats stands once in a dictionary, and its
column holds the place. -1 stands for "none". Text is as the scanner gave it: whoever shows it escapes it.
Schemas: `schema/site-findings/1.json`, `schema/site-cves/1.json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from hullmark.dashboard.links import https_only
from hullmark.finding import Cause, Kind, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hullmark.dashboard.contents import Place
    from hullmark.fleet import Fleet, Member, OpenFinding
    from hullmark.history import Interval

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
    layer: tuple[str, ...]
    """Digests of uncompressed layers."""


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
    layer: list[int]
    """The layer that has the package; -1 where it is gone, or the SBOM does not say."""
    exploited: list[int]
    """1 where it is open and on the newest list that a decision asked; else 0."""


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


Rows = list[tuple[int, ...]]
_WORDS = ("kind", "package_type", "package", "path", "version", "status", "owner", "layer")
"""Dictionaries of plain words; the others have an order or parts of their own."""
_USES = {
    "image": "image",
    "kind": "kind",
    "advisory": "advisory",
    "package_type": "package_type",
    "package": "package",
    "source": "package",
    "path": "path",
    "version": "version",
    "fixed": "version",
    "status": "status",
    "since": "time",
    "until": "time",
    "fixable_since": "time",
    "owner": "owner",
    "layer": "layer",
}
"""The dictionary of each column that has one."""


def image_document(fleet: Fleet, member: Member, layers: Mapping[Place, str]) -> FindingsDocument:
    """All that one image has and had, what is open first, then worst first.

    What a retired image still had went with it. `layers` names the layer of each package that has one.
    """
    return _Image(member, layers).document(fleet)


class _Image:
    """The rows of one image, and the dictionaries that they name."""

    def __init__(self, member: Member, layers: Mapping[Place, str]) -> None:
        self.member = member
        self.layers = layers
        self.opened = {each.finding.identity: each for each in member.findings}
        lives = member.timeline.intervals if member.timeline else ()
        self.lives = sorted(lives, key=self._worst_first)
        self.words: dict[str, dict[str, int]] = {name: {} for name in _WORDS}
        self.advisories: dict[str, int] = {}
        self.known: dict[str, OpenFinding] = {}
        """For each vulnerability a finding that tells about it."""
        times = {at for life in self.lives for at, _ in life.severities}
        times |= {life.first_seen for life in self.lives}
        times |= {until for life in self.lives if (until := self._until(life))}
        times |= {each.fixable_since for each in member.findings if each.fixable_since}
        self.times = {at: place for place, at in enumerate(sorted(times))}

    def _until(self, life: Interval) -> str:
        return life.resolved_at or self.member.retired_at

    def _worst_first(self, life: Interval) -> tuple[object, ...]:
        one = life.identity
        rank = _SEVERITY[life.severities[-1][1]]
        return (
            bool(self._until(life)),
            rank,
            one.id,
            one.package,
            one.path,
            one.discriminator,
            life.first_seen,
        )

    def document(self, fleet: Fleet) -> FindingsDocument:
        rows = [self._places(life) for life in self.lives]
        names = Columns.__struct_fields__
        columns = map(list, zip(*rows, strict=True)) if rows else ([] for _ in names)
        told = [self.known.get(name) for name in self.advisories]
        return FindingsDocument(
            as_of=fleet.as_of,
            sample=fleet.sample,
            rows=len(rows),
            dictionaries=Dictionaries(
                image=(self.member.name,),
                retired=(self.member.retired_at,),
                advisory=Advisories(
                    id=tuple(self.advisories),
                    title=tuple(each.finding.title if each else "" for each in told),
                    url=tuple(https_only(each.finding.url) if each else "" for each in told),
                ),
                time=tuple(self.times),
                **{name: tuple(words) for name, words in self.words.items()},
            ),
            columns=Columns(**dict(zip(names, columns, strict=True))),
            ratings={
                str(row): [(self.times[at], _SEVERITY[each]) for at, each in life.severities]
                for row, life in enumerate(self.lives)
                if len(life.severities) > 1
            },
        )

    def _places(self, life: Interval) -> tuple[int, ...]:
        """One number for each column, in their order. A new word gets the next place in its dictionary."""
        words, times, one, change = self.words, self.times, life.identity, life.change
        packages, versions = words["package"], words["version"]
        opened = None if life.resolved_at else self.opened.get(one)
        until = self._until(life)
        cause = life.resolved_cause if life.resolved_at else Cause.SCOPE
        if opened:
            self.known.setdefault(one.id, opened)
        # What is open now is told by its finding, what is gone by its last change.
        told = opened.finding if opened else change
        now = None if until else opened
        layer = self.layers.get((one.package_type, one.package, one.path), "") if opened else ""
        owner = opened.exemption.owner if opened and opened.exemption else ""
        fixable = now.fixable_since if now else ""
        return (
            0,
            words["kind"].setdefault(one.kind.value, len(words["kind"])),
            self.advisories.setdefault(one.id, len(self.advisories)),
            _SEVERITY[life.severities[-1][1]],
            words["package_type"].setdefault(one.package_type, len(words["package_type"])),
            packages.setdefault(one.package, len(packages)),
            packages.setdefault(change.source or one.package, len(packages)),
            words["path"].setdefault(one.path, len(words["path"])),
            versions.setdefault(", ".join(told.versions), len(versions)),
            versions.setdefault(told.fixed, len(versions)) if told.fixed else NONE,
            _place(words["status"], opened.finding.status if opened else ""),
            times[life.first_seen],
            _CAUSE[life.cause],
            times[until] if until else NONE,
            _CAUSE[cause] if until and cause else NONE,
            times[fixable] if fixable else NONE,
            now.late if now else 0,
            _place(words["owner"], owner) if owner else NONE,
            _place(words["layer"], layer) if layer else NONE,
            int(now is not None and now.exploited),
        )


def _place(words: dict[str, int], value: str) -> int:
    """The place of `value` in a dictionary, which grows where it is new."""
    return words.setdefault(value, len(words))


def join(fleet: Fleet, documents: Sequence[FindingsDocument]) -> FindingsDocument:
    """All rows of `documents` in one, with one dictionary of each kind. Vulnerabilities are sorted by id."""
    all_ids = {name for each in documents for name in each.dictionaries.advisory.id}
    all_times = {at for each in documents for at in each.dictionaries.time}
    advisories = {name: place for place, name in enumerate(sorted(all_ids))}
    times = {at: place for place, at in enumerate(sorted(all_times))}
    words: dict[str, dict[str, int]] = {name: {} for name in ("image", *_WORDS)}
    told = [("", "")] * len(advisories)
    columns: dict[str, list[int]] = {name: [] for name in Columns.__struct_fields__}
    ratings: dict[str, list[tuple[int, int]]] = {}
    for document in documents:
        own = document.dictionaries
        places = {name: [_place(words[name], word) for word in getattr(own, name)] for name in words}
        places["advisory"] = [advisories[name] for name in own.advisory.id]
        places["time"] = [times[at] for at in own.time]
        for place, title, url in zip(places["advisory"], own.advisory.title, own.advisory.url, strict=True):
            told[place] = (told[place][0] or title, told[place][1] or url)
        first = len(columns["image"])
        for row, rated in document.ratings.items():
            ratings[str(first + int(row))] = [(places["time"][at], severity) for at, severity in rated]
        for name, column in columns.items():
            values = getattr(document.columns, name)
            if name in _USES:
                # -1 is the last place of a list, and stands for "none" here as there.
                table = [*places[_USES[name]], NONE]
                values = [table[value] for value in values]
            column.extend(values)
    return FindingsDocument(
        as_of=fleet.as_of,
        sample=fleet.sample,
        rows=len(columns["image"]),
        dictionaries=Dictionaries(
            retired=tuple(at for document in documents for at in document.dictionaries.retired),
            advisory=Advisories(
                id=tuple(advisories),
                title=tuple(title for title, _ in told),
                url=tuple(url for _, url in told),
            ),
            time=tuple(times),
            **{name: tuple(found) for name, found in words.items()},
        ),
        columns=Columns(**columns),
        ratings=ratings,
    )


def cve_document(findings: FindingsDocument) -> CveDocument:
    """The index over all images, retired ones too, by id and image."""
    own, given = findings.dictionaries, findings.columns
    severity, until, since, sources, fixes = (
        given.severity,
        given.until,
        given.since,
        given.source,
        given.fixed,
    )
    is_vulnerability = [kind == Kind.VULNERABILITY for kind in own.kind]
    order = {
        place: rank for rank, place in enumerate(sorted(range(len(own.image)), key=own.image.__getitem__))
    }
    spells: dict[tuple[int, int, int], list[int]] = {}
    for row, (advisory, image, kind) in enumerate(zip(given.advisory, given.image, given.kind, strict=True)):
        if is_vulnerability[kind]:
            spells.setdefault((advisory, order[image], image), []).append(row)
    packages: dict[str, int] = {}
    fixed: dict[str, int] = {}
    columns = CveColumns(**{name: [] for name in CveColumns.__struct_fields__})
    for (advisory, _, image), rows in sorted(spells.items()):
        open_ = [row for row in rows if until[row] < 0]
        still = open_ or rows
        named = {own.package[sources[row]] for row in still}
        fixing = {own.version[fixes[row]] for row in still if fixes[row] >= 0}
        columns.advisory.append(advisory)
        columns.image.append(image)
        columns.severity.append(min(severity[row] for row in still))
        columns.packages.append(_place(packages, ", ".join(sorted(named))))
        columns.fixed.append(_place(fixed, ", ".join(sorted(fixing))) if fixing else NONE)
        columns.since.append(min(since[row] for row in rows))
        columns.until.append(NONE if open_ else max(until[row] for row in rows))
        columns.open.append(len(open_))
    return CveDocument(
        as_of=findings.as_of,
        sample=findings.sample,
        rows=len(spells),
        dictionaries=CveDictionaries(
            image=own.image,
            advisory=own.advisory,
            packages=tuple(packages),
            fixed=tuple(fixed),
            time=own.time,
        ),
        columns=columns,
    )


def encode(document: FindingsDocument | CveDocument) -> bytes:
    """The document as JSON on one line."""
    return msgspec.json.encode(document) + b"\n"


def as_script(name: str, data: bytes) -> bytes:
    """A script that gives the page the JSON `data` under `name`: from `file:` a page can read no JSON."""
    return b'(window.hullmark = window.hullmark || {})["%s"] =\n%s;\n' % (name.encode(), data.strip())
