"""A report about a period: what was open, what changed and why, who decided what, and how it is proved."""

from __future__ import annotations

from hullmark.report.model import (
    DecisionEntry,
    ImageReport,
    Report,
    ReportedChange,
    Sources,
    make_report,
)
from hullmark.report.period import Period, parse_period

__all__ = [
    "DecisionEntry",
    "ImageReport",
    "Period",
    "Report",
    "ReportedChange",
    "Sources",
    "make_report",
    "parse_period",
]
