"""A project with one small image, and the mirror it comes from."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hullmark.build.fetch import Cache, Fetcher
from hullmark.build.mirror import Sources
from hullmark.build.refresh import lock_image
from hullmark.build.release import Trust
from tests.absence import absent
from tests.build.debs import DATE, Mirror, make_deb, regular, serve, special
from tests.build.signing import Signer

if TYPE_CHECKING:
    from collections.abc import Iterator

ELF = b"\x7fELF" + bytes(range(256))
TINY = """
version = 1
title = "tiny"
description = "A small image for tests"
licenses = "MIT"
version_from = "tool"
suites = ["trixie", "trixie-security"]

[config]
user = "1000:1000"
entrypoint = ["/usr/bin/tool"]

[packages]
tool = { reason = "the program", keep = ["usr/bin/tool"] }
libfoo1 = { reason = "needed by tool", keep = ["usr/lib/{triplet}/libfoo.so.*"] }

[files]
"etc/passwd" = { source = "passwd" }

[directories]
"var/lib/tool" = { owner = "1000:1000", mode = "0700" }
"""


@pytest.fixture(scope="session")
def signer() -> Iterator[Signer]:
    """The key of the archive on loopback."""
    required("gpg", "gpg-agent", "gpgv")
    # Not under tmp_path: the agent's socket needs a short path.
    with tempfile.TemporaryDirectory(prefix="gpg-") as name:
        made = Signer(Path(name))
        yield made
        made.stop()


@pytest.fixture
def trust(signer: Signer) -> Trust:
    """The archive's key, two days after it was published."""
    return Trust(now=DATE + 2 * 86_400, keyring=signer.keyring)


@pytest.fixture
def mirror(signer: Signer) -> Iterator[Mirror]:
    with serve(signer.sign) as running:
        archive = running.archive
        archive.add(
            "trixie",
            "tool",
            "1.0",
            make_deb(
                "tool",
                "1.0",
                [regular("usr/bin/tool", ELF, 0o4755), regular("usr/share/man/man1/tool.1", b"manual")],
            ),
        )
        library = "usr/lib/x86_64-linux-gnu"
        archive.add(
            "trixie",
            "libfoo1",
            "2:1.0-1",
            make_deb(
                "libfoo1",
                "2:1.0-1",
                [
                    regular(f"{library}/libfoo.so.1.0", ELF),
                    special(f"{library}/libfoo.so.1", b"2", "libfoo.so.1.0"),
                ],
                source="foo (1.0)",
            ),
            source="foo (1.0)",
        )
        archive.publish("trixie-security")
        yield running


@pytest.fixture
def sources(mirror: Mirror) -> Sources:
    return Sources(debian=(mirror.debian,), security=(f"{mirror.debian}-security",))


@pytest.fixture
def fetcher(tmp_path: Path) -> Iterator[Fetcher]:
    with Fetcher(Cache(tmp_path / "cache")) as made:
        yield made


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The folder of an image that is not locked yet."""
    folder = tmp_path / "images" / "tiny"
    (folder / "files").mkdir(parents=True)
    (folder / "image.toml").write_text(TINY)
    (folder / "files" / "passwd").write_text("tool:x:1000:1000::/:/nonexistent\n")
    return folder


@pytest.fixture
def locked(tiny: Path, fetcher: Fetcher, sources: Sources, trust: Trust) -> Path:
    """The folder of an image that is locked to the mirror's packages."""
    lock_image(tiny, fetcher=fetcher, sources=sources, trust=trust, refresh=False)
    return tiny


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        missing("mounting a small file system", "root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def missing(what: str, needed: str) -> None:
    """Skip a test whose tool this machine lacks; in CI that is a failure."""
    absent(f"{what} needs {needed}")


def required(*programs: str) -> None:
    """Skip, or fail in CI, unless all `programs` are here."""
    for program in programs:
        if shutil.which(program) is None:
            missing("this test", program)
