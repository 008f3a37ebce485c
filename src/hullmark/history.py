"""The history of each image: the event that continues it, and the replay of all of them.

Rules (each has a test with the same words):
- a finding's life goes on through a move, a rename and a re-rating;
- a scan that looks at less than the last good one resolves nothing: what it does not show stays open;
- what appears because a scan looks at more is of cause `scope`, as everything in a first scan is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hullmark.delta import Delta, compare, name_causes
from hullmark.errors import RepositoryError
from hullmark.event import (
    Change,
    Event,
    LedgerStarted,
    Rename,
    RunStarted,
    ScanContext,
    Scanned,
    group_changes,
    group_renames,
    noteworthy,
)
from hullmark.finding import Cause, Finding, Identity, Severity, merge_same_identity
from hullmark.image import Digest
from hullmark.scan import Coverage, Provenance, Scan, shrank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class ScanRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded scan, with the context that its event left out because it had not changed."""

    at: str
    event: Scanned
    run: RunStarted
    digest: Digest
    sbom: Digest
    findings: Digest
    inputs: Digest | None
    coverage: Coverage
    is_seeing: bool
    """Whether it looked at everything that the last good scan looked at."""
    sequence: int
    """Its place among the scans of the image, over all platforms."""


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """The time during which a finding was open."""

    identity: Identity
    first_seen: str
    cause: Cause
    change: Change
    """The finding as last stated."""
    severities: tuple[tuple[str, Severity], ...]
    """Each severity it had, with the time from which."""
    fix_since: str = ""
    """Time from which a fix is known, without a break; empty while none is."""
    resolved_at: str = ""
    """Empty while it is open."""
    resolved_cause: Cause | None = None

    @property
    def is_open(self) -> bool:
        """Whether the finding is still there, as far as anybody looked."""
        return not self.resolved_at


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """All that a ledger says about one platform of one image, oldest first."""

    image: str
    platform: str
    sample: bool
    scans: tuple[ScanRecord, ...]
    intervals: tuple[Interval, ...]
    """Every finding ever seen, by first sight and then by identity."""

    @property
    def latest(self) -> ScanRecord:
        """The newest scan, complete or not."""
        return self.scans[-1]

    @property
    def reference(self) -> Coverage:
        """What the last good scan looked at: a scan that has a gap more resolves nothing."""
        return next(scan.coverage for scan in reversed(self.scans) if scan.is_seeing)

    @property
    def latest_complete(self) -> ScanRecord | None:
        """The newest scan that saw everything it should have seen."""
        return next((scan for scan in reversed(self.scans) if scan.coverage.is_complete), None)


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan was made with and of."""

    run: RunStarted
    digest: Digest
    sbom: Digest
    findings: Digest
    inputs: Digest | None
    coverage: Coverage


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where one platform of an image stands: as much of its timeline as the next scan is compared with."""

    latest: Context
    reference: Coverage
    """What the last good scan looked at."""


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """A scan, ready to be recorded: its evidence is stored, and its base was matched again."""

    run: str
    scan: Scan
    sbom: Digest
    inputs: Digest | None = None
    recorded: tuple[Finding, ...] = ()
    """What was open after the scan before, with the database of then."""
    base_today: tuple[Finding, ...] = ()
    """The scan before's SBOM, matched with the scanner and the database of today."""
    knowledge: Cause | None = None
    """The cause of what `base_today` already shows, where it is not to be told from the two runs."""
    joined: frozenset[str] | None = None
    """Types of packages (tools) that could not be looked at before; None where a gap may hide any."""


def continue_history(
    timeline: Timeline | Standing | None,
    seen: Observation,
    store_findings: Callable[[tuple[Finding, ...]], Digest],
) -> Scanned:
    """The event that continues `timeline` (None: this is the first scan) with what was seen.

    `store_findings` is given all findings that are open now, and returns their digest.
    """
    scan = seen.scan
    if timeline is None:
        first = group_changes((finding, Cause.SCOPE) for finding in scan.findings)
        return _event(None, seen, store_findings(scan.findings), introduced=first)
    delta = _compare_changed(seen.recorded, scan.findings)
    causes = name_causes(
        delta,
        _concerned(seen.base_today, delta),
        knowledge=seen.knowledge or _knowledge(timeline.latest.run, scan.provenance),
        change=Cause.REBUILD if seen.inputs and seen.inputs == timeline.latest.inputs else Cause.IMAGE,
        widened=seen.joined is None and bool(shrank(scan.coverage, timeline.reference)),
        joined=seen.joined or frozenset(),
    )
    is_seeing = not shrank(timeline.reference, scan.coverage)
    resolved = delta.resolved if is_seeing else ()
    still_open = () if is_seeing else delta.resolved
    pairs = noteworthy(delta)
    return _event(
        timeline.latest,
        seen,
        store_findings(merge_same_identity((*scan.findings, *still_open)) if still_open else scan.findings),
        introduced=group_changes((f, causes.introduced[f.identity]) for f in delta.introduced),
        resolved=group_changes((f, causes.resolved[f.identity]) for f in resolved),
        changed=group_renames((p, causes.rerated.get(p.head.identity, Cause.DATABASE)) for p in pairs),
    )


def _compare_changed(base: tuple[Finding, ...], head: tuple[Finding, ...]) -> Delta:
    """The delta without pairs in which nothing at all differs: no event states them, and they are most.

    Both are walked once, as they are sorted by identity. What is not, is left to the comparison.
    """
    gone: list[Finding] = []
    new: list[Finding] = []
    rest = iter(base)
    old = next(rest, None)
    for finding in head:
        if old != finding:
            while old is not None and old.identity < finding.identity:
                gone.append(old)
                old = next(rest, None)
            if old != finding:
                new.append(finding)
                continue
        old = next(rest, None)
    return compare((*gone, *((old,) if old else ()), *rest), new)


def _concerned(findings: Iterable[Finding], delta: Delta) -> list[Finding]:
    """Those of `findings` that can decide a cause: most findings are in no difference."""
    ids = {finding.id for finding in (*delta.introduced, *delta.resolved)}
    ids |= {pair.head.id for pair in delta.rerated}
    return [finding for finding in findings if finding.id in ids]


def _knowledge(before: RunStarted, now: Provenance) -> Cause:
    """What moved our knowledge between two scans: the scanner only where the database is the same."""
    same_database = before.database.digest == now.database.digest
    return Cause.SCANNER if same_database and before.scanner != now.scanner else Cause.DATABASE


def _event(
    before: ScanRecord | Context | None,
    seen: Observation,
    findings: Digest,
    *,
    introduced: tuple[Change, ...] = (),
    resolved: tuple[Change, ...] = (),
    changed: tuple[Rename, ...] = (),
) -> Scanned:
    full = Scanned(
        run=seen.run,
        platform=str(seen.scan.platform),
        digest=seen.scan.digest,
        sbom=seen.sbom,
        findings=findings,
        inputs=seen.inputs,
        coverage=seen.scan.coverage,
        introduced=introduced,
        resolved=resolved,
        changed=changed,
    )
    known_inputs = before.inputs if before else None
    if seen.inputs == known_inputs:
        full = msgspec.structs.replace(full, inputs=msgspec.UNSET)
    if before is None:
        return full
    context = ("digest", "sbom", "findings", "coverage")
    same = [name for name in context if getattr(full, name) == getattr(before, name)]
    return msgspec.structs.replace(full, **dict.fromkeys(same))


def stand(
    image: str, scans: Iterable[ScanContext], find_run: Callable[[str], RunStarted]
) -> dict[str, Standing]:
    """Where each platform stands after `scans`, which are all of one image's ledger, oldest first.

    The same as the end of `replay`, for the price of the contexts. `find_run` gives the start of a run.
    """
    latest: dict[str, ScanContext] = {}
    references: dict[str, Coverage] = {}
    for scan in scans:
        platform = scan.platform
        whole = latest[platform] = scan.after(latest.get(platform))
        reference = references.get(platform)
        if scan.coverage and (reference is None or not shrank(reference, scan.coverage)):
            references[platform] = scan.coverage
        if not whole.is_complete:
            raise _cut_off(image, platform)
    return {
        platform: Standing(latest=_context(scan, find_run(scan.run)), reference=references[platform])
        for platform, scan in latest.items()
    }


def _context(scan: ScanContext, run: RunStarted) -> Context:
    assert scan.digest and scan.sbom and scan.findings and scan.coverage  # noqa: S101, PT018 - `stand` saw to it
    return Context(
        run=run,
        digest=scan.digest,
        sbom=scan.sbom,
        findings=scan.findings,
        inputs=_inputs(None, scan.inputs),
        coverage=scan.coverage,
    )


def _inputs(before: Digest | None, stated: Digest | msgspec.UnsetType | None) -> Digest | None:
    """The build inputs of a scan: those of the one before where it states nothing."""
    return before if stated is msgspec.UNSET else stated


def _cut_off(image: str, platform: str) -> RepositoryError:
    return RepositoryError(
        f"ledger of {image}: the first scan of {platform} lacks its context",
        hint="Run `hullmark verify`: the beginning of the ledger was cut.",
    )


def replay(
    image: str, events: Iterable[tuple[str, Event]], runs: Mapping[str, RunStarted]
) -> dict[str, Timeline]:
    """Replay the events of one image's ledger, each with its time, into one timeline a platform.

    `runs` gives the start of each run by its id. The time of an event is RFC 3339 in UTC.
    """
    sample = False
    platforms: dict[str, _Replay] = {}
    for sequence, (at, event) in enumerate(events):
        if isinstance(event, LedgerStarted):
            sample = event.sample
        elif isinstance(event, Scanned):
            state = platforms.setdefault(event.platform, _Replay(image))
            state.scan(at, event, _run_of(event, runs, image), sequence)
    return {
        platform: Timeline(
            image=image,
            platform=platform,
            sample=sample,
            scans=tuple(state.scans),
            intervals=tuple(sorted((*state.closed, *state.open.values()), key=_by_first_sight)),
        )
        for platform, state in sorted(platforms.items())
    }


def _run_of(event: Scanned, runs: Mapping[str, RunStarted], image: str) -> RunStarted:
    try:
        return runs[event.run]
    except KeyError:
        raise unknown_run(event.run, image) from None


def unknown_run(run: str, image: str) -> RepositoryError:
    """The error of a scan whose run nobody recorded."""
    return RepositoryError(
        f"ledger of {image}: a scan names run {run}, which audit-logs/runs does not have",
        hint="Run `hullmark verify`: the ledger of runs was cut or comes from another copy.",
    )


def _by_first_sight(interval: Interval) -> tuple[str, Identity, str]:
    return interval.first_seen, interval.identity, interval.resolved_at


class _Replay:
    """The state of one platform while its events are replayed."""

    def __init__(self, image: str) -> None:
        self.image = image
        self.scans: list[ScanRecord] = []
        self.open: dict[Identity, Interval] = {}
        self.closed: list[Interval] = []

    def scan(self, at: str, event: Scanned, run: RunStarted, sequence: int) -> None:
        self.scans.append(self._record(at, event, run, sequence))
        for rename in event.changed:
            for before, after in zip(rename.before.identities, rename.after.identities, strict=True):
                self._rename(at, before, after, rename.after)
        for change in event.resolved:
            for identity in change.identities:
                self._resolve(at, identity, change)
        for change in event.introduced:
            for identity in change.identities:
                self._introduce(at, identity, change)

    def _record(self, at: str, event: Scanned, run: RunStarted, sequence: int) -> ScanRecord:
        before = self.scans[-1] if self.scans else None
        reference = next((scan.coverage for scan in reversed(self.scans) if scan.is_seeing), None)
        digest = event.digest or (before and before.digest)
        sbom = event.sbom or (before and before.sbom)
        findings = event.findings or (before and before.findings)
        coverage = event.coverage or (before and before.coverage)
        if not (digest and sbom and findings and coverage):
            raise _cut_off(self.image, event.platform)
        return ScanRecord(
            at=at,
            event=event,
            run=run,
            digest=digest,
            sbom=sbom,
            findings=findings,
            inputs=_inputs(before.inputs if before else None, event.inputs),
            coverage=coverage,
            is_seeing=reference is None or not shrank(reference, coverage),
            sequence=sequence,
        )

    def _introduce(self, at: str, identity: Identity, change: Change) -> None:
        if identity in self.open:
            raise RepositoryError(
                f"ledger of {self.image}: {identity.id} in {identity.package} begins twice",
                hint="Run `hullmark verify`: entries are missing or repeated.",
            )
        self.open[identity] = Interval(
            identity=identity,
            first_seen=at,
            cause=change.cause,
            change=change,
            severities=((at, change.severity),),
            fix_since=at if change.fixed else "",
        )

    def _resolve(self, at: str, identity: Identity, change: Change) -> None:
        known = self._known(identity)
        del self.open[identity]
        self.closed.append(msgspec.structs.replace(known, resolved_at=at, resolved_cause=change.cause))

    def _rename(self, at: str, before: Identity, after: Identity, change: Change) -> None:
        known = self._known(before)
        del self.open[before]
        severities = known.severities
        if severities[-1][1] is not change.severity:
            severities = (*severities, (at, change.severity))
        self.open[after] = msgspec.structs.replace(
            known,
            identity=after,
            change=change,
            severities=severities,
            fix_since=(known.fix_since or at) if change.fixed else "",
        )

    def _known(self, identity: Identity) -> Interval:
        try:
            return self.open[identity]
        except KeyError:
            raise RepositoryError(
                f"ledger of {self.image}: {identity.id} in {identity.package} ends without having begun",
                hint="Run `hullmark verify`: entries are missing.",
            ) from None
