"""The original's risk index: one number for people who want one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hullmark.finding import Counts

FULL = 100
RISK_METHOD = "(critical*10 + high*5 + medium*2) / 300 * 100; capped at 100"


def weigh(counts: Counts) -> int:
    """The risk-weighted sum of the formula. LOW and UNKNOWN have no weight."""
    return counts.critical * 10 + counts.high * 5 + counts.medium * 2


def percent(risk: int) -> int:
    """`risk / 300 * 100`, rounded to the nearest whole number (a third is never half-way); not capped."""
    return (2 * risk + 3) // 6
