"""The weekly summary, document version 3: what is known of every image, and what changed.

Rules:
- Missing evidence never yields "better" or a lower risk (law 7): a missing image repeats its last known
  counts with their date, or is marked "risk unknown" where nothing was ever known of it.
- The order of images and reports never changes an output byte (law 8).
- `delta` is computed over images covered on both sides; joining and retired images are no part of it.
- `direction` is "worse" when CRITICAL rises or the risk-weighted sum (10, 5, 2 as in `riskIndex`) rises,
  "better" when that sum falls while neither CRITICAL nor UNKNOWN rises, else "stable". A partial week is
  never "better"; an image seen again, or seen in part, can make it "worse".
- The trend has one point a date and is never filled up: a gap stays a gap. A run on the same day replaces the
  one before, and is compared with what that one was compared with.
- A sample never continues a real history, nor the reverse.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import UsageError
from hullmark.finding import Counts
from hullmark.risk import FULL, RISK_METHOD, percent, weigh
from hullmark.summary_document import (
    Compared,
    Coverage,
    Direction,
    ExemptedEntry,
    ImageCoverage,
    ImageEntry,
    LedgerHead,
    Origin,
    Period,
    PreviousSummary,
    Summary,
    TrendPoint,
    format_summary,
    parse_previous,
    parse_summary,
    remember,
)
from hullmark.vex import Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from hullmark.event import SummaryPublished

__all__ = [
    "HISTORY_LIMIT",
    "ImageReading",
    "LedgerHead",
    "Origin",
    "PreviousSummary",
    "Summary",
    "format_summary",
    "parse_previous",
    "parse_summary",
    "percent",
    "remember",
    "replay",
    "summarise",
    "to_event",
    "weigh",
]

HISTORY_LIMIT = 26
PERIOD = timedelta(days=7)


class ImageReading(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one image for this summary."""

    name: str
    counts: Counts = Counts()
    """Findings; where `missing` is set, those that were seen nevertheless: a lower bound."""
    vulnerabilities: Counts | None = None
    as_of: date | None = None
    """Day of the scan, where it is known."""
    source: str = ""
    """The report that was read; empty when there was none."""
    missing: str = ""
    """Why the image was not covered; empty when it was."""


def summarise(
    readings: Iterable[ImageReading],
    *,
    now: datetime,
    origin: Origin,
    previous: PreviousSummary | None = None,
    sample: bool = False,
    retired: Collection[str] = (),
    ledger: Mapping[str, LedgerHead] | None = None,
    exempted: Iterable[ExemptedEntry] = (),
    history_limit: int = HISTORY_LIMIT,
) -> Summary:
    """Return the summary of `readings`, continued from `previous`.

    An image of `previous` without a reading is missing, unless it is named in `retired`.
    """
    if previous is not None and previous.sample != sample:
        raise UsageError(
            "a sample and a real history never mix", hint="Start a new summary without the other."
        )
    at = now.astimezone(UTC)
    seen = _by_name(readings)
    images = _place_all(seen, previous, retired)
    base = _base(previous, at.date(), images)
    pairs = _pairs(base, images)
    compared = [(before, after) for before, after in pairs if _is_covered(before, after)]
    delta = _sum(after.counts - before.counts for before, after in compared)
    coverage = _cover(images, (after for _, after in compared))
    totals = _sum(image.counts for image in images)
    uncapped = percent(weigh(totals))
    return Summary(
        generated_at=at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        period=Period(start=at.date() - PERIOD, end=at.date()),
        images=images,
        totals=totals,
        delta=delta,
        direction=_direction(pairs, delta, complete=coverage.complete),
        trend=_continue(previous, at.date(), totals, partial=not coverage.complete)[-history_limit:],
        risk_index=min(FULL, uncapped),
        risk_index_method=RISK_METHOD,
        version=3,
        sources=tuple(sorted({reading.source for reading in seen.values() if reading.source})),
        origin=origin,
        sample=sample,
        coverage=coverage,
        vulnerabilities=_sum_known(image.vulnerabilities for image in images),
        risk_index_capped=uncapped > FULL,
        risk_index_uncapped=uncapped,
        ledger=dict(sorted((ledger or {}).items())),
        compared_with=base,
        exempted=tuple(sorted(exempted, key=msgspec.structs.astuple)),
    )


def _cover(images: Sequence[ImageEntry], compared: Iterable[ImageEntry]) -> Coverage:
    missing = tuple(image.name for image in images if not image.coverage.covered)
    return Coverage(
        complete=bool(images) and not missing,
        expected=len(images),
        covered=len(images) - len(missing),
        missing=missing,
        compared=tuple(image.name for image in compared),
    )


def _by_name(readings: Iterable[ImageReading]) -> dict[str, ImageReading]:
    seen: dict[str, ImageReading] = {}
    for reading in readings:
        if seen.setdefault(reading.name, reading) is not reading:
            raise UsageError(f"image {reading.name!r} is given twice", hint="Give one report for each image.")
    return seen


def _place_all(
    seen: Mapping[str, ImageReading], previous: PreviousSummary | None, retired: Collection[str]
) -> tuple[ImageEntry, ...]:
    known = {image.name: image for image in previous.images} if previous else {}
    names = sorted({*seen, *(name for name in known if name not in retired)})
    unread = "there is no report of it any more"
    return tuple(
        _place(
            seen.get(name) or ImageReading(name=name, missing=unread),
            known.get(name),
            previous.date if previous else None,
        )
        for name in names
    )


def _place(reading: ImageReading, last: ImageEntry | None, known_on: date | None) -> ImageEntry:
    """Return the image's line: what was read, or else the worst of what was read and what was known."""
    reason, seen = reading.missing, reading.counts
    if not reason and (stale := _stale(reading, last)):
        reason, seen = stale, Counts()
    if not reason:
        coverage = ImageCoverage(covered=True, as_of=reading.as_of)
        return _entry(reading.name, seen, coverage, reading.vulnerabilities)
    if last is None:
        return _entry(
            reading.name, seen, ImageCoverage(covered=False, reason=reason, risk_unknown=True), None
        )
    unknown = last.coverage.risk_unknown
    coverage = ImageCoverage(
        covered=False,
        reason=reason,
        as_of=None if unknown else last.coverage.as_of or known_on,
        risk_unknown=unknown,
    )
    return _entry(reading.name, _worst(last.counts, seen), coverage, last.vulnerabilities)


def _stale(reading: ImageReading, last: ImageEntry | None) -> str:
    # A report that is older than the one already counted would undo what is known since.
    then = last.coverage.as_of if last else None
    if reading.as_of is None or then is None or reading.as_of >= then:
        return ""
    return f"its report of {reading.as_of} is older than the one of {then} that was counted before"


def _entry(name: str, counts: Counts, coverage: ImageCoverage, vulnerabilities: Counts | None) -> ImageEntry:
    return ImageEntry(
        name=name,
        critical=counts.critical,
        high=counts.high,
        medium=counts.medium,
        low=counts.low,
        unknown=counts.unknown,
        coverage=coverage,
        vulnerabilities=vulnerabilities,
    )


def _base(previous: PreviousSummary | None, today: date, images: tuple[ImageEntry, ...]) -> Compared | None:
    if previous is None:
        return None
    if previous.date == today:
        if previous.compared_with is not None:
            return previous.compared_with
        if previous.images == images:
            return None  # the day's first summary, made once more
    return Compared(
        generated_at=previous.generated_at,
        images=tuple(sorted(previous.images, key=lambda image: image.name)),
    )


def _pairs(base: Compared | None, images: tuple[ImageEntry, ...]) -> list[tuple[ImageEntry, ImageEntry]]:
    before = {image.name: image for image in base.images} if base else {}
    return [(before[image.name], image) for image in images if image.name in before]


def _is_covered(before: ImageEntry, after: ImageEntry) -> bool:
    return before.coverage.covered and after.coverage.covered


def _direction(pairs: list[tuple[ImageEntry, ImageEntry]], delta: Counts, *, complete: bool) -> Direction:
    alone = [
        after.counts - before.counts
        for before, after in pairs
        if not _is_covered(before, after) and not before.coverage.risk_unknown
    ]
    if any(change.critical > 0 or weigh(change) > 0 for change in (delta, *alone)):
        return Direction.WORSE
    if complete and weigh(delta) < 0 and delta.unknown <= 0:
        return Direction.BETTER
    return Direction.STABLE


def _continue(
    previous: PreviousSummary | None, today: date, totals: Counts, *, partial: bool
) -> tuple[TrendPoint, ...]:
    points = {point.date: point for point in (previous.trend if previous else ())}
    points[today] = TrendPoint(
        date=today, critical=totals.critical, high=totals.high, medium=totals.medium, partial=partial
    )
    return tuple(points[day] for day in sorted(points))


def _sum(counts: Iterable[Counts]) -> Counts:
    return sum(counts, Counts())


def _sum_known(counts: Iterable[Counts | None]) -> Counts | None:
    known = tuple(counts)
    return _sum(each for each in known if each is not None) if known and None not in known else None


def _worst(one: Counts, other: Counts) -> Counts:
    return Counts(
        **{name: max(getattr(one, name), getattr(other, name)) for name in Counts.__struct_fields__}
    )


def to_event(summary: Summary) -> SummaryPublished:
    """Return the fact to record: enough to make the summary again, and the one after it."""
    # Here, as the script that reads reports makes no event and must not pay for them at its start.
    from hullmark.event import ExemptedFindings, ImageCounts, SummaryPublished  # noqa: PLC0415 - see above

    return SummaryPublished(
        generated_at=summary.generated_at,
        images={
            image.name: ImageCounts(
                findings=image.counts,
                vulnerabilities=image.vulnerabilities,
                missing=image.coverage.reason,
                as_of=str(image.coverage.as_of or ""),
            )
            for image in summary.images
        },
        sources=summary.sources,
        exempted=tuple(
            ExemptedFindings(**msgspec.structs.asdict(entry) | {"status": Status(entry.status)})
            for entry in summary.exempted
        ),
    )


def replay(
    events: Iterable[SummaryPublished], *, sample: bool, history_limit: int = HISTORY_LIMIT
) -> Summary | None:
    """Return the newest summary, made again from all recorded ones in their order; None if there is none.

    Only `ledger` is not in the events: it is what the ledger itself shows at that time.
    """
    summary = None
    for event in events:
        previous = remember(summary) if summary else None
        summary = summarise(
            _readings_of(event),
            now=datetime.fromisoformat(event.generated_at),
            origin=Origin.LEDGER,
            previous=previous,
            sample=sample,
            retired={image.name for image in previous.images} - set(event.images) if previous else (),
            exempted=tuple(ExemptedEntry(**msgspec.structs.asdict(entry)) for entry in event.exempted),
            history_limit=history_limit,
        )
        summary = msgspec.structs.replace(summary, sources=event.sources)
    return summary


def _readings_of(event: SummaryPublished) -> tuple[ImageReading, ...]:
    return tuple(
        ImageReading(
            name=name,
            counts=image.findings,
            vulnerabilities=image.vulnerabilities,
            as_of=date.fromisoformat(image.as_of) if image.as_of else None,
            missing=image.missing,
        )
        for name, image in event.images.items()
    )
