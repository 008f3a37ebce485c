"""The image layout: the same files always give the same bytes (laws 8 and 9)."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hullmark.build.definition import Config, HealthCheck
from hullmark.build.oci import image_config, write_image, write_index
from hullmark.build.tar import write_tar
from hullmark.build.tree import Entry, Kind
from hullmark.image import LINUX_AMD64, Digest, Platform

if TYPE_CHECKING:
    import random

EPOCH = 1_700_000_000
CONFIG = Config(
    user="1:1",
    entrypoint=("/a",),
    env={"B": "2", "A": "1"},
    healthcheck=HealthCheck(command=("/check",), interval=10, timeout=3),
)

paths = st.from_regex(r"[a-z0-9é]{1,40}(/[a-z]{1,80}){0,2}", fullmatch=True)
numbers = st.integers(0, 1 << 30)
entries = st.one_of(
    st.builds(
        Entry, kind=st.just(Kind.FILE), mode=st.just(0o644), uid=numbers, gid=numbers, data=st.binary()
    ),
    st.builds(Entry, kind=st.just(Kind.FOLDER), mode=st.integers(0, 0o1777)),
    st.builds(Entry, kind=st.just(Kind.LINK), mode=st.just(0o777), target=paths),
)


def tar_of(items: list[tuple[str, Entry]]) -> bytes:
    buffer = io.BytesIO()
    write_tar(items, EPOCH, buffer)
    return buffer.getvalue()


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(paths, entries, max_size=8), st.randoms())
def test_order_of_entries_never_changes_an_output_byte(tree: dict[str, Entry], chance: random.Random) -> None:
    mixed = list(tree.items())
    chance.shuffle(mixed)
    assert tar_of(mixed) == tar_of(list(tree.items()))


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(paths, entries, max_size=8))
def test_a_layer_holds_exactly_its_entries(tree: dict[str, Entry]) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_of(list(tree.items())))) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == sorted(tree, key=lambda path: path.split("/"))
        for member in members:
            entry = tree[member.name]
            stream = tar.extractfile(member) if member.isreg() else None
            assert (stream.read() if stream else b"") == entry.data
            assert (member.mode & 0o7777, member.uid, member.gid) == (entry.mode, entry.uid, entry.gid)
            assert (member.mtime, member.uname, member.gname) == (EPOCH, "", "")


@settings(deadline=None, max_examples=20)
@given(st.dictionaries(paths, entries, max_size=5), st.permutations(["a", "b", "c"]))
def test_order_of_settings_never_changes_the_manifest(tree: dict[str, Entry], order: list[str]) -> None:
    def manifest(names: list[str]) -> Digest:
        config = Config(
            user="1:1", entrypoint=("/x",), env=dict.fromkeys(names, "1"), labels=dict.fromkeys(names, "2")
        )
        with tempfile.TemporaryDirectory() as folder:
            written = write_image(
                Path(folder),
                tree.items(),
                config=config,
                platform=LINUX_AMD64,
                epoch=EPOCH,
                annotations=dict.fromkeys(names, "3"),
            )
        return written.manifest

    assert manifest(order) == manifest(sorted(order))


def read(folder: Path, digest: str) -> bytes:
    data = (folder / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest
    return data


def test_a_layout_names_its_images_by_platform_and_nothing_else(tmp_path: Path) -> None:
    images = [
        write_image(
            tmp_path,
            [("a", Entry(kind=Kind.FILE, data=b"x"))],
            config=CONFIG,
            platform=platform,
            epoch=EPOCH,
            annotations={"org.opencontainers.image.title": "tiny"},
        )
        for platform in (Platform("linux", "arm64", "v8"), LINUX_AMD64)
    ]
    write_index(tmp_path, images, "tiny")
    index: dict[str, Any] = json.loads((tmp_path / "index.json").read_bytes())
    assert [entry["platform"] for entry in index["manifests"]] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64", "variant": "v8"},
    ]
    named = set()
    for entry in index["manifests"]:
        manifest = json.loads(read(tmp_path, entry["digest"]))
        config = json.loads(read(tmp_path, manifest["config"]["digest"]))
        layer = read(tmp_path, manifest["layers"][0]["digest"])
        plain = gzip.decompress(layer)
        assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(plain).hexdigest()}"]
        assert layer[4:8] == b"\0\0\0\0"
        named |= {entry["digest"], manifest["config"]["digest"], manifest["layers"][0]["digest"]}
    files = {f"sha256:{path.name}" for path in (tmp_path / "blobs" / "sha256").iterdir()}
    assert files == named


def test_the_configuration_says_how_to_start_and_every_time_is_the_locks() -> None:
    config = image_config(
        CONFIG, LINUX_AMD64, Digest("sha256:0"), EPOCH, {"org.opencontainers.image.title": "tiny"}
    )
    assert config["created"] == config["history"][0]["created"] == "2023-11-14T22:13:20Z"
    assert config["config"] == {
        "User": "1:1",
        "Entrypoint": ["/a"],
        "Env": ["A=1", "B=2"],
        "WorkingDir": "/",
        "StopSignal": "SIGTERM",
        "Labels": {"org.opencontainers.image.title": "tiny"},
        "Healthcheck": {
            "Test": ["CMD", "/check"],
            "Interval": 10_000_000_000,
            "Timeout": 3_000_000_000,
            "StartPeriod": 0,
            "Retries": 3,
        },
    }
