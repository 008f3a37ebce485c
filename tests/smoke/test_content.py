"""Unpacking layers: the rules of `content.py`."""

from __future__ import annotations

import os
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest

from hullmark.build.archive import inspect_archive
from hullmark.errors import InputError
from hullmark.smoke.content import Content, User, find_user, read_content, unpack
from tests.smoke.images import file, folder, link, make_archive, make_layer

if TYPE_CHECKING:
    from pathlib import Path


def content_of(tmp_path: Path, *layers: bytes, user: str = "7:7") -> Content:
    path = make_archive(tmp_path / "image.tar", layers, User=user)
    return read_content(path, inspect_archive(path).only())


def unpacked(tmp_path: Path, *layers: bytes, user: str = "7:7") -> Path:
    root = tmp_path / "root"
    root.mkdir()
    unpack(content_of(tmp_path, *layers, user=user), root)
    return root


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


def test_a_later_layer_replaces_and_whiteouts_remove_what_earlier_layers_brought(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        make_layer(
            [file("a", b"1"), file("gone", b""), file("d/x", b""), file("d/y", b""), file("o/old", b"")]
        ),
        make_layer([file("a", b"2"), file(".wh.gone", b""), file(".wh.d", b"")]),
        make_layer([file("o/.wh..wh..opq", b""), file("o/new", b""), file("d", b"a file now")]),
    )

    assert files(root) == ["a", "d", "o/new"]
    assert (root / "a").read_bytes() == b"2"


def test_nothing_is_written_outside_and_links_are_followed_inside_only(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    root = unpacked(
        tmp_path,
        make_layer([link("bin", "usr/bin"), link("away", str(outside)), link("up", "../../outside")]),
        make_layer([file("bin/tool", b"t"), file("away/evil", b"e"), file("up/evil", b"e")]),
    )

    assert list(outside.iterdir()) == []
    assert (root / "usr/bin/tool").read_bytes() == b"t"
    assert os.readlink(root / "bin") == "usr/bin"  # noqa: PTH115 - the text of the link
    assert (root / str(outside).lstrip("/") / "evil").read_bytes() == b"e"
    assert (root / "outside/evil").read_bytes() == b"e"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([file("../evil", b"")], "path leaves the image"),
        ([link("hard", "nowhere", tarfile.LNKTYPE)], "link to nothing"),
        ([link("a", "b"), link("b", "a"), file("a/x", b"")], "links in a circle"),
        ([file("plain", b""), file("plain/x", b"")], "lies beneath a file"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        unpacked(tmp_path, make_layer(members))
    assert not (tmp_path / "root.parts").exists()


def test_devices_are_left_out_and_setuid_bits_dropped(tmp_path: Path) -> None:
    device = tarfile.TarInfo("null")
    device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 3
    root = unpacked(tmp_path, make_layer([(device, b""), file("su", b"", mode=0o6755)]))

    assert files(root) == ["su"]
    assert stat.S_IMODE((root / "su").stat().st_mode) == 0o555


def test_the_owner_bits_are_those_that_the_images_user_has(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        make_layer(
            [
                file("own", b"", mode=0o640, owner=7),
                file("roots", b"", mode=0o600),
                file("shared", b"", mode=0o604),
                folder("locked", mode=0o700),
            ]
        ),
    )

    bits = {path.name: stat.S_IMODE(path.stat().st_mode) >> 6 for path in root.iterdir()}
    assert bits == {"own": 6, "roots": 0, "shared": 4, "locked": 0}


def test_a_hard_link_is_the_same_file(tmp_path: Path) -> None:
    layer = make_layer([file("a", b"same"), link("b", "a", tarfile.LNKTYPE)])
    path = make_archive(tmp_path / "image.tar", [layer])
    content = read_content(path, inspect_archive(path).only())
    root = tmp_path / "root"
    root.mkdir()
    unpack(content, root)

    assert (root / "b").read_bytes() == b"same"


PASSWD = b"root:x:0:0::/:/x\napp:x:12:34::/:/x\nbroken:line\n"
GROUP = b"root:x:0:\nstaff:x:56:\n"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("999:998", User(999, 998)),
        ("12", User(12, 34)),
        ("13", User(13, 0)),
        ("app", User(12, 34)),
        ("app:staff", User(12, 56)),
        ("app:7", User(12, 7)),
        ("", User(0, 0)),
    ],
)
def test_the_user_is_looked_up_in_the_images_own_files(tmp_path: Path, user: str, expected: User) -> None:
    layer = make_layer([folder("etc"), file("etc/passwd", PASSWD), file("etc/group", GROUP)])
    content = content_of(tmp_path, layer, user=user)
    root = tmp_path / "root"
    root.mkdir()

    assert find_user(content) == expected
    assert unpack(content, root) == expected


def test_an_unknown_user_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="its user 'nobody' is not in its etc/passwd"):
        find_user(content_of(tmp_path, make_layer([file("a", b"")]), user="nobody"))
