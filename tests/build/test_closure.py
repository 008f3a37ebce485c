"""Whether an image is complete: the rules of `closure.py`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from hullmark.build.closure import check_closure, needed_by
from hullmark.build.deb import Deb
from hullmark.build.definition import Definition
from hullmark.build.tree import Entry, Kind, Tree
from hullmark.errors import InputError
from hullmark.toml import decode_toml
from tests.build.conftest import TINY

if TYPE_CHECKING:
    from pathlib import Path


def elf(*needed: str, loader: str = "") -> bytes:
    """A shared object that needs `needed`, as far as a loader reads it (System V ABI, 64-bit)."""
    strings, offsets = b"\0", []
    for name in needed:
        offsets.append(len(strings))
        strings += name.encode() + b"\0"
    interpreter = loader.encode() + b"\0"
    start = 64 + 3 * 56
    entries = [(1, offset) for offset in offsets] + [(5, start), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *entry) for entry in entries)
    place = start + len(strings)
    segments = [
        (1, 5, 0, 0, 0, place + len(dynamic) + len(interpreter), 0, 0),
        (2, 6, place, place, place, len(dynamic), 0, 0),
        (3 if loader else 0, 4, place + len(dynamic), 0, 0, len(interpreter), 0, 0),
    ]
    header = struct.pack(
        "<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 3, 62, 1, 0, 64, 0, 0, 64, 56, 3, 64, 0, 0
    )
    headers = b"".join(struct.pack("<IIQQQQQQ", *segment) for segment in segments)
    return header + headers + strings + dynamic + interpreter


def tree_of(files: dict[str, bytes | str]) -> Tree:
    """Programs by path; a text is a link."""
    tree = Tree()
    for path, content in files.items():
        if isinstance(content, str):
            tree.put(path, Entry(kind=Kind.LINK, target=content))
        else:
            tree.put(path, Entry(kind=Kind.FILE, mode=0o755, data=content))
    return tree


def check(files: dict[str, bytes | str], folder: Path, **debs: Deb) -> None:
    check_closure(tree_of(files), decode_toml(TINY.encode(), Definition, file="x"), folder, debs)


def test_the_first_word_of_entrypoint_is_a_program_in_the_image_links_followed(tmp_path: Path) -> None:
    check({"usr/bin/tool": "../sbin/real", "usr/sbin/real": "/opt/tool", "opt/tool": b"#!"}, tmp_path)
    broken: tuple[dict[str, bytes | str], ...] = (
        {},
        {"usr/bin/tool": "gone"},
        {"usr/bin/tool": "tool"},
        {"usr/bin/tool/x": b""},
    )
    for files in broken:
        with pytest.raises(InputError) as caught:
            check(files, tmp_path)
        assert caught.value.message == (
            f"{tmp_path}/image.toml: config.entrypoint: /usr/bin/tool is no program in the image"
        )


def test_every_library_and_loader_that_is_named_is_in_the_image(tmp_path: Path) -> None:
    program = elf("libc.so.6", "libfoo.so.1", loader="/lib64/ld-linux-x86-64.so.2")
    whole: dict[str, bytes | str] = {
        "usr/bin/tool": program,
        "usr/lib/libc.so.6": elf(),
        "usr/lib/libfoo.so.1": "libfoo.so.1.2",
        "usr/lib/ld-linux-x86-64.so.2": elf(),
    }
    check(whole, tmp_path)
    for name in list(whole)[1:]:
        with pytest.raises(InputError, match=f"needed and not there: {name[8:]} \\(for usr/bin/tool\\)"):
            check({path: data for path, data in whole.items() if path != name}, tmp_path)


def test_the_hint_names_what_the_needing_package_depends_on(tmp_path: Path) -> None:
    control = "Package: tool\nDepends: libc6 (>= 2.38), libfoo1\nArchitecture: amd64\n"
    entry = Entry(kind=Kind.FILE, mode=0o755, data=elf("libfoo.so.1"))
    files = {"usr/bin/tool": entry}
    deb = Deb(control=control, md5sums={}, files=files, paths=frozenset(files))
    with pytest.raises(InputError) as caught:
        check({"usr/bin/tool": entry.data}, tmp_path, tool=deb)

    assert caught.value.hint == "tool depends on libc6, libfoo1."


@pytest.mark.parametrize("cut", [0, 3, 16, 63, 64, 100, 250])
def test_what_is_cut_off_or_no_program_needs_nothing(cut: int) -> None:
    assert needed_by(elf("libc.so.6")) == ("libc.so.6",)
    assert needed_by(elf("libc.so.6")[:cut]) == ()
    assert needed_by(b"\x7fELF" + bytes(range(256))) == ()
