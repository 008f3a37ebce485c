"""How old everything is that the numbers rest on.

Rules (each has a test with the same words):
- ages are those at the time of the last entry: a page cannot know when it is read;
- a run that checked files only says nothing about the age of a database;
- a list of exploited vulnerabilities that nobody asked is said to be unknown, and is not of today.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from hullmark.dashboard.cells import moment
from hullmark.decision import KevState
from hullmark.formats.markdown import in_words, plural

if TYPE_CHECKING:
    from hullmark.dashboard.proof import Proof
    from hullmark.fleet import Fleet

FRESH_DAYS = 7
FRESH_LIST_DAYS = 14


class Age(NamedTuple):
    """Something that the numbers rest on."""

    what: str
    value: str
    tone: str = ""
    """`stale` where somebody should look; else empty."""
    detail: str = ""


def freshness(fleet: Fleet, proof: Proof) -> list[Age]:
    """What everything rests on, each with its date, in a word or two."""
    if not fleet.scan_runs:
        return []
    scanner = fleet.scan_runs[-1].started.scanner
    chain = f"{proof.entries:,} entries verified" if proof.ok else "does not verify"
    return [
        *ages(fleet),
        Age("Scanner", f"{scanner.name} {scanner.version}", "" if scanner.verified else "stale"),
        Age("Chain", chain, "" if proof.ok else "stale"),
    ]


def ages(fleet: Fleet) -> list[Age]:
    """The newest run, the database and the list of exploited vulnerabilities."""
    if not fleet.scan_runs:
        return []
    run = fleet.scan_runs[-1]
    database = run.started.database
    sample = " (sample)" if database.sample else ""
    return [
        _dated(Age("Last run", moment(run.at)), run.at, fleet, 2 * FRESH_DAYS),
        _dated(
            Age(
                "Database",
                f"{in_words(database.updated_at)}{sample}",
                detail="the newest run matched with it",
            ),
            database.updated_at,
            fleet,
            FRESH_DAYS,
        ),
        _exploited(fleet),
    ]


def _exploited(fleet: Fleet) -> Age:
    known = fleet.exploited
    if known is None:
        return Age("KEV list", "never asked", "", "no decision asked a list of exploited vulnerabilities")
    asked = f"a decision asked it on {in_words(known.asked_at)}"
    if not known.date:
        return Age("KEV list", "missing", "stale", asked)
    age = _dated(Age("KEV list", in_words(known.date), detail=asked), known.date, fleet, FRESH_LIST_DAYS)
    return age._replace(tone="stale") if known.state is KevState.STALE else age


def _dated(age: Age, at: str, fleet: Fleet, fresh: int) -> Age:
    """`age` of something of the day `at`; what is older than `fresh` days says so aloud."""
    days = (fleet.today - date.fromisoformat(at[:10])).days
    told = f"{plural(abs(days), 'day')} {'old' if days > 0 else 'ahead'}" if days else "of the same day"
    if days > fresh or days < -1:
        return age._replace(value=f"{age.value}, {told}", tone="stale")
    return age._replace(detail=f"{told}; {age.detail}" if age.detail else told)
