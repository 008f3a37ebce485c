"""Small images for tests: a program, compiled on the spot, in a docker-archive of a layer or more."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

USER = 4711
LOADER = Path("/lib64/ld-linux-x86-64.so.2")
_PLACES = map(Path, ("/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6"))
LIBC = next(path for path in _PLACES if path.exists())
"""This machine's C library: a static program would need another one to be compiled first."""


def folder(path: str, *, mode: int = 0o755, owner: int = 0) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(path)
    member.type, member.mode, member.uid, member.gid = tarfile.DIRTYPE, mode, owner, owner
    return member, b""


def file(path: str, data: bytes, *, mode: int = 0o644, owner: int = 0) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(path)
    member.size, member.mode, member.uid, member.gid = len(data), mode, owner, owner
    return member, data


def link(path: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(path)
    member.type, member.linkname = kind, target
    return member, b""


def make_layer(members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for member, data in members:
            tar.addfile(member, io.BytesIO(data))
    return layer.getvalue()


def make_archive(
    path: Path,
    layers: Sequence[bytes],
    *,
    packed: bool = False,
    **config: Any,  # noqa: ANN401 - a configuration
) -> Path:
    """A docker-archive at `path` whose image is started as `config` says; its layers may be `packed`."""
    digests = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    document = {
        "os": "linux",
        "architecture": "amd64",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": digests},
    }
    raw = json.dumps(document).encode()
    name = f"{hashlib.sha256(raw).hexdigest()}.json"
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    saved = [{"Config": name, "RepoTags": [], "Layers": names}]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        make_layer(
            [
                file(name, raw),
                file("manifest.json", json.dumps(saved).encode()),
                *(
                    file(each, gzip.compress(layer) if packed else layer)
                    for each, layer in zip(names, layers, strict=True)
                ),
            ]
        )
    )
    return path


def small_archive(
    path: Path,
    program: bytes,
    *,
    more: Mapping[str, bytes] = {},
    **config: Any,  # noqa: ANN401 - a configuration
) -> Path:
    """The image of `small.c`: a volume, a file that only root may read, one folder for everybody."""
    layer = make_layer(
        [
            folder("usr"),
            folder("usr/bin"),
            file("usr/bin/small", program, mode=0o755),
            file(f"lib64/{LOADER.name}", LOADER.read_bytes(), mode=0o755),
            file(str(LIBC).lstrip("/"), LIBC.read_bytes(), mode=0o755),
            folder("tmp", mode=0o1777),
            folder("data", mode=0o700, owner=USER),
            folder("srv"),
            file("srv/page.txt", b"for root alone", mode=0o600),
            *(file(name, data) for name, data in more.items()),
        ]
    )
    stated = {
        "User": f"{USER}:{USER}",
        "Entrypoint": ["/usr/bin/small"],
        "Env": ["PATH=/usr/bin"],
        "Volumes": {"/data": {}},
    }
    return make_archive(path, [layer], **(stated | config))
