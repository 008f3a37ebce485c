"""The weekly summary says what is known, and absence is never good news."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullmark.errors import InputError, UsageError
from hullmark.finding import Counts
from hullmark.summary import (
    HISTORY_LIMIT,
    ImageReading,
    LedgerHead,
    Origin,
    Summary,
    format_summary,
    parse_previous,
    parse_summary,
    percent,
    remember,
    replay,
    summarise,
    to_event,
    weigh,
)
from tests.summaries import (
    MONDAY,
    WEEK,
    counts_of,
    histories,
    readings,
    seen,
    told,
    unseen,
    week,
)

SCHEMA = msgspec.json.decode((Path(__file__).parents[1] / "schema/security-summary/3.json").read_bytes())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())

SEED_KEYS = [
    *("generatedAt", "period", "images", "totals", "delta", "direction", "trend", "riskIndex"),
    *("riskIndexMethod", "version", "sources"),
]

ORIGINAL = b"""{
    "generatedAt": "2026-11-16T03:00:12.123456Z",
    "period": {"start": "2026-11-09", "end": "2026-11-16"},
    "images": [
        {"name": "php-mysql", "critical": 0, "high": 2, "medium": 2, "low": 5, "unknown": 0},
        {"name": "postgres", "critical": 0, "high": 0, "medium": 0, "low": 0, "unknown": 0}
    ],
    "totals": {"critical": 0, "high": 2, "medium": 2, "low": 5, "unknown": 0},
    "delta": {"critical": 0, "high": -1, "medium": 0, "low": 2, "unknown": 0},
    "direction": "better",
    "trend": [
        {"date": "2026-11-09", "critical": 0, "high": 3, "medium": 2},
        {"date": "2026-11-16", "critical": 0, "high": 2, "medium": 2}
    ],
    "riskIndex": 5,
    "riskIndexMethod": "(critical*10 + high*5 + medium*2) / 300 * 100; capped at 100",
    "version": 3,
    "sources": ["reports/trivy/php-mysql.json", "reports/trivy/postgres.json"]
}"""


def image(summary: Summary, name: str) -> Counts:
    return next(entry.counts for entry in summary.images if entry.name == name)


def test_every_key_of_the_seed_document_stands_in_its_order_before_the_additions() -> None:
    document = msgspec.json.decode(format_summary(week(seen("php", 0, 1, 2, 5))))

    assert list(document)[: len(SEED_KEYS)] == SEED_KEYS
    assert list(document["images"][0])[:6] == ["name", "critical", "high", "medium", "low", "unknown"]
    assert document["trend"] == [{"date": "2026-11-23", "critical": 0, "high": 1, "medium": 2}]
    assert document["period"] == {"start": "2026-11-16", "end": "2026-11-23"}
    assert document["generatedAt"] == "2026-11-23T03:00:00Z"
    assert document["riskIndexMethod"] == "(critical*10 + high*5 + medium*2) / 300 * 100; capped at 100"
    assert document["version"] == 3


def test_the_document_is_indented_utf_8_with_a_line_end() -> None:
    text = format_summary(week(seen("büro"))).decode()

    assert text.startswith('{\n  "generatedAt"')
    assert text.endswith("\n}\n")
    assert "büro" in text


@pytest.mark.parametrize(
    ("counts", "index", "capped", "uncapped"),
    [
        ((0, 1, 2), 3, False, 3),
        ((0, 0, 1), 1, False, 1),
        ((30, 0, 0), 100, False, 100),
        ((30, 0, 1), 100, True, 101),
        ((150, 60, 88), 100, True, 659),
        ((0, 0, 0, 99, 99), 0, False, 0),
    ],
)
def test_the_risk_index_is_rounded_and_says_when_it_is_capped(
    counts: tuple[int, ...], index: int, capped: bool, uncapped: int
) -> None:
    summary = week(seen("a", *counts))

    assert (summary.risk_index, summary.risk_index_capped, summary.risk_index_uncapped) == (
        index,
        capped,
        uncapped,
    )


@given(st.integers(0, 10**9))
def test_the_risk_index_is_the_nearest_whole_number(risk: int) -> None:
    assert abs(percent(risk) * 3 - risk) <= 1


@pytest.mark.parametrize(
    ("before", "after", "direction"),
    [
        ((0, 5), (0, 4), "better"),
        ((0, 5), (0, 5), "stable"),
        ((0, 5), (0, 6), "worse"),
        ((0, 0, 9), (8, 0, 0), "worse"),  # the original called +8 CRITICAL, -9 MEDIUM "better"
        ((1, 0), (0, 500), "worse"),
        ((0, 9), (1, 0), "worse"),  # a new CRITICAL is not outweighed
        ((5, 0), (0, 0, 6), "better"),
        ((0, 5, 0, 0, 0), (0, 2, 0, 0, 3), "stable"),  # a rating that was withdrawn is no fix
        ((0, 0, 0, 9), (0, 0, 0, 1), "stable"),
    ],
)
def test_direction_weighs_and_never_calls_a_new_critical_better(
    before: tuple[int, ...], after: tuple[int, ...], direction: str
) -> None:
    assert week(seen("a", *after), number=1, before=week(seen("a", *before))).direction == direction


def test_delta_is_computed_over_images_covered_on_both_sides() -> None:
    first = week(seen("stays", 0, 3), seen("leaves", 9), seen("missing", 0, 4))
    second = week(
        seen("stays", 0, 1), seen("joins", 7), unseen("missing"), number=1, before=first, retired=("leaves",)
    )

    assert second.delta == Counts(high=-2)
    assert second.coverage.compared == ("stays",)
    assert [entry.name for entry in second.images] == ["joins", "missing", "stays"]


def test_joining_images_do_not_make_a_week_worse() -> None:
    assert week(seen("a"), seen("new", 9), number=1, before=week(seen("a"))).direction == "stable"


def test_a_missing_image_repeats_its_last_known_counts_with_their_date() -> None:
    first = week(seen("a", 1, 2, as_of=date(2026, 11, 20)), seen("b", 0, 3))
    second = week(unseen("a"), unseen("b"), number=1, before=first)
    third = week(unseen("a"), unseen("b"), number=2, before=second)

    for summary in (second, third):
        assert summary.totals == first.totals
        assert summary.risk_index == first.risk_index
        assert [entry.coverage.as_of for entry in summary.images] == [date(2026, 11, 20), date(2026, 11, 23)]
        assert [entry.vulnerabilities for entry in summary.images] == [counts_of(1, 2), counts_of(0, 3)]
        assert summary.trend[-1].partial
        assert summary.direction == "stable"
    assert summary.images[0].coverage.reason == "its report does not exist"


def test_an_image_never_covered_has_zeros_and_an_unknown_risk() -> None:
    entry = week(unseen("a")).images[0]

    assert entry.counts == Counts()
    assert entry.coverage.risk_unknown
    assert entry.coverage.as_of is None


def test_an_image_of_the_previous_summary_without_a_reading_is_missing() -> None:
    summary = week(seen("a"), number=1, before=week(seen("a"), seen("b", 2)))

    assert summary.coverage.missing == ("b",)
    assert image(summary, "b") == counts_of(2)


def test_a_partial_week_can_be_worse_never_better() -> None:
    first = week(seen("a", 0, 5), seen("b"))

    assert week(seen("a", 0, 1), unseen("b"), number=1, before=first).direction == "stable"
    assert week(seen("a", 0, 9), unseen("b"), number=1, before=first).direction == "worse"


def test_what_a_blind_scan_still_saw_counts_when_it_is_worse() -> None:
    summary = week(unseen("a", 3, 1, reason="no Java database"), number=1, before=week(seen("a", 1, 5)))

    assert image(summary, "a") == counts_of(3, 5)
    assert summary.direction == "worse"
    assert summary.delta == Counts()


def test_an_image_seen_again_can_make_a_week_worse_but_not_better() -> None:
    partial = week(unseen("a"), number=1, before=week(seen("a", 0, 5)))

    worse = week(seen("a", 0, 6), number=2, before=partial)
    fewer = week(seen("a", 0, 4), number=2, before=partial)
    assert (worse.direction, worse.delta) == ("worse", Counts())
    assert (fewer.direction, fewer.delta) == ("stable", Counts())


def test_a_report_older_than_the_one_counted_before_is_no_evidence() -> None:
    first = week(seen("a", 0, 5, as_of=date(2026, 11, 20)))
    entry = week(seen("a", as_of=date(2026, 11, 13)), number=1, before=first).images[0]

    assert entry.counts == counts_of(0, 5)
    assert "older" in entry.coverage.reason


def test_nothing_at_all_is_incomplete() -> None:
    summary = week()

    assert not summary.coverage.complete
    assert summary.direction == "stable"
    assert summary.trend[-1].partial


def test_the_trend_keeps_its_newest_entries_one_a_date_and_gaps_stay_gaps() -> None:
    summary = week(seen("a", 1))
    for number in range(1, 40):
        if number != 30:
            summary = week(seen("a", 1), number=number, before=summary)

    days = [point.date for point in summary.trend]
    assert len(days) == HISTORY_LIMIT
    assert days == sorted(set(days))
    assert (MONDAY + 30 * WEEK).date() not in days
    assert days[-1] == (MONDAY + 39 * WEEK).date()


def test_a_run_on_the_same_day_replaces_and_is_compared_with_what_the_first_was_compared_with() -> None:
    first = week(seen("a", 0, 5))
    second = week(seen("a", 0, 3), number=1, before=first)
    again = week(seen("a", 0, 3), number=1, before=second)
    later = week(seen("a", 0, 4), number=1, before=again)

    assert again == second
    assert later.delta == Counts(high=-1)
    assert len(later.trend) == 2


def test_the_second_summary_of_the_first_day_is_compared_with_the_first() -> None:
    first = week(seen("a", 0, 5))

    assert week(seen("a", 0, 5), before=first) == first
    assert week(seen("a", 0, 3), before=first).delta == Counts(high=-2)


def test_sample_and_real_history_never_mix() -> None:
    with pytest.raises(UsageError, match="never mix"):
        week(seen("a"), number=1, before=week(seen("a"), sample=True))


def test_an_image_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        week(seen("a"), seen("a", 1))


def test_vulnerabilities_are_summed_only_where_they_are_known_for_every_image() -> None:
    unknown = ImageReading(name="b", counts=counts_of(1))

    assert week(seen("a", 1), seen("c", 2)).vulnerabilities == counts_of(3)
    assert week(seen("a", 1), unknown).vulnerabilities is None
    assert week().vulnerabilities is None


def test_ledger_heads_are_sorted() -> None:
    heads = {"runs": LedgerHead(entries=3, head="ab"), "alpha": LedgerHead(entries=1, head="cd")}
    summary = summarise([], now=MONDAY, origin=Origin.LEDGER, ledger=heads)

    assert list(msgspec.json.decode(format_summary(summary))["ledger"]) == ["alpha", "runs"]


@given(histories, readings(), st.data())
def test_law_7_missing_evidence_never_yields_better_or_a_lower_risk(
    history: list[list[ImageReading]], now: list[ImageReading], data: st.DataObject
) -> None:
    before = told(history)
    lost = data.draw(
        st.sets(st.sampled_from([entry.name for entry in before.images] or ["none"]), min_size=1)
    )
    left = [reading for reading in now if reading.name not in lost]
    after = summarise(left, now=MONDAY + 9 * WEEK, origin=Origin.LEDGER, previous=remember(before))

    if not after.coverage.complete:
        assert after.direction != "better"
    for entry in before.images:
        if entry.name in after.coverage.missing:
            kept = image(after, entry.name)
            assert all(
                new >= old
                for new, old in zip(
                    msgspec.structs.astuple(kept), msgspec.structs.astuple(entry.counts), strict=True
                )
            )


@given(histories)
def test_law_7_a_week_without_any_evidence_keeps_the_risk(history: list[list[ImageReading]]) -> None:
    before = told(history)
    after = summarise([], now=MONDAY + 9 * WEEK, origin=Origin.LEDGER, previous=remember(before))

    assert after.totals == before.totals
    assert after.risk_index == before.risk_index
    assert after.direction == "stable"
    assert after.trend[-1].partial


@given(histories, st.randoms(use_true_random=False))
def test_law_8_order_of_images_and_reports_never_changes_an_output_byte(
    history: list[list[ImageReading]], random: object
) -> None:
    shuffled = [list(given) for given in history]
    for given_ in shuffled:
        random.shuffle(given_)  # type: ignore[attr-defined]

    assert format_summary(told(history)) == format_summary(told(shuffled))


@given(histories, st.integers(0, 7))
def test_every_summary_matches_its_schema_and_reads_back(
    history: list[list[ImageReading]], days: int
) -> None:
    summary = told(history, days=days)
    data = format_summary(summary)

    VALIDATOR.validate(msgspec.json.decode(data))
    assert parse_summary(data, file="x") == summary
    assert parse_previous(data, file="x", now=MONDAY + 99 * WEEK) == remember(summary)


@given(histories)
def test_delta_is_the_difference_of_the_two_summaries_over_compared_images(
    history: list[list[ImageReading]],
) -> None:
    summary = told(history)
    base = summary.compared_with
    known = {entry.name: entry.counts for entry in base.images} if base else {}

    changes = [image(summary, name) - known[name] for name in summary.coverage.compared]
    assert summary.delta == sum(changes, Counts())
    assert summary.totals == sum((entry.counts for entry in summary.images), Counts())
    if summary.direction == "better":
        assert weigh(summary.delta) < 0


@given(histories, st.integers(0, 7))
def test_a_summary_is_made_again_from_its_recorded_events(
    history: list[list[ImageReading]], days: int
) -> None:
    made: list[Summary] = []
    for number, given_ in enumerate(history):
        before = made[-1] if made else None
        names = {entry.name for entry in before.images} if before else set()
        made.append(
            summarise(
                given_,
                now=MONDAY + number * timedelta(days=days),
                origin=Origin.LEDGER,
                previous=remember(before) if before else None,
                retired=names if number == 2 else (),
            )
        )

    assert replay([to_event(summary) for summary in made], sample=False) == made[-1]


def test_nothing_recorded_is_no_summary() -> None:
    assert replay([], sample=False) is None


def test_the_originals_own_file_is_continued() -> None:
    previous = parse_previous(ORIGINAL, file="summary.json", now=MONDAY)
    summary = week(seen("php-mysql", 0, 1, 2), before=previous)

    assert [str(point.date) for point in summary.trend] == ["2026-11-09", "2026-11-16", "2026-11-23"]
    assert summary.delta == Counts(high=-1, low=-5)
    assert summary.direction == "stable"
    assert summary.coverage.missing == ("postgres",)
    assert summary.images[1].coverage.as_of == date(2026, 11, 16)
    VALIDATOR.validate(msgspec.json.decode(format_summary(summary)))


@pytest.mark.parametrize(
    ("damage", "key"),
    [
        ((b'"version": 3', b'"version": 4'), "version"),
        ((b'"high": 2, "medium": 2, "low": 5', b'"high": -2, "medium": 2, "low": 5'), "images[0].high"),
        ((b'"critical": 0, "high": 3', b'"critical": 0.5, "high": 3'), "trend[0].critical"),
        ((b'"2026-11-09", "critical"', b'"last week", "critical"'), "trend[0].date"),
        ((b'"2026-11-09", "critical"', b'"2030-11-09", "critical"'), "trend[0].date"),
        ((b"2026-11-16T03", b"2026-02-31T03"), "generatedAt"),
        ((b"2026-11-16T03", b"2026-W47-1T03"), "generatedAt"),
        ((b"2026-11-16T03", b"2026-11-24T03"), "generatedAt"),
        ((b'"name": "postgres"', b'"name": "php-mysql"'), "images[1].name"),
        ((b'"trend"', b'"trends"'), ""),
        ((b'"unknown": 0}\n    ],', b'"vulnerabilities": {"low": -1}}\n    ],'), "images[1].vulnerabilities"),
    ],
)
def test_a_damaged_previous_summary_is_refused_with_file_and_key(
    damage: tuple[bytes, bytes], key: str
) -> None:
    data = ORIGINAL.replace(*damage, 1)
    assert data != ORIGINAL

    with pytest.raises(InputError) as caught:
        parse_previous(data, file="docs/summary.json", now=MONDAY)

    assert caught.value.key == key
    assert str(caught.value).startswith("docs/summary.json: ")
    assert caught.value.hint or key.startswith(("images", "generatedAt"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\xff\xfe binary",
        ORIGINAL[:200],
        ORIGINAL.decode().encode("utf-16"),
        b'{"extra": ' + b"[" * 100_000,
        b'"\xff"',
        b"[]",
        b" " * (16 * 1024 * 1024 + 1),
    ],
    ids=["empty", "binary", "truncated", "utf-16", "nested", "not utf-8", "list", "huge"],
)
def test_what_is_no_summary_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"summary\.json"):
        parse_previous(data, file="summary.json", now=MONDAY)


def test_a_byte_order_mark_does_no_harm() -> None:
    assert parse_previous(b"\xef\xbb\xbf" + ORIGINAL, file="x", now=MONDAY).version == 3


def test_unknown_keys_are_passed_over() -> None:
    data = format_summary(week(seen("a"))).replace(b'"version": 3', b'"later": {"x": [1]}, "version": 3')

    assert parse_summary(data, file="x") == week(seen("a"))


def test_times_of_other_zones_are_written_in_utc() -> None:
    now = datetime.fromisoformat("2026-11-23T01:30:00+02:00")

    assert summarise([], now=now, origin=Origin.LEDGER).generated_at == "2026-11-22T23:30:00Z"
