"""Parcels for tests: what a run would have seen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from hullmark.ledger.entry import format_time
from hullmark.outbox import Outbox, Parcel, pack
from tests.values import run_started, scan_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hullmark.finding import Finding
    from hullmark.image import Digest
    from hullmark.ledger import Head

AT = datetime(2026, 1, 5, 9, tzinfo=UTC)


def make_parcel(
    outbox: Outbox,
    *findings: Finding,
    image: str = "app",
    database: str = "a",
    updated_at: str = "2026-01-01T00:00:00Z",
    sbom: bytes = b"{}",
    at: datetime = AT,
    again: Mapping[Digest, tuple[Finding, ...]] | None = None,
    heads: Mapping[str, Head] | None = None,
    sample: bool = True,
) -> Digest:
    """Pack one scan of `image` that found `findings`."""
    run = run_started(database=database, sample=sample)
    run = msgspec.structs.replace(
        run,
        expected=(f"{image} linux/amd64",),
        database=msgspec.structs.replace(run.database, updated_at=updated_at),
    )
    scan = scan_of(*findings, run=run, image=image, sbom=sbom.decode())
    return pack(
        outbox,
        at=format_time(at),
        started=run,
        scans=[(scan, sbom, None)],
        missing={},
        again=again or {},
        heads=heads or {},
    )


def never(parcel: Parcel, sbom: bytes) -> tuple[Finding, ...]:
    """A matcher that must not be asked."""
    raise AssertionError(f"{sbom!r} of {parcel.at} need not be matched again")
