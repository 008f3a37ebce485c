"""The bytes that are hashed."""

from __future__ import annotations

import math
from enum import StrEnum

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from hullmark.ledger.canonical import MAX_INTEGER, canonical, is_canonical

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not MAX_INTEGER < abs(x) < 1e21)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_the_fast_way_and_rfc8785_write_the_same_bytes(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type] # JSON by construction


@given(VALUES)
def test_canonical_bytes_are_recognised(value: object) -> None:
    assert is_canonical(canonical(value))


@pytest.mark.parametrize(
    "line",
    [
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1,"a":1}',
        b'{"a":1.0}',
        b'"\\u0041"',
        b"{",
        b"",
        b"\xff",
        b"[" * 5000,
    ],
)
def test_any_other_form_is_not_canonical(line: bytes) -> None:
    assert not is_canonical(line)


def test_structs_and_enums_become_json_and_keys_are_sorted() -> None:
    class Colour(StrEnum):
        RED = "red"

    class Thing(msgspec.Struct):
        b: Colour
        a: tuple[int, ...]

    assert canonical(Thing(b=Colour.RED, a=(1, 2))) == b'{"a":[1,2],"b":"red"}'


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, 2**53, 2.0**53, [1.5, -1e20], "\ud800", {1: 2}, object(), {"a": {"\ud800": 1}}],
)
def test_what_json_cannot_say_exactly_is_refused(value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the reason is the library's
        canonical(value)


def test_endless_nesting_is_refused() -> None:
    value: list[object] = []
    for _ in range(5000):
        value = [value]
    with pytest.raises(ValueError, match="nested"):
        canonical(value)
