"""A small recorded history in which everything that the site must show happens once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
from bench.fleets import packages_of, sbom_of

from hullmark.checked_tree import CheckedTree
from hullmark.deadline import Deadlines
from hullmark.decision import Kev, KevState, SmokeResult, decide_with_evidence, format_decision
from hullmark.event import Decided, SmokeTested
from hullmark.exemptions import ExemptionList, parse_exemptions
from hullmark.finding import Finding, Kind, Severity
from hullmark.fleet import Fleet, read_fleet
from hullmark.image import LINUX_AMD64, SOURCE, Digest, Platform
from hullmark.journal import Journal
from hullmark.recorded_checks import Report, record_reports
from hullmark.recording import begin_decision, begin_run
from hullmark.scan import Containment, Coverage, Gap, GapReason, Provenance, Scan, Scanner, System
from hullmark.weekly import make_summary
from tests import gates
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


def check_finding(
    rule: str, kind: Kind, severity: Severity, path: str, *, tool: str = "trivy", line: int, title: str = ""
) -> Finding:
    """A finding of the repository's own files."""
    return Finding(
        kind=kind,
        id=rule,
        severity=severity,
        package_type=tool,
        package=tool,
        path=path,
        line=line,
        title=title,
        discriminator=f"{line:016x}",
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
SMOKE = {"app": SmokeResult.PASSED, "web": SmokeResult.FAILED}
"""Smoke tests; that of `web` was of a build before."""
LISTED = "2026-10-12T00:00:00Z"
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

[[exemptions]]
id = "DS-0002"
images = ["repository"]
package = "images/*"
owner = "@platform-team"
reason = "The entry program gives up its rights."
expires = 2027-01-01
status = "affected"
"""


SECRET = check_finding("generic-token", Kind.SECRET, Severity.CRITICAL, "config/app.env", line=3)
WEAKNESS = check_finding(
    "B602", Kind.CODE, Severity.HIGH, "tools/run.py", tool="bandit", line=5, title=SCRIPT
)
LESSER = check_finding("B101", Kind.CODE, Severity.LOW, "tools/other.py", tool="bandit", line=9)
ROOT_USER = check_finding("DS-0002", Kind.MISCONFIGURATION, Severity.HIGH, "images/app/Dockerfile", line=2)
TOOLS: dict[Kind, tuple[str, ...]] = {
    Kind.CODE: ("bandit 1.8.0",),
    Kind.LICENCE: ("trivy 0.70.0",),
    Kind.MISCONFIGURATION: ("trivy 0.70.0",),
    Kind.SECRET: ("trivy 0.70.0",),
}
NO_HADOLINT = Gap(GapReason.NO_TOOL, "hadolint (misconfiguration)")
CHECKED = (
    ({SECRET, WEAKNESS, ROOT_USER}, Coverage(kinds=TOOLS)),
    ({WEAKNESS, LESSER, ROOT_USER}, Coverage(kinds=TOOLS)),
    ({WEAKNESS, LESSER, ROOT_USER}, Coverage(kinds=TOOLS, gaps=(NO_HADOLINT,))),
)
"""Three checks of the repository's own files, the first of them in the week in which nothing is scanned."""


def accepted() -> ExemptionList:
    return parse_exemptions(EXEMPTIONS, file="exemptions.toml")


def record_world(root: Path) -> Journal:
    """Four weeks; in the last one `blind` cannot be looked at in whole, and `legacy` is long gone.

    The repository's own files are checked in three weeks, and one change is judged.
    """
    journal = Journal(root / "audit-logs")
    for week in range(4):
        scanned = {name: weeks[week] for name, weeks in LATER.items() if len(weeks) > week}
        # The third week is a pause: a gap stays a gap.
        now = START + (week if week < 2 else week + 1) * WEEK
        if week == 2:
            check(journal, 0, START + 2 * WEEK)
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
        if week > 1:
            check(journal, week - 1, now)
        if week == 2:
            judge(journal, now)
    return journal


def check(journal: Journal, number: int, now: datetime) -> None:
    """Record one of the checks of the repository's own files."""
    findings, coverage = CHECKED[number]
    tools = tuple(
        Scanner(name=name, version=version, binary=digest_of(name), verified=False)
        for name, version in (("bandit", "1.8.0"), ("trivy", "0.70.0"))
    )
    report = Report(
        platform=SOURCE,
        tree=CheckedTree(digest=digest_of(number), commit="c" * 40, tools=tools),
        containment=Containment.BUBBLEWRAP,
        findings=tuple(sorted(findings, key=lambda one: one.identity)),
        coverage=coverage,
    )
    home = journal.root.parent
    record_reports(journal, [report], lambda *_: None, home=home, now=now, clock_overridden=True)


def judge(journal: Journal, now: datetime) -> None:
    """Record the decision about a pull request to `app`, with a list of exploited vulnerabilities."""
    sbom = journal.evidence.put(sbom_of("app", packages_of({OLD, BRIEF})))
    base, head = (
        msgspec.structs.replace(gates.side(*found), sbom=sbom) for found in ((BRIEF,), (OLD, BRIEF))
    )
    inputs = gates.gate(
        gates.image(base, head),
        now=now,
        database=msgspec.structs.replace(gates.DATABASE, sample=True),
        kev=Kev(state=KevState.FRESH, date=LISTED, ids=(OLD.id, BRIEF.id, "CVE-2026-999")),
    )
    decision, contents = decide_with_evidence(inputs)
    data = format_decision(decision)
    event = Decided(
        decision=Digest(f"sha256:{sha256(data).hexdigest()}"),
        verdict=decision.verdict,
        images={"app linux/amd64": str(decision.verdict)},
        base="a" * 40,
        head="b" * 40,
        pull_request=7,
    )
    with begin_decision(journal, sample=True, now=now, clock_overridden=True) as deciding:
        deciding.record(event, [*contents.values(), data])


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
            if name in SMOKE:
                result, digest = SMOKE[name], scan.digest if name == "app" else digest_of("another build")
                recording.add_test(
                    name,
                    SmokeTested(platform="linux/amd64", digest=digest, result=result, checks=("it answers",)),
                )
        recording.finish(
            tuple(f"{name} linux/amd64" for name in sorted(scanned)),
            {f"{name} linux/amd64": why for name, why in (missing or {}).items()},
        )


def _scan(name: str, findings: set[Finding], run: RunStarted, coverage: Coverage) -> tuple[Scan, bytes]:
    sbom = sbom_of(name, packages_of(findings))
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
