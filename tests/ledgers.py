"""A ledger in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hullmark.event import Event, LedgerStarted, RunStarted, Scanned
from hullmark.history import Observation, Timeline, continue_history, replay
from tests.values import EVERYTHING, digest_of, run_started, scan_of

if TYPE_CHECKING:
    from hullmark.finding import Finding, Identity
    from hullmark.image import Digest
    from hullmark.scan import Coverage


class Ledger:
    """A ledger in memory, fed as the journal feeds the real one."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Event]] = [
            ("2026-01-01T00:00:00Z", LedgerStarted(sample=True, hullmark="0"))
        ]
        self.runs: dict[str, RunStarted] = {}
        self.evidence: dict[Digest, tuple[Finding, ...]] = {}

    def store(self, findings: tuple[Finding, ...]) -> Digest:
        digest = digest_of(findings)
        self.evidence[digest] = findings
        return digest

    @property
    def timeline(self) -> Timeline | None:
        return replay("app", self.events, self.runs).get("linux/amd64")

    def scan(
        self,
        *findings: Finding,
        base_today: tuple[Finding, ...] | None = None,
        database: str = "a",
        sbom: str = "1",
        coverage: Coverage = EVERYTHING,
        inputs: Digest | None = None,
    ) -> Scanned:
        run = run_started(database=database)
        name = f"run-{len(self.runs)}"
        self.runs[name] = run
        timeline = self.timeline
        recorded = self.evidence[timeline.latest.findings] if timeline else ()
        event = continue_history(
            timeline,
            Observation(
                run=name,
                scan=scan_of(*findings, run=run, sbom=sbom, coverage=coverage),
                sbom=digest_of(sbom),
                inputs=inputs,
                recorded=recorded,
                base_today=recorded if base_today is None else base_today,
            ),
            self.store,
        )
        self.events.append((f"2026-01-{len(self.events) + 1:02}T00:00:00Z", event))
        return event

    @property
    def open(self) -> set[Identity]:
        timeline = self.timeline
        assert timeline is not None
        return {interval.identity for interval in timeline.intervals if interval.is_open}
