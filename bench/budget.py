"""Budgets, what was measured against them, and the verdict.

A budget is kept, broken, or only told: a figure without a limit decides nothing. A measurement that could
not be made is broken, never kept: absence is no good news here either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

import msgspec

from bench.workspace import Workspace


class Verdict(StrEnum):
    """Whether a budget was kept."""

    KEPT = "kept"
    BROKEN = "BROKEN"
    TOLD = "-"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured number, with the budget it has to keep."""

    what: str
    measured: float | None
    """None when it could not be measured."""
    unit: str = "x"
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""
    failed: bool = False
    """Whether the measurement itself broke; it had a budget, whatever it was."""

    @property
    def verdict(self) -> Verdict:
        """Kept, broken, or a figure without a budget."""
        if self.failed:
            return Verdict.BROKEN
        if self.at_most is None and self.at_least is None:
            return Verdict.TOLD
        if self.measured is None:
            return Verdict.BROKEN
        low = self.at_least is None or self.measured >= self.at_least
        high = self.at_most is None or self.measured <= self.at_most
        return Verdict.KEPT if low and high else Verdict.BROKEN


Benchmark = Callable[[Workspace], Iterable[Figure]]
"""Measures one thing, and gives its figures: the budget first, then what explains it."""


def is_kept(figures: Iterable[Figure]) -> bool:
    """Whether no budget was broken."""
    return all(figure.verdict is not Verdict.BROKEN for figure in figures)


def render(figures: Iterable[Figure]) -> list[str]:
    """The table: what, budget, measured, verdict, note."""
    header = ("what", "budget", "measured", "verdict", "note")
    cells = [(f.what, _budget(f), _number(f.measured, f.unit), f.verdict.value, f.note) for f in figures]
    widths = [max(len(row[column]) for row in (header, *cells)) for column in range(4)]
    lines = []
    for row in (header, *cells):
        padded = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        lines.append("  ".join((*padded, row[4])).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return lines


def _budget(figure: Figure) -> str:
    if figure.at_most is not None:
        return f"<= {_number(figure.at_most, figure.unit)}"
    if figure.at_least is not None:
        return f">= {_number(figure.at_least, figure.unit)}"
    return ""


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "not measured"
    digits = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{digits} {unit}".strip()
