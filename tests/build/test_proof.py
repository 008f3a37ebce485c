"""A lock is byte for byte what resolving gives at the lists that its header names, or it is not proved."""

from __future__ import annotations

import shutil
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from hullmark.build.fetch import Cache, Fetcher, digest_of
from hullmark.build.mirror import Sources
from hullmark.build.proof import doubt
from hullmark.build.refresh import lock_image
from hullmark.build.release import Trust
from hullmark.errors import NetworkError
from tests.build.conftest import ELF, TINY
from tests.build.debs import DATE, Mirror, make_deb, regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DAY = 86_400
LATER = DATE + DAY


def newer(version: str) -> bytes:
    return make_deb("tool", version, [regular("usr/bin/tool", ELF + version.encode())])


class Bench:
    """An image as the base has it, and a lock that somebody proposes."""

    def __init__(self, base: Path, fetcher: Fetcher, sources: Sources, trust: Trust) -> None:
        self.base = base
        self.fetcher, self.sources, self.trust = fetcher, sources, trust
        self.head = base.parents[1] / "head" / "tiny"
        shutil.copytree(base, self.head)

    def lock(self) -> bytes:
        """The newest lock, as a run of update-locks would propose it."""
        lock_image(self.head, fetcher=self.fetcher, sources=self.sources, trust=self.trust, refresh=True)
        return (self.head / "packages.lock").read_bytes()

    def doubt(self, data: bytes, sources: Sources | None = None, trust: Trust | None = None) -> str:
        return doubt(
            data,
            self.base,
            fetcher=self.fetcher,
            sources=sources or self.sources,
            trust=trust or self.trust,
        )


@pytest.fixture
def bench(locked: Path, mirror: Mirror, tmp_path: Path, sources: Sources, trust: Trust) -> Iterator[Bench]:
    mirror.archive.add("trixie-security", "tool", "1.1", newer("1.1"))
    mirror.archive.publish("trixie-security", date=LATER)
    # What proves may have nothing that who locked had in its cache.
    with Fetcher(Cache(tmp_path / "other")) as fetcher:
        yield Bench(locked, fetcher, sources, trust)


def test_a_lock_that_was_resolved_is_proved(bench: Bench) -> None:
    assert bench.doubt(bench.lock()) == ""


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda text: text.replace("tool 1.1 ", "tool 1.0 "), "tool (amd64) is 1.0 of trixie-security, and"),
        (lambda text: text.replace("tool_1.1_amd64.deb", "tool_9_amd64.deb"), "with another file"),
        (lambda text: text.replace("2023-11-15T22", "2023-11-15T23"), "another date than the signed list"),
        (lambda text: text + "# and more\n", "not what `hullmark lock` writes"),
        (lambda text: text.replace("\n", "\n\n", 1), "not what `hullmark lock` writes"),
        (
            lambda text: text + f"helper amd64 usr/bin/x sha256:{'0' * 64} 5 ziglang-1\n",
            "its helpers are not what their sources compile to",
        ),
        (
            lambda text: "".join(line for line in text.splitlines(keepends=True) if "libfoo1" not in line),
            "libfoo1 (amd64) is not there, and resolving gives 2:1.0-1 of trixie",
        ),
        (
            lambda text: text.replace("index debian trixie ", "index debian trixie-updates ").replace(
                " trixie pool", " trixie-updates pool"
            ),
            "it names lists of trixie-security, trixie-updates, and the image takes trixie, trixie-security",
        ),
        (
            lambda text: text.replace("index debian trixie ", "index debian-security trixie "),
            "does not lie in",
        ),
        (lambda text: text.replace("hullmark-lock 1", "hullmark-lock 2"), "expected `hullmark-lock 1`"),
        (lambda text: text + "\udcff", "not UTF-8"),
    ],
)
def test_every_byte_must_be_the_same(bench: Bench, edit: Callable[[str], str], words: str) -> None:
    text = bench.lock().decode()
    edited = edit(text)
    assert edited != text

    assert words in bench.doubt(edited.encode(errors="surrogateescape"))


def test_a_list_counts_by_the_hash_that_the_header_names_wherever_it_was_had_from(
    bench: Bench, mirror: Mirror
) -> None:
    data = bench.lock()
    mirror.archive.files["/old/dists/trixie-security/InRelease"] = mirror.archive.files[
        "/debian-security/dists/trixie-security/InRelease"
    ]
    mirror.archive.add("trixie-security", "tool", "1.2", newer("1.2"))

    with pytest.raises(
        NetworkError, match="no mirror has the list of trixie-security that it names any more"
    ):
        bench.doubt(data)

    both = Sources(debian=bench.sources.debian, security=(*bench.sources.security, f"{mirror.address}/old"))
    assert bench.doubt(data, both) == ""


def test_a_list_that_left_the_mirrors_is_had_from_a_dated_snapshot(bench: Bench, mirror: Mirror) -> None:
    data = bench.lock()
    for path, content in list(mirror.archive.files.items()):
        _, archive, rest = path.split("/", 2)
        mirror.archive.files[f"/past/archive/{archive}/20231116T041320Z/{rest}"] = content
    mirror.archive.add("trixie-security", "tool", "1.2", newer("1.2"))
    past = Sources(
        debian=bench.sources.debian, security=bench.sources.security, snapshot=f"{mirror.address}/past"
    )

    assert bench.doubt(data, past) == ""


def test_a_list_that_nobody_signed_proves_nothing(bench: Bench, mirror: Mirror) -> None:
    text = bench.lock().decode()
    path = "/debian-security/dists/trixie-security/InRelease"
    signed = mirror.archive.files[path]
    mirror.archive.files[path] = signed.replace(b"Suite: stable", b"Suite: stablE")
    forged = text.replace(digest_of(signed), digest_of(mirror.archive.files[path]))
    assert forged != text

    assert "it cannot be resolved again: InRelease of trixie-security" in bench.doubt(forged.encode())


def test_a_list_that_is_older_than_that_of_the_lock_before_proves_nothing(
    bench: Bench, mirror: Mirror
) -> None:
    """Somebody offers last week's signed list, in which a fix is still missing."""
    old = (bench.head / "packages.lock").read_bytes()
    data = bench.lock()
    (bench.base / "packages.lock").write_bytes(data)
    mirror.archive._debs["trixie-security"].clear()
    mirror.archive.publish("trixie-security")

    assert "older than 2023-11-15 22:13 UTC in packages.lock" in bench.doubt(old)


def test_a_list_that_has_expired_proves_nothing(bench: Bench, mirror: Mirror) -> None:
    mirror.archive.publish(
        "trixie-security", date=LATER, Valid_Until=formatdate(LATER + 2 * DAY, usegmt=True)
    )
    data = bench.lock()
    assert bench.doubt(data) == ""

    late = Trust(now=LATER + 3 * DAY, keyring=bench.trust.keyring)
    assert "it expired at" in bench.doubt(data, trust=late)


def test_the_definition_is_the_one_that_lies_here(bench: Bench, mirror: Mirror) -> None:
    mirror.archive.add("trixie", "extra", "3", make_deb("extra", "3"))
    (bench.head / "image.toml").write_text(
        TINY.replace("[packages]", '[packages]\nextra = { reason = "more" }')
    )

    assert "extra (amd64) is 3 of trixie, and the image does not take it" in bench.doubt(bench.lock())


def test_a_mirror_that_does_not_answer_is_told_apart_and_no_proof(bench: Bench) -> None:
    data = bench.lock()
    nowhere = Sources(debian=("http://127.0.0.1:9/debian",), security=("http://127.0.0.1:9/security",))

    with pytest.raises(NetworkError, match=r"http://127\.0\.0\.1:9"):
        bench.doubt(data, nowhere)
