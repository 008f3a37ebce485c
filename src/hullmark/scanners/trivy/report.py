"""Read Trivy's JSON report: its words end here, findings, packages and coverage begin.

Rules:
- identity follows DESIGN §4: no path for packages of the operating system; for language packages Trivy's
  PkgPath, or the result's Target where that is one file of the image (`usr/bin/tool`), never where it is a
  heading over many (`Node.js`);
- whatever is absent becomes coverage with a reason; an absent or unknown severity is UNKNOWN;
- findings that a filter of Trivy took away are findings: filters belong to Hullmark;
- the order of results, packages and rows never changes the outcome;
- text is data: it is kept as it is, and escaped by whoever shows it.

Only vulnerabilities are read; Trivy's misconfigurations, secrets and licences have no reader yet.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, NoReturn

import msgspec

from hullmark.errors import InputError
from hullmark.finding import (
    Counts,
    Finding,
    Package,
    Severity,
    merge_same_identity,
)
from hullmark.image import Platform
from hullmark.scan import Coverage, Gap, GapReason, Note, NoteReason, System, count_types
from hullmark.scanners.trivy import wire

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

AGGREGATES = frozenset({"Node.js", "Python", "Java", "Ruby", "Conda", "Kubernetes"})
"""Targets that head packages of many files, as Trivy names them (trivy `pkg/scan/langpkg`)."""

TITLE = "org.opencontainers.image.title"
"""The label by which an image says what it is (OCI image specification, pre-defined annotation keys)."""

SYSTEM_CLASS = "os-pkgs"

SYSTEM_TYPES = frozenset(
    {
        *("alma", "alpine", "amazon", "azurelinux", "bottlerocket", "cbl-mariner", "centos", "chainguard"),
        *("debian", "echo", "fedora", "minimos", "opensuse", "opensuse-leap", "opensuse-tumbleweed"),
        *("opensuse.leap", "opensuse.tumbleweed", "oracle", "photon", "redhat", "rocky", "seal", "slem"),
        *("slem-micro", "sles", "suse", "suse linux enterprise server", "ubuntu", "wolfi"),
    }
)
"""Types of operating systems, needed for reports before 0.19, which have no Class."""

_SEVERITIES = {severity.value: severity for severity in Severity}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says, in Hullmark's words."""

    artifact: str
    """What was scanned, as Trivy was told: a reference, or the path of a file."""
    artifact_type: str
    created_at: str
    """RFC 3339 as Trivy wrote it; empty before 0.48."""
    image_id: str
    """Digest of the image's configuration; empty when the report does not say."""
    repo_tags: tuple[str, ...]
    repo_digests: tuple[str, ...]
    title: str
    """What the image's own label says that it is; empty when it says nothing."""
    platform: Platform | None
    """None when the report has no image configuration: matched SBOMs, old reports."""
    scanner_version: str
    """Empty before 0.69."""
    packages: tuple[Package, ...]
    findings: tuple[Finding, ...]
    """One for each identity, sorted by it; with what a filter of Trivy took away."""
    rows: Counts
    """Rows by severity as Trivy counts them: not merged, without what a filter took away."""
    coverage: Coverage

    @property
    def system(self) -> System | None:
        """The operating system release, None when the report names none."""
        return self.coverage.system


def read_report(data: bytes, *, file: Path | str) -> Report:
    """Read a report of Trivy 0.10 or newer; anything else is an InputError with the place of the fault."""
    root = wire.decode(data, file=file)
    results = root.Results or []
    metadata = root.Metadata or wire.Metadata()
    packages = _packages(results)
    config = metadata.ImageConfig
    return Report(
        artifact=root.ArtifactName,
        artifact_type=root.ArtifactType,
        created_at=root.CreatedAt,
        image_id=metadata.ImageID,
        repo_tags=tuple(sorted(metadata.RepoTags or ())),
        repo_digests=tuple(sorted(metadata.RepoDigests or ())),
        title=config.labels.get(TITLE, "") if config else "",
        platform=Platform(config.os, config.architecture, config.variant) if config and config.os else None,
        scanner_version=root.Trivy.Version if root.Trivy else "",
        packages=packages,
        findings=_findings(results, file),
        rows=_count_rows(results),
        coverage=_coverage(results, metadata, packages),
    )


class _Marks(msgspec.Struct):
    SchemaVersion: object = None


_MARKS = msgspec.json.Decoder(_Marks)


def is_report(data: bytes) -> bool:
    """Whether `data` looks like a report of Trivy's, of any version, and not like an SBOM."""
    try:
        return _MARKS.decode(data).SchemaVersion is not None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data[:64].lstrip()[:1] == b"["


def severity_of(text: str) -> Severity:
    """A severity as Trivy writes it; whatever is not one of the five words is UNKNOWN."""
    return _SEVERITIES.get(text) or _SEVERITIES.get(text.strip().upper(), Severity.UNKNOWN)


def _packages(results: Iterable[wire.Result]) -> tuple[Package, ...]:
    found: list[Package] = []
    for result in results:
        base = _base_path(result)
        found += [
            Package(
                type=result.Type,
                name=each.Name,
                version=_version(each.Epoch, each.Version, each.Release),
                path=each.FilePath or base,
                source=each.SrcName,
                source_version=_version(each.SrcEpoch, each.SrcVersion, each.SrcRelease),
            )
            for each in result.Packages or ()
        ]
    found.sort()
    return tuple(package for package, _ in groupby(found))


def _version(epoch: int, version: str, release: str) -> str:
    """The version as the package manager writes it; Trivy stores its parts."""
    full = f"{version}-{release}" if release else version
    return f"{epoch}:{full}" if epoch else full


def _base_path(result: wire.Result) -> str:
    """The path of packages that name none themselves."""
    if _is_system(result) or result.Target in AGGREGATES:
        return ""
    return result.Target


def _is_system(result: wire.Result) -> bool:
    return result.Class == SYSTEM_CLASS if result.Class else result.Type in SYSTEM_TYPES


def _count_rows(results: Iterable[wire.Result]) -> Counts:
    texts: Counter[str] = Counter()
    for result in results:
        texts.update(map(attrgetter("Severity"), result.Vulnerabilities or ()))
    numbers: Counter[str] = Counter()
    for text, number in texts.items():
        numbers[severity_of(text).value.lower()] += number
    return Counts(**numbers)


class _NamelessError(Exception):
    """A row without a vulnerability or a package."""


def _findings(results: Iterable[wire.Result], file: Path | str) -> tuple[Finding, ...]:
    """One finding for each identity, sorted by it, whatever the order of the report was (law 8)."""
    found: list[Finding] = []
    for index, result in enumerate(results):
        rows = result.Vulnerabilities or []
        modified = [_if_vulnerability(each) for each in result.ExperimentalModifiedFindings or ()]
        try:
            found += _of_rows(result, rows)
            found += _of_rows(result, filter(None, modified))
        except _NamelessError:
            _refuse_nameless(rows, f"Results[{index}].Vulnerabilities[{{}}]", file)
            _refuse_nameless(modified, f"Results[{index}].ExperimentalModifiedFindings[{{}}].Finding", file)
    # The order of identities, field by field from the last: strings compare much faster than tuples.
    for field in ("path", "package", "package_type", "id"):
        found.sort(key=attrgetter(field))
    if not _has_repeated(found):
        return tuple(found)
    # Merging goes pair by pair, and its result depends on which pair is first.
    return merge_same_identity(sorted(found, key=msgspec.json.encode))


def _if_vulnerability(modified: wire.Modified) -> wire.Vulnerability | None:
    return modified.Finding if modified.Type == "vulnerability" else None


def _refuse_nameless(rows: Iterable[wire.Vulnerability | None], place: str, file: Path | str) -> None:
    for number, row in enumerate(rows):
        if row is not None and not (row.VulnerabilityID and row.PkgName):
            missing = "PkgName" if row.VulnerabilityID else "VulnerabilityID"
            raise InputError("missing or empty", file=file, key=f"{place.format(number)}.{missing}")


def _of_rows(result: wire.Result, rows: Iterable[wire.Vulnerability]) -> list[Finding]:
    package_type, base, sources = result.Type, _base_path(result), _sources(result)
    return [
        Finding(
            id=row.VulnerabilityID or _nameless(),
            package_type=package_type,
            package=row.PkgName or _nameless(),
            path=row.PkgPath or base,
            severity=_SEVERITIES.get(row.Severity) or severity_of(row.Severity),
            severity_source=row.SeveritySource,
            versions=(row.InstalledVersion,) if row.InstalledVersion else (),
            fixed=row.FixedVersion,
            status=row.Status,
            source=sources.get(row.PkgName, ""),
            title=row.Title,
            url=row.PrimaryURL,
            published=row.PublishedDate,
        )
        for row in rows
    ]


def _nameless() -> NoReturn:
    raise _NamelessError


def _has_repeated(found: Iterable[Finding]) -> bool:
    """Whether two neighbours have one identity; without making identities, which would cost more."""
    return any(
        one.id == other.id
        and one.package == other.package
        and one.path == other.path
        and one.package_type == other.package_type
        for one, other in pairwise(found)
    )


def _sources(result: wire.Result) -> dict[str, str]:
    """Source package by package. Sorted: of two with one name, the report's order must not choose."""
    return dict(sorted((each.Name, each.SrcName) for each in result.Packages or () if each.SrcName))


def _coverage(results: list[wire.Result], metadata: wire.Metadata, packages: tuple[Package, ...]) -> Coverage:
    gaps: set[Gap] = set()
    notes: set[Note] = set()
    if not results:
        gaps.add(Gap(GapReason.EMPTY_RESULTS))
    elif not packages:
        gaps.add(Gap(GapReason.NO_PACKAGES))
    else:
        bare = {result.Type for result in results if result.Vulnerabilities and not result.Packages}
        gaps.update(Gap(GapReason.NO_PACKAGES, package_type) for package_type in bare)
    system = metadata.OS
    if system is not None and system.EOSL:
        notes.add(Note(NoteReason.END_OF_LIFE, f"{system.Family} {system.Name}".strip()))
    return Coverage(
        system=System(system.Family, system.Name) if system is not None and system.Family else None,
        package_types=count_types(packages),
        gaps=tuple(sorted(gaps)),
        notes=tuple(sorted(notes)),
    )
