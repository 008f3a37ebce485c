"""The weekly summary as the page Trends shows it: any document of version 3, also one of the original."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - a field
from typing import TYPE_CHECKING

import msgspec

from hullmark.summary_document import ImageEntry, TrendPoint, parse_previous

if TYPE_CHECKING:
    from pathlib import Path


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of a summary, and the document itself."""

    document: bytes
    generated_at: str
    images: tuple[ImageEntry, ...]
    trend: tuple[TrendPoint, ...]
    sample: bool
    risk_index: int | None = None
    capped: bool = False
    uncapped: int = 0


class _Risk(msgspec.Struct, frozen=True, rename="camel"):
    risk_index: int | None = None
    risk_index_capped: bool = False
    risk_index_uncapped: int = 0


def parse_trend(data: bytes, *, file: Path | str, now: datetime) -> Trend:
    """Read a summary, or raise InputError with file and key. Version 1 and 2 are refused."""
    summary = parse_previous(data, file=file, now=now)
    risk = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=_Risk)
    return Trend(
        document=msgspec.json.encode(msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))),
        generated_at=summary.generated_at,
        images=summary.images,
        trend=tuple(sorted(summary.trend, key=lambda point: point.date)),
        sample=summary.sample,
        risk_index=risk.risk_index,
        capped=risk.risk_index_capped,
        uncapped=risk.risk_index_uncapped,
    )
