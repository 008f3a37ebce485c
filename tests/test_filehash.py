from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec
import pytest

from hullmark.errors import EnvironmentFaultError, InputError
from hullmark.filehash import hash_file

LONG_AGO = 1_600_000_000


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file old enough to be remembered; its time of change cannot be set, so the waiting time is."""
    monkeypatch.setattr("hullmark.filehash.SETTLED_NS", -1)
    path = tmp_path / "big"
    path.write_bytes(b"one")
    return path


def test_is_the_sha256_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"text")
    assert hash_file(path) == sha256(b"text")


def test_an_unchanged_file_is_taken_from_the_cache(settled: Path, tmp_path: Path) -> None:
    cache = tmp_path / "deep" / "hashes.json"
    hash_file(settled, cache=cache)
    known = msgspec.json.decode(cache.read_bytes())
    known["files"][str(settled)][-1] = "sha256:" + "0" * 64
    cache.write_bytes(msgspec.json.encode(known))
    assert hash_file(settled, cache=cache) == "sha256:" + "0" * 64


def test_a_changed_file_with_its_old_size_and_date_is_hashed_again(settled: Path, tmp_path: Path) -> None:
    cache = tmp_path / "hashes.json"
    os.utime(settled, (LONG_AGO, LONG_AGO))
    hash_file(settled, cache=cache)
    settled.write_bytes(b"two")
    os.utime(settled, (LONG_AGO, LONG_AGO))
    assert hash_file(settled, cache=cache) == sha256(b"two")


def test_a_fresh_file_is_not_remembered(tmp_path: Path) -> None:
    path, cache = tmp_path / "file", tmp_path / "hashes.json"
    path.write_bytes(b"text")
    hash_file(path, cache=cache)
    assert not cache.exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b'{"version": 2, "files": {}}', b"{" * 9000])
def test_a_broken_cache_is_ignored_and_replaced(settled: Path, tmp_path: Path, content: bytes) -> None:
    cache = tmp_path / "hashes.json"
    cache.write_bytes(content)
    assert hash_file(settled, cache=cache) == sha256(b"one")
    assert hash_file(settled, cache=cache) == sha256(b"one")


def test_a_cache_that_cannot_be_written_costs_nothing(settled: Path) -> None:
    assert hash_file(settled, cache=Path("/dev/null/hashes.json")) == sha256(b"one")


def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFaultError):
        hash_file(tmp_path / "missing")
    with pytest.raises(InputError, match="not a regular file"):
        hash_file(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        hash_file(tmp_path / "pipe")
