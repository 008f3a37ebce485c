"""Files read with a limit and written whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import EnvironmentFaultError, InputError
from hullmark.files import read_bounded, write_whole

if TYPE_CHECKING:
    from pathlib import Path


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
