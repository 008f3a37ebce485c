"""One image from definition and lock to layout."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from hullmark.build.archive import inspect_archive
from hullmark.build.builder import build, build_image
from hullmark.build.fetch import VanishedError
from hullmark.build.mirror import Sources
from hullmark.errors import EnvironmentFaultError, InputError
from tests.build.conftest import TINY

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.build.builder import BuiltImage
    from tests.build.debs import Mirror


def made(folder: Path, base: Path, sources: Sources) -> BuiltImage:
    (image,) = build_image(folder, out=base / "out", cache=base / "cache", sources=sources)
    return image


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_builder_twice_gives_the_same_manifest_digest(
    locked: Path, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(locked, tmp_path / "one", sources)
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.setenv("LC_ALL", "C")
    time.tzset()
    try:
        elsewhere = tmp_path / "another place" / "images" / "tiny"
        shutil.copytree(locked, elsewhere)
        old_mask = os.umask(0o077)
        try:
            second = made(elsewhere, tmp_path / "two", sources)
        finally:
            os.umask(old_mask)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert first.manifest_digest == second.manifest_digest
    assert content(first.path) == content(second.path)


def test_a_built_image_is_read_back_with_the_same_digests(
    locked: Path, sources: Sources, tmp_path: Path
) -> None:
    image = made(locked, tmp_path, sources)
    found = inspect_archive(image.path).only()
    assert (found.digest, found.config, found.layers) == (
        image.manifest_digest,
        image.config_digest,
        image.layers,
    )
    assert image.packages == 2


def test_building_again_replaces_the_layout_and_needs_no_mirror(
    locked: Path, sources: Sources, tmp_path: Path, mirror: Mirror
) -> None:
    first = made(locked, tmp_path, sources)
    mirror.requests.clear()
    (first.path / "stray").write_text("")
    assert made(locked, tmp_path, Sources()) == first
    assert mirror.requests == []
    assert not (first.path / "stray").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tiny"]


def test_a_failed_build_leaves_the_earlier_layout(locked: Path, sources: Sources, tmp_path: Path) -> None:
    before = content(made(locked, tmp_path, sources).path)
    (locked / "image.toml").write_text(TINY.replace('"usr/bin/tool"]', '"usr/bin/gone"]'))
    with pytest.raises(InputError, match="matches no file"):
        made(locked, tmp_path, sources)
    assert content(tmp_path / "out" / "tiny") == before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tiny"]


def test_a_vanished_version_names_the_package_and_the_command(
    locked: Path, sources: Sources, tmp_path: Path, mirror: Mirror
) -> None:
    mirror.archive.files = {path: data for path, data in mirror.archive.files.items() if "/tool_" not in path}
    with pytest.raises(VanishedError, match=r"tool 1\.0 is no longer on any mirror") as caught:
        made(locked, tmp_path, sources)
    assert "hullmark lock --refresh tiny" in caught.value.hint


def test_a_vanished_version_is_taken_from_the_snapshot_of_its_time(
    locked: Path, sources: Sources, tmp_path: Path, mirror: Mirror
) -> None:
    moved = {
        path.replace("/debian/", "/snapshot/archive/debian/20231114T221320Z/"): data
        for path, data in mirror.archive.files.items()
    }
    mirror.archive.files = moved
    behind = Sources(debian=sources.debian, security=sources.security, snapshot=f"{mirror.address}/snapshot")
    assert made(locked, tmp_path, behind).packages == 2


def test_a_declared_package_that_is_not_locked_is_refused(
    locked: Path, sources: Sources, tmp_path: Path
) -> None:
    (locked / "image.toml").write_text(TINY.replace("libfoo1 =", "libfoo2 ="))
    with pytest.raises(InputError, match=r"libfoo2 is declared but not locked \(libfoo1 is\)") as caught:
        made(locked, tmp_path, sources)
    assert caught.value.hint == "Run `hullmark lock tiny`."


def test_a_locked_package_that_is_not_declared_is_refused(
    locked: Path, sources: Sources, tmp_path: Path
) -> None:
    lines = TINY.splitlines()
    (locked / "image.toml").write_text("\n".join(line for line in lines if not line.startswith("libfoo1")))
    with pytest.raises(InputError, match="libfoo1 is locked but not declared"):
        made(locked, tmp_path, sources)


def test_without_a_lock_it_says_so(tiny: Path, sources: Sources, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"packages\.lock"):
        made(tiny, tmp_path, sources)


def test_a_full_disk_is_said_and_leaves_nothing(locked: Path, sources: Sources, small_disk: Path) -> None:
    (locked / "files" / "passwd").write_bytes(os.urandom(100_000))
    with pytest.raises(EnvironmentFaultError, match="No space left"):
        build_image(locked, out=small_disk, cache=locked.parent / "cache", sources=sources)
    assert list(small_disk.iterdir()) == []


def test_a_folder_without_a_definition_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither image\.toml nor Dockerfile"):
        build(tmp_path, out=tmp_path, cache=tmp_path, environ={})
