"""A small recorded history in which everything that the site must show happens once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from hullmark.deadline import Deadlines
from hullmark.exemptions import ExemptionList, parse_exemptions
from hullmark.finding import Finding, Severity
from hullmark.fleet import Fleet, read_fleet
from hullmark.image import LINUX_AMD64, Platform
from hullmark.journal import Journal
from hullmark.recording import begin_run
from hullmark.scan import Coverage, Provenance, Scan, System
from hullmark.weekly import make_summary
from tests.values import NO_JAVA, digest_of, run_started

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hullmark.event import RunStarted

START = datetime(2026, 10, 5, 6, tzinfo=UTC)
WEEK = timedelta(days=7)
DEBIAN = Coverage(system=System("debian", "13.1"), package_types={"debian": 3})
SCRIPT = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
LONG = "very-long-name-" * 13


def finding(
    number: int,
    severity: Severity = Severity.HIGH,
    package: str = "libssl3",
    **more: Any,  # noqa: ANN401 - fields of a finding
) -> Finding:
    """A finding of a Debian package."""
    values = {"package_type": "debian", "source": "openssl", "versions": ("3.5.1",), **more}
    return msgspec.convert(
        {"id": f"CVE-2026-{number}", "severity": severity, "package": package, **values}, Finding
    )


FIXED: dict[str, Any] = {"fixed": "3.5.4", "status": "fixed"}
OLD = finding(1, Severity.CRITICAL)
OLD_FIXED = finding(1, Severity.CRITICAL, **FIXED)
PAIR = (finding(2, **FIXED), finding(2, package="openssl", **FIXED))
RATED = finding(3, Severity.MEDIUM, package="libxml2", source="libxml2")
RATED_HIGHER = finding(3, Severity.HIGH, package="libxml2", source="libxml2")
NPM = finding(
    4, package="tar", package_type="node-pkg", source="", path="app/node_modules/tar/package.json", **FIXED
)
NPM_TOO = finding(
    5,
    Severity.LOW,
    "ws",
    package_type="node-pkg",
    source="",
    path="app/node_modules/ws/package.json",
    **FIXED,
)
PROGRAM = finding(
    6, Severity.MEDIUM, "stdlib", package_type="gobinary", source="", path="usr/local/bin/gosu", **FIXED
)
HOSTILE = finding(
    7,
    Severity.LOW,
    "lib\u202eevil",
    source=SCRIPT,
    title=SCRIPT,
    url="javascript:alert(1)",
    versions=(SCRIPT,),
)
WIDE = finding(8, Severity.UNKNOWN, LONG, source=LONG, title=LONG * 2, url="https://example.org/advisory")
ACCEPTED = finding(9, package="zlib1g", source="zlib", **FIXED)
BRIEF = finding(10, Severity.LOW, package="bash", source="bash")

APP = ({OLD, *PAIR, RATED}, {OLD, *PAIR, RATED, BRIEF}, {OLD_FIXED, *PAIR, RATED_HIGHER, HOSTILE})
WEB = ({NPM, ACCEPTED}, {NPM, NPM_TOO, ACCEPTED}, {NPM, NPM_TOO, PROGRAM, ACCEPTED, WIDE})
LATER: dict[str, tuple[set[Finding], ...]] = {
    "app": (*APP, {OLD_FIXED, *PAIR, RATED_HIGHER, HOSTILE}),
    "web": (*WEB, {NPM_TOO, PROGRAM, ACCEPTED, WIDE}),
    "clean": (set(), set(), set(), set()),
    "legacy": ({finding(20), finding(21, Severity.MEDIUM)}, {finding(20)}),
    "blind": ({finding(30)}, {finding(30)}, {finding(30)}, set()),
}
EXPECTED: tuple[tuple[str, Platform], ...] = tuple(
    (name, LINUX_AMD64) for name in ("app", "blind", "clean", "never", "web")
)
EXEMPTIONS = b"""
version = 1

[[exemptions]]
id = "CVE-2026-9"
images = ["web"]
owner = "@platform-team"
reason = "MiniZip is not built into the package."
expires = 2026-11-01
status = "not_affected"
justification = "vulnerable_code_not_present"
"""


def accepted() -> ExemptionList:
    return parse_exemptions(EXEMPTIONS, file="exemptions.toml")


def record_world(root: Path) -> Journal:
    """Four weeks; in the last one `blind` cannot be looked at in whole, and `legacy` is long gone."""
    journal = Journal(root / "audit-logs")
    for week in range(4):
        scanned = {name: weeks[week] for name, weeks in LATER.items() if len(weeks) > week}
        # The third week is a pause: a gap stays a gap.
        now = START + (week if week < 2 else week + 1) * WEEK
        record(journal, scanned, now, coverage={"blind": NO_JAVA} if week == 3 else {})
        names = sorted({*scanned, *(("never",) if week > 1 else ())})
        make_summary(
            journal,
            tuple((name, LINUX_AMD64) for name in names),
            home=root,
            now=now,
            history_limit=26,
            clock_overridden=True,
        )
    return journal


def record(
    journal: Journal,
    scanned: Mapping[str, set[Finding]],
    now: datetime,
    *,
    coverage: Mapping[str, Coverage] | None = None,
    missing: Mapping[str, str] | None = None,
) -> None:
    """Record one run."""
    labels = tuple(sorted(f"{name} linux/amd64" for name in (*scanned, *(missing or {}))))
    started = run_started(database=f"{now}")
    started = msgspec.structs.replace(
        started,
        expected=labels,
        database=msgspec.structs.replace(started.database, updated_at=f"{now:%Y-%m-%dT%H:%M:%SZ}"),
    )
    with begin_run(journal, started, now=now, clock_overridden=True) as recording:
        for name, findings in sorted(scanned.items()):
            scan, sbom = _scan(name, findings, started, (coverage or {}).get(name, DEBIAN))
            recording.add(scan, sbom, _again(scan), inputs=digest_of(name))
        recording.finish(
            tuple(f"{name} linux/amd64" for name in sorted(scanned)),
            {f"{name} linux/amd64": why for name, why in (missing or {}).items()},
        )


def _scan(name: str, findings: set[Finding], run: RunStarted, coverage: Coverage) -> tuple[Scan, bytes]:
    sbom = msgspec.json.encode(sorted((one.package, one.versions) for one in findings))
    return (
        Scan(
            image=name,
            platform=LINUX_AMD64,
            digest=digest_of(sbom.decode()),
            provenance=Provenance(scanner=run.scanner, database=run.database, containment=run.containment),
            packages=(),
            findings=tuple(sorted(findings, key=lambda one: one.identity)),
            coverage=coverage,
        ),
        sbom,
    )


def _again(scan: Scan) -> Callable[[bytes], tuple[Finding, ...]]:
    return lambda _: scan.findings


def fleet_of(journal: Journal) -> Fleet:
    return read_fleet(journal, EXPECTED, exemptions=accepted(), deadlines=Deadlines())
