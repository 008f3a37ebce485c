"""Images that others built: what is read from them, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from hullmark.build import container
from hullmark.build.archive import Format, ImageArchive, inspect_archive
from hullmark.errors import InputError
from hullmark.image import LINUX_AMD64, Platform
from tests.build.debs import make_tar, regular

if TYPE_CHECKING:
    from pathlib import Path

LAYER = make_tar([regular("etc/hello", b"hello")])
Files = dict[str, bytes]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def dump(document: object) -> bytes:
    return json.dumps(document).encode()


def config_of(*layers: bytes, architecture: str = "amd64", system: str = "linux") -> bytes:
    ids = [f"sha256:{sha(layer)}" for layer in layers]
    return dump({"os": system, "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": ids}})


def saved(*layers: bytes, packed: bool = False) -> Files:
    """What `docker save` writes."""
    config = config_of(*layers)
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": f"{sha(config)}.json", "RepoTags": ["app:1"], "Layers": names}]
    contents = [gzip.compress(layer) if packed else layer for layer in layers]
    return {
        "manifest.json": dump(manifest),
        f"{sha(config)}.json": config,
        **dict(zip(names, contents, strict=True)),
    }


def layout(*platforms: tuple[str, str]) -> Files:
    """An OCI layout with one image per operating system and architecture."""
    files: Files = {"oci-layout": dump({"imageLayoutVersion": "1.0.0"})}

    def blob(data: bytes, kind: str) -> dict[str, Any]:
        files[f"blobs/sha256/{sha(data)}"] = data
        media = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media, "digest": f"sha256:{sha(data)}", "size": len(data)}

    manifests = []
    for system, architecture in platforms:
        config = blob(config_of(LAYER, architecture=architecture, system=system), "config.v1+json")
        layers = [blob(gzip.compress(LAYER, mtime=0), "layer.v1.tar+gzip")]
        manifests.append(
            blob(dump({"schemaVersion": 2, "config": config, "layers": layers}), "manifest.v1+json")
        )
    inner = blob(dump({"schemaVersion": 2, "manifests": manifests}), "index.v1+json")
    files["index.json"] = dump({"schemaVersion": 2, "manifests": [inner]})
    return files


def tar_file(path: Path, files: Files, *extra: tarfile.TarInfo) -> Path:
    members = []
    for name, data in files.items():
        member = tarfile.TarInfo(name)
        member.size = len(data)
        members.append((member, data))
    path.write_bytes(make_tar([*members, *((member, b"") for member in extra)]))
    return path


def folder(path: Path, files: Files) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_a_docker_archive_is_named_by_its_image_id(tmp_path: Path, packed: bool) -> None:
    other = make_tar([regular("etc/more", b"more")])
    path = tar_file(tmp_path / "app.tar", saved(LAYER, other, packed=packed))
    archive = inspect_archive(path)
    image = archive.only()
    assert archive.format is Format.DOCKER_ARCHIVE
    assert archive.size == path.stat().st_size
    assert image.digest == image.config == f"sha256:{sha(config_of(LAYER, other))}"
    assert image.platform == LINUX_AMD64
    assert image.layers == (f"sha256:{sha(LAYER)}", f"sha256:{sha(other)}")
    assert image.tags == ("app:1",)


def test_a_docker_archive_may_be_compressed_as_a_whole(tmp_path: Path) -> None:
    plain = tar_file(tmp_path / "app.tar", saved(LAYER))
    packed = tmp_path / "app.tar.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert inspect_archive(packed).images == inspect_archive(plain).images


def test_an_oci_layout_is_named_by_its_manifest_in_a_folder_and_in_a_tar(tmp_path: Path) -> None:
    files = layout(("linux", "amd64"))
    found = inspect_archive(folder(tmp_path / "layout", files))
    packed = inspect_archive(tar_file(tmp_path / "layout.tar", files))
    assert (found.format, packed.format) == (Format.OCI_LAYOUT, Format.OCI_ARCHIVE)
    assert found.images == packed.images
    assert f"blobs/sha256/{found.only().digest.removeprefix('sha256:')}" in files


def test_images_of_several_platforms_are_told_apart_and_attestations_are_none(tmp_path: Path) -> None:
    files = layout(("linux", "amd64"), ("linux", "arm64"), ("unknown", "unknown"))
    archive = inspect_archive(folder(tmp_path / "layout", files))
    assert [str(image.platform) for image in archive.images] == ["linux/amd64", "linux/arm64"]
    assert archive.only(Platform("linux", "arm64")).platform.architecture == "arm64"
    with pytest.raises(InputError, match="it holds linux/amd64, linux/arm64"):
        archive.only()
    with pytest.raises(InputError, match="for linux/riscv64"):
        archive.only(Platform("linux", "riscv64"))


def test_a_tar_whose_two_forms_describe_different_images_is_refused(tmp_path: Path) -> None:
    path = tar_file(tmp_path / "both.tar", layout(("linux", "arm64")) | saved(LAYER))
    with pytest.raises(InputError, match="describe different images"):
        inspect_archive(path)


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (member("1/layer.tar", tarfile.SYMTYPE, "../../x"), "link leaves the archive: '../../x'"),
        (member("1/layer.tar", tarfile.SYMTYPE, "/etc/shadow"), "'1/layer.tar': link leaves the archive"),
        (member("1/layer.tar", tarfile.LNKTYPE, "../x"), "link leaves the archive"),
        (member("1/layer.tar", tarfile.LNKTYPE, "/etc/shadow"), "link leaves the archive"),
        (member("console", tarfile.CHRTYPE), "'console': a device or pipe"),
        (member("pipe", tarfile.FIFOTYPE), "'pipe': a device or pipe"),
        (member("../../etc/cron.d/x", tarfile.REGTYPE), "path leaves the archive"),
        (member("/etc/passwd", tarfile.REGTYPE), "path leaves the archive"),
        (member("a/../../b\n", tarfile.REGTYPE), r"b\n': path leaves the archive"),
    ],
)
def test_a_device_or_what_leaves_the_archive_is_refused_and_named(
    tmp_path: Path, extra: tarfile.TarInfo, message: str
) -> None:
    path = tar_file(tmp_path / "app.tar", saved(LAYER), extra)
    with pytest.raises(InputError) as caught:
        inspect_archive(path)
    assert message in caught.value.message
    assert caught.value.file == str(path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["app.tar"]


@pytest.mark.parametrize("name", ["manifest.json", "./manifest.json", ".//manifest.json"])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.SYMTYPE])
def test_two_members_of_one_name_are_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    """One reader takes the first, another the last: an image could be checked and another one scanned."""
    archive = tar_file(tmp_path / "a.tar", saved(b"layer"), member(name, kind, "x"))
    with pytest.raises(InputError, match="two members of one name"):
        inspect_archive(archive)


def test_a_link_inside_is_passed_over_but_never_followed(tmp_path: Path) -> None:
    link = member("1/layer.tar", tarfile.SYMTYPE, "../0/layer.tar")
    assert inspect_archive(tar_file(tmp_path / "app.tar", saved(LAYER), link)).only().layers
    files = saved(LAYER)
    files["manifest.json"] = files["manifest.json"].replace(b"0/layer.tar", b"1/layer.tar")
    with pytest.raises(InputError, match=r"1/layer\.tar: is a link, which is not followed"):
        inspect_archive(tar_file(tmp_path / "app.tar", files, link))


def test_a_link_or_a_pipe_in_a_layout_folder_is_refused(tmp_path: Path) -> None:
    place = folder(tmp_path / "layout", layout(("linux", "amd64")))
    (place / "blobs" / "secret").symlink_to("/etc/shadow")
    with pytest.raises(InputError, match="a link, device or pipe"):
        inspect_archive(place)
    (place / "blobs" / "secret").unlink()
    os.mkfifo(place / "pipe")
    with pytest.raises(InputError, match="a link, device or pipe"):
        inspect_archive(place)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["docker", "oci"])
def test_a_truncated_archive_is_refused(tmp_path: Path, part: float, kind: str) -> None:
    big = make_tar([regular("random", os.urandom(100_000))])
    files = saved(big) if kind == "docker" else layout(("linux", "amd64"))
    data = tar_file(tmp_path / "app.tar", files).read_bytes().rstrip(b"\0")
    (tmp_path / "app.tar").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(InputError, match=r"app\.tar"):
        inspect_archive(tmp_path / "app.tar")


@pytest.mark.parametrize("name", ["0/layer.tar", "config"])
def test_a_changed_docker_archive_is_refused(tmp_path: Path, name: str) -> None:
    files = saved(LAYER)
    key = next(key for key in files if key == name or (name == "config" and len(key) > 60))
    files[key] = files[key].replace(b"hello", b"jello").replace(b"amd64", b"amd46")
    with pytest.raises(InputError, match="its sha256"):
        inspect_archive(tar_file(tmp_path / "app.tar", files))


def test_a_changed_blob_of_a_layout_is_refused(tmp_path: Path) -> None:
    files = layout(("linux", "amd64"))
    for name in files:
        if name.startswith("blobs/"):
            changed = {**files, name: files[name] + b" "}
            with pytest.raises(InputError, match="its sha256 is not its name"):
                inspect_archive(tar_file(tmp_path / "app.tar", changed))
            missing = {key: value for key, value in files.items() if key != name}
            with pytest.raises(InputError, match="is missing"):
                inspect_archive(tar_file(tmp_path / "app.tar", missing))


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"hello.txt": b"hello"},
        {"manifest.json": b"[]"},
        {"manifest.json": b"{"},
        {"manifest.json": b"\xff"},
        {"manifest.json": b"[" * 100_000},
        {"manifest.json": dump([{"Config": "../../etc/passwd", "Layers": []}])},
        {"manifest.json": dump([{"Config": "a.json", "Layers": ["x"]}]), "a.json": b"{}"},
        {"oci-layout": b"{}", "index.json": dump({"manifests": []})},
        {"oci-layout": b"{}", "index.json": dump({"manifests": [{"digest": "md5:1", "size": 1}]})},
        {"oci-layout": b"{}", "index.json": dump({"manifests": [{"digest": "sha256:../../x", "size": 1}]})},
    ],
)
def test_what_has_no_image_in_it_is_refused(tmp_path: Path, files: Files) -> None:
    with pytest.raises(InputError, match=r"app\.tar"):
        inspect_archive(tar_file(tmp_path / "app.tar", files))


@pytest.mark.parametrize("data", [b"", b"no tar", os.urandom(5000), gzip.compress(b"no tar")])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "app.tar").write_bytes(data)
    with pytest.raises(InputError, match=r"app\.tar"):
        inspect_archive(tmp_path / "app.tar")


def test_what_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        inspect_archive(tmp_path / "none.tar")
    with pytest.raises(InputError, match="null byte"):
        inspect_archive(tmp_path / "a\0b")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        inspect_archive(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="not an image"):
        inspect_archive(tmp_path / "empty")


def test_indexes_that_lie_in_each_other_for_ever_are_refused(tmp_path: Path) -> None:
    files: Files = {"oci-layout": b"{}"}
    data = dump({"manifests": [{"digest": f"sha256:{'0' * 64}", "size": 1}]})
    for _ in range(6):
        files[f"blobs/sha256/{sha(data)}"] = data
        data = dump({"manifests": [{"digest": f"sha256:{sha(data)}", "size": len(data)}]})
    files["index.json"] = data
    with pytest.raises(InputError, match="too deep"):
        inspect_archive(tar_file(tmp_path / "app.tar", files))


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MAX_MEMBERS", 2)
    with pytest.raises(InputError, match="more than 2"):
        inspect_archive(tar_file(tmp_path / "app.tar", saved(LAYER)))
    with pytest.raises(InputError, match="more than 2"):
        inspect_archive(folder(tmp_path / "layout", layout(("linux", "amd64"))))


def test_a_layer_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hullmark.build import archive

    monkeypatch.setattr(archive, "MAX_LAYER", 1_000_000)
    with pytest.raises(InputError, match="larger than 1,000,000 bytes"):
        inspect_archive(tar_file(tmp_path / "app.tar", saved(bytes(50_000_000), packed=True)))


def test_a_damaged_compressed_layer_is_refused(tmp_path: Path) -> None:
    files = saved(LAYER, packed=True)
    files["0/layer.tar"] = files["0/layer.tar"][:20] + b"????" + files["0/layer.tar"][24:]
    with pytest.raises(InputError, match=r"0/layer\.tar"):
        inspect_archive(tar_file(tmp_path / "app.tar", files))


def test_reading_changes_nothing(tmp_path: Path) -> None:
    path = tar_file(tmp_path / "app.tar", saved(LAYER))
    before = path.read_bytes()
    assert isinstance(inspect_archive(path), ImageArchive)
    assert path.read_bytes() == before
    assert io.BytesIO(before).read(1)
