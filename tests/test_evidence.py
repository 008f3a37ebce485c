"""The content-addressed store."""

from __future__ import annotations

import gzip
import os
import resource
import zlib
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullmark.errors import EnvironmentFaultError, InputError, RepositoryError, TamperedError, UsageError
from hullmark.evidence import MAX_CONTENT, Evidence, compress
from hullmark.image import Digest
from tests.ledger.histories import in_child

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = b'{"bomFormat":"CycloneDX"}'


def put(root: str, content: bytes) -> str:
    return Evidence(root).put(content)


def kept(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_content_is_read_back_by_the_digest_of_its_uncompressed_bytes(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    digest = evidence.put(CONTENT)
    assert digest == "sha256:" + sha256(CONTENT).hexdigest()
    assert evidence.get(digest) == CONTENT
    assert evidence.has(digest)
    assert list(evidence.digests()) == [digest]
    text = digest.removeprefix("sha256:")
    assert list(kept(tmp_path)) == [f"evidence/sha256/{text[:2]}/{text}.json.gz"]


@given(st.binary(max_size=3000))
def test_equal_content_gives_equal_gzip_bytes_that_every_reader_understands(content: bytes) -> None:
    packed = compress(content)
    assert packed == compress(content)
    assert gzip.decompress(packed) == content
    # RFC 1952 §2.3: no flags (so no name), no time, system unknown.
    assert packed[:10] == bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 2, 255])


def test_putting_the_same_content_again_changes_nothing(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    digest = evidence.put(CONTENT)
    before = evidence.path(digest).stat()
    assert evidence.put(CONTENT) == digest
    assert evidence.path(digest).stat().st_mtime_ns == before.st_mtime_ns
    assert evidence.path(digest).stat().st_ino == before.st_ino


def test_putting_content_whose_file_is_damaged_mends_it(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    digest = evidence.put(CONTENT)
    evidence.path(digest).write_bytes(b"")
    evidence.put(CONTENT)
    assert evidence.get(digest) == CONTENT


def test_empty_and_large_content_are_kept(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    for content in (b"", os.urandom(3 * 1024 * 1024), b"x" * 9_000_000):
        digest = evidence.put(content)
        evidence.check(digest)
        assert evidence.get(digest) == content


def test_two_writers_of_the_same_content_do_no_harm(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        contents = [b"%d" % (number % 3) * 9999 for number in range(40)]
        digests = {Digest(text) for text in pool.map(put, [str(tmp_path)] * 40, contents)}
    evidence = Evidence(tmp_path)
    assert set(evidence.digests()) == digests
    assert evidence.strays() == ()
    for digest in digests:
        evidence.check(digest)


def test_missing_evidence_is_named(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    digest = Digest("sha256:" + "ab" * 32)
    assert not evidence.has(digest)
    for read in (evidence.get, evidence.check):
        with pytest.raises(RepositoryError, match=r"ab/abab.*\.json\.gz: evidence is missing"):
            read(digest)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-1], "is cut off"),
        (lambda data: data[:15], "is cut off"),
        (lambda _: b"", "is cut off"),
        (lambda data: data[:12] + bytes([data[12] ^ 255]) + data[13:], "is damaged"),
        (lambda data: data[:-8] + b"\0" * 8, "is damaged"),
        (lambda _: CONTENT, "is damaged"),
        (lambda _: compress(b"other"), "holds other content"),
        (lambda data: data + b"x", "has bytes after its end"),
        (lambda data: data + compress(b""), "has bytes after its end"),
    ],
    ids=range(9),
)
def test_changed_evidence_is_tampered_and_named(tmp_path: Path, damage: object, words: str) -> None:
    assert callable(damage)
    evidence = Evidence(tmp_path)
    digest = evidence.put(CONTENT)
    path = evidence.path(digest)
    path.write_bytes(damage(path.read_bytes()))
    for read in (evidence.get, evidence.check):
        with pytest.raises(TamperedError, match=rf"\.json\.gz: evidence {words}") as raised:
            read(digest)
        assert str(path) in raised.value.message


def test_any_single_changed_byte_is_seen_or_harmless(tmp_path: Path) -> None:
    """Five bytes of the header (time, level, system) do not touch the content; every other one is seen."""
    evidence = Evidence(tmp_path)
    digest = evidence.put(CONTENT)
    path = evidence.path(digest)
    good = path.read_bytes()
    unseen = 0
    for index in range(len(good)):
        path.write_bytes(good[:index] + bytes([good[index] ^ 1]) + good[index + 1 :])
        try:
            assert evidence.get(digest) == CONTENT
        except RepositoryError:
            continue
        unseen += 1
        assert 3 <= index < 10
    assert unseen <= 7


def test_a_gzip_bomb_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    digest = evidence.put(b"x")
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = b"\0" * (1024 * 1024)
    body = b"".join(packer.compress(zeros) for _ in range(100)) + packer.flush()
    evidence.path(digest).write_bytes(body)

    def read() -> str:
        try:
            evidence.get(digest, limit=10_000_000)
        except RepositoryError as error:
            return f"{error.message} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000}"
        return "read"

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert in_child(read) == f"{evidence.path(digest)}: holds more than 10000000 bytes uncompressed True"
    with pytest.raises(RepositoryError, match="holds more than"):
        evidence.check(digest, limit=10_000_000)


def test_content_over_the_limit_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is longer than"):
        Evidence(tmp_path).put(bytes(MAX_CONTENT + 1))
    assert kept(tmp_path) == {}


@pytest.mark.parametrize("digest", ["", "sha256:..", "sha512:" + "a" * 128, "sha256:" + "A" * 64, "a" * 64])
def test_what_is_no_digest_is_refused(tmp_path: Path, digest: str) -> None:
    with pytest.raises(UsageError, match="not a digest"):
        Evidence(tmp_path).get(Digest(digest))


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_links_are_never_followed_out_of_the_store(tmp_path: Path, level: int) -> None:
    evidence = Evidence(tmp_path / "root")
    digest = evidence.put(CONTENT)
    path = evidence.path(digest)
    link = [path, *path.parents][level]
    link.rename(tmp_path / "outside")
    link.symlink_to(tmp_path / "outside")
    before = kept(tmp_path / "outside")
    for use in (lambda: evidence.get(digest), lambda: evidence.check(digest), lambda: evidence.put(CONTENT)):
        with pytest.raises(RepositoryError, match="symbolic link"):
            use()
    assert link in evidence.strays()
    assert list(evidence.digests()) == []
    assert kept(tmp_path / "outside") == before


def test_strays_are_listed_and_left_alone(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    digest = evidence.put(CONTENT)
    folder = evidence.path(digest).parent
    wrong_folder = evidence.folder / ("00" if folder.name != "00" else "01") / evidence.path(digest).name
    strays = [
        evidence.folder.parent / "note",
        evidence.folder / "zz",
        folder / ".partial-abc",
        folder / "x.json.gz",
        wrong_folder,
    ]
    for path in strays:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    assert set(evidence.strays()) == set(strays)
    assert list(evidence.digests()) == [digest]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    content = os.urandom(5000)

    def work() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        try:
            Evidence(tmp_path).put(content)
        except EnvironmentFaultError as error:
            return error.message
        return "kept"

    assert "File too large" in str(in_child(work))
    assert kept(tmp_path) == {}


def test_the_empty_store_has_nothing(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path / "none")
    assert list(evidence.digests()) == []
    assert evidence.strays() == ()
