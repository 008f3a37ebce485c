"""From an image, or from an SBOM of one, to a recorded Scan.

Recorded vulnerabilities always come from matching the normalised SBOM, so that gate, issue and summary can
never disagree; what only one of the two ways shows is a note (DESIGN §4).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence  # noqa: TC003 - msgspec resolves field types at run time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hullmark.errors import InputError
from hullmark.finding import Finding, Package  # noqa: TC001 - NamedTuple fields
from hullmark.image import Digest, Platform
from hullmark.scan import (
    Containment,
    Coverage,
    Gap,
    GapReason,
    Note,
    NoteReason,
    Scan,
    count_types,
)
from hullmark.scanners.trivy import sbom as cyclonedx
from hullmark.scanners.trivy.decoding import read_file
from hullmark.scanners.trivy.layout import manifest_of
from hullmark.scanners.trivy.report import read_report
from hullmark.scanners.trivy.wire import MAX_REPORT

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.scanners.trivy.report import Report
    from hullmark.scanners.trivy.scanner import Trivy


class ScanResult(msgspec.Struct, frozen=True, kw_only=True):
    """A scan, and the two documents behind it."""

    scan: Scan
    sbom: bytes
    """The normalised SBOM that the findings were matched from: the evidence."""
    report: bytes = b""
    """Trivy's full JSON of the image; empty when only an SBOM was there."""
    title: str = ""
    """What the image's own label says that it is; empty when it says nothing."""


def scan_image(
    trivy: Trivy,
    archive: Path,
    *,
    image: str,
    platform: Platform,
    expected_types: Sequence[str] = (),
) -> ScanResult:
    """Scan the docker-archive or OCI layout folder `archive`, which must hold `image` for `platform`."""
    answer = trivy.scan_archive(archive)
    seen = trivy.read(answer, file=archive)
    check_platform(seen, platform, file=archive)
    digest = _digest(archive, seen)
    sbom = cyclonedx.normalise(trivy.to_sbom(answer.report), name=image, digest=digest, file=archive)
    matched = trivy.match(sbom)
    _check_same_image(seen, matched, archive)
    gaps = {*seen.coverage.gaps, *matched.coverage.gaps, *_missing_types(matched.packages, expected_types)}
    notes = {*seen.coverage.notes, *_differences(seen, matched)}
    scan = _scan(trivy, matched, image=image, platform=platform, digest=digest, gaps=gaps, notes=notes)
    return ScanResult(scan=scan, sbom=sbom, report=answer.report, title=seen.title)


def scan_sbom(
    trivy: Trivy,
    path: Path,
    *,
    image: str,
    platform: Platform,
    expected_types: Sequence[str] = (),
) -> ScanResult:
    """Match the SBOM in the file `path`, which Trivy made of `image`."""
    data = read_file(path.resolve(), limit=cyclonedx.MAX_SBOM)
    sbom = cyclonedx.normalise(data, name=image, file=path)
    scan = match_sbom(trivy, sbom, image=image, platform=platform, expected_types=expected_types)
    return ScanResult(scan=scan, sbom=sbom, title=cyclonedx.title_of(data, file=path))


def scan_report(
    trivy: Trivy,
    path: Path,
    *,
    image: str,
    platform: Platform,
    expected_types: Sequence[str] = (),
) -> ScanResult:
    """Match what the stored report `path` of Trivy lists as installed, with the database of today.

    Its own findings are those of another day and database: they are not read.
    """
    data = read_file(path.resolve(), limit=MAX_REPORT)
    seen = read_report(data, file=path)
    if not seen.packages:
        raise InputError(
            "the report lists no packages, so nobody can say what the image contains",
            file=path,
            hint="Scan the image again with Trivy 0.67 or newer, or give the image or its SBOM.",
        )
    check_platform(seen, platform, file=path)
    sbom = cyclonedx.normalise(trivy.to_sbom(data), name=image, file=path)
    scan = match_sbom(trivy, sbom, image=image, platform=platform, expected_types=expected_types)
    gaps = {*scan.coverage.gaps, *seen.coverage.gaps}
    coverage = msgspec.structs.replace(scan.coverage, gaps=tuple(sorted(gaps)))
    scan = msgspec.structs.replace(scan, coverage=coverage)
    return ScanResult(scan=scan, sbom=sbom, report=data, title=seen.title)


def match_sbom(
    trivy: Trivy,
    sbom: bytes,
    *,
    image: str,
    platform: Platform,
    expected_types: Sequence[str] = (),
) -> Scan:
    """Match a normalised SBOM with the database: how stored images are compared without the images."""
    digest = cyclonedx.image_digest(sbom)
    matched = trivy.match(sbom)
    gaps = {*matched.coverage.gaps, *_missing_types(matched.packages, expected_types)}
    return _scan(trivy, matched, image=image, platform=platform, digest=digest, gaps=gaps, notes=())


_OF_THE_MATCH = frozenset({GapReason.UNKNOWN_SYSTEM, GapReason.EMPTY_RESULTS, GapReason.NO_PACKAGES})


def recall_sbom(
    trivy: Trivy,
    sbom: bytes,
    findings: tuple[Finding, ...],
    coverage: Coverage,
    *,
    image: str,
    platform: Platform,
    expected_types: Sequence[str] = (),
) -> Scan:
    """What `match_sbom` gives, from `findings` and `coverage` that it gave with this scanner and database."""
    packages = cyclonedx.packages(sbom)
    gaps = {gap for gap in coverage.gaps if gap.reason in _OF_THE_MATCH}
    seen = Coverage(system=coverage.system, gaps=tuple(gaps))
    return _scan(
        trivy,
        _Matched(packages, findings, seen),
        image=image,
        platform=platform,
        digest=cyclonedx.image_digest(sbom),
        gaps={*gaps, *_missing_types(packages, expected_types)},
        notes=(),
    )


def check_platform(report: Report, platform: Platform, *, file: Path | str) -> None:
    """Refuse a report of an image for another platform; a variant counts where both name one."""
    found = report.platform
    if found is None:
        return
    other_variant = found.variant and platform.variant and found.variant != platform.variant
    if (found.os, found.architecture) != (platform.os, platform.architecture) or other_variant:
        raise InputError(f"the image is for {found}, expected {platform}", file=file)


def check_image(report: Report, digests: Iterable[str], *, file: Path | str) -> None:
    """Refuse a report that is not about one of `digests`: image ids or manifest digests."""
    expected = set(digests)
    own = {report.image_id, *(reference.rpartition("@")[2] for reference in report.repo_digests)} - {""}
    if not own & expected:
        named = ", ".join(sorted(own)) or "no image"
        raise InputError(
            f"the report is about {named}, expected {' or '.join(sorted(expected))}",
            file=file,
            hint="The report belongs to another image or to another build of it; scan again.",
        )


def _digest(archive: Path, report: Report) -> Digest:
    if archive.is_dir():
        return manifest_of(archive, report.image_id)
    if not report.image_id:
        raise InputError("Trivy's report names no image id", file=archive, key="Metadata.ImageID")
    return Digest(report.image_id)


def _check_same_image(seen: Report, matched: Report, archive: Path) -> None:
    if seen.image_id and matched.image_id and seen.image_id != matched.image_id:
        raise InputError(f"its SBOM is about {matched.image_id}, not {seen.image_id}", file=archive)


def _missing_types(packages: Iterable[Package], expected: Sequence[str]) -> Iterable[Gap]:
    present = {package.type for package in packages}
    return (Gap(GapReason.MISSING_TYPE, type_) for type_ in expected if type_ not in present)


def _differences(seen: Report, matched: Report) -> Iterable[Note]:
    """What only the image scan, or only the match of its SBOM, shows."""
    for reason, one, other in (
        (NoteReason.IMAGE_ONLY, seen, matched),
        (NoteReason.SBOM_ONLY, matched, seen),
    ):
        findings = {f.identity for f in one.findings} - {f.identity for f in other.findings}
        packages = set(one.packages) - set(other.packages)
        if findings or packages:
            yield Note(reason, f"{len(findings)} findings, {len(packages)} packages")


class _Matched(NamedTuple):
    """The parts of a report that a scan is made of."""

    packages: tuple[Package, ...]
    findings: tuple[Finding, ...]
    coverage: Coverage


def _scan(
    trivy: Trivy,
    report: Report | _Matched,
    *,
    image: str,
    platform: Platform,
    digest: Digest,
    gaps: Iterable[Gap],
    notes: Iterable[Note],
) -> Scan:
    every = {*report.coverage.notes, *notes}
    if not trivy.binary.verified:
        every.add(Note(NoteReason.UNVERIFIED_SCANNER, trivy.binary.version))
    if trivy.sandbox.containment is Containment.NONE:
        every.add(Note(NoteReason.NOT_CONTAINED))
    coverage = Coverage(
        system=report.coverage.system,
        package_types=count_types(report.packages),
        gaps=tuple(sorted(set(gaps))),
        notes=tuple(sorted(every)),
    )
    return Scan(
        image=image,
        platform=platform,
        digest=digest,
        provenance=trivy.provenance,
        packages=report.packages,
        findings=report.findings,
        coverage=coverage,
    )
