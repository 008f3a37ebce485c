"""What the ledger says about one image, as its issue needs it. Recorded events only, never a live scan.

Rules (each has a test with the same words):
- an exempted finding does not keep an issue open, and is named;
- only complete scans of every expected platform count as clean, in an unbroken row up to the newest;
- an UNKNOWN is never clean;
- scans of one date, commit and digest are one block;
- each kind has its own count: what is found in the repository's files is no vulnerability.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hullmark.audit_log import apply_changes
from hullmark.event import Change, Rename
from hullmark.exemptions import Exemption, arrange, covers
from hullmark.finding import (
    Counts,
    Finding,
    Identity,
    Kind,
    Severity,
    count_by_severity,
    count_findings,
    count_vulnerabilities,
)
from hullmark.image import Digest
from hullmark.scan import Database, Gap, Scanner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from hullmark.history import ScanRecord, Timeline

    Load = Callable[[Digest], tuple[Finding, ...]]


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What the newest scan of a platform rests on."""

    platform: str
    at: str
    digest: Digest
    database: Database
    scanner: Scanner
    commit: str
    kinds: dict[Kind, tuple[str, ...]] = {}
    """Of a check of the repository's files: the tools that looked for each kind."""


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """What the scans of one date, commit and digest changed."""

    at: str
    """Of the newest of them."""
    platform: str
    digest: Digest
    commit: str
    database: Database
    is_first: bool
    """Whether nothing was recorded before: everything in it is found, nothing is new."""
    introduced: tuple[Change, ...]
    resolved: tuple[Change, ...]
    changed: tuple[Rename, ...]
    after: dict[Kind, Counts]
    """Findings of each kind that were open after them."""
    gaps: tuple[Gap, ...]

    @property
    def key(self) -> tuple[str, str, str, Digest]:
        """What makes two scans one block."""
        return self.at[:10], self.commit, self.platform, self.digest


class ImageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """All that an issue is made of."""

    image: str
    sample: bool = False
    retired: bool = False
    """Whether the configuration no longer has it."""
    findings: tuple[Finding, ...] = ()
    """Open now, without what is exempted."""
    exempted: tuple[Exemption, ...] = ()
    """Entries in force that cover something that is open."""
    first_seen: dict[str | Identity, str] = {}
    """For each vulnerability that is open, by its id, and for each finding of another kind: since when."""
    introduced: Counts = Counts()
    """Vulnerabilities that the newest scans brought."""
    resolved: Counts = Counts()
    proofs: tuple[Proof, ...] = ()
    uncovered: tuple[str, ...] = ()
    """Why nothing may be read as clean, however little was found."""
    clean_scans: int = 0
    """Complete scans in a row, up to the newest, of each platform, that found nothing to keep open."""
    blocks: tuple[Block, ...] = ()
    """Newest first."""
    tag_kept: str = ""
    """Why the published tag did not move to the newest build; empty when it did."""

    @property
    def counts(self) -> Counts:
        """Vulnerabilities that are open, without what is exempted."""
        return count_vulnerabilities(self.findings)

    @property
    def kinds(self) -> dict[Kind, Counts]:
        """Open findings of each kind that was found or looked for."""
        looked = {kind for proof in self.proofs for kind in proof.kinds}
        found = {finding.kind for finding in self.findings}
        return {
            kind: count_findings(f for f in self.findings if f.kind is kind)
            for kind in sorted(looked | found)
        }

    def known_since(self, finding: Finding) -> str:
        """When it was first seen, RFC 3339; empty where that is not known."""
        return self.first_seen.get(_known_by(finding.identity), "")

    @property
    def is_relevant(self) -> bool:
        """Whether something of MEDIUM or worse is open."""
        return any(finding.severity.is_relevant for finding in self.findings)


def gather(
    image: str,
    timelines: Mapping[str, Timeline],
    load: Load,
    *,
    expected: Sequence[str],
    exemptions: Sequence[Exemption] = (),
    today: date,
    close_after: int = 1,
    missing: Mapping[str, str] | None = None,
    tag_kept: str = "",
) -> ImageFacts:
    """Gather what is known of `image`. `expected` are its platforms, none when it is retired.

    `load` returns recorded findings. `missing` says for each platform why the newest run did not scan it.
    """
    concerned = {name: each for name, each in timelines.items() if name in expected or not expected}
    latest = tuple(each.latest for each in concerned.values())
    findings = [finding for scan in latest for finding in load(scan.findings)]
    named = [entry for entry in exemptions if any(covers(entry, image, each, today) for each in findings)]
    open_ = _without(findings, image, named, today)

    def is_clean(scan: ScanRecord) -> bool:
        if not scan.coverage.is_complete:
            return False
        left = _without(load(scan.findings), image, exemptions, today)
        return not any(each.severity.is_relevant or each.severity is Severity.UNKNOWN for each in left)

    return ImageFacts(
        image=image,
        sample=any(each.sample for each in timelines.values()),
        retired=not expected,
        findings=open_,
        exempted=arrange(named),
        first_seen=_first_seen(concerned.values()),
        introduced=_count(change for scan in latest for change in scan.event.introduced),
        resolved=_count(change for scan in latest for change in scan.event.resolved),
        proofs=tuple(_proof(name, each.latest) for name, each in concerned.items()),
        uncovered=_uncovered(expected, concerned, missing or {}),
        clean_scans=min((_clean(each, is_clean, close_after) for each in concerned.values()), default=0),
        blocks=_blocks(concerned.values()),
        tag_kept=tag_kept,
    )


def _without(
    findings: Iterable[Finding], image: str, exemptions: Sequence[Exemption], today: date
) -> tuple[Finding, ...]:
    return tuple(
        finding for finding in findings if not any(covers(each, image, finding, today) for each in exemptions)
    )


def _clean(timeline: Timeline, is_clean: Callable[[ScanRecord], bool], most: int) -> int:
    """How many scans in a row, up to the newest, are clean; no more than `most` are looked at."""
    for number, scan in enumerate(reversed(timeline.scans[-most:])):
        if not is_clean(scan):
            return number
    return min(most, len(timeline.scans))


def _uncovered(
    expected: Sequence[str], timelines: Mapping[str, Timeline], missing: Mapping[str, str]
) -> tuple[str, ...]:
    reasons: list[str] = []
    for platform in expected:
        if platform in missing:
            reasons.append(f"{platform}: the newest run did not scan it: {missing[platform]}")
        elif platform not in timelines:
            reasons.append(f"{platform}: it was never scanned")
        else:
            reasons += [f"{platform}: {gap}" for gap in timelines[platform].latest.coverage.gaps]
    return tuple(reasons)


def _known_by(identity: Identity) -> str | Identity:
    """A vulnerability goes by its id in whatever package; each match of a rule is a finding of its own."""
    return identity.id if identity.kind is Kind.VULNERABILITY else identity


def _first_seen(timelines: Iterable[Timeline]) -> dict[str | Identity, str]:
    seen: dict[str | Identity, str] = {}
    for timeline in timelines:
        for interval in timeline.intervals:
            if interval.is_open:
                name = _known_by(interval.identity)
                seen[name] = min(interval.first_seen, seen.get(name, interval.first_seen))
    return seen


def _count(changes: Iterable[Change]) -> Counts:
    return count_by_severity(change.severity for change in changes)


def _proof(platform: str, scan: ScanRecord) -> Proof:
    return Proof(
        platform=platform,
        at=scan.at,
        digest=scan.digest,
        database=scan.run.database,
        scanner=scan.run.scanner,
        commit=scan.run.commit,
        kinds=scan.coverage.kinds,
    )


def _blocks(timelines: Iterable[Timeline]) -> tuple[Block, ...]:
    """Every block that says something, newest first."""
    blocks: dict[tuple[str, str, str, Digest], Block] = {}
    for timeline in timelines:
        open_: dict[Identity, Severity] = {}
        for scan in timeline.scans:
            apply_changes(scan, open_)
            if scan.event.is_unchanged:
                continue
            kinds = sorted({identity.kind for identity in open_} | set(scan.coverage.kinds))
            after = {
                kind: count_by_severity(each for identity, each in open_.items() if identity.kind is kind)
                for kind in kinds
            }
            block = _block(timeline, scan, after)
            known = blocks.pop(block.key, None)
            blocks[block.key] = block if known is None else _join(known, block)
    return tuple(sorted(blocks.values(), key=lambda block: (block.at, block.platform), reverse=True))


def _block(timeline: Timeline, scan: ScanRecord, after: dict[Kind, Counts]) -> Block:
    return Block(
        at=scan.at,
        platform=timeline.platform,
        digest=scan.digest,
        commit=scan.run.commit,
        database=scan.run.database,
        is_first=scan is timeline.scans[0],
        introduced=scan.event.introduced,
        resolved=scan.event.resolved,
        changed=scan.event.changed,
        after=after,
        gaps=scan.coverage.gaps,
    )


def _join(earlier: Block, later: Block) -> Block:
    return msgspec.structs.replace(
        later,
        is_first=earlier.is_first,
        introduced=earlier.introduced + later.introduced,
        resolved=earlier.resolved + later.resolved,
        changed=earlier.changed + later.changed,
    )
