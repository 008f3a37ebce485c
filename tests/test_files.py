"""Files read with a limit and written whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import EnvironmentFaultError, InputError
from hullmark.files import (
    read_bounded,
    replacing_folder,
    scratch_folder,
    temporary_folder,
    write_whole,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")

    assert read_bounded(path, 5) == b"12345"
    with pytest.raises(InputError, match="larger than 4 bytes"):
        read_bounded(path, 4)


def test_a_folder_and_a_pipe_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(InputError, match="not a regular file"):
            read_bounded(path, 10)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing: cannot read"):
        read_bounded(tmp_path / "nothing", 10)


def test_a_file_that_cannot_be_written_keeps_what_it_held(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    write_whole(tmp_path / "a", b"new")

    assert (tmp_path / "a").read_bytes() == b"new"
    with pytest.raises(EnvironmentFaultError, match="cannot write"):
        write_whole(tmp_path / "a" / "b", b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def once_more(way: str) -> AbstractContextManager[Path]:
    if way.startswith("scratch"):
        return scratch_folder()
    if way.startswith("replacing"):
        return replacing_folder(Path("out/app"))
    return temporary_folder(Path(), ".archive-")


HOLD = """
import sys
from hullmark.files import replacing_folder, scratch_folder, temporary_folder
from pathlib import Path
with {way} as folder:
    (folder / "half").write_text("half")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    "way", ["scratch_folder()", "replacing_folder(Path('out/app'))", "temporary_folder(Path(), '.archive-')"]
)
def test_a_folder_that_a_killed_run_left_is_removed_by_the_next_and_no_other(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)

    def start() -> tuple[subprocess.Popen[str], Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD.format(way=way)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    (killed, left), (running, used) = start(), start()
    killed.kill()
    killed.communicate()
    mine = left.parent / f"{left.name}-mine"
    mine.mkdir()
    fresh = left.with_name(left.name[:-8] + "00000000")
    fresh.mkdir()
    for folder in (left, used, mine):
        os.utime(folder, (1_600_000_000, 1_600_000_000))
    with once_more(way):
        there = {left: left.exists(), used: used.exists(), mine: mine.exists(), fresh: fresh.exists()}
    running.communicate("")

    assert there == {left: False, used: True, mine: True, fresh: True}
    assert not used.exists()
