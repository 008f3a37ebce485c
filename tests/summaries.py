"""Summaries for tests: short ways to say what was seen and when."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import strategies as st

from hullmark.finding import Counts
from hullmark.summary import ImageReading, Origin, PreviousSummary, Summary, remember, summarise

MONDAY = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
WEEK = timedelta(days=7)


def seen(name: str, *numbers: int, as_of: date | None = None, source: str = "") -> ImageReading:
    """An image that was covered, with its counts from CRITICAL down."""
    counts = counts_of(*numbers)
    return ImageReading(name=name, counts=counts, vulnerabilities=counts, as_of=as_of, source=source)


def unseen(name: str, *numbers: int, reason: str = "its report does not exist") -> ImageReading:
    """An image that was not covered, or in part only."""
    return ImageReading(name=name, counts=counts_of(*numbers), missing=reason)


def counts_of(*numbers: int) -> Counts:
    return Counts(**dict(zip(Counts.__struct_fields__, numbers, strict=False)))


def week(
    *readings: ImageReading,
    number: int = 0,
    before: Summary | PreviousSummary | None = None,
    retired: tuple[str, ...] = (),
    sample: bool = False,
) -> Summary:
    """The summary of `readings`, `number` weeks after the first Monday."""
    return summarise(
        readings,
        now=MONDAY + number * WEEK,
        origin=Origin.REPORTS,
        previous=remember(before) if isinstance(before, Summary) else before,
        retired=retired,
        sample=sample,
    )


NAMES = ("alpha", "beta", "gamma", "delta")
numbers = st.integers(0, 40)
counts = st.builds(Counts, critical=numbers, high=numbers, medium=numbers, low=numbers, unknown=numbers)


def readings(*, names: tuple[str, ...] = NAMES) -> st.SearchStrategy[list[ImageReading]]:
    """Some of `names`, each covered or not."""
    one = st.builds(
        ImageReading,
        name=st.sampled_from(names),
        counts=counts,
        vulnerabilities=st.none() | counts,
        as_of=st.none() | st.dates(date(2026, 10, 1), date(2026, 11, 20)),
        source=st.sampled_from(("", "reports/trivy/a.json", "reports/trivy/b.json")),
        missing=st.sampled_from(("", "", "gone", "broken")),
    )
    return st.lists(one, unique_by=lambda reading: reading.name, max_size=len(names))


histories = st.lists(readings(), min_size=1, max_size=4)


def told(history: list[list[ImageReading]], *, days: int = 7) -> Summary:
    """The last summary of a history, one every `days` days."""
    before: Summary | None = None
    for number, given in enumerate(history):
        before = summarise(
            given,
            now=MONDAY + number * timedelta(days=days),
            origin=Origin.LEDGER,
            previous=remember(before) if before else None,
        )
    assert before is not None
    return before
