"""From packages and slices to files: the rules of `rootfs.py`."""

from __future__ import annotations

import hashlib
import tarfile
from typing import TYPE_CHECKING

import pytest

from hullmark.build.deb import read_deb
from hullmark.build.definition import load_definition
from hullmark.build.rootfs import assemble, selector
from hullmark.build.slices import architecture_of, compile_pattern
from hullmark.build.tree import ConflictError, Entry, Kind, Tree
from hullmark.errors import InputError, UsageError
from hullmark.image import parse_platform
from tests.build.conftest import ELF, TINY
from tests.build.debs import make_deb, regular, special

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.build.deb import Deb

TRIPLET = "x86_64-linux-gnu"
LIBRARY = f"usr/lib/{TRIPLET}"
Members = list[tuple[tarfile.TarInfo, bytes]]

TOOL: Members = [
    regular("usr/bin/tool", ELF, 0o4755),
    regular("usr/bin/extra", ELF, 0o755),
    regular("usr/share/man/man1/tool.1", b"manual"),
    regular("etc/tool.d/a.crt", b"one"),
    regular("etc/tool.d/b.crt", b"two\n"),
]
LIBFOO: Members = [
    regular(f"{LIBRARY}/libfoo.so.1.0", ELF),
    special(f"{LIBRARY}/libfoo.so.1", tarfile.SYMTYPE, "libfoo.so.1.0"),
    regular(f"{LIBRARY}/deep/libbar.so.1", ELF),
]


def build(folder: Path, text: str = TINY, tool: Members = TOOL, foo: Members = LIBFOO) -> Tree:
    """The tree of `text` with the given files in its two packages."""
    (folder / "image.toml").write_text(text)
    definition = load_definition(folder)
    debs: dict[str, Deb] = {}
    for name, members in (("tool", tool), ("libfoo1", foo)):
        selected = selector(name, definition.packages[name], TRIPLET)
        debs[name] = read_deb(make_deb(name, members=members), file=name, wanted=selected)
    return assemble(definition, folder, debs, TRIPLET)


def text_of(tree: Tree, path: str) -> str:
    return tree[path].data.decode()


def test_a_package_is_recorded_whole_with_exactly_the_md5sums_of_what_is_shipped(tiny: Path) -> None:
    tree = build(tiny)
    status = text_of(tree, "var/lib/dpkg/status.d/tool").splitlines()
    assert status[:3] == ["Package: tool", "Status: install ok installed", "Version: 1.0"]
    assert status[-1] == " more"
    for name in ("tool", "libfoo1"):
        for line in text_of(tree, f"var/lib/dpkg/status.d/{name}.md5sums").splitlines():
            digest, path = line.split("  ")
            assert hashlib.md5(tree[path].data, usedforsecurity=False).hexdigest() == digest
    sums = text_of(tree, "var/lib/dpkg/status.d/tool.md5sums")
    assert [line.split("  ")[1] for line in sums.splitlines()] == [
        "usr/bin/tool",
        "usr/share/doc/tool/copyright",
    ]


def test_a_package_of_which_only_the_licence_is_shipped_is_recorded_too(tiny: Path) -> None:
    tree = build(tiny, TINY.replace(', keep = ["usr/bin/tool"]', ""))
    assert "var/lib/dpkg/status.d/tool" in tree
    assert "usr/share/doc/tool/copyright" in tree
    assert "usr/bin/tool" not in tree


def test_programs_are_shipped_as_they_are_but_never_setuid(tiny: Path) -> None:
    tree = build(tiny)
    assert tree["usr/bin/tool"].data == ELF
    assert tree["usr/bin/tool"].mode == 0o755


def test_documentation_is_not_shipped_even_when_a_pattern_matches_it(tiny: Path) -> None:
    tree = build(tiny, TINY.replace('"usr/bin/tool"]', '"usr/**"]'))
    assert "usr/share/man/man1/tool.1" not in tree
    assert "usr/bin/extra" in tree


def test_a_star_stops_at_a_slash_and_two_stars_do_not() -> None:
    assert compile_pattern("a/*.so", "t").fullmatch("a/x.so")
    assert not compile_pattern("a/*.so", "t").fullmatch("a/b/x.so")
    assert compile_pattern("a/**.so", "t").fullmatch("a/b/x.so")
    assert compile_pattern("a/?+[x]", "t").fullmatch("a/b+[x]")
    assert not compile_pattern("a/?", "t").fullmatch("a//")
    assert compile_pattern("{triplet}/x", "arm").fullmatch("arm/x")


def test_a_pattern_that_matches_nothing_is_an_error(tiny: Path) -> None:
    with pytest.raises(InputError) as caught:
        build(tiny, TINY.replace('"usr/bin/tool"]', '"usr/bin/tool", "usr/bin/tol"]'))
    assert caught.value.key == "packages.tool.keep[1]"


def test_joined_files_stand_in_order_and_their_parts_are_not_shipped(tiny: Path) -> None:
    join = '\n[join."etc/all.crt"]\nparts = "etc/tool.d/*.crt"\n'
    tree = build(tiny, TINY.replace('"usr/bin/tool"]', '"etc/tool.d/*"]') + join, tool=TOOL[::-1])
    assert text_of(tree, "etc/all.crt") == "one\ntwo\n"
    assert "etc/tool.d/a.crt" not in tree
    assert "etc/tool.d" not in text_of(tree, "var/lib/dpkg/status.d/tool.md5sums")
    with pytest.raises(InputError, match="matches no file"):
        build(tiny, TINY + join)


def test_removed_files_are_not_shipped_nor_recorded(tiny: Path) -> None:
    wide = TINY.replace('"usr/bin/tool"]', '"usr/bin/*"]')
    removal = '\n[[remove]]\nreason = "unused"\npaths = ["usr/bin/ex*"]\n'
    tree = build(tiny, wide + removal)
    assert "usr/bin/extra" not in tree
    assert "extra" not in text_of(tree, "var/lib/dpkg/status.d/tool.md5sums")
    with pytest.raises(InputError) as caught:
        build(tiny, wide + removal.replace("ex*", "no*"))
    assert caught.value.key == "remove[0].paths[0]"


def test_a_link_without_its_target_is_refused(tiny: Path) -> None:
    with pytest.raises(InputError, match=r"the link .*libfoo\.so\.1 is shipped, but not its target"):
        build(tiny, TINY.replace("libfoo.so.*", "libfoo.so.1"))


def test_own_files_and_folders_have_the_declared_owner_and_mode(tiny: Path) -> None:
    tree = build(tiny)
    assert tree["etc/passwd"] == Entry(
        kind=Kind.FILE, mode=0o644, data=(tiny / "files" / "passwd").read_bytes()
    )
    assert tree["var/lib/tool"] == Entry(kind=Kind.FOLDER, mode=0o700, uid=1000, gid=1000)
    assert tree["tmp"].mode == 0o1777


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"etc/passwd" =', '"usr/bin/tool" =', "a package's file is never replaced"),
        ('"etc/passwd" =', '"bin/passwd" =', "lies beneath bin, which is a link"),
        ('"var/lib/tool" =', '"usr/bin/tool" =', "already there with other content"),
        ('"var/lib/tool" =', '"usr/bin/tool/x" =', "lies beneath usr/bin/tool, which is a file"),
        ('source = "passwd"', 'source = "other"', "cannot read"),
    ],
)
def test_own_files_replace_nothing_and_lie_beneath_no_link(
    tiny: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build(tiny, TINY.replace(old, new))


def test_two_packages_with_different_content_at_one_path_are_refused(tiny: Path) -> None:
    text = TINY.replace('"usr/lib/{triplet}/libfoo.so.*"]', '"usr/bin/*"]')
    with pytest.raises(InputError, match="usr/bin/tool is already there with other content"):
        build(tiny, text, foo=[regular("usr/bin/tool", b"other")])
    with pytest.raises(InputError, match="is also shipped by libfoo1"):
        build(tiny, text, foo=[regular("usr/bin/tool", ELF, 0o755)])


def test_a_helper_is_put_where_it_belongs(tiny: Path) -> None:
    (tiny / "image.toml").write_text(
        TINY.split("[packages]")[0].replace('version_from = "tool"\n', "")
        + ('[packages]\ntool = { reason = "x" }\n')
    )
    debs = {"tool": read_deb(make_deb("tool"), file="tool", wanted=lambda _: True)}
    helper = Entry(kind=Kind.FILE, data=ELF)
    tree = assemble(load_definition(tiny), tiny, debs, TRIPLET, helpers={"usr/bin/entrypoint": helper})
    assert tree["usr/bin/entrypoint"] == helper


@pytest.mark.parametrize("platform", ["linux/riscv64", "windows/amd64", "linux/arm64/v8"])
def test_a_platform_that_cannot_be_built_is_refused(platform: str) -> None:
    assert architecture_of(parse_platform("linux/arm64")) == "arm64"
    with pytest.raises(UsageError, match=f"cannot build for {platform}"):
        architecture_of(parse_platform(platform))


def test_a_tree_refuses_what_lies_beneath_a_file() -> None:
    tree = Tree()
    tree.put("a", Entry(kind=Kind.FILE, data=b"x"))
    with pytest.raises(ConflictError):
        tree.put("a/b", Entry(kind=Kind.FILE))
