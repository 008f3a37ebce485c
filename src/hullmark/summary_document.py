"""Document version 3 of the weekly summary: its shape, and reading and writing it.

Keys, order and meaning up to `sources` are the original's; additions are new keys behind them, or new keys
within an image and a point of the trend. JSON Schema: `schema/security-summary/3.json`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec

from hullmark.errors import InputError
from hullmark.finding import Counts

if TYPE_CHECKING:
    from pathlib import Path

MAX_SUMMARY = 16 * 1024 * 1024
"""Bytes of a summary file that we are ready to read."""

Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]

Document = TypeVar("Document")

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class Direction(StrEnum):
    """Where the risk went since the summary before."""

    BETTER = "better"
    WORSE = "worse"
    STABLE = "stable"


class Origin(StrEnum):
    """What a summary was made from."""

    LEDGER = "ledger"
    REPORTS = "reports"


class ImageCoverage(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Whether an image was covered, and from when its counts are."""

    covered: bool
    reason: str = ""
    """Why it was not covered."""
    as_of: date | None = None
    """Day of the scan whose counts these are."""
    risk_unknown: bool = False
    """The image was never covered: its counts are what was seen at least, often nothing."""


class ImageEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One image's line. The original wrote the first six keys only: there, every image counts as covered."""

    name: str
    critical: Count
    high: Count
    medium: Count
    low: Count = 0
    unknown: Count = 0
    coverage: ImageCoverage = ImageCoverage(covered=True)
    vulnerabilities: Counts | None = None
    """Distinct vulnerabilities, where they are known."""

    @property
    def counts(self) -> Counts:
        """The five numbers together."""
        return Counts(
            critical=self.critical,
            high=self.high,
            medium=self.medium,
            low=self.low,
            unknown=self.unknown,
        )


class TrendPoint(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The totals of one day."""

    date: date
    critical: Count
    high: Count
    medium: Count
    partial: bool = False
    """Some image was not covered that day."""


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """The days a summary speaks of."""

    start: date
    end: date


class Compared(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The summary that `delta` and `direction` were computed against."""

    generated_at: str
    images: tuple[ImageEntry, ...]


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """Whether everything that was expected was covered."""

    complete: bool
    expected: int
    covered: int
    missing: tuple[str, ...]
    compared: tuple[str, ...]
    """Images that `delta` was computed over."""


class ExemptedEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An accepted risk that covers something in one image. What it covers is counted all the same."""

    image: str
    id: str
    package: str
    """A pattern; empty for whichever package carries it."""
    owner: str
    reason: str
    expires: date
    status: str
    """OpenVEX's."""
    findings: Count


class LedgerHead(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a ledger when the summary was made: proof of what had been recorded by then."""

    entries: int
    head: str


class Summary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Document version 3."""

    generated_at: str
    period: Period
    images: tuple[ImageEntry, ...]
    totals: Counts
    delta: Counts
    direction: Direction
    trend: tuple[TrendPoint, ...]
    risk_index: int
    """Rounded to the nearest whole number."""
    risk_index_method: str
    version: Literal[3]
    sources: tuple[str, ...]
    origin: Origin
    sample: bool
    coverage: Coverage
    vulnerabilities: Counts | None
    """Sum over the images, where it is known for every image."""
    risk_index_capped: bool
    risk_index_uncapped: int
    ledger: dict[str, LedgerHead]
    compared_with: Compared | None
    exempted: tuple[ExemptedEntry, ...] = ()
    """Accepted risks in force that cover something, by image and id."""


class PreviousSummary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the next summary needs of one before, also of one that the original wrote."""

    generated_at: str
    images: tuple[ImageEntry, ...]
    trend: tuple[TrendPoint, ...]
    version: Literal[3]
    sample: bool = False
    compared_with: Compared | None = None

    @property
    def date(self) -> date:
        """Day on which it was made."""
        return date.fromisoformat(self.generated_at[:10])


def format_summary(summary: Summary) -> bytes:
    """Return the document as UTF-8 JSON, two spaces deep, with a line end."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"


def parse_summary(data: bytes, *, file: Path | str) -> Summary:
    """Return a document that Hullmark wrote. Unknown keys are passed over."""
    summary = _decode(data, Summary, file)
    _check(summary, file=file)
    return summary


def parse_previous(data: bytes, *, file: Path | str, now: datetime) -> PreviousSummary:
    """Return what the next summary needs of a version 3 document, Hullmark's own or the original's."""
    previous = _decode(data, PreviousSummary, file)
    _check(previous, file=file)
    today = now.astimezone(UTC).date()
    days = [("generatedAt", previous.date)]
    days += [(f"trend[{place}].date", point.date) for place, point in enumerate(previous.trend)]
    days += [
        (f"images[{place}].coverage.asOf", image.coverage.as_of)
        for place, image in enumerate(previous.images)
        if image.coverage.as_of
    ]
    for key, day in days:
        if day > today:
            raise InputError(
                f"{day} lies in the future", file=file, key=key, hint="Check this machine's clock."
            )
    return previous


def remember(summary: Summary) -> PreviousSummary:
    """Return what the next summary needs of this one."""
    return PreviousSummary(
        generated_at=summary.generated_at,
        images=summary.images,
        trend=summary.trend,
        version=summary.version,
        sample=summary.sample,
        compared_with=summary.compared_with,
    )


def _check(document: Summary | PreviousSummary, *, file: Path | str) -> None:
    """Refuse what the types cannot say."""
    _check_day(document.generated_at, file=file, key="generatedAt")
    _check_images(document.images, file=file, key="images")
    if document.compared_with is not None:
        _check_day(document.compared_with.generated_at, file=file, key="comparedWith.generatedAt")
        _check_images(document.compared_with.images, file=file, key="comparedWith.images")


def _check_day(moment: str, *, file: Path | str, key: str) -> None:
    try:
        date.fromisoformat(moment[:10] if _DAY.match(moment) else "")
    except ValueError as error:
        raise InputError(f"{moment[:40]!r} does not begin with a date", file=file, key=key) from error


def _check_images(images: tuple[ImageEntry, ...], *, file: Path | str, key: str) -> None:
    names: set[str] = set()
    for place, image in enumerate(images):
        if image.name in names:
            raise InputError(f"image {image.name!r} is there twice", file=file, key=f"{key}[{place}].name")
        names.add(image.name)
        if image.vulnerabilities is not None and min(msgspec.structs.astuple(image.vulnerabilities)) < 0:
            raise InputError("a count is negative", file=file, key=f"{key}[{place}].vulnerabilities")


def _decode(data: bytes, kind: type[Document], file: Path | str) -> Document:
    hint = "Expected a summary of version 3; take an earlier state of the file from git, or start without it."
    if len(data) > MAX_SUMMARY:
        raise InputError(f"has {len(data):,} bytes, more than {MAX_SUMMARY:,}", file=file, hint=hint)
    try:
        return msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=kind)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        raise InputError(message, file=file, key=place.strip("`."), hint=hint) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"is not JSON: {error}", file=file, hint=hint) from error
