"""`hullmark lock` and `hullmark build` as they are ended from outside, in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from hullmark.cli import run
from hullmark.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.build.debs import Mirror
    from tests.build.signing import Signer

SAID = "interrupted: what was recorded stays recorded\n"
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def project(tiny: Path, mirror: Mirror, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one locked image; nothing of it is in the cache."""
    root = tiny.parents[1]
    (root / "hullmark.toml").write_text("version = 1\n[images.tiny]\n")
    (root / "scratch").mkdir()
    monkeypatch.setenv("HULLMARK_DEBIAN_MIRROR", mirror.debian)
    monkeypatch.setenv("HULLMARK_DEBIAN_KEYRING", str(signer.keyring))
    monkeypatch.setenv("TMPDIR", str(root / "scratch"))
    monkeypatch.setenv("HULLMARK_CACHE", str(root / "first"))
    assert run(["-C", str(root), "lock"]) == Exit.DONE
    monkeypatch.setenv("HULLMARK_CACHE", str(root / "cache"))
    mirror.requests.clear()
    return root


def wait_until(so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not so():
        assert time.monotonic() < deadline, "it never came so far"
        time.sleep(0.01)


def interrupt(
    project: Path, arguments: list[str], number: int, *, when: Callable[[], bool], then: threading.Event
) -> tuple[int, str]:
    """Start a command, send it a signal once `when` is so, and set `then`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hullmark", "-C", str(project), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(when)
    process.send_signal(number)
    time.sleep(0.2)  # the signal comes first: what it waits for is not to be an answer
    then.set()
    _, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_lock_leaves_the_old_one_and_nothing_else(
    project: Path, mirror: Mirror, number: int
) -> None:
    path = "/debian/dists/trixie/InRelease"
    before = (project / "images/tiny/packages.lock").read_bytes()
    released = mirror.stalled[path] = threading.Event()

    code, said = interrupt(
        project, ["lock", "--refresh"], number, when=lambda: path in mirror.requests, then=released
    )

    assert (code, said.splitlines(keepends=True)[-1]) == (Exit.INTERRUPTED, SAID)
    assert "Traceback" not in said
    assert (project / "images/tiny/packages.lock").read_bytes() == before
    left = [path.name for path in (project / "images/tiny").iterdir()]
    assert sorted(left) == ["files", "image.toml", "packages.lock"]
    assert os.listdir(project / "scratch") == []  # noqa: PTH208 - names


def test_an_interrupted_build_goes_on_where_it_was(project: Path, mirror: Mirror) -> None:
    """What was fetched whole is not fetched again; what was not leaves nothing."""
    debs = [path for path in mirror.archive.files if path.endswith(".deb")]
    (slow,) = [path for path in debs if "tool" in path]
    (quick,) = [path for path in debs if "libfoo" in path]
    cache = project / "cache/debs"
    released = mirror.stalled[slow] = threading.Event()

    code, said = interrupt(
        project,
        ["build"],
        signal.SIGINT,
        when=lambda: slow in mirror.requests and any(cache.glob("*.deb")),
        then=released,
    )

    assert (code, said.splitlines(keepends=True)[-1]) == (Exit.INTERRUPTED, SAID)
    assert not any(path.name.startswith(".") for path in cache.iterdir()), "no half file"
    assert list((project / "dist").glob("*")) == []
    assert os.listdir(project / "scratch") == []  # noqa: PTH208 - names
    assert run(["-C", str(project), "build"]) == Exit.DONE
    assert mirror.requests.count(quick) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_modules_are_loaded_is_one_line(number: int) -> None:
    code = f"""
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "hullmark.cli":
            os.kill(os.getpid(), {int(number)})
sys.meta_path.insert(0, Finder())
sys.argv = ["hullmark", "doctor"]
from hullmark.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (Exit.INTERRUPTED, SAID)
