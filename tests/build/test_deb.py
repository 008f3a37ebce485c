"""Reading .deb files: the rules of `deb.py`, on real and on hostile packages."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hullmark.build import deb as reader
from hullmark.build.deb import Deb, read_deb
from hullmark.build.tree import Kind, escapes
from hullmark.errors import InputError
from tests.build.conftest import ELF, required
from tests.build.debs import make_ar, make_deb, regular, special

if TYPE_CHECKING:
    from pathlib import Path


def read(data: bytes) -> Deb:
    return read_deb(data, file="tool_1.0.deb", wanted=lambda _: True)


def test_files_links_and_description_are_read() -> None:
    deb = read(
        make_deb(
            "tool",
            members=[regular("usr/bin/tool", ELF, 0o755), special("usr/bin/t", tarfile.SYMTYPE, "tool")],
        )
    )
    assert deb.files["usr/bin/tool"].data == ELF
    assert deb.files["usr/bin/t"].target == "tool"
    assert deb.control.startswith("Package: tool\n")
    assert deb.control.endswith(" more\n")
    assert set(deb.md5sums) == {"usr/bin/tool", "usr/share/doc/tool/copyright"}


def test_only_wanted_content_is_kept_but_every_path_is_known() -> None:
    data = make_deb("tool", members=[regular("usr/bin/tool", ELF), regular("usr/bin/other", ELF)])
    deb = read_deb(data, file="x", wanted=lambda path: path == "usr/bin/tool")
    assert set(deb.files) == {"usr/bin/tool"}
    assert "usr/bin/other" in deb.paths


def test_setuid_and_setgid_bits_are_dropped() -> None:
    deb = read(make_deb("tool", members=[regular("usr/bin/su", ELF, 0o6755)]))
    assert deb.files["usr/bin/su"].mode == 0o755


def test_a_hard_link_becomes_its_content() -> None:
    members = [regular("usr/bin/a", ELF), special("usr/bin/b", tarfile.LNKTYPE, "./usr/bin/a")]
    assert read(make_deb("tool", members=members)).files["usr/bin/b"].data == ELF


def test_paths_outside_usr_are_merged_into_it() -> None:
    deb = read(make_deb("tool", members=[regular("bin/tool", ELF), regular("lib/x/y", b"z")]))
    assert {"usr/bin/tool", "usr/lib/x/y"} <= set(deb.files)
    assert {"usr/bin/tool", "usr/lib/x/y"} <= set(deb.md5sums)


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_and_pipes_are_refused(kind: bytes) -> None:
    with pytest.raises(InputError, match=r"tool_1\.0\.deb: dev/x: a device"):
        read(make_deb("tool", members=[special("dev/x", kind)]))


@pytest.mark.parametrize(
    "member",
    [
        special("../etc/passwd", tarfile.REGTYPE),
        special("/etc/passwd", tarfile.REGTYPE, prefix=""),
        special("usr/../../x", tarfile.REGTYPE),
        special("usr/bin/x", tarfile.SYMTYPE, "../../../etc/passwd"),
        special("usr/bin/x", tarfile.SYMTYPE, "/../etc/passwd"),
        special("usr/bin/x", tarfile.LNKTYPE, "../../etc/passwd"),
        special("usr/bin/x", tarfile.LNKTYPE, "/etc/passwd"),
    ],
)
def test_a_path_or_link_that_leaves_the_root_is_refused(member: tuple[tarfile.TarInfo, bytes]) -> None:
    with pytest.raises(InputError, match="leaves the root"):
        read(make_deb("tool", members=[member]))


def test_a_hard_link_to_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="hard link to nothing"):
        read(make_deb("tool", members=[special("usr/bin/b", tarfile.LNKTYPE, "./usr/bin/a")]))


def test_a_link_to_an_absolute_path_inside_the_image_is_fine() -> None:
    member = special("usr/share/zoneinfo/localtime", tarfile.SYMTYPE, "/etc/localtime")
    assert read(make_deb("tool", members=[member])).files["usr/share/zoneinfo/localtime"].kind is Kind.LINK


def test_what_unpacks_to_more_than_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_UNPACKED", 100_000)
    with pytest.raises(InputError, match="unpacks to more than 100,000 bytes"):
        read(make_deb("tool", members=[regular("usr/bin/zeros", bytes(1_000_000))]))


def test_gzip_and_no_compression_are_read_too() -> None:
    assert read(make_deb("tool", compress=gzip.compress, suffix=".gz")).control
    assert read(make_deb("tool", compress=lambda data: data, suffix="")).control


def test_an_unknown_compression_is_named() -> None:
    with pytest.raises(InputError, match=r"control\.tar\.zst: unknown compression '\.zst'"):
        read(make_deb("tool", suffix=".zst"))


GOOD = make_deb("tool", members=[regular("usr/bin/tool", ELF)])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an ar archive"),
        (b"\x7fELF", "not an ar archive"),
        (GOOD[:-10], "truncated"),
        (GOOD[:30], "damaged ar header"),
        (make_ar([("debian-binary", b"3.0\n")]), "not a Debian package of format 2"),
        (make_ar([("debian-binary", b"2.0\n")]), "expected one control.tar, got 0"),
        (GOOD.replace(b"\xfd7zXZ", b"\xfd7zXY"), "damaged"),
    ],
)
def test_what_is_no_package_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(data)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_changed_byte_never_gives_anything_but_a_package_or_our_error(place: int, value: int) -> None:
    changed = GOOD[:place] + bytes([value]) + GOOD[place + 1 :]
    with suppress(InputError):
        assert read(changed).control


@pytest.mark.parametrize(
    ("path", "target", "leaves"),
    [
        ("a/b", "../c", False),
        ("a/b", "../../c", True),
        ("a", "..", True),
        ("a/b", "/c/../..", True),
        ("a/b/c", "./../../x", False),
    ],
)
def test_links_are_followed_in_thought_only(path: str, target: str, leaves: bool) -> None:
    assert escapes(path, target) is leaves


def test_a_package_made_by_dpkg_is_read(tmp_path: Path) -> None:
    required("dpkg-deb")
    root = tmp_path / "tool"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "usr").mkdir()
    (root / "usr" / "a").write_bytes(ELF)
    (root / "usr" / "b").hardlink_to(root / "usr" / "a")
    (root / "DEBIAN" / "control").write_text(
        "Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n"
    )
    made = tmp_path / "made.deb"
    subprocess.run(["dpkg-deb", "-Zxz", "--build", str(root), str(made)], check=True, capture_output=True)
    deb = read(made.read_bytes())
    assert deb.files["usr/b"].data == deb.files["usr/a"].data == ELF
    assert io.StringIO(deb.control).readline() == "Package: tool\n"
