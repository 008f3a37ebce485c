"""Heads, roots and the checkpoint document."""

from __future__ import annotations

from hashlib import sha256

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from hullmark.errors import InputError, TamperedError
from hullmark.ledger.checkpoint import (
    Head,
    format_checkpoint,
    make_checkpoint,
    parse_checkpoint,
    parse_cover,
    root_hash,
)

from .histories import NOW

HEADS = st.dictionaries(
    st.from_regex(r"[a-z0-9]{1,4}([._-][a-z0-9]{1,3}){0,2}", fullmatch=True).filter(
        lambda n: n != "evidence"
    ),
    st.builds(Head, st.integers(1, 10**9), st.binary(min_size=32, max_size=32).map(bytes.hex)),
    max_size=6,
)


@given(HEADS)
def test_the_root_is_the_hash_over_the_canonical_json_of_all_heads(heads: dict[str, Head]) -> None:
    plain = {name: {"entries": head.entries, "head": head.head} for name, head in heads.items()}
    assert root_hash(heads) == sha256(rfc8785.dumps(plain)).hexdigest()  # type: ignore[arg-type] # JSON


@given(HEADS)
def test_a_checkpoint_is_read_as_it_was_written(heads: dict[str, Head]) -> None:
    checkpoint = make_checkpoint(heads, NOW)
    assert parse_checkpoint(format_checkpoint(checkpoint), file="c") == checkpoint


GOOD = format_checkpoint(make_checkpoint({"a": Head(3, "ab" * 32)}, NOW))


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        GOOD[:-5],
        GOOD.replace(b'"entries":3', b'"entries":4'),
        GOOD.replace(b'"entries":3', b'"entries":0'),
        GOOD.replace(b"abab", b"ABAB"),
        GOOD.replace(b'"a":{', b'"../a":{'),
        GOOD.replace(b'"version":1', b'"version":2'),
        GOOD.replace(b'"at"', b'"aa":1,"at"'),
        GOOD.replace(b'"at"', b' "at"'),
        GOOD.replace(b"T10", b" 10"),
        GOOD + b"\n",
        b"\xff\xfe",
        b"[" * 100_000,
        b" " * (9 * 1024 * 1024),
    ],
    ids=range(15),
)
def test_a_checkpoint_that_was_changed_is_refused_with_its_file(document: bytes) -> None:
    with pytest.raises(InputError, match=r"^/x/checkpoint\.json: "):
        parse_checkpoint(document, file="/x/checkpoint.json")


def test_only_run_records_cover() -> None:
    assert parse_cover(b'{"data":{"text":"run-finished"},"type":"other"}') is None
    with pytest.raises(TamperedError, match=r"^runs/2026-11\.jsonl:4: not a run record"):
        parse_cover(b'{"data":{},"type":"run-finished"}', file="runs/2026-11.jsonl", line=4)
