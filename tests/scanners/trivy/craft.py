"""Images of a few kilobytes that real Trivy reads: packages of several ecosystems, and a Go program."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG = {"architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z", "config": {}}


def tar(files: Mapping[str, bytes]) -> bytes:
    """A tar archive with `files`, all executable: Trivy looks for programs by that."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def docker_archive(path: Path, files: Mapping[str, bytes], *, tag: str = "app:1") -> Path:
    """An image of one layer as `docker save` writes it."""
    layer = tar(files)
    diff_ids = [f"sha256:{sha256(layer)}"]
    config = json.dumps({**CONFIG, "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    name = f"{sha256(config)}.json"
    manifest = [{"Config": name, "RepoTags": [tag], "Layers": ["layer.tar"]}]
    path.write_bytes(tar({name: config, "layer.tar": layer, "manifest.json": json.dumps(manifest).encode()}))
    return path


def oci_layout(folder: Path, files: Mapping[str, bytes]) -> tuple[Path, str]:
    """The same image as an OCI layout folder, and the digest of its manifest."""
    layer = tar(files)
    diff_ids = [f"sha256:{sha256(layer)}"]
    config = json.dumps({**CONFIG, "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    media = "application/vnd.oci.image"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{media}.manifest.v1+json",
            "config": _descriptor(f"{media}.config.v1+json", config),
            "layers": [_descriptor(f"{media}.layer.v1.tar", layer)],
        }
    ).encode()
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for data in (layer, config, manifest):
        (blobs / sha256(data)).write_bytes(data)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    index = {"schemaVersion": 2, "manifests": [_descriptor(f"{media}.manifest.v1+json", manifest)]}
    (folder / "index.json").write_text(json.dumps(index))
    return folder, f"sha256:{sha256(manifest)}"


def _descriptor(media_type: str, data: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": f"sha256:{sha256(data)}", "size": len(data)}


def debian(release: str, *packages: tuple[str, str, str]) -> dict[str, bytes]:
    """Files of a Debian `release` with packages given as (name, version, source)."""
    stanzas = (
        f"Package: {name}\nStatus: install ok installed\nMaintainer: Test <test@lists.debian.org>\n"
        f"Architecture: amd64\nSource: {source}\nVersion: {version}\n"
        for name, version, source in packages
    )
    return {
        "etc/os-release": f'ID=debian\nVERSION_ID="{release.partition(".")[0]}"\n'.encode(),
        "etc/debian_version": f"{release}\n".encode(),
        "var/lib/dpkg/status": "\n".join(stanzas).encode(),
    }


def node(path: str, name: str, version: str) -> dict[str, bytes]:
    return {f"{path}/package.json": json.dumps({"name": name, "version": version}).encode()}


def python(name: str, version: str) -> dict[str, bytes]:
    place = f"usr/lib/python3/dist-packages/{name}-{version}.dist-info/METADATA"
    return {place: f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()}


def jar() -> bytes:
    """A Java archive that only a Java database could name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
    return buffer.getvalue()


def go_program(*dependencies: tuple[str, str]) -> bytes:
    """An ELF file with nothing but Go's build information (Go `debug/buildinfo`, inline form of 1.18)."""
    lines = ["path\texample.org/tool", "mod\texample.org/tool\tv1.0.0\t"]
    lines += [f"dep\t{name}\t{version}\th1:x=" for name, version in dependencies]
    # The text stands between two fixed marks of 16 bytes.
    start = bytes.fromhex("3077af0c92740802 41e1c107e6d618e6")
    end = bytes.fromhex("f932433186182072 008242104116d8f2")
    modules = start + ("\n".join(lines) + "\n").encode() + end
    header = (b"\xff Go buildinf:" + bytes([8, 2])).ljust(32, b"\0")
    data = header + _counted(b"go1.24.1") + _counted(modules)
    names = b"\0.go.buildinfo\0.shstrtab\0"
    base, offset = 0x400000, 128
    sections = (offset + len(data) + len(names) + 7) // 8 * 8
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    elf = ident + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base, 64, sections, 0, 64, 56, 1, 64, 3, 2)
    size = len(data)
    load = struct.pack("<IIQQQQQQ", 1, 6, offset, base + offset, base + offset, size, size, 16)
    info = struct.pack("<IIQQQQIIQQ", 1, 1, 3, base + offset, offset, size, 0, 0, 16, 0)
    strings = struct.pack("<IIQQQQIIQQ", 15, 3, 0, 0, offset + size, len(names), 0, 0, 1, 0)
    body = (elf + load).ljust(offset, b"\0") + data + names
    return body.ljust(sections, b"\0") + bytes(64) + info + strings


def _counted(data: bytes) -> bytes:
    """`data` after its length as a varint."""
    length, encoded = len(data), bytearray()
    while length >= 0x80:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(encoded) + bytes([length]) + data


MIXED = {
    **debian(
        "13.3",
        ("libssl3t64", "3.5.1-1", "openssl"),
        ("openssl", "3.5.1-1+b1", "openssl (3.5.1-1)"),
        ("gcc+x", "1:2.0+dfsg-1", "gcc+x"),
        ("bash", "5.2-1", "bash"),
    ),
    **node("app/node_modules/tar", "tar", "6.2.1"),
    **node("app/node_modules/a/node_modules/tar", "tar", "6.1.0"),
    **node("srv/node_modules/tar", "tar", "6.2.1"),
    **node("app/node_modules/@scope/tar", "@scope/tar", "1.0.0"),
    **python("Jinja2", "3.0.0"),
    "usr/bin/tool": go_program(("golang.org/x/net", "v0.1.0")),
    "usr/bin/other": go_program(("golang.org/x/net", "v0.1.0")),
    "srv/vendor/composer/installed.json": json.dumps(
        {"packages": [{"name": "a/b", "version": "1.0.0", "version_normalized": "1.0.0.0"}]}
    ).encode(),
}
"""Packages of one operating system and four languages, some of them twice."""
