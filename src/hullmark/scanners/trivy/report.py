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

from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import InputError
from hullmark.finding import (
    Counts,
    Finding,
    Identity,
    Package,
    Severity,
    count_by_severity,
    merge_same_identity,
)
from hullmark.image import Platform
from hullmark.scan import Coverage, Gap, GapReason, Note, NoteReason, System, count_types
from hullmark.scanners.trivy import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

AGGREGATES = frozenset({"Node.js", "Python", "Java", "Ruby", "Conda", "Kubernetes"})
"""Targets that head packages of many files, as Trivy names them (trivy `pkg/scan/langpkg`)."""

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
    packages = tuple(sorted({package for result in results for package in _packages(result)}))
    config = metadata.ImageConfig
    return Report(
        artifact=root.ArtifactName,
        artifact_type=root.ArtifactType,
        created_at=root.CreatedAt,
        image_id=metadata.ImageID,
        repo_tags=tuple(sorted(metadata.RepoTags or ())),
        repo_digests=tuple(sorted(metadata.RepoDigests or ())),
        platform=Platform(config.os, config.architecture, config.variant) if config and config.os else None,
        scanner_version=root.Trivy.Version if root.Trivy else "",
        packages=packages,
        findings=_merged(
            finding for index, result in enumerate(results) for finding in _findings(index, result, file)
        ),
        rows=count_by_severity(
            severity_of(row.Severity) for result in results for row in result.Vulnerabilities or ()
        ),
        coverage=_coverage(results, metadata, packages),
    )


def severity_of(text: str) -> Severity:
    """A severity as Trivy writes it; whatever is not one of the five words is UNKNOWN."""
    return _SEVERITIES.get(text) or _SEVERITIES.get(text.strip().upper(), Severity.UNKNOWN)


def _merged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding for each identity, sorted by it, whatever the order of the report was (law 8)."""
    groups: dict[Identity, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.identity, []).append(finding)
    merged: list[Finding] = []
    for identity in sorted(groups):
        group = groups[identity]
        # Merging goes pair by pair, and its result depends on which pair is first.
        merged += group if len(group) == 1 else merge_same_identity(sorted(group, key=msgspec.json.encode))
    return tuple(merged)


def _packages(result: wire.Result) -> Iterator[Package]:
    base = _base_path(result)
    for package in result.Packages or ():
        yield Package(
            type=result.Type,
            name=package.Name,
            version=_version(package.Epoch, package.Version, package.Release),
            path=package.FilePath or base,
            source=package.SrcName,
            source_version=_version(package.SrcEpoch, package.SrcVersion, package.SrcRelease),
        )


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


def _findings(index: int, result: wire.Result, file: Path | str) -> Iterator[Finding]:
    # Sorted: of two packages with one name the last would win, and that must not be the report's choice.
    sources = dict(sorted((each.Name, each.SrcName) for each in result.Packages or () if each.SrcName))
    base = _base_path(result)
    rows = result.Vulnerabilities or ()
    for number, row in enumerate(rows):
        if not (row.VulnerabilityID and row.PkgName):
            _refuse_nameless(f"Results[{index}].Vulnerabilities[{number}]", row, file)
        yield _finding(row, result.Type, base, sources)
    for number, modified in enumerate(result.ExperimentalModifiedFindings or ()):
        found = modified.Finding
        if modified.Type != "vulnerability" or found is None:
            continue
        if not (found.VulnerabilityID and found.PkgName):
            place = f"Results[{index}].ExperimentalModifiedFindings[{number}].Finding"
            _refuse_nameless(place, found, file)
        yield _finding(found, result.Type, base, sources)


def _refuse_nameless(place: str, row: wire.Vulnerability, file: Path | str) -> None:
    missing = "PkgName" if row.VulnerabilityID else "VulnerabilityID"
    raise InputError("missing or empty", file=file, key=f"{place}.{missing}")


def _finding(row: wire.Vulnerability, package_type: str, base: str, sources: dict[str, str]) -> Finding:
    return Finding(
        id=row.VulnerabilityID,
        package_type=package_type,
        package=row.PkgName,
        path=row.PkgPath or base,
        severity=severity_of(row.Severity),
        severity_source=row.SeveritySource,
        versions=(row.InstalledVersion,) if row.InstalledVersion else (),
        fixed=row.FixedVersion,
        status=row.Status,
        source=sources.get(row.PkgName, ""),
        title=row.Title,
        url=row.PrimaryURL,
        published=row.PublishedDate,
    )


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
