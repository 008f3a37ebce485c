"""One platform's image as a docker-archive, the form that every engine loads, made from what was built."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from typing import TYPE_CHECKING

import msgspec

from hullmark.build.archive import image_members
from hullmark.build.container import open_container
from hullmark.build.oci import INDEX_TYPE, MANIFEST_TYPE, canonical
from hullmark.files import explained

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.build.archive import ArchivedImage


def save_archive(source: Path, image: ArchivedImage, target: Path, *, tag: str) -> None:
    """Write `image`, which `inspect_archive` found at `source`, to `target` under the name `tag`.

    The same bytes for the same image and tag. Layers stay compressed as they are.
    """
    with open_container(source) as container, explained(target), tarfile.open(target, "w") as tar:
        config, layers = image_members(container, image)
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        names = [f"{number}/layer.tar" for number in range(len(layers))]
        saved = [{"Config": name, "RepoTags": [tag], "Layers": names}]
        for member, data in ((name, config), ("manifest.json", msgspec.json.encode(saved))):
            tar.addfile(_member(member, len(data)), io.BytesIO(data))
        for member, layer in zip(names, layers, strict=True):
            with container.open(layer) as stream:
                size = stream.seek(0, io.SEEK_END)
                stream.seek(0)
                tar.addfile(_member(member, size), stream)


def save_layout(source: Path, image: ArchivedImage, target: Path) -> None:
    """Write `image` alone, of the OCI layout at `source`, as a layout of its own, with the same digests."""
    with open_container(source) as container, explained(target):
        manifest = f"blobs/sha256/{image.digest.removeprefix('sha256:')}"
        _, layers = image_members(container, image)
        config = f"blobs/sha256/{image.config.removeprefix('sha256:')}"
        (target / "blobs" / "sha256").mkdir(parents=True)
        for member in (manifest, config, *layers):
            with container.open(member) as stream, (target / member).open("wb") as file:
                shutil.copyfileobj(stream, file)
        size = (target / manifest).stat().st_size
    described = {
        "mediaType": MANIFEST_TYPE,
        "digest": image.digest,
        "size": size,
        "platform": {"os": image.platform.os, "architecture": image.platform.architecture},
    }
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [described]}
    with explained(target):
        (target / "index.json").write_bytes(canonical(index))
        (target / "oci-layout").write_bytes(canonical({"imageLayoutVersion": "1.0.0"}))


def save_empty(target: Path, *, tag: str) -> None:
    """Write an image without files to `target`: for trying out whether an engine works."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w"):
        pass
    data = layer.getvalue()
    diff_id = f"sha256:{hashlib.sha256(data).hexdigest()}"
    rootfs = {"type": "layers", "diff_ids": [diff_id]}
    config = msgspec.json.encode(
        {"os": "linux", "architecture": machine_architecture(), "config": {}, "rootfs": rootfs}
    )
    with explained(target), tarfile.open(target, "w") as tar:
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        saved = [{"Config": name, "RepoTags": [tag], "Layers": ["0/layer.tar"]}]
        members = {name: config, "manifest.json": msgspec.json.encode(saved), "0/layer.tar": data}
        for member, content in members.items():
            tar.addfile(_member(member, len(content)), io.BytesIO(content))


def machine_architecture() -> str:
    """This machine's processor, as images call it."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member
