"""Helpers are compiled, compared with the lock and shipped."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hullmark.build import helpers
from hullmark.build.builder import build_image
from hullmark.build.definition import load_definition
from hullmark.build.lock import load_lock
from hullmark.build.mirror import Sources
from hullmark.build.refresh import check_image, lock_image
from hullmark.errors import InputError
from tests.build.conftest import TINY

if TYPE_CHECKING:
    from hullmark.build.fetch import Fetcher
    from hullmark.build.release import Trust
    from tests.build.debs import Mirror

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "zig"
HELLO = '#include <stdio.h>\n\nint main(void)\n{\n    puts("hello from " __FILE__);\n    return 0;\n}\n'
HELPERS = '\n[helpers]\n"usr/bin/hello" = { source = "hello.c" }\n'


@pytest.fixture
def tiny(tiny: Path) -> Path:
    """The small image, with a program of its own."""
    (tiny / "image.toml").write_text(TINY + HELPERS)
    (tiny / "helpers").mkdir()
    (tiny / "helpers" / "hello.c").write_text(HELLO)
    return tiny


@pytest.fixture(autouse=True)
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache of the compiler for all tests but the one that is about it."""
    monkeypatch.setattr("hullmark.build.refresh.compiler_cache", lambda _: CACHE)
    monkeypatch.setattr("hullmark.build.builder.compiler_cache", lambda _: CACHE)


def objects(folder: Path, architecture: str = "amd64", cache: Path = CACHE) -> dict[str, bytes]:
    return helpers.compile_helpers(load_definition(folder), folder, architecture, cache=cache)


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_the_same_source_gives_the_same_bytes_on_every_host(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    """Other folder, cache, time zone, locale."""
    here = objects(tiny, architecture)
    elsewhere = tmp_path / "an other place" / "tiny"
    shutil.copytree(tiny, elsewhere)
    for name, value in {"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "CPATH": "/nowhere"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(elsewhere)
    time.tzset()
    try:
        there = objects(elsewhere, architecture, tmp_path / "cold cache")
    finally:
        monkeypatch.undo()
        time.tzset()

    assert here == there
    assert str(tmp_path).encode() not in here["usr/bin/hello"]


def test_a_helper_is_hardened_and_runs(tiny: Path, tmp_path: Path) -> None:
    program = tmp_path / "hello"
    program.write_bytes(objects(tiny)["usr/bin/hello"])
    program.chmod(0o755)

    assert subprocess.check_output([program]) == b"hello from helper.c\n"
    assert program.read_bytes()[16] == 3  # ET_DYN: its place in memory is chosen at each start


def test_what_a_source_compiles_to_is_in_the_lock_and_anything_else_is_refused(
    locked: Path, sources: Sources, tmp_path: Path
) -> None:
    (helper,) = load_lock(locked / "packages.lock").helpers
    assert (helper.path, helper.architecture, helper.compiler) == (
        "usr/bin/hello",
        "amd64",
        "ziglang-0.15.2",
    )
    lock = load_lock(locked / "packages.lock")
    entries = helpers.helper_entries(load_definition(locked), lock, locked, "amd64", cache=CACHE)
    assert entries["usr/bin/hello"].data == objects(locked)["usr/bin/hello"]

    source = locked / "helpers" / "hello.c"
    source.write_text(HELLO.replace("hello from", "goodbye from"))
    with pytest.raises(InputError, match=r"compiles to sha256:.*the lock names sha256:") as caught:
        build_image(locked, out=tmp_path / "out", cache=tmp_path / "cache", sources=sources)
    assert caught.value.hint == "Run `hullmark lock tiny` if its source was changed on purpose."


def test_an_other_compiler_than_the_locks_is_named(locked: Path, sources: Sources, tmp_path: Path) -> None:
    lock = locked / "packages.lock"
    lock.write_text(lock.read_text().replace("ziglang-0.15.2", "ziglang-0.9.1"))
    with pytest.raises(InputError, match=r"locked with ziglang-0\.9\.1, this machine has ziglang-0\.15\.2"):
        build_image(locked, out=tmp_path / "out", cache=tmp_path / "cache", sources=sources)


def test_a_changed_source_is_locked_anew_without_asking_anybody(
    locked: Path, fetcher: Fetcher, trust: Trust, mirror: Mirror
) -> None:
    before = load_lock(locked / "packages.lock")
    (locked / "helpers" / "hello.c").write_text(HELLO.replace("hello from", "goodbye from"))
    mirror.requests.clear()

    done = lock_image(locked, fetcher=fetcher, sources=Sources(), trust=trust, refresh=False)

    after = load_lock(locked / "packages.lock")
    assert [change.package for change in done.changes] == ["usr/bin/hello"]
    assert (after.packages, after.indexes) == (before.packages, before.indexes)
    assert after.helpers != before.helpers
    assert mirror.requests == []
    assert not lock_image(locked, fetcher=fetcher, sources=Sources(), trust=trust, refresh=False).written


def test_a_check_names_a_helper_that_compiles_to_something_else(
    locked: Path, fetcher: Fetcher, sources: Sources, trust: Trust
) -> None:
    assert check_image(locked, fetcher=fetcher, sources=sources, trust=trust).newer == ()
    (locked / "helpers" / "hello.c").write_text(HELLO.replace("hello from", "goodbye from"))

    (change,) = check_image(locked, fetcher=fetcher, sources=sources, trust=trust).newer
    assert (change.package, change.kind) == ("usr/bin/hello", "compiled")


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("int main(void)\n{\n    int unused;\n    return 0;\n}\n", "line 3", "unused variable"),
        ("#include <nowhere.h>\n", "line 1", "file not found"),
        ("int main(void)\n{\n", "line 2", "expected '}'"),
    ],
)
def test_a_source_that_does_not_compile_without_a_warning_is_refused_with_the_compilers_line(
    tiny: Path, source: str, line: str, message: str
) -> None:
    (tiny / "helpers" / "hello.c").write_text(source)
    with pytest.raises(InputError, match=message) as caught:
        objects(tiny)
    assert caught.value.message.startswith(f"{tiny / 'helpers' / 'hello.c'}: {line}: ")


def test_a_helper_replaces_no_file_of_a_package(
    tiny: Path, fetcher: Fetcher, sources: Sources, trust: Trust, tmp_path: Path
) -> None:
    (tiny / "image.toml").write_text(TINY + HELPERS.replace("usr/bin/hello", "usr/bin/tool"))
    lock_image(tiny, fetcher=fetcher, sources=sources, trust=trust, refresh=False)
    with pytest.raises(InputError, match="tool ships this file"):
        build_image(tiny, out=tmp_path / "out", cache=tmp_path / "cache", sources=sources)
