"""What is in an image, as Trivy lists it: SBOMs that need no vulnerability database."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from hullmark.errors import EnvironmentFaultError, InputError
from hullmark.files import scratch_folder
from hullmark.sandbox import DEFAULT_TIMEOUT, Sandbox
from hullmark.scanners.trivy.decoding import read_file
from hullmark.scanners.trivy.sbom import MAX_SBOM, normalise

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.image import Digest
    from hullmark.scanners.trivy.binary import Binary

_NAME = re.compile(r"SPDXRef-[A-Za-z0-9.-]+")


def cyclonedx(binary: Binary, sandbox: Sandbox, archive: Path, *, name: str, digest: Digest) -> bytes:
    """The normalised CycloneDX SBOM of the one image in `archive`."""
    return normalise(_describe(binary, sandbox, archive, "cyclonedx"), name=name, digest=digest, file=archive)


def spdx(
    binary: Binary, sandbox: Sandbox, archive: Path, *, name: str, digest: Digest, created: str
) -> bytes:
    """The SPDX 2.3 SBOM of the one image in `archive`; what Trivy draws by lot comes from the digest."""
    data = _describe(binary, sandbox, archive, "spdx-json")
    try:
        document: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InputError(f"Trivy's SPDX document cannot be read: {error}", file=archive) from error
    document["name"] = name
    document["documentNamespace"] = f"urn:hullmark:spdx:{name}:{digest}"
    document["creationInfo"] = {**document.get("creationInfo", {}), "created": created}
    # It names the file that was looked at, and with it this machine.
    for package in document.get("packages", []):
        if package.get("primaryPackagePurpose") == "CONTAINER":
            package["name"] = name
        for annotation in package.get("annotations", []):
            annotation["annotationDate"] = created
    document = _renamed(document)
    for part in ("packages", "files", "relationships"):
        if part in document:
            document[part].sort(key=_content)
    return msgspec.json.format(_content(document), indent=1) + b"\n"


def _renamed(document: dict[str, Any]) -> dict[str, Any]:
    """The same document with elements named by their content: Trivy's names come from the file's path."""
    names: dict[str, str] = {}
    for item in sorted((*document.get("packages", ()), *document.get("files", ())), key=_content):
        kind = item["SPDXID"].rsplit("-", 1)[0]
        rest = {key: value for key, value in item.items() if key not in ("SPDXID", "annotations")}
        names[item["SPDXID"]] = f"{kind}-{sha256(_content(rest)).hexdigest()[:16]}"
    if len({*names.values()}) != len(names):
        return document  # two elements alike: their own names keep them apart
    text = _NAME.sub(lambda found: names.get(found[0], found[0]), _content(document).decode())
    renamed: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    return renamed


def _content(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _describe(binary: Binary, sandbox: Sandbox, archive: Path, form: str) -> bytes:
    archive = archive.absolute()
    with scratch_folder() as folder:
        output = folder / "sbom.json"
        flags = ("--cache-dir", str(folder), "--cache-backend", "memory", "--config=", "--ignorefile=")
        offline = ("--offline-scan", "--skip-db-update", "--skip-version-check", "--disable-telemetry")
        command = (str(binary.path), "image", "--input", str(archive), "--format", form)
        argv = [*command, *flags, *offline, "--quiet", "--output", str(output)]
        ended = sandbox.run(argv, readable=(archive,), writable=folder, timeout=DEFAULT_TIMEOUT)
        if ended.code != 0:
            said = ended.stderr.decode(errors="replace").strip().rsplit("\n", 1)[-1]
            raise EnvironmentFaultError(f"Trivy could not describe {archive}: {said}")
        return read_file(output, limit=MAX_SBOM)
