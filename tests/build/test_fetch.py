"""Fetching by hash: the rules of `fetch.py` against a real web server on loopback."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from hullmark.build.fetch import Cache, Fetcher, VanishedError, Wanted, digest_of
from hullmark.errors import EnvironmentFaultError, NetworkError
from tests.build.conftest import missing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.build.debs import Mirror

DATA = os.urandom(700_000)


def want(mirror: Mirror, *paths: str, data: bytes = DATA, size: int | None = None) -> Wanted:
    """The file with `data`, said to be at `paths`."""
    urls = tuple(f"{mirror.address}{path}" for path in paths)
    return Wanted(what="tool 1.0", digest=digest_of(data), size=size or len(data), urls=urls, suffix=".deb")


def stored(fetcher: Fetcher) -> Sequence[Path]:
    return sorted(fetcher.cache.folder.iterdir()) if fetcher.cache.folder.is_dir() else []


@pytest.mark.parametrize("wrong", [DATA[:-1] + b"?", DATA[:-1], DATA + b"?"])
def test_nothing_enters_the_cache_whose_size_or_hash_differs(
    mirror: Mirror, fetcher: Fetcher, wrong: bytes
) -> None:
    mirror.archive.files["/a"] = wrong
    with pytest.raises(NetworkError, match=r"cannot fetch tool 1\.0") as caught:
        fetcher.fetch(want(mirror, "/a"))
    assert not isinstance(caught.value, VanishedError)
    assert stored(fetcher) == []


def test_a_cached_file_is_hashed_again_and_a_damaged_one_is_fetched_anew(
    mirror: Mirror, fetcher: Fetcher
) -> None:
    mirror.archive.files["/a"] = DATA
    wanted = want(mirror, "/a")
    fetcher.fetch_all([wanted])
    fetcher.fetch_all([wanted])
    assert mirror.requests == ["/a"]
    fetcher.cache.path(wanted).write_bytes(DATA[:-1] + b"?")
    fetcher.fetch_all([wanted])
    assert mirror.requests == ["/a", "/a"]
    assert fetcher.cache.read(wanted) == DATA


def test_addresses_are_tried_in_order(mirror: Mirror, fetcher: Fetcher) -> None:
    mirror.archive.files |= {"/wrong": b"?", "/right": DATA}
    fetcher.fetch(want(mirror, "/gone", "/wrong", "/right", "/never"))
    assert mirror.requests == ["/gone", "/wrong", "/right"]


def test_a_file_that_all_addresses_lack_has_vanished(mirror: Mirror, fetcher: Fetcher) -> None:
    with pytest.raises(VanishedError, match=r"tool 1\.0 is no longer on any mirror"):
        fetcher.fetch(want(mirror, "/gone", "/gone-too"))


def test_without_an_address_it_says_how_to_give_one(mirror: Mirror, fetcher: Fetcher) -> None:
    with pytest.raises(EnvironmentFaultError) as caught:
        fetcher.fetch(want(mirror))
    assert "HULLMARK_DEBIAN_MIRROR" in caught.value.hint


def test_a_server_that_is_busy_is_asked_again(mirror: Mirror, fetcher: Fetcher) -> None:
    mirror.archive.files["/a"] = DATA
    mirror.statuses["/a"] = [503, 429]
    fetcher.fetch(want(mirror, "/a"))
    assert len(mirror.requests) == 3


def test_retries_are_bounded(mirror: Mirror, fetcher: Fetcher) -> None:
    mirror.statuses["/a"] = [503] * 50
    with pytest.raises(NetworkError, match="answered 503"):
        fetcher.fetch(want(mirror, "/a"))
    assert len(mirror.requests) == 4


def test_an_answer_longer_than_expected_is_cut_off(mirror: Mirror, fetcher: Fetcher) -> None:
    mirror.archive.files["/a"] = DATA
    with pytest.raises(NetworkError, match="more than the 10 bytes"):
        fetcher.read(f"{mirror.address}/a", limit=10)
    assert fetcher.read(f"{mirror.address}/none", limit=10) is None


def test_a_broken_connection_is_continued_where_it_broke(mirror: Mirror, fetcher: Fetcher) -> None:
    mirror.archive.files["/a"] = DATA
    mirror.cut["/a"] = 400_000
    fetcher.fetch(want(mirror, "/a"))
    assert fetcher.cache.read(want(mirror, "/a")) == DATA


def test_a_host_that_does_not_answer_is_a_network_error(fetcher: Fetcher) -> None:
    wanted = Wanted(what="tool", digest=digest_of(DATA), size=1, urls=("http://127.0.0.1:1/a",))
    with pytest.raises(NetworkError) as caught:
        fetcher.fetch(wanted)
    assert caught.value.hint


class _Interrupted:
    """A person who presses Ctrl-C in the middle."""

    def say(self, line: str) -> None: ...

    def begin(self, what: str, total: int) -> None: ...

    def advance(self, count: int) -> None:  # noqa: ARG002 - the protocol's signature
        raise KeyboardInterrupt


def test_an_interrupted_download_leaves_nothing(mirror: Mirror, tmp_path: Path) -> None:
    mirror.archive.files["/a"] = DATA
    with Fetcher(Cache(tmp_path), progress=_Interrupted()) as fetcher:
        with pytest.raises(KeyboardInterrupt):
            fetcher.fetch(want(mirror, "/a"))
        assert stored(fetcher) == []


def test_one_failure_ends_the_others(mirror: Mirror, fetcher: Fetcher) -> None:
    mirror.archive.files["/a"] = DATA
    with pytest.raises(VanishedError):
        fetcher.fetch_all([want(mirror, "/a"), want(mirror, "/gone", data=b"x")])


def test_a_full_disk_is_said_and_leaves_nothing(mirror: Mirror, small_disk: Path) -> None:
    mirror.archive.files["/a"] = DATA
    with Fetcher(Cache(small_disk)) as fetcher:
        with pytest.raises(EnvironmentFaultError, match="No space left") as caught:
            fetcher.fetch(want(mirror, "/a"))
        assert "Free some space" in caught.value.hint
        assert stored(fetcher) == []


def test_a_read_only_disk_is_said(mirror: Mirror, small_disk: Path) -> None:
    mirror.archive.files["/a"] = b"small"
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    if subprocess.run(remount, check=False).returncode != 0:
        missing("remounting", "root")
    with (
        Fetcher(Cache(small_disk / "cache")) as fetcher,
        pytest.raises(EnvironmentFaultError, match="Read-only"),
    ):
        fetcher.fetch_all([want(mirror, "/a", data=b"small")])


def test_a_cache_folder_that_is_a_file_is_said(mirror: Mirror, tmp_path: Path) -> None:
    mirror.archive.files["/a"] = b"small"
    (tmp_path / "cache").write_text("")
    with Fetcher(Cache(tmp_path / "cache")) as fetcher, pytest.raises(EnvironmentFaultError):
        fetcher.fetch_all([want(mirror, "/a", data=b"small")])
