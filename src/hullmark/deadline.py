"""How long a finding may stay open once it can be fixed, and how old it is.

The clock of a finding starts when it was seen here and a fix was known here: nobody can be late with
what cannot be done.
"""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import msgspec

if TYPE_CHECKING:
    from hullmark.finding import Severity


_Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]


class Deadlines(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Days within which a finding that has a fix should be gone, by severity."""

    critical: _Days = 7
    high: _Days = 30
    medium: _Days = 90

    def days(self, severity: Severity) -> int | None:
        """The days for `severity`; None where nothing is required."""
        days: int | None = getattr(self, severity.value.lower(), None)
        return days

    def due(self, severity: Severity, fixable_since: str) -> date | None:
        """The last day within the deadline; None without a fix, or where nothing is required."""
        days = self.days(severity)
        if days is None or not fixable_since:
            return None
        return date.fromisoformat(fixable_since[:10]) + timedelta(days=days)


class Band(StrEnum):
    """An age in days, as tables group it."""

    WEEK = "0-7"
    MONTH = "8-30"
    QUARTER = "31-90"
    LONGER = "91+"


def band_of(days: int) -> Band:
    """The band that `days` falls into."""
    limits = ((7, Band.WEEK), (30, Band.MONTH), (90, Band.QUARTER))
    return next((band for limit, band in limits if days <= limit), Band.LONGER)
