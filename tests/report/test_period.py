from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullmark.errors import UsageError
from hullmark.report import parse_period

TODAY = date(2026, 11, 25)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-10", "2026-10-01", "2026-10-31"),
        ("2026-02", "2026-02-01", "2026-02-28"),
        ("2026-Q3", "2026-07-01", "2026-09-30"),
        ("2026-W01", "2025-12-29", "2026-01-04"),
        ("2025", "2025-01-01", "2025-12-31"),
        ("2026-11-03", "2026-11-03", "2026-11-03"),
        ("2026-11-01..2026-11-20", "2026-11-01", "2026-11-20"),
        ("30d", "2026-10-27", "2026-11-25"),
        ("1d", "2026-11-25", "2026-11-25"),
        ("2026-11", "2026-11-01", "2026-11-25"),
        ("2026-Q4", "2026-10-01", "2026-11-25"),
    ],
)
def test_a_period_is_read_as_people_write_it_and_ends_today_at_the_latest(
    text: str, start: str, end: str
) -> None:
    period = parse_period(text, TODAY)

    assert (str(period.start), str(period.end)) == (start, end)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2026-13",
        "2026-00",
        "2026-Q5",
        "2026-W54",
        "2026-11-31",
        "2026-12",
        "9999d..",
        "0000",
        "٢٠٢٦",
    ],
)
def test_what_is_no_period_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_period(text, TODAY)

    assert "2026-Q4" in error.value.hint


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(UsageError, match="ends before it begins"):
        parse_period("2026-11-20..2026-11-01", TODAY)


@given(st.text(max_size=30))
def test_any_text_is_a_period_or_refused(text: str) -> None:
    try:
        period = parse_period(text, TODAY)
    except UsageError:
        return
    assert period.start <= period.end <= TODAY


@given(st.integers(1, 400), st.integers(-5, 500))
def test_a_period_holds_exactly_the_moments_of_its_days(days: int, ago: int) -> None:
    period = parse_period(f"{days}d", TODAY)
    day = TODAY - timedelta(days=ago)

    for clock in ("00:00:00", "23:59:59"):
        assert period.holds(f"{day}T{clock}Z") is (0 <= ago < days)
