"""`cve-baseline/<image>.json`: the accepted state of an image, as the original project's keys have it.

`date`, `critical`, `high`, `medium`, `risk_index` and `cves` keep their meaning; the others say what the
figures rest on. The SBOM lies beside it as `<image>.cdx.json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from hullmark.finding import Counts, Finding, Kind, count_findings, count_vulnerabilities
from hullmark.image import LINUX_AMD64, SOURCE, Digest
from hullmark.risk import percent, weigh
from hullmark.scan import Database, Scanner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hullmark.checked_tree import CheckedTree
    from hullmark.history import ScanRecord, Timeline


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """The last complete scan of one platform of an image."""

    version: Literal[1] = 1
    image: str
    platform: str
    date: str
    critical: int
    high: int
    medium: int
    low: int
    unknown: int
    risk_index: int
    cves: tuple[str, ...]
    """Ids of all vulnerabilities, of any severity, sorted."""
    vulnerabilities: Counts
    """Each vulnerability once, however many packages carry it; the counts above are findings."""
    digest: Digest
    sbom: Digest
    scanner: Scanner
    database: Database
    sample: bool


def project_baseline(timeline: Timeline, scan: ScanRecord, findings: Sequence[Finding]) -> Baseline:
    """The baseline that `scan` of `timeline`, which found `findings`, establishes."""
    counts = count_findings(findings)
    return Baseline(
        image=timeline.image,
        platform=timeline.platform,
        date=scan.at[:10],
        critical=counts.critical,
        high=counts.high,
        medium=counts.medium,
        low=counts.low,
        unknown=counts.unknown,
        risk_index=min(100, percent(weigh(counts))),
        cves=tuple(sorted({finding.id for finding in findings})),
        vulnerabilities=count_vulnerabilities(findings),
        digest=scan.digest,
        sbom=scan.sbom,
        scanner=scan.run.scanner,
        database=scan.run.database,
        sample=timeline.sample,
    )


class RepositoryBaseline(msgspec.Struct, frozen=True, kw_only=True):
    """The accepted state of the repository's own files, as one set of tools sees it."""

    version: Literal[1] = 1
    image: str
    platform: str
    date: str
    kinds: dict[Kind, Counts]
    """Findings of each kind that was looked for; none of them is a vulnerability."""
    rules: tuple[str, ...]
    """Ids of all rules that match, sorted."""
    digest: Digest
    """Of the names and contents of all files."""
    commit: str
    """Empty where the working tree differed from every commit."""
    tools: tuple[Scanner, ...]
    sample: bool


def project_repository(
    timeline: Timeline, scan: ScanRecord, tree: CheckedTree, findings: Sequence[Finding]
) -> RepositoryBaseline:
    """The baseline that `scan` of the repository's files, which found `findings`, establishes."""
    kinds = sorted({*scan.coverage.kinds, *(finding.kind for finding in findings)})
    return RepositoryBaseline(
        image=timeline.image,
        platform=timeline.platform,
        date=scan.at[:10],
        kinds={kind: count_findings(f for f in findings if f.kind is kind) for kind in kinds},
        rules=tuple(sorted({finding.id for finding in findings})),
        digest=scan.digest,
        commit=tree.commit,
        tools=tree.tools,
        sample=timeline.sample,
    )


def format_baseline(baseline: Baseline | RepositoryBaseline) -> bytes:
    """The file's bytes: indented, so that a change reads well in a diff."""
    return msgspec.json.format(msgspec.json.encode(baseline), indent=2) + b"\n"


def file_stem(image: str, platform: str) -> str:
    """`<image>` for linux/amd64 and the repository's own tools, `<image>@linux-arm64` for others."""
    return image if platform in (str(LINUX_AMD64), str(SOURCE)) else f"{image}@{platform.replace('/', '-')}"
