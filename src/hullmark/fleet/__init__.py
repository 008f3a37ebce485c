"""What a repository's whole history says, as values: the numbers of the site and of every report.

Rules (each has a test with the same words):
- the same history gives the same fleet, and the clock is not asked: it is of the time of the last entry;
- an image that nobody looked at keeps its last known findings, and is never counted as clean;
- a retired image is listed, and counts in nothing that is open now;
- previous + introduced - resolved ± re-rated ± scope = now, for every severity and every week.
"""

from __future__ import annotations

from hullmark.fleet.action import Action, Upgrade, find_actions
from hullmark.fleet.flow import Week, follow
from hullmark.fleet.member import Condition, Member, State, when_retired, why_uncovered
from hullmark.fleet.model import ExploitedList, Fleet, RecordedDecision, RunRecord
from hullmark.fleet.opened import OpenFinding, Today, open_findings
from hullmark.fleet.reading import read_fleet

__all__ = [
    "Action",
    "Condition",
    "ExploitedList",
    "Fleet",
    "Member",
    "OpenFinding",
    "RecordedDecision",
    "RunRecord",
    "State",
    "Today",
    "Upgrade",
    "Week",
    "find_actions",
    "follow",
    "open_findings",
    "read_fleet",
    "when_retired",
    "why_uncovered",
]
