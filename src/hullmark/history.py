"""Replay of a ledger's events: what is known of each image, and since when.

Rules:
- a finding's life goes on through a move, a rename, a re-rating and through a time in which nobody looked
  (resolved with cause `scope`, then introduced with cause `scope`);
- the last complete scan of an image is its known state; an incomplete one never replaces it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import RepositoryError
from hullmark.event import Change, Event, LedgerStarted, RunStarted, Scanned
from hullmark.finding import Cause, Identity, Severity
from hullmark.image import Digest
from hullmark.scan import Coverage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


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
    is_first: bool
    """Whether it is the first scan of this platform."""


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """The time during which a finding was open."""

    identity: Identity
    first_seen: str
    cause: Cause
    change: Change
    """The finding as last stated."""
    severities: tuple[tuple[str, Severity], ...]
    """Each severity it had, with the time from which."""
    resolved_at: str = ""
    """Empty while it is open."""
    resolved_cause: Cause | None = None
    unseen_since: str = ""
    """Set while the scans do not look where it is; then it counts as open."""

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
    def latest_complete(self) -> ScanRecord | None:
        """The newest scan that saw everything it should have seen."""
        return next((scan for scan in reversed(self.scans) if scan.coverage.is_complete), None)


def replay(
    image: str, events: Iterable[tuple[str, Event]], runs: Mapping[str, RunStarted]
) -> dict[str, Timeline]:
    """Replay the events of one image's ledger, each with its time, into one timeline a platform.

    `runs` gives the start of each run by its id. The time of an event is RFC 3339 in UTC.
    """
    sample = False
    platforms: dict[str, _Replay] = {}
    for at, event in events:
        if isinstance(event, LedgerStarted):
            sample = event.sample
        elif isinstance(event, Scanned):
            state = platforms.setdefault(event.platform, _Replay(image))
            state.scan(at, event, _run_of(event, runs, image))
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
        raise RepositoryError(
            f"ledger of {image}: a scan names run {event.run}, which audit-logs/runs does not have",
            hint="Run `hullmark verify`: the ledger of runs was cut or comes from another copy.",
        ) from None


def _by_first_sight(interval: Interval) -> tuple[str, Identity, str]:
    return interval.first_seen, interval.identity, interval.resolved_at


class _Replay:
    """The state of one platform while its events are replayed."""

    def __init__(self, image: str) -> None:
        self.image = image
        self.scans: list[ScanRecord] = []
        self.open: dict[Identity, Interval] = {}
        self.closed: list[Interval] = []

    def scan(self, at: str, event: Scanned, run: RunStarted) -> None:
        self.scans.append(self._record(at, event, run))
        for rename in event.changed:
            for before, after in zip(rename.before.identities, rename.after.identities, strict=True):
                self._rename(at, before, after, rename.after)
        for change in event.resolved:
            for identity in change.identities:
                self._resolve(at, identity, change)
        for change in event.introduced:
            for identity in change.identities:
                self._introduce(at, identity, change)

    def _record(self, at: str, event: Scanned, run: RunStarted) -> ScanRecord:
        before = self.scans[-1] if self.scans else None
        digest = event.digest or (before and before.digest)
        sbom = event.sbom or (before and before.sbom)
        findings = event.findings or (before and before.findings)
        coverage = event.coverage or (before and before.coverage)
        if not (digest and sbom and findings and coverage):
            raise RepositoryError(
                f"ledger of {self.image}: the first scan of {event.platform} lacks its context",
                hint="Run `hullmark verify`: the beginning of the ledger was cut.",
            )
        return ScanRecord(
            at=at,
            event=event,
            run=run,
            digest=digest,
            sbom=sbom,
            findings=findings,
            inputs=event.inputs or (before.inputs if before else None),
            coverage=coverage,
            is_first=before is None,
        )

    def _introduce(self, at: str, identity: Identity, change: Change) -> None:
        known = self.open.get(identity)
        if known is not None:  # it was out of sight, and is seen again
            self.open[identity] = msgspec.structs.replace(known, change=change, unseen_since="")
            return
        self.open[identity] = Interval(
            identity=identity,
            first_seen=at,
            cause=change.cause,
            change=change,
            severities=((at, change.severity),),
        )

    def _resolve(self, at: str, identity: Identity, change: Change) -> None:
        known = self._known(identity)
        if change.cause is Cause.SCOPE:
            self.open[identity] = msgspec.structs.replace(known, unseen_since=at)
            return
        del self.open[identity]
        self.closed.append(msgspec.structs.replace(known, resolved_at=at, resolved_cause=change.cause))

    def _rename(self, at: str, before: Identity, after: Identity, change: Change) -> None:
        known = self._known(before)
        del self.open[before]
        severities = known.severities
        if severities[-1][1] is not change.severity:
            severities = (*severities, (at, change.severity))
        self.open[after] = msgspec.structs.replace(
            known, identity=after, change=change, severities=severities, unseen_since=""
        )

    def _known(self, identity: Identity) -> Interval:
        try:
            return self.open[identity]
        except KeyError:
            raise RepositoryError(
                f"ledger of {self.image}: {identity.id} in {identity.package} ends without having begun",
                hint="Run `hullmark verify`: entries are missing.",
            ) from None
