"""Programs and libraries in an image that no package owns."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from hullmark.build.archive import inspect_archive
from hullmark.build.ownership import count_unowned

if TYPE_CHECKING:
    from pathlib import Path

ELF = b"\x7fELF\x02\x01\x01"
Layer = dict[str, bytes | tuple[str, str] | None]
"""Files, links (their kind and target), and folders."""


def tar_of(files: Layer) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if content is None:
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
            elif isinstance(content, tuple):
                member.type = tarfile.LNKTYPE if content[0] == "hard" else tarfile.SYMTYPE
                member.linkname = content[1]
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def count(tmp_path: Path, *layers: Layer, packed: bool = False, last: bytes | None = None) -> int | None:
    """What is counted in a docker-archive of `layers`, the lowest first."""
    plain = [*map(tar_of, layers), *([last] if last else [])]
    digests = [hashlib.sha256(each).hexdigest() for each in plain]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    members = [f"{place}/layer.tar" for place in range(len(plain))]
    manifest = json.dumps([{"Config": name, "RepoTags": ["a:1"], "Layers": members}]).encode()
    stored = [gzip.compress(each) if packed else each for each in plain]
    path = tmp_path / "image.tar"
    path.write_bytes(
        tar_of({name: config, "manifest.json": manifest, **dict(zip(members, stored, strict=True))})
    )
    return count_unowned(path, inspect_archive(path).only())


@pytest.mark.parametrize("packed", [False, True])
def test_programs_and_libraries_are_counted_and_nothing_else(tmp_path: Path, packed: bool) -> None:
    layer: Layer = {"opt/app": ELF, "opt/lib.so": ELF, "opt/script": b"#!/bin/sh\n", "opt/short": b"\x7f"}

    assert count(tmp_path, layer, packed=packed) == 2


@pytest.mark.parametrize(
    ("listed", "text"),
    [
        ("var/lib/dpkg/info/tool.list", b"/.\n/usr\n/usr/bin/tool\n"),
        ("var/lib/dpkg/info/tool:amd64.list", b"/bin/tool\n"),
        ("var/lib/dpkg/info/tool.md5sums", b"0123  usr/bin/tool\n"),
        ("var/lib/dpkg/status.d/tool.md5sums", b"0123  usr/bin/tool\n"),
        ("lib/apk/db/installed", b"P:tool\nF:usr/bin\nR:tool\n"),
    ],
)
def test_a_file_belongs_to_a_package_when_the_lists_of_dpkg_or_apk_name_it(
    tmp_path: Path, listed: str, text: bytes
) -> None:
    assert count(tmp_path, {"usr/bin/tool": ELF, "usr/bin/other": ELF, listed: text}) == 1


def test_a_file_is_known_on_either_side_of_a_merged_usr(tmp_path: Path) -> None:
    listed: Layer = {"var/lib/dpkg/info/a.list": b"/lib/x.so\n/usr/sbin/y\n"}

    assert count(tmp_path, {"usr/lib/x.so": ELF, "sbin/y": ELF, **listed}) == 0


@pytest.mark.parametrize(
    ("above", "left"),
    [
        ({"opt/.wh.a": b""}, 1),
        ({".wh.opt": b""}, 0),
        ({"opt/.wh..wh..opq": b""}, 0),
        ({".wh..wh..opq": b""}, 0),
        ({"opt/.wh..wh..opq": b"", "opt/c": ELF}, 1),
        ({"opt/a": b"text"}, 1),
        ({"opt/a": ("soft", "b")}, 1),
        ({"opt": None}, 2),
        ({"opt/c": ("hard", "opt/a")}, 3),
    ],
)
def test_what_a_later_layer_removes_or_replaces_is_not_there(tmp_path: Path, above: Layer, left: int) -> None:
    assert count(tmp_path, {"opt/a": ELF, "opt/b": ELF}, above) == left


def test_a_list_that_a_later_layer_removes_owns_nothing(tmp_path: Path) -> None:
    listed = "var/lib/dpkg/info/a.list"
    below: Layer = {"usr/bin/a": ELF, listed: b"/usr/bin/a\n"}

    assert count(tmp_path, below) == 0
    assert count(tmp_path, below, {"var/lib/dpkg/info/.wh.a.list": b""}) == 1
    assert count(tmp_path, below, {listed: b""}) == 1


def test_layers_that_cannot_be_read_give_no_number_never_zero(tmp_path: Path) -> None:
    assert count(tmp_path, {"opt/a": ELF}, last=b"\x28\xb5\x2f\xfd" + bytes(64)) is None
