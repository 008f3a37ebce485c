"""OCI layouts of images with packages, for tests that scan and push them."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
from typing import TYPE_CHECKING, Any

import msgspec

from hullmark.scanners.specimen import Installed, _layer_files, _tar
from tests.commands.project import DEBIAN, OLD, SOURCE
from tests.scanners.support import require

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def write_layout(folder: Path, *architectures: str, version: str = OLD) -> dict[str, str]:
    """An image for each architecture, with two packages; the digests of the manifests."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def put(kind: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    manifests = []
    for architecture in architectures:
        names = {"gnutls-bin": (version, SOURCE), "zlib1g": ("1", "zlib")}
        packages = tuple(
            msgspec.structs.replace(
                Installed(name=name, version=number, source=source, source_version=number),
                architecture=architecture,
            )
            for name, (number, source) in names.items()
        )
        plain = _tar(_layer_files(packages, DEBIAN))
        diff_id = f"sha256:{hashlib.sha256(plain).hexdigest()}"
        config = {
            "os": "linux",
            "architecture": architecture,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": put("application/vnd.oci.image.config.v1+json", json.dumps(config).encode()),
            "layers": [
                put("application/vnd.oci.image.layer.v1.tar+gzip", gzip.compress(plain, mtime=0)),
            ],
        }
        platform = {"platform": {"os": "linux", "architecture": architecture}}
        manifests.append(put(MANIFEST, json.dumps(manifest).encode()) | platform)
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return {each["platform"]["architecture"]: str(each["digest"]) for each in manifests}


def skopeo(*arguments: str) -> str:
    """What skopeo says; it must succeed."""
    command = [str(require("skopeo")), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def inspect(reference: str) -> dict[str, Any]:
    """The manifest or index that a reference in a registry on this machine names."""
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{reference}")
    document: dict[str, Any] = json.loads(raw)
    return document | {"digest": f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}"}


def pull(reference: str, folder: Path) -> dict[str, Any]:
    """Pull an image with all its platforms, as skopeo does, and return what was written as its manifest."""
    skopeo("copy", "--all", "--src-tls-verify=false", f"docker://{reference}", f"dir:{folder}")
    content = (folder / "manifest.json").read_bytes()
    document: dict[str, Any] = json.loads(content)
    return document | {"digest": f"sha256:{hashlib.sha256(content).hexdigest()}"}
