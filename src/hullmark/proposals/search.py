"""Find newer packages for images, and predict what they do.

Rules (each has a test with the same words):
- an image that cannot be resolved keeps no other back, and is named;
- a file that only moved to another suite is no reason to propose anything;
- what cannot be predicted is said with its reason, and proposes all the same.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from hullmark.build.changes import Kind
from hullmark.build.definition import DEFINITION_FILE, LOCK_FILE, load_definition
from hullmark.build.fetch import digest_of
from hullmark.build.lock import MAX_LOCK_BYTES, format_lock
from hullmark.build.refresh import relock
from hullmark.build.slices import architecture_of
from hullmark.delta import compare
from hullmark.errors import HullmarkError, IncompleteError
from hullmark.files import read_bounded
from hullmark.image import parse_platform
from hullmark.pipeline import test_canary
from hullmark.proposals.model import Effect, Failure, Proposal, Proposals, Vulnerability
from hullmark.scan import System
from hullmark.scanners import specimen
from hullmark.scanners.specimen import Installed
from hullmark.scanners.trivy import sbom as cyclonedx
from hullmark.scanners.trivy.scan import ScanResult, match_sbom
from hullmark.text import without_folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from hullmark.build.fetch import Fetcher
    from hullmark.build.lock import Lock
    from hullmark.build.mirror import Sources
    from hullmark.build.release import Trust
    from hullmark.config import Image
    from hullmark.finding import Finding
    from hullmark.pipeline import Toolchain

RELEASE_PACKAGE = "base-files"
"""Its version begins with that of the Debian release, and it brings `os-release`."""
MAX_DEFINITION = 4 << 20


def find_proposals(
    images: Iterable[Image],
    *,
    fetcher: Fetcher,
    sources: Sources,
    trust: Trust,
    tools: Callable[[], Toolchain],
) -> Proposals:
    """A new lock for each of `images` that has newer packages. `tools` are asked for when there is one."""
    proposals: list[Proposal] = []
    current: list[str] = []
    failures: list[Failure] = []
    for image in images:
        try:
            found = _find(image.folder, image.name, fetcher, sources, trust)
        except HullmarkError as error:
            failures.append(Failure(image=image.name, reason=error.message, hint=error.hint))
            continue
        if found is None:
            current.append(image.name)
            continue
        proposal, old, new = found
        effects = tuple(_predict(image, platform, old, new, tools) for platform in _platforms(image.folder))
        proposals.append(msgspec.structs.replace(proposal, effects=effects))
    return Proposals(proposals=tuple(proposals), current=tuple(current), failures=tuple(failures))


def _find(
    folder: Path, name: str, fetcher: Fetcher, sources: Sources, trust: Trust
) -> tuple[Proposal, Lock, Lock] | None:
    """What is proposed for one image, with the lock of now and the new one; None when it is current."""
    before = digest_of(read_bounded(folder / LOCK_FILE, MAX_LOCK_BYTES))
    definition = digest_of(read_bounded(folder / DEFINITION_FILE, MAX_DEFINITION))
    found = relock(folder, fetcher=fetcher, sources=sources, trust=trust)
    if all(change.kind is Kind.MOVED for change in found.changes):
        return None
    proposal = Proposal(
        image=name,
        before=before,
        definition=definition,
        lock=format_lock(found.new),
        changes=found.changes,
    )
    return proposal, found.old, found.new


def _platforms(folder: Path) -> tuple[str, ...]:
    return load_definition(folder).platforms


def _predict(image: Image, platform: str, old: Lock, new: Lock, tools: Callable[[], Toolchain]) -> Effect:
    """What the packages of `new` do on one platform."""
    architecture = architecture_of(parse_platform(platform))
    sboms = [_sbom(lock, architecture) for lock in (old, new)]
    if not all(sboms):
        reason = f"no {RELEASE_PACKAGE} is locked, so nobody can say whose advisories apply"
        return Effect(platform=platform, unknown=reason)
    try:
        chain = tools()
        results = [_match(chain, image.name, platform, sbom) for sbom in sboms]
        test_canary(chain, results)
    except IncompleteError as error:
        return Effect(platform=platform, unknown=error.message)
    except HullmarkError as error:
        return Effect(
            platform=platform, unknown=without_folders(f"{error.message}. {error.hint}".rstrip(". "))
        )
    if gaps := sorted({str(gap) for result in results for gap in result.scan.coverage.gaps}):
        return Effect(platform=platform, unknown=f"not covered: {', '.join(gaps)}")
    delta = compare(*(result.scan.findings for result in results))
    return Effect(
        platform=platform,
        resolved=_vulnerabilities(delta.resolved, results[1].scan.findings),
        introduced=_vulnerabilities(delta.introduced, results[0].scan.findings),
        database=chain.trivy.provenance.database.updated_at,
    )


def _match(tools: Toolchain, image: str, platform: str, raw: bytes) -> ScanResult:
    sbom = cyclonedx.normalise(raw, name=image, file="the lock's SBOM")
    return ScanResult(
        scan=match_sbom(tools.trivy, sbom, image=image, platform=parse_platform(platform)), sbom=sbom
    )


def _sbom(lock: Lock, architecture: str) -> bytes:
    """The packages of a lock as an SBOM of an image; empty where no package says which release it is."""
    packages = lock.for_architecture(architecture)
    release = next((each.version for each in packages if each.name == RELEASE_PACKAGE), "")
    if not release:
        return b""
    installed = (
        Installed(
            name=each.name,
            version=each.version,
            source=each.source,
            source_version=each.source_version,
            architecture=architecture,
        )
        for each in packages
    )
    return specimen.sbom(installed, system=System("debian", release.partition("+")[0]))


def _vulnerabilities(findings: Iterable[Finding], others: Iterable[Finding]) -> tuple[Vulnerability, ...]:
    """The vulnerabilities of `findings` that no finding of `others` is a part of, worst first."""
    left = {finding.vulnerability for finding in others}
    groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.vulnerability not in left:
            groups[finding.id, finding.source or finding.package].append(finding)
    return tuple(
        sorted(
            (
                Vulnerability(
                    id=id_,
                    source=source,
                    severity=max((each.severity for each in group), key=lambda one: one.rank),
                    packages=tuple(sorted({each.package for each in group})),
                )
                for (id_, source), group in groups.items()
            ),
            key=lambda one: (-one.severity.rank, one.id, one.source),
        )
    )
