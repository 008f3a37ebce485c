"""What each image consists of, as the SBOM of its newest scan says: packages, licences, layers.

Rules (each has a test with the same words):
- every finding of an image lies in one of its packages, so that those of all packages are all findings;
- an SBOM is published as it was recorded, byte for byte.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from hullmark.finding import Counts, Finding, Severity, count_by_severity
from hullmark.scanners.trivy.sbom import Installed, installed

if TYPE_CHECKING:
    from hullmark.fleet import Fleet, Member
    from hullmark.image import Digest
    from hullmark.journal import Journal

Place = tuple[str, str, str]
"""Type, name and path: where a finding and a package are the same place."""


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """One image's SBOM and what is in it."""

    sbom: bytes
    packages: tuple[Installed, ...]
    """By type and name."""
    layers: Mapping[Place, str]
    """The layer of each package that has one."""


class PackageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A package, and how many findings lie in it."""

    installed: Installed
    findings: int


class LayerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A layer, what it brings, and what was found in that."""

    digest: str
    """Empty for packages of which the SBOM names no layer."""
    packages: int
    counts: Counts


def read_contents(journal: Journal, fleet: Fleet) -> dict[str, Contents]:
    """The contents of every image that was scanned, by its name."""
    read: dict[Digest, Contents] = {}
    found: dict[str, Contents] = {}
    for member in fleet.members:
        if member.timeline is None:
            continue
        digest = member.timeline.latest.sbom
        if digest not in read:
            read[digest] = _contents(journal.evidence.get(digest), str(journal.evidence.path(digest)))
        found[member.name] = read[digest]
    return found


def _contents(sbom: bytes, file: str) -> Contents:
    packages = installed(sbom, file=file)
    return Contents(
        sbom=sbom,
        packages=packages,
        layers={
            (each.package.type, each.package.name, each.package.path): each.layer
            for each in packages
            if each.layer
        },
    )


def place_of(finding: Finding) -> Place:
    """Where a finding lies."""
    return finding.package_type, finding.package, finding.path


def package_rows(member: Member, contents: Contents) -> list[PackageRow]:
    """Every package, with the findings that are open in it."""
    numbers = Counter(place_of(each.finding) for each in member.findings)
    return [
        PackageRow(installed=each, findings=numbers[each.package.type, each.package.name, each.package.path])
        for each in contents.packages
    ]


def layer_rows(member: Member, contents: Contents) -> list[LayerRow]:
    """Every layer that brings a package, those with the most findings first."""
    packages = Counter(each.layer for each in contents.packages)
    severities: dict[str, list[Severity]] = defaultdict(list)
    for each in member.findings:
        severities[contents.layers.get(place_of(each.finding), "")].append(each.severity)
    rows = [
        LayerRow(digest=digest, packages=packages[digest], counts=count_by_severity(severities[digest]))
        for digest in packages.keys() | severities.keys()
    ]
    return sorted(rows, key=lambda row: (-row.counts.total, -row.packages, row.digest))
