"""The days that a report is about."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, timedelta
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_HINT = "Write 2026-11, 2026-Q4, 2026-W48, 2026, 2026-11-01..2026-11-25, or a number of days as 30d."


class Period(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Whole days in UTC, both included."""

    start: date
    end: date

    @property
    def before(self) -> str:
        """The last moment before the period, as entries of the ledger write it."""
        return f"{self.start - timedelta(days=1)}T23:59:59Z"

    @property
    def last(self) -> str:
        """The last moment of the period."""
        return f"{self.end}T23:59:59Z"

    def holds(self, at: str) -> bool:
        """Whether an entry of the time `at` lies in the period."""
        return self.before < at <= self.last

    def __str__(self) -> str:
        return f"{self.start} to {self.end}"


def parse_period(text: str, today: date) -> Period:
    """Read what a person writes, or raise UsageError. A period that has not ended yet ends today."""
    try:
        start, end = _read(text.strip(), today)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is no period: {error}", hint=_HINT) from error
    if start > end:
        raise UsageError(f"{text!r} ends before it begins", hint=_HINT)
    if start > today:
        raise UsageError(f"{text!r} lies in the future", hint=_HINT)
    return Period(start=start, end=min(end, today))


def _read(text: str, today: date) -> tuple[date, date]:
    if ".." in text:
        start, _, end = text.partition("..")
        return date.fromisoformat(start), date.fromisoformat(end)
    for pattern, reader in _FORMS:
        if found := pattern.fullmatch(text):
            return reader(found, today)
    day = date.fromisoformat(text)
    return day, day


def _days(found: re.Match[str], today: date) -> tuple[date, date]:
    return today - timedelta(days=max(int(found[1]), 1) - 1), today


def _months(year: int, first: int, last: int) -> tuple[date, date]:
    return date(year, first, 1), date(year, last, monthrange(year, last)[1])


def _month(found: re.Match[str], _: date) -> tuple[date, date]:
    month = int(found[2])
    if not 1 <= month <= 12:  # noqa: PLR2004 - months of a year
        raise ValueError("there is no such month")
    return _months(int(found[1]), month, month)


def _quarter(found: re.Match[str], _: date) -> tuple[date, date]:
    last = 3 * int(found[2])
    return _months(int(found[1]), last - 2, last)


def _week(found: re.Match[str], _: date) -> tuple[date, date]:
    monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
    return monday, monday + timedelta(days=6)


def _year(found: re.Match[str], _: date) -> tuple[date, date]:
    return _months(int(found[0]), 1, 12)


_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], date], tuple[date, date]]], ...] = (
    (re.compile(r"(\d{1,4})d", re.ASCII), _days),
    (re.compile(r"(\d{4})-(\d{2})", re.ASCII), _month),
    (re.compile(r"(\d{4})-Q([1-4])", re.ASCII), _quarter),
    (re.compile(r"(\d{4})-W(\d{2})", re.ASCII), _week),
    (re.compile(r"\d{4}", re.ASCII), _year),
)
