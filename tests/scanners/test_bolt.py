from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hullmark.errors import InputError
from hullmark.scan import System
from hullmark.scanners import bolt, specimen
from tests.scanners.support import make_cache

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.scanners.bolt import Bucket

KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        st.binary(max_size=9000),
        lambda inner: st.dictionaries(KEYS, inner, max_size=6),
        max_leaves=20,
    ),
    max_size=6,
)


@settings(max_examples=40)
@given(tree=TREES)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, tree: Bucket) -> None:
    path = tmp_path_factory.mktemp("bolt") / "x.db"
    bolt.write(path, tree)
    assert bolt.read(path) == tree
    assert bolt.names(path) == tuple(sorted(tree, key=str.encode))


@settings(max_examples=40)
@given(tree=TREES)
def test_the_order_of_keys_never_changes_a_byte(tree: Bucket) -> None:
    assert bolt.encode(dict(reversed(list(tree.items())))) == bolt.encode(tree)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.db"
    bolt.write(path, {"bucket": {f"key {number}": bytes(900) for number in range(20)}, "value": b"1"})
    return path


def test_a_truncated_database_is_an_error(path: Path) -> None:
    raw = path.read_bytes()
    for size in {*range(0, len(raw), 997), len(raw) - 1}:
        path.write_bytes(raw[:size])
        with pytest.raises(InputError):
            bolt.check(path)


def test_one_damaged_meta_page_is_not_the_end(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[40] ^= 1
    path.write_bytes(raw)
    assert bolt.names(path) == ("bucket", "value")
    raw[bolt.PAGE_SIZE + 40] ^= 1
    path.write_bytes(raw)
    with pytest.raises(InputError, match="no meta page is right"):
        bolt.check(path)


@given(place=st.integers(min_value=2 * bolt.PAGE_SIZE), value=st.binary(min_size=1, max_size=8))
def test_damaged_pages_give_an_error_or_other_content_but_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: bytes
) -> None:
    path = tmp_path_factory.mktemp("bolt") / "x.db"
    raw = bytearray(bolt.encode({"one": {"two": {"three": b"4"}, "five": b"6"}, "seven": {}}))
    start = place % (len(raw) - len(value))
    raw[start : start + len(value)] = value
    path.write_bytes(raw)
    try:
        bolt.read(path)
    except InputError as error:
        assert str(path) in error.message  # noqa: PT017 - an error is one of the two right answers


def test_a_database_that_bbolt_wrote_itself_is_read(tmp_path: Path) -> None:
    image = tmp_path / "image.tar"
    image.write_bytes(
        specimen.archive([specimen.Installed(name="a", version="1")], system=System("debian", "13"))
    )
    make_cache(tmp_path / "cache", image)
    tree = bolt.read(tmp_path / "cache" / "fanal" / "fanal.db")
    assert set(tree) == {"artifact", "blob"}
    artifacts = tree["artifact"]
    assert isinstance(artifacts, dict)
    assert [b'"SchemaVersion"' in value for value in artifacts.values() if isinstance(value, bytes)] == [True]


def test_a_bucket_of_several_pages_is_read_through_its_branch(path: Path) -> None:
    whole, meta = path.read_bytes(), bolt.check(path)
    branch = struct.pack("<QHHI", meta.end, 0x01, 1, 0) + struct.pack("<IIQ", 16, 6, meta.root) + b"bucket"
    record = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, bolt.PAGE_SIZE, 0, meta.end, 0, 2, meta.end + 1, 9)
    raw = bytearray(whole + branch.ljust(bolt.PAGE_SIZE, b"\0"))
    raw[16 : 16 + len(record) + 8] = record + struct.pack("<Q", bolt._fnv1a(record))
    before = bolt.read(path)
    path.write_bytes(raw)
    assert bolt.check(path).root == meta.end
    assert bolt.read(path) == before


def test_pages_in_a_loop_are_an_error(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    root = bolt.check(path).root * bolt.PAGE_SIZE
    # The root becomes a branch whose only child is the root.
    struct.pack_into("<HH", raw, root + 8, 0x01, 1)
    struct.pack_into("<IIQ", raw, root + 16, 16, 0, root // bolt.PAGE_SIZE)
    path.write_bytes(raw)
    with pytest.raises(InputError, match="loop"):
        bolt.names(path)


def test_a_bucket_with_more_keys_than_a_page_can_count_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="65536 keys"):
        bolt.write(tmp_path / "x.db", {"b": {str(number): b"" for number in range(65536)}})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["", "x" * 40000])
def test_keys_that_bbolt_refuses_are_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match="a key has"):
        bolt.write(tmp_path / "x.db", {key: b""})


def test_other_files_are_not_opened_as_databases(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello" * 10000)
    for name in ("pipe", "empty", "text", "missing", "."):
        with pytest.raises(InputError):
            bolt.check(tmp_path / name)
