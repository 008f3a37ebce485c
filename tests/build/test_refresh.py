"""From package lists to locks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hullmark.build.fetch import Cache, Fetcher, VanishedError
from hullmark.build.lock import load_lock
from hullmark.build.mirror import Sources
from hullmark.build.refresh import Change, lock_image
from hullmark.errors import EnvironmentFaultError, HullmarkError, InputError, NetworkError
from tests.build.conftest import ELF, TINY
from tests.build.debs import DATE, Mirror, make_deb, regular

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hullmark.build.refresh import Locked


def newer(version: str) -> bytes:
    return make_deb("tool", version, [regular("usr/bin/tool", ELF + version.encode())])


def refresh(folder: Path, fetcher: Fetcher, sources: Sources) -> Locked:
    return lock_image(folder, fetcher=fetcher, sources=sources, refresh=True)


def test_a_lock_names_version_hash_source_and_the_indexes(locked: Path) -> None:
    lock = load_lock(locked / "packages.lock")
    assert [index.suite for index in lock.indexes] == ["trixie", "trixie-security"]
    assert lock.epoch == DATE
    library, tool = lock.packages
    assert (library.name, library.version, library.source, library.source_version) == (
        "libfoo1",
        "2:1.0-1",
        "foo",
        "1.0",
    )
    assert lock.archive_of(tool) == "debian"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ({"trixie-security": "1.0+deb13u1"}, "1.0+deb13u1"),
        ({"trixie-security": "1.0~rc1"}, "1.0"),
        ({"trixie-security": "1:0.1", "trixie": "9.9"}, "1:0.1"),
        ({"trixie": "1.10", "trixie-security": "1.9"}, "1.10"),
    ],
)
def test_the_highest_version_over_all_suites_is_taken_by_debians_rules(  # noqa: PLR0917 - fixtures
    tiny: Path,
    mirror: Mirror,
    fetcher: Fetcher,
    sources: Sources,
    offered: dict[str, str],
    chosen: str,
) -> None:
    for suite, version in offered.items():
        mirror.archive.add(suite, "tool", version, newer(version))
    refresh(tiny, fetcher, sources)
    assert load_lock(tiny / "packages.lock").packages[1].version == chosen


def test_a_complete_lock_is_left_alone_unless_refreshed(
    locked: Path, mirror: Mirror, fetcher: Fetcher, sources: Sources
) -> None:
    before = (locked / "packages.lock").read_bytes()
    mirror.archive.add("trixie-security", "tool", "1.1", newer("1.1"))
    mirror.requests.clear()
    assert not lock_image(locked, fetcher=fetcher, sources=sources, refresh=False).written
    assert mirror.requests == []
    assert (locked / "packages.lock").read_bytes() == before
    done = refresh(locked, fetcher, sources)
    assert done.written
    assert done.changes == (Change(package="tool", before="1.0", after="1.1"),)


def test_a_refresh_that_finds_nothing_newer_changes_no_byte(
    locked: Path, mirror: Mirror, fetcher: Fetcher, sources: Sources
) -> None:
    before = (locked / "packages.lock").read_bytes()
    mirror.archive.publish("trixie", date=DATE + 86_400)
    assert not refresh(locked, fetcher, sources).written
    assert (locked / "packages.lock").read_bytes() == before


def test_a_package_that_was_added_is_locked_without_a_refresh(
    locked: Path, mirror: Mirror, fetcher: Fetcher, sources: Sources
) -> None:
    mirror.archive.add("trixie", "extra", "3", make_deb("extra", "3"))
    text = TINY.replace("[packages]", '[packages]\nextra = { reason = "more" }')
    (locked / "image.toml").write_text(text)
    done = lock_image(locked, fetcher=fetcher, sources=sources, refresh=False)
    assert done.changes == (Change(package="extra", before="", after="3"),)
    (locked / "image.toml").write_text(TINY)
    done = lock_image(locked, fetcher=fetcher, sources=sources, refresh=False)
    assert done.changes == (Change(package="extra", before="3", after=""),)


def _unknown_package(folder: Path, mirror: Mirror) -> None:
    del mirror
    (folder / "image.toml").write_text(TINY.replace("tool = {", "toool = {").replace('"tool"\ns', '""\ns'))


def _ubuntu(folder: Path, mirror: Mirror) -> None:
    del folder
    mirror.archive.publish("trixie", origin="Ubuntu")


def _another_suite(folder: Path, mirror: Mirror) -> None:
    del folder
    mirror.archive.publish("trixie", codename="bookworm")


def _no_suite(folder: Path, mirror: Mirror) -> None:
    del folder
    del mirror.archive.files["/debian-security/dists/trixie-security/InRelease"]


def _unsigned(folder: Path, mirror: Mirror) -> None:
    del folder
    mirror.archive.files["/debian/dists/trixie/InRelease"] = b"Origin: Debian\n"


def _damaged_release(folder: Path, mirror: Mirror) -> None:
    del folder
    path = "/debian/dists/trixie/InRelease"
    mirror.archive.files[path] = mirror.archive.files[path].replace(b"Date:", b"Data:")


def _index_with_another_hash(folder: Path, mirror: Mirror) -> None:
    del folder
    for path in list(mirror.archive.files):
        if "binary-amd64" in path:
            mirror.archive.files[path] = mirror.archive.files[path][:-1] + b"?"


def _no_index(folder: Path, mirror: Mirror) -> None:
    del folder
    for path in list(mirror.archive.files):
        if "binary-amd64" in path:
            del mirror.archive.files[path]


def _not_xz(folder: Path, mirror: Mirror) -> None:
    del folder
    import hashlib

    text = mirror.archive.files["/debian/dists/trixie/InRelease"]
    path = "/debian/dists/trixie/main/binary-amd64/Packages.xz"
    old = mirror.archive.files[path]
    new = b"?" * len(old)
    mirror.archive.files[path] = new
    mirror.archive.files["/debian/dists/trixie/InRelease"] = text.replace(
        hashlib.sha256(old).hexdigest().encode(), hashlib.sha256(new).hexdigest().encode()
    )


@pytest.mark.parametrize(
    ("harm", "error", "message"),
    [
        (_unknown_package, InputError, "packages.toool: no suite has this package for amd64"),
        (_ubuntu, NetworkError, "suite trixie is not offered by"),
        (_another_suite, NetworkError, "suite trixie is not offered by"),
        (_no_suite, NetworkError, "suite trixie-security is not offered by"),
        (_unsigned, InputError, "not a signed InRelease file"),
        (_damaged_release, InputError, "not a release file"),
        (_index_with_another_hash, NetworkError, "Packages.xz"),
        (_no_index, VanishedError, "Packages.xz"),
        (_not_xz, InputError, "not xz"),
    ],
)
def test_a_failed_refresh_says_why_and_leaves_the_old_lock(  # noqa: PLR0917 - fixtures
    locked: Path,
    mirror: Mirror,
    sources: Sources,
    tmp_path: Path,
    harm: Callable[[Path, Mirror], None],
    error: type[HullmarkError],
    message: str,
) -> None:
    before = (locked / "packages.lock").read_bytes()
    harm(locked, mirror)
    with Fetcher(Cache(tmp_path / "other")) as fetcher, pytest.raises(error) as caught:
        refresh(locked, fetcher, sources)
    assert message in caught.value.message
    assert (locked / "packages.lock").read_bytes() == before
    assert sorted(path.name for path in locked.iterdir()) == ["files", "image.toml", "packages.lock"]


def test_a_mirror_that_is_not_debians_is_passed_over(
    tiny: Path, mirror: Mirror, fetcher: Fetcher, sources: Sources
) -> None:
    other = f"{mirror.address}/ubuntu"
    path = "/debian/dists/trixie/InRelease"
    mirror.archive.files["/ubuntu/dists/trixie/InRelease"] = mirror.archive.files[path].replace(
        b"Origin: Debian", b"Origin: Ubuntu"
    )
    mixed = Sources(debian=(other, *sources.debian), security=sources.security)
    assert refresh(tiny, fetcher, mixed).written


def test_without_an_address_it_says_how_to_give_one(tiny: Path, fetcher: Fetcher) -> None:
    with pytest.raises(EnvironmentFaultError) as caught:
        refresh(tiny, fetcher, Sources())
    assert "HULLMARK_DEBIAN_MIRROR" in caught.value.hint


def test_an_index_is_fetched_once(tiny: Path, mirror: Mirror, fetcher: Fetcher, sources: Sources) -> None:
    refresh(tiny, fetcher, sources)
    mirror.requests.clear()
    refresh(tiny, fetcher, sources)
    assert [path.rsplit("/", 1)[-1] for path in mirror.requests] == ["InRelease", "InRelease"]
