"""A small vulnerability database in Trivy's own format, made from stated facts: for the demo and for tests.

Rules:
- The same advisories and dates give the same bytes.
- A sample says in its own content that it is one (bucket `hullmark-sample`, which Trivy never reads), so the
  mark cannot be lost by copying, and a real database put in its place does not inherit it.
- It contains the advisories of the canary, unless asked not to.
- A database that is not a sample is never overwritten.

The layout of the buckets is that of trivy-db's `pkg/db`; severities and states are integers there.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from hullmark.errors import InputError, UsageError
from hullmark.finding import Severity
from hullmark.scanners import bolt

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hullmark.scanners.advisory import Advisory

    Json: TypeAlias = dict[str, object]

MARK = "hullmark-sample"
"""Name of the root bucket that only samples have."""

DATABASE_FILE = "trivy.db"
METADATA_FILE = "metadata.json"
SCHEMA_VERSION = 2
_NEVER = "2099-01-01T00:00:00Z"

_STATES = {"affected": 2, "under_investigation": 4, "will_not_fix": 5, "fix_deferred": 6, "end_of_life": 7}


class _Origin(NamedTuple):
    """Where advisories of a system come from, as Trivy's `data-source` bucket says it."""

    bucket: str
    id: str
    name: str
    url: str


_FAMILIES = {
    "debian": ("Debian Security Tracker", "https://salsa.debian.org/security-tracker-team/security-tracker"),
    "ubuntu": ("Ubuntu CVE Tracker", "https://git.launchpad.net/ubuntu-cve-tracker"),
    "alpine": ("Alpine Secdb", "https://secdb.alpinelinux.org/"),
}
_ECOSYSTEMS = ("cargo", "composer", "go", "maven", "npm", "nuget", "pip", "rubygems")
_RELEASE = re.compile(r"(?P<family>[a-z]+) [0-9][0-9.]*")


def build(
    advisories: Iterable[Advisory],
    *,
    folder: Path,
    updated_at: dt.datetime,
    until: dt.date | None = None,
    canary: bool = True,
) -> Path:
    """Make `folder` a Trivy cache folder with the advisories known on the day `until`, and return it.

    Overwrites an earlier sample there, never a real database (UsageError).
    """
    place = folder / "db"
    refuse_real(place / DATABASE_FILE)
    place.mkdir(parents=True, exist_ok=True)
    chosen = select(advisories, until=until, canary=canary)
    # The metadata goes first and comes back last: a build that stops in between leaves no usable mixture.
    (place / METADATA_FILE).unlink(missing_ok=True)
    bolt.write(place / DATABASE_FILE, contents(chosen, until=until))
    (place / METADATA_FILE).write_bytes(metadata(updated_at))
    return folder


def date_of(advisories: Iterable[Advisory]) -> dt.date:
    """The day from which a sample knows all of `advisories`; UsageError when none names a day."""
    days = [advisory.known for advisory in advisories if advisory.known is not None]
    if not days:
        raise UsageError("no advisory says since when it is known", hint="Give a date with --until.")
    return max(days)


def refuse_real(path: Path) -> None:
    """Raise UsageError when `path` is a database that is not a sample."""
    if not path.exists():
        return
    try:
        real = MARK not in bolt.names(path)
    except InputError:
        return  # a damaged one is nobody's loss
    if real:
        raise UsageError(
            f"{path} is a real vulnerability database; a sample does not replace it",
            hint="Choose another folder, for example with --out.",
        )


def select(advisories: Iterable[Advisory], *, until: dt.date | None, canary: bool) -> tuple[Advisory, ...]:
    """The advisories known on the day `until`, sorted, with those of the canary that they lack."""
    from hullmark.scanners.canary import advisories as canary_advisories  # noqa: PLC0415 - reads package data

    chosen = {a.key: a for a in canary_advisories()} if canary else {}
    for advisory in advisories:
        if until is None or advisory.known is None or advisory.known <= until:
            chosen[advisory.key] = advisory
    return tuple(chosen[key] for key in sorted(chosen))


def metadata(updated_at: dt.datetime) -> bytes:
    """Trivy's `metadata.json`. A sample never asks for an update."""
    date = updated_at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return msgspec.json.encode(
        {"Version": SCHEMA_VERSION, "UpdatedAt": date, "NextUpdate": _NEVER, "DownloadedAt": date}
    )


def contents(advisories: Iterable[Advisory], *, until: dt.date | None = None) -> bolt.Tree:
    """The buckets of a database with `advisories`, in trivy-db's layout."""
    sources: bolt.Tree = {}
    tree: bolt.Tree = {"data-source": sources, MARK: {"until": until.isoformat().encode() if until else b""}}
    by_id: dict[str, list[Advisory]] = {}
    for advisory in advisories:
        origin = _origin(advisory.system)
        packages = _child(tree, origin.bucket)
        _child(packages, advisory.package)[advisory.id] = msgspec.json.encode(_statement(advisory))
        sources[origin.bucket] = msgspec.json.encode(
            {"ID": origin.id, "Name": origin.name, "URL": origin.url}
        )
        by_id.setdefault(advisory.id, []).append(advisory)
    # The bucket must exist even when empty: Trivy follows it without asking.
    tree["vulnerability"] = {id_: msgspec.json.encode(_record(group)) for id_, group in by_id.items()}
    return tree


def _child(tree: bolt.Tree, name: str) -> bolt.Tree:
    inner = tree.setdefault(name, {})
    assert isinstance(inner, dict)  # noqa: S101 - names of buckets and of values never meet in this layout
    return inner


def _origin(system: str) -> _Origin:
    if system in _ECOSYSTEMS:
        name = f"GitHub Security Advisory {system}"
        url = f"https://github.com/advisories?query=type%3Areviewed+ecosystem%3A{system}"
        return _Origin(f"{system}::{name}", "ghsa", name, url)
    release = _RELEASE.fullmatch(system)
    if release is None or release["family"] not in _FAMILIES:
        raise UsageError(
            f"a sample database cannot hold advisories for {system!r}",
            hint=f"Known: {', '.join(_FAMILIES)} with a release, {', '.join(_ECOSYSTEMS)}.",
        )
    return _Origin(system, release["family"], *_FAMILIES[release["family"]])


def _statement(advisory: Advisory) -> Json:
    """What the source says of the package: the value below package and id."""
    if advisory.system in _ECOSYSTEMS:
        affected = advisory.vulnerable or (f"<{advisory.fixed}" if advisory.fixed else ">=0")
        patched = {"PatchedVersions": [advisory.fixed]} if advisory.fixed else {}
        return {**patched, "VulnerableVersions": [affected]}
    said: Json = {"FixedVersion": advisory.fixed} if advisory.fixed else {"Status": _STATES[advisory.status]}
    if _is_own_rating(advisory):
        said["Severity"] = advisory.severity.rank
    return said


def _is_own_rating(advisory: Advisory) -> bool:
    """Whether the distribution rated the vulnerability for its own package."""
    return advisory.rated_by == "debian" and advisory.system.startswith("debian ")


def _record(advisories: list[Advisory]) -> Json:
    """The vulnerability's own record: what all its advisories know; the worst rating wins.

    A distribution's own rating stays with its package.
    """
    rated = sorted(
        (a for a in advisories if a.severity is not Severity.UNKNOWN and not _is_own_rating(a)),
        key=lambda advisory: advisory.severity.rank,
    )
    record: Json = {}
    if rated:
        record["Severity"] = rated[-1].severity.value
    if ratings := {a.rated_by: a.severity.rank for a in rated if a.rated_by}:
        record["VendorSeverity"] = ratings
    if scores := {a.scored_by: {"V3Score": a.score} for a in advisories if a.score is not None}:
        record["CVSS"] = scores
    for name, values in (
        ("Title", [a.title for a in advisories if a.title]),
        ("PublishedDate", [f"{a.published.isoformat()}T00:00:00Z" for a in advisories if a.published]),
    ):
        if values:
            record[name] = values[0]
    return record
