"""Reports about a ledger in memory."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from hullmark.history import replay
from hullmark.report import DecisionEntry, Period, Report, Sources, make_report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hullmark.event import SmokeTested
    from hullmark.exemptions import Exemption
    from tests.ledgers import Ledger

JANUARY = Period(start=date(2026, 1, 1), end=date(2026, 1, 31))


def report_of(
    ledger: Ledger,
    period: Period = JANUARY,
    *,
    expected: tuple[str, ...] = ("app linux/amd64",),
    retired: Mapping[str, str] | None = None,
    exemptions: tuple[Exemption, ...] = (),
    smoke: tuple[tuple[str, SmokeTested], ...] = (),
    decisions: tuple[DecisionEntry, ...] = (),
) -> Report:
    """The report about what `ledger` recorded. Its scans are one a day, from 2 January on."""
    events = [(at, event) for at, event in ledger.events if at <= period.last]
    sources = Sources(
        timelines=tuple(replay("app", events, ledger.runs).values()),
        expected=expected,
        retired=retired or {},
        smoke_tests={"app": smoke},
        decisions=decisions,
        exemptions=exemptions,
        heads={},
    )
    return make_report(sources, period, ledger.evidence.__getitem__)
