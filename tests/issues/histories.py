"""Recorded histories for tests of issues."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from hullmark.finding import Finding, Severity
from hullmark.issues import ImageFacts, Posted, Rules, gather, label_of
from hullmark.journal import Journal
from hullmark.recording import begin_run
from tests.values import EVERYTHING, run_started, scan_of

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.scan import Coverage

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
BOT = "github-actions[bot]"
COMMIT = "c" * 40
PLATFORMS = ("linux/amd64",)
RULES = Rules(author=BOT, commit=COMMIT, logs="https://github.example/acme/images/blob/main/audit-logs")
replace = msgspec.structs.replace


def finding(id_: str = "CVE-2026-1", severity: Severity = Severity.HIGH, **fields: Any) -> Finding:  # noqa: ANN401
    """A finding of a Debian package."""
    values = {"package_type": "debian", "package": "libssl3", "source": "openssl", "versions": ("3.5.1",)}
    return Finding(id=id_, severity=severity, **{**values, **fields})


LOW = finding("CVE-2026-3", Severity.LOW)
UNRATED = finding("CVE-2026-4", Severity.UNKNOWN)


class History:
    """A ledger to which scans are recorded, one a day."""

    def __init__(self, root: Path, image: str = "app") -> None:
        self.journal = Journal(root)
        self.image = image
        self.hours = 0

    def scan(
        self,
        *findings: Finding,
        coverage: Coverage = EVERYTHING,
        commit: str = "",
        hours: int = 24,
        sbom: str = "",
    ) -> History:
        """Record one scan, a day after the one before."""
        run = replace(run_started(), commit=commit)
        seen = scan_of(*findings, run=run, image=self.image, sbom=sbom or "1", coverage=coverage)
        now = NOW + timedelta(hours=self.hours)
        self.hours += hours
        with begin_run(self.journal, run, now=now, clock_overridden=True) as recording:
            recording.add(seen, seen.digest.encode(), lambda _: findings, inputs=None)
            recording.finish((f"{self.image} linux/amd64",), {})
        return self

    @property
    def now(self) -> datetime:
        """The time of the newest scan."""
        return NOW + timedelta(hours=self.hours - 24)

    def facts(self, **options: Any) -> ImageFacts:  # noqa: ANN401
        """What an issue is made of."""
        given = {"expected": PLATFORMS, "today": NOW.date(), **options}
        return gather(self.image, self.journal.timelines(self.image), self.journal.findings, **given)


def posted(number: int = 1, body: str = "", **fields: Any) -> Posted:  # noqa: ANN401
    """An issue of ours."""
    values = {"labels": ("security", "trivy", label_of("app"), "severity:high"), "author": BOT, **fields}
    return Posted(number=number, body=body, **values)
