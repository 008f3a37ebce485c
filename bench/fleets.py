"""Recorded histories of many images for the site: the drift of `bench.history`, without Trivy.

Each scan has an SBOM as Trivy writes it, with as many packages as its image has.

One in nine vulnerabilities lies in a program or an npm package, so that every kind of action occurs.
"""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import msgspec

from bench.history import IMAGES, Plan, Snapshot, history, prose_of
from hullmark.event import RunStarted
from hullmark.finding import Finding, Package, Severity
from hullmark.image import LINUX_AMD64, Digest
from hullmark.journal import Journal
from hullmark.recording import begin_run
from hullmark.scan import (
    Containment,
    Coverage,
    Database,
    Provenance,
    Scan,
    Scanner,
    System,
    count_types,
)
from hullmark.scanners.trivy.sbom import normalise
from hullmark.weekly import make_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from hullmark.image import Platform

Expected = tuple[tuple[str, "Platform"], ...]


def plans(number: int) -> tuple[Plan, ...]:
    """`number` images like those of `bench.history`."""
    return tuple(
        IMAGES[place % len(IMAGES)]._replace(name=f"{IMAGES[place % len(IMAGES)].name}{_suffix(place)}")
        for place in range(number)
    )


def _suffix(place: int) -> str:
    return f"-{place // len(IMAGES) + 1}" if place >= len(IMAGES) else ""


def record_fleet(
    root: Path,
    *,
    images: int,
    weeks: int,
    absent: Mapping[int, frozenset[str]] | None = None,
    summarise: bool = True,
    twins: int = 0,
) -> tuple[Journal, Expected]:
    """Record `weeks` weekly runs over `images` images below `root`.

    `absent` names, for a week, the images that its run does not reach. `twins` more images get copies of the
    ledgers that were recorded: as much to read and to show, in a fraction of the time that scans take.
    """
    journal = Journal(root / "audit-logs")
    names = plans(images)
    copies = {
        f"{names[n % images].name}-twin-{n // images + 1}": names[n % images].name for n in range(twins)
    }
    expected = tuple(sorted((name, LINUX_AMD64) for name in (*(plan.name for plan in names), *copies)))
    by_week: dict[int, list[Snapshot]] = {}
    for snapshot in history(weeks, images=names):
        by_week.setdefault(snapshot.week, []).append(snapshot)
    for week, snapshots in by_week.items():
        _record(journal, snapshots, expected, (absent or {}).get(week, frozenset()))
        if summarise and not twins:
            now = snapshots[0].at
            make_summary(journal, expected, home=root, now=now, history_limit=weeks, clock_overridden=True)
    for copy, name in copies.items():
        shutil.copytree(journal.root / name, journal.root / copy)
    return journal, expected


def _record(
    journal: Journal, snapshots: Iterable[Snapshot], expected: Expected, absent: frozenset[str]
) -> None:
    found = list(snapshots)
    run = _run(found[0].at, expected)
    with begin_run(journal, run, now=found[0].at, clock_overridden=True) as recording:
        for snapshot in found:
            if snapshot.image not in absent:
                scan, sbom = scan_of(snapshot, run)
                recording.add(scan, sbom, scan_again(scan), inputs=digest_of(snapshot.image))
        recording.finish(
            tuple(f"{name} {platform}" for name, platform in expected if name not in absent),
            {f"{name} linux/amd64": "it could not be built" for name in sorted(absent)},
        )


def scan_again(scan: Scan) -> Callable[[bytes], tuple[Finding, ...]]:
    """What the SBOM of the scan before shows today: the same as the new one, but for what moved."""
    return lambda _: scan.findings


def _run(at: datetime, expected: Expected) -> RunStarted:
    return RunStarted(
        expected=tuple(f"{image} {platform}" for image, platform in expected),
        scanner=Scanner(name="trivy", version="0.70.0", binary=digest_of("trivy"), verified=True),
        database=Database(digest=digest_of(f"{at}"), updated_at=f"{at:%Y-%m-%dT%H:%M:%SZ}", sample=True),
        containment=Containment.BUBBLEWRAP,
        hullmark="0",
    )


def digest_of(text: str) -> Digest:
    """A digest that stands for `text`."""
    return Digest(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}")


def scan_of(snapshot: Snapshot, run: RunStarted) -> tuple[Scan, bytes]:
    """What a scan of `snapshot` finds, and its SBOM."""
    findings = tuple(sorted(_findings(snapshot), key=lambda finding: finding.identity))
    packages = tuple(
        Package(type="debian", name=name, version=version, source=source.name, source_version=version)
        for source, version in snapshot.versions.items()
        for name in source.binaries
    )
    scan = Scan(
        image=snapshot.image,
        platform=LINUX_AMD64,
        digest=digest_of(snapshot.build),
        provenance=Provenance(scanner=run.scanner, database=run.database, containment=run.containment),
        packages=packages,
        findings=findings,
        coverage=Coverage(system=System("debian", snapshot.release), package_types=count_types(packages)),
    )
    return scan, sbom_of(snapshot.image, (*packages, *packages_of(f for f in findings if f.path)))


def packages_of(findings: Iterable[Finding]) -> tuple[Package, ...]:
    """The packages that carry `findings`, sorted."""
    found = {
        (each.package_type, each.package, each.path): Package(
            type=each.package_type,
            name=each.package,
            version=each.versions[0],
            path=each.path,
            source=each.source,
            source_version=each.versions[0] if each.source else "",
        )
        for each in findings
    }
    return tuple(found[place] for place in sorted(found))


def sbom_of(image: str, packages: Iterable[Package]) -> bytes:
    """A CycloneDX document of `packages` as Trivy writes it; what is in a file lies in a second layer."""
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {
            "component": {"bom-ref": "root", "type": "container", "name": image},
            "tools": {"components": [{"group": "aquasecurity", "name": "trivy", "type": "application"}]},
        },
        "components": [_component(number, package) for number, package in enumerate(packages)],
    }
    return normalise(msgspec.json.encode(document), name=image)


def _component(number: int, package: Package) -> dict[str, object]:
    properties = {
        "PkgType": package.type,
        "SrcName": package.source,
        "SrcVersion": package.source_version,
        "FilePath": package.path,
        "LayerDiffID": digest_of("files" if package.path else "system"),
    }
    return {
        "bom-ref": str(number),
        "type": "library",
        "name": package.name,
        "version": package.version,
        "licenses": [{"license": {"id": "MIT"}}],
        "properties": [
            {"name": f"aquasecurity:trivy:{name}", "value": value}
            for name, value in properties.items()
            if value
        ],
    }


def _findings(snapshot: Snapshot) -> Iterable[Finding]:
    for advisory in snapshot.advisories:
        told = prose_of(advisory.id, advisory.source.name)
        kind, path = _place(advisory.id, advisory.source.name)
        for binary in advisory.source.binaries if not kind else advisory.source.binaries[:1]:
            yield Finding(
                id=advisory.id,
                package_type=kind or "debian",
                package=binary,
                path=path,
                severity=Severity(advisory.severity),
                versions=(snapshot.versions[advisory.source],),
                fixed=advisory.fixed,
                status=advisory.status,
                source="" if kind else advisory.source.name,
                title=told.title,
                url=f"https://advisories.example/{advisory.id}",
                published=advisory.published,
            )


def _place(identifier: str, package: str) -> tuple[str, str]:
    """One in nine vulnerabilities lies in a program or in an npm package, the same ones every week."""
    number = int(identifier.rpartition("-")[2]) % 18
    if number == 1:
        return "gobinary", "usr/local/bin/helper"
    return ("node-pkg", f"app/node_modules/{package}/package.json") if number == 2 else ("", "")
