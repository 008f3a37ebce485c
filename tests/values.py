"""Values that many tests share."""

from __future__ import annotations

import hashlib

import msgspec

from hullmark.event import RunStarted
from hullmark.finding import Finding, Severity
from hullmark.image import LINUX_AMD64, Digest
from hullmark.scan import (
    Containment,
    Coverage,
    Database,
    Gap,
    GapReason,
    Provenance,
    Scan,
    Scanner,
)

HIGH = Finding(
    id="CVE-2026-1",
    package_type="debian",
    package="libssl3t64",
    source="openssl",
    severity=Severity.HIGH,
    versions=("3.5.1",),
)
EVERYTHING = Coverage()
NO_JAVA = Coverage(gaps=(Gap(GapReason.NO_JAVA_DATABASE),))


def digest_of(value: object) -> Digest:
    """A digest that stands for `value`."""
    return Digest("sha256:" + hashlib.sha256(msgspec.json.encode(value)).hexdigest())


SCANNER = Scanner(name="trivy", version="0.76.0", binary=digest_of("trivy"), verified=True)


def run_started(*, database: str = "a", sample: bool = True) -> RunStarted:
    """The start of a run with a database that `database` stands for."""
    return RunStarted(
        expected=("app linux/amd64",),
        scanner=SCANNER,
        database=Database(digest=digest_of(database), updated_at="2026-01-01T00:00:00Z", sample=sample),
        containment=Containment.UNSHARE,
        hullmark="0",
    )


def scan_of(
    *findings: Finding, run: RunStarted, image: str = "app", sbom: str = "1", coverage: Coverage = EVERYTHING
) -> Scan:
    """A scan that found `findings`."""
    return Scan(
        image=image,
        platform=LINUX_AMD64,
        digest=digest_of(sbom),
        provenance=Provenance(scanner=run.scanner, database=run.database, containment=run.containment),
        packages=(),
        findings=findings,
        coverage=coverage,
    )
