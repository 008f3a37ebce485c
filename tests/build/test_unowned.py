"""Programs and libraries that no package owns: the rules of `unowned.py`."""

from __future__ import annotations

import hashlib
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hullmark.build import unowned
from hullmark.build.archive import inspect_archive
from hullmark.build.unowned import Unowned, find_unowned
from tests.smoke.images import file, folder, link, make_archive, make_layer

if TYPE_CHECKING:
    from pathlib import Path

ELF = b"\x7fELF" + bytes(60)
Member = tuple[tarfile.TarInfo, bytes]


def find(tmp_path: Path, *layers: list[Member]) -> Unowned:
    path = make_archive(tmp_path / "image.tar", [make_layer(layer) for layer in layers])
    return find_unowned(path, inspect_archive(path).only())


def listed(*paths: str) -> bytes:
    """A package's list, as dpkg keeps it."""
    return "".join(f"{path}\n" for path in ("/.", *paths)).encode()


def test_a_file_is_a_program_or_library_by_its_first_bytes_whatever_it_is_called(tmp_path: Path) -> None:
    found = find(
        tmp_path,
        [
            file("opt/tool", ELF, mode=0o755),
            file("opt/data.bin", ELF + b"x", mode=0o600),
            file("opt/script", b"#!/bin/sh\n", mode=0o755),
            file("opt/empty", b""),
            file("opt/short", b"\x7fEL"),
            link("opt/link", "tool"),
        ],
    )

    assert list(found.files) == ["opt/data.bin", "opt/tool"]
    assert found.files["opt/tool"] == f"sha256:{hashlib.sha256(ELF).hexdigest()}"
    assert found.count == 2


def test_it_is_owned_when_a_package_lists_it_under_whatever_name_its_folder_is_reached(
    tmp_path: Path,
) -> None:
    found = find(
        tmp_path,
        [
            link("lib", "usr/lib"),
            link("bin", "/usr/bin"),
            file("usr/lib/libc.so.6", ELF),
            file("usr/bin/tool", ELF),
            file("usr/bin/own", ELF),
            file("usr/bin/php.distrib", ELF),
            file("usr/bin/sliced", ELF),
            file("var/lib/dpkg/info/libc6:amd64.list", listed("/lib", "/lib/libc.so.6")),
            file("var/lib/dpkg/info/tool.md5sums", b"d41d8cd98f00b204e9800998ecf8427e  bin/tool\n"),
            file(
                "var/lib/dpkg/status.d/sliced.md5sums", b"d41d8cd98f00b204e9800998ecf8427e  usr/bin/sliced\n"
            ),
            file("var/lib/dpkg/diversions", b"/usr/bin/php\n/usr/bin/php.distrib\nphp-common\n"),
        ],
    )

    assert list(found.files) == ["usr/bin/own"]


def test_a_list_may_name_either_side_of_a_merged_usr(tmp_path: Path) -> None:
    names = [file("var/lib/dpkg/info/a.list", listed("/lib/x.so", "/usr/sbin/y"))]

    assert find(tmp_path, [file("usr/lib/x.so", ELF), file("sbin/y", ELF), *names]).count == 0


def test_apk_packages_own_what_they_list(tmp_path: Path) -> None:
    records = b"P:musl\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\nF:usr/bin\nR:ldd\n\nP:x\nF:\nR:root\n"
    found = find(
        tmp_path,
        [
            file("lib/apk/db/installed", records),
            *(file(name, ELF) for name in ("lib/ld-musl-x86_64.so.1", "usr/bin/ldd", "root", "usr/bin/own")),
        ],
    )

    assert list(found.files) == ["usr/bin/own"]


def test_what_a_later_layer_removed_does_not_count(tmp_path: Path) -> None:
    owned = file("var/lib/dpkg/info/a.list", listed("/usr/bin/a"))
    base = [file("usr/bin/a", ELF), file("usr/bin/b", ELF), owned]

    assert find(tmp_path, base, [file("usr/bin/.wh.b", b"")]).count == 0
    assert list(find(tmp_path, base, [file("var/lib/.wh.dpkg", b"")]).files) == ["usr/bin/a", "usr/bin/b"]
    assert list(find(tmp_path, base, [file("usr/bin/a", b"text")]).files) == ["usr/bin/b"]


@pytest.mark.parametrize(
    ("above", "left"),
    [
        ([file("opt/.wh.a", b"")], 1),
        ([file(".wh.opt", b"")], 0),
        ([file("opt/.wh..wh..opq", b"")], 0),
        ([file(".wh..wh..opq", b"")], 0),
        ([file("opt/.wh..wh..opq", b""), file("opt/c", ELF)], 1),
        ([link("opt/a", "b")], 1),
        ([folder("opt")], 2),
        ([link("opt/c", "opt/a", tarfile.LNKTYPE)], 3),
    ],
)
def test_what_a_later_layer_removes_or_replaces_is_not_there(
    tmp_path: Path, above: list[Member], left: int
) -> None:
    assert find(tmp_path, [file("opt/a", ELF), file("opt/b", ELF)], above).count == left


def test_layers_may_be_packed_and_one_that_cannot_be_read_gives_no_number(tmp_path: Path) -> None:
    plain = make_layer([file("opt/a", ELF)])
    path = make_archive(tmp_path / "image.tar", [plain, b"\x28\xb5\x2f\xfd" + bytes(64)])
    found = find_unowned(path, inspect_archive(path).only())
    assert found.count is None
    assert "damaged layer" in found.why

    layout = make_archive(tmp_path / "packed.tar", [plain], packed=True)
    assert find_unowned(layout, inspect_archive(layout).only()).count == 1


def test_without_any_records_nothing_is_owned(tmp_path: Path) -> None:
    assert find(tmp_path, [file("server", ELF), link("again", "server", tarfile.LNKTYPE)]).count == 2
    assert find(tmp_path, [file("etc/motd", b"")]) == Unowned()


@pytest.mark.parametrize("record", ["var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/Packages.db"])
def test_packages_of_rpm_are_not_read_then_nobody_knows(tmp_path: Path, record: str) -> None:
    found = find(tmp_path, [file("usr/bin/a", ELF), file(record, b"SQLite")])

    assert (found.count, found.files) == (None, {})
    assert str(found) == "not known: packages of rpm are not read"


def test_an_image_that_cannot_be_walked_is_not_known_either_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    circle = [link("a", "b"), link("b", "a"), file("a/tool", ELF)]
    assert str(find(tmp_path, circle)) == "not known: a: links in a circle"
    assert "path leaves the image" in find(tmp_path, [file("../x", ELF)]).why
    monkeypatch.setattr(unowned, "MAX_RECORD", 3)
    big = [file("var/lib/dpkg/info/a.list", b"/usr/bin/a\n")]
    assert find(tmp_path, big).why == "var/lib/dpkg/info/a.list: too large for a package's record"


def test_a_few_are_named_and_all_of_them_have_one_digest(tmp_path: Path) -> None:
    names = [f"opt/{number}" for number in range(5)]
    found = find(tmp_path, [file(name, ELF) for name in names])

    assert str(found) == f"opt/0, opt/1, opt/2 and 2 more ({found.digest})"
    assert find(tmp_path, [file(name, ELF) for name in reversed(names)]).digest == found.digest
    assert find(tmp_path, [file(name, ELF + b"x") for name in names]).digest != found.digest


_PATHS = st.sampled_from(["usr/bin/a", "usr/lib/b.so", "opt/c", "d"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(present=st.sets(_PATHS), owned=st.sets(_PATHS))
def test_what_is_there_is_owned_or_unowned(tmp_path: Path, present: set[str], owned: set[str]) -> None:
    members = [file(name, ELF) for name in sorted(present)]
    records = file("var/lib/dpkg/info/p.list", listed(*(f"/{name}" for name in sorted(owned))))

    assert set(find(tmp_path, [*members, records]).files) == present - owned


def test_an_image_is_walked_once_its_digest_stands_for_all_that_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "local" / "unowned.json"
    path = make_archive(tmp_path / "image.tar", [make_layer([file("opt/tool", ELF)])])
    image = inspect_archive(path).only()
    first = find_unowned(path, image, cache=cache)
    other = make_archive(tmp_path / "other.tar", [make_layer([file("opt/other", ELF)])])

    with monkeypatch.context() as patched:
        patched.setattr(unowned, "merge_layers", None)  # walking again would fail
        assert find_unowned(path, image, cache=cache) == first
    assert list(find_unowned(other, inspect_archive(other).only(), cache=cache).files) == ["opt/other"]

    monkeypatch.setattr(unowned, "_RULES", unowned._RULES + 1)
    cache.write_bytes(cache.read_bytes().replace(b"opt/tool", b"opt/lies"))
    assert find_unowned(path, image, cache=cache) == first, "found by other rules"


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"rules": 1}', b"[" * 5000])
def test_a_cache_that_cannot_be_read_is_ignored_and_one_that_cannot_be_written_costs_nothing(
    tmp_path: Path, content: bytes
) -> None:
    path = make_archive(tmp_path / "image.tar", [make_layer([file("opt/tool", ELF)])])
    image = inspect_archive(path).only()
    cache = tmp_path / "unowned.json"
    cache.write_bytes(content)
    assert list(find_unowned(path, image, cache=cache).files) == ["opt/tool"]
    assert find_unowned(path, image, cache=tmp_path / "image.tar" / "below").count == 1


def test_an_image_that_could_not_be_walked_is_tried_again(tmp_path: Path) -> None:
    cache = tmp_path / "unowned.json"
    path = make_archive(tmp_path / "image.tar", [make_layer([file("var/lib/rpm/Packages", b"x")])])
    assert find_unowned(path, inspect_archive(path).only(), cache=cache).count is None
    assert not cache.exists()
