"""Findings and packages, free of any scanner's words: severity, identity and the two counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable  # noqa: TC003 - msgspec resolves field types at run time
from enum import Enum, StrEnum
from itertools import pairwise
from typing import NamedTuple

import msgspec


class Severity(StrEnum):
    """How bad a finding is, worst first. UNKNOWN has no rank: never relevant, never clean."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"
    UNKNOWN = "UNKNOWN"

    @property
    def rank(self) -> int:
        """1 (LOW) to 4 (CRITICAL); 0 for UNKNOWN, which compares with nothing."""
        return _RANKS[self]

    @property
    def is_relevant(self) -> bool:
        """MEDIUM and up: what opens issues and what the gate counts."""
        return _RANKS[self] >= _RANKS[Severity.MEDIUM]


_RANKS = {
    Severity.UNKNOWN: 0,
    Severity.LOW: 1,
    Severity.MEDIUM: 2,
    Severity.HIGH: 3,
    Severity.CRITICAL: 4,
}


class Kind(StrEnum):
    """What a finding is about."""

    VULNERABILITY = "vulnerability"
    MISCONFIGURATION = "misconfiguration"
    SECRET = "secret"  # noqa: S105 - the name of a kind, not a secret
    LICENCE = "licence"
    CODE = "code"


KIND_TITLES = {
    Kind.VULNERABILITY: "Vulnerabilities",
    Kind.MISCONFIGURATION: "Misconfigurations",
    Kind.SECRET: "Secrets",
    Kind.LICENCE: "Licences",
    Kind.CODE: "Code weaknesses",
}
"""Each kind as a heading: findings of two kinds are never added up."""


class Cause(Enum):
    """Why a finding is in a delta."""

    IMAGE = "image"
    """A package was added, removed or changed version by this change."""
    REBUILD = "rebuild"
    """The inputs were equal, the packages differ."""
    DATABASE = "database"
    """Disclosed or withdrawn since the last scan."""
    RATING = "rating"
    """The same finding, rated otherwise."""
    SCANNER = "scanner"
    """Another scanner version, with the same database."""
    EXEMPTION = "exemption"
    """An accepted risk began or ended."""
    SCOPE = "scope"
    """The image, platform or coverage joined or left."""


class Identity(NamedTuple):
    """What makes two findings the same one.

    Never the installed version, Trivy's Target, PURL qualifiers, layer, UID or Fingerprint: each of those
    invents hundreds of "new" findings when nothing changed (DESIGN §4).
    """

    kind: Kind
    id: str
    package_type: str
    package: str
    path: str
    discriminator: str


class VulnerabilityKey(NamedTuple):
    """One vulnerability of one source package, however many binary packages carry it."""

    id: str
    package_type: str
    source: str


# gc=False: text and enums cannot form a cycle, and reports bring them by the hundred thousand.
class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One vulnerability (or misconfiguration, secret, licence, code weakness) in one package or file."""

    kind: Kind = Kind.VULNERABILITY
    id: str
    package_type: str
    """`debian`, `node-pkg`, … as the ecosystem is called by the scanner's result."""
    package: str
    path: str = ""
    """Where a language package lies; empty for packages of the operating system."""
    discriminator: str = ""
    """A hash of the normalised match, for kinds that can occur twice in one file."""
    line: int = 0
    """Where in the file it was seen, from 1; no part of the identity. 0 for packages and whole files."""
    severity: Severity
    severity_source: str = ""
    """Who rated it; empty when the database does not say."""
    versions: tuple[str, ...] = ()
    """Installed versions, sorted; more than one when a package is installed twice at one path."""
    fixed: str = ""
    """Version that fixes it, as the advisory writes it; empty when there is none yet."""
    status: str = ""
    """The advisory's state: `affected`, `fixed`, `will_not_fix`, `fix_deferred`, `end_of_life`, …"""
    source: str = ""
    """Source package; empty where there is none, then `package` stands for it."""
    title: str = ""
    url: str = ""
    published: str = ""
    """Date of disclosure, RFC 3339, as the database gives it; empty when unknown."""

    @property
    def identity(self) -> Identity:
        """The finding's identity over time."""
        return Identity(self.kind, self.id, self.package_type, self.package, self.path, self.discriminator)

    @property
    def vulnerability(self) -> VulnerabilityKey:
        """The vulnerability this finding is a part of."""
        return VulnerabilityKey(self.id, self.package_type, self.source or self.package)


class Package(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, order=True, gc=False):
    """A package that a scan saw in an image."""

    type: str
    name: str
    version: str
    path: str = ""
    source: str = ""
    source_version: str = ""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many, by severity."""

    critical: int = 0
    high: int = 0
    medium: int = 0
    low: int = 0
    unknown: int = 0

    @property
    def relevant(self) -> int:
        """MEDIUM and up."""
        return self.critical + self.high + self.medium

    @property
    def total(self) -> int:
        """All severities, UNKNOWN included."""
        return self.relevant + self.low + self.unknown

    # Field by field: the weeks of a fleet add them up by the ten thousand.
    def __add__(self, other: Counts) -> Counts:
        return Counts(
            critical=self.critical + other.critical,
            high=self.high + other.high,
            medium=self.medium + other.medium,
            low=self.low + other.low,
            unknown=self.unknown + other.unknown,
        )

    def __sub__(self, other: Counts) -> Counts:
        return Counts(
            critical=self.critical - other.critical,
            high=self.high - other.high,
            medium=self.medium - other.medium,
            low=self.low - other.low,
            unknown=self.unknown - other.unknown,
        )


def count_by_severity(severities: Iterable[Severity]) -> Counts:
    """Count `severities`."""
    numbers = Counter(severities)
    return Counts(
        critical=numbers[Severity.CRITICAL],
        high=numbers[Severity.HIGH],
        medium=numbers[Severity.MEDIUM],
        low=numbers[Severity.LOW],
        unknown=numbers[Severity.UNKNOWN],
    )


def count_findings(findings: Iterable[Finding]) -> Counts:
    """Count findings, one for each affected package: what Trivy and the version 3 summary count."""
    return count_by_severity(finding.severity for finding in findings)


def count_vulnerabilities(findings: Iterable[Finding]) -> Counts:
    """Count vulnerabilities, each once at its worst severity: what the gate counts.

    UNKNOWN only where no package has a rating.
    """
    worst: dict[tuple[str, str, str], Severity] = {}
    for finding in findings:
        # The fields of VulnerabilityKey, as they are: summaries count by the hundred thousand.
        key = (finding.id, finding.package_type, finding.source or finding.package)
        known = worst.get(key)
        if known is None or _RANKS[finding.severity] > _RANKS[known]:
            worst[key] = finding.severity
    return count_by_severity(worst.values())


def merge_same_identity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort by identity, and make one finding with all versions of those that share an identity.

    The worst severity wins, so that merging never hides anything.
    """
    given = tuple(findings)
    if all(one < other for one, other in pairwise(finding.identity for finding in given)):
        return given  # what a scan gives is so already
    groups: dict[Identity, list[Finding]] = {}
    for finding in given:
        groups.setdefault(finding.identity, []).append(finding)
    return tuple(_merge(groups[identity]) for identity in sorted(groups))


def _merge(group: list[Finding]) -> Finding:
    if len(group) == 1:
        return group[0]
    # By content, not by arrival: the order of a report must not change an output byte (law 8).
    first = min(group, key=lambda finding: (-finding.severity.rank, _content(finding)))
    fixes = {part for finding in group for part in finding.fixed.split(", ") if part}
    return msgspec.structs.replace(
        first,
        versions=tuple(sorted({version for finding in group for version in finding.versions})),
        fixed=", ".join(sorted(fixes)),
    )


def _content(finding: Finding) -> bytes:
    return msgspec.json.encode(finding)
