"""What is in an OCI layout, for tests to look at."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def blob(layout: Path, digest: str) -> bytes:
    return (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()


def document(layout: Path, digest: str) -> Any:  # noqa: ANN401 - a document of any form
    return json.loads(blob(layout, digest))


def layer(layout: Path, architecture: str = "amd64") -> bytes:
    """The only layer of one platform's image, as it is stored."""
    index = json.loads((layout / "index.json").read_bytes())
    (found,) = [item for item in index["manifests"] if item["platform"]["architecture"] == architecture]
    (described,) = document(layout, found["digest"])["layers"]
    return blob(layout, described["digest"])


def unpack(layout: Path, architecture: str = "amd64") -> dict[str, bytes]:
    """The regular files of one platform's image."""
    with tarfile.open(fileobj=io.BytesIO(layer(layout, architecture))) as tar:
        streams = {member.name: tar.extractfile(member) for member in tar if member.isreg()}
        return {name: stream.read() for name, stream in streams.items() if stream is not None}
