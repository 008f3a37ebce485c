"""One line of a ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullmark.errors import TamperedError
from hullmark.ledger.entry import GENESIS, MAX_LINE, format_entry, format_time, is_type, parse_entry

from .test_canonical import VALUES

LINE = b'{"at":"2026-11-23T10:00:00Z","data":{},"prev":"' + GENESIS.encode() + b'","type":"scan"}'


def test_an_entry_has_exactly_this_form() -> None:
    assert format_entry(at="2026-11-23T10:00:00Z", type="scan", data={}, prev=GENESIS) == LINE


def test_an_entry_without_data_takes_128_bytes_so_122_are_left_to_an_unchanged_scan() -> None:
    assert len(LINE + b"\n") == 128


def test_the_hash_is_that_of_the_raw_bytes_without_the_newline() -> None:
    assert parse_entry(LINE).hash == sha256(LINE).hexdigest()


@given(VALUES, st.integers(0, 10**6))
def test_reading_an_entry_and_writing_it_again_gives_the_same_bytes(data: object, lag: int) -> None:
    raw = format_entry(at="2026-11-23T10:00:00Z", type="scan", data=data, prev="ab" * 32, lag=lag)
    entry = parse_entry(raw)
    assert entry.raw == raw
    again = format_entry(at=entry.at, type=entry.type, data=entry.data, prev=entry.prev, lag=entry.lag)
    assert again == raw


def test_unknown_keys_and_types_survive() -> None:
    raw = LINE.replace(b'"data"', b'"colour":"red","data"').replace(b"scan", b"Something New")
    entry = parse_entry(raw)
    assert entry.type == "Something New"
    assert entry.raw == raw
    assert msgspec.json.decode(entry.raw)["colour"] == "red"


def test_a_time_is_written_in_utc_to_the_second() -> None:
    east = timezone(timedelta(hours=2))
    assert format_time(datetime(2026, 11, 23, 12, 0, 0, 999999, tzinfo=east)) == "2026-11-23T10:00:00Z"
    assert parse_entry(LINE).time == datetime(2026, 11, 23, 10, tzinfo=UTC)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        format_time(datetime(2026, 11, 23))  # noqa: DTZ001 - what is tested


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0\0\0",
        b"[]",
        b"{}",
        LINE[:-1],
        LINE.replace(b"T10", b" 10"),
        LINE.replace(b"-11-", b"-13-"),
        LINE.replace(b"0000000000", b"00000000"),
        LINE.replace(b'"0000', b'"GGGG'),
        LINE.replace(b'"data":{},', b""),
        LINE.replace(b'"prev"', b'"lag":-1,"prev"'),
        LINE.replace(b'"scan"', b"7"),
        LINE + LINE,
        b"\xef\xbb\xbf" + LINE,
        LINE.replace(b"{}", b"[" * 100_000 + b"]" * 100_000),
        LINE.replace(b"{}", b'"' + b"x" * MAX_LINE + b'"'),
    ],
    ids=range(16),
)
def test_what_append_cannot_have_written_is_named_with_file_and_line(raw: bytes) -> None:
    with pytest.raises(TamperedError, match=r"a/2026-11\.jsonl:7: not a ledger entry: .+"):
        parse_entry(raw, ledger="a", file="a/2026-11.jsonl", line=7)


@pytest.mark.parametrize("text", ["run-finished", "a1", "a" * 64])
def test_types_are_words_joined_by_hyphens(text: str) -> None:
    assert is_type(text)


@pytest.mark.parametrize("text", ["", "A", "a_b", "a-", "a" * 65, "a\n", '"'])
def test_anything_else_is_no_type(text: str) -> None:
    assert not is_type(text)
