"""A report about a period: what was open, what changed and why, who decided what, and how it is proved."""

from __future__ import annotations

from hullmark.report.model import (
    Balance,
    DecisionEntry,
    ImageReport,
    OpenFinding,
    Report,
    ReportedChange,
    Sources,
    make_report,
)
from hullmark.report.period import Period, parse_period

__all__ = [
    "Balance",
    "DecisionEntry",
    "ImageReport",
    "OpenFinding",
    "Period",
    "Report",
    "ReportedChange",
    "Sources",
    "make_report",
    "parse_period",
]
