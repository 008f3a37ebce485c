"""Trivy's JSON report as Trivy writes it, from 0.10 to 0.76; the only place where its keys are named.

Fields that nobody needs are not named, so the decoder skips them: References, Description and CVSS are 70 %
of a report. Every field has a default, because Trivy leaves out whatever is empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import InputError
from hullmark.scanners.trivy.decoding import decode_json, text_of

if TYPE_CHECKING:
    from pathlib import Path

MAX_REPORT = 128 << 20
SCHEMA_VERSION = 2


class Package(msgspec.Struct, frozen=True, gc=False):
    """One entry of `Results[].Packages`."""

    Name: str = ""
    Version: str = ""
    Release: str = ""
    Epoch: int = 0
    SrcName: str = ""
    SrcVersion: str = ""
    SrcRelease: str = ""
    SrcEpoch: int = 0
    FilePath: str = ""


class Vulnerability(msgspec.Struct, frozen=True, gc=False):
    """One row of `Results[].Vulnerabilities`."""

    VulnerabilityID: str = ""
    PkgName: str = ""
    PkgPath: str = ""
    InstalledVersion: str = ""
    FixedVersion: str = ""
    Status: str = ""
    Severity: str = ""
    SeveritySource: str = ""
    Title: str = ""
    PrimaryURL: str = ""
    PublishedDate: str = ""


class Modified(msgspec.Struct, frozen=True):
    """One entry of `Results[].ExperimentalModifiedFindings`: what a filter of Trivy took away."""

    Type: str = ""
    Finding: Vulnerability | None = None


class Result(msgspec.Struct, frozen=True):
    """One group of packages: those of the operating system, of a language, or of one file."""

    Target: str = ""
    Class: str = ""
    Type: str = ""
    Packages: list[Package] | None = None
    Vulnerabilities: list[Vulnerability] | None = None
    ExperimentalModifiedFindings: list[Modified] | None = None


class OperatingSystem(msgspec.Struct, frozen=True):
    """`Metadata.OS`."""

    Family: str = ""
    Name: str = ""
    EOSL: bool = False


class ContainerConfig(msgspec.Struct, frozen=True):
    """`Metadata.ImageConfig.config`, what a container is started with."""

    Labels: dict[str, str] | None = None


class ImageConfig(msgspec.Struct, frozen=True):
    """`Metadata.ImageConfig`, of the OCI image configuration."""

    os: str = ""
    architecture: str = ""
    variant: str = ""
    config: ContainerConfig | None = None

    @property
    def labels(self) -> dict[str, str]:
        """The image's labels."""
        return (self.config and self.config.Labels) or {}


class Metadata(msgspec.Struct, frozen=True):
    """What the report says about the image as a whole."""

    OS: OperatingSystem | None = None
    ImageID: str = ""
    RepoTags: list[str] | None = None
    RepoDigests: list[str] | None = None
    ImageConfig: ImageConfig | None = None


class Program(msgspec.Struct, frozen=True):
    """`Trivy`, since 0.69."""

    Version: str = ""


class Root(msgspec.Struct, frozen=True):
    """The whole report, since 0.20."""

    SchemaVersion: int = 0
    ArtifactName: str = ""
    ArtifactType: str = ""
    CreatedAt: str = ""
    Trivy: Program | None = None
    Metadata: Metadata | None = None
    Results: list[Result] | None = None


_ROOT = msgspec.json.Decoder(Root)
_KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[Result])  # up to 0.19: only the results

# What other documents have at their root, most telling first.
_OTHERS = {
    "Findings": "a Kubernetes report of Trivy",
    "ClusterName": "a Kubernetes report of Trivy",
    "bomFormat": "a CycloneDX SBOM",
    "spdxVersion": "an SPDX SBOM",
    "runs": "a SARIF file",
    "matches": "a Grype report",
    "schemaVersion": "an image manifest or a file of another tool",
}


def decode(data: bytes, *, file: Path | str) -> Root:
    """Decode a report of any version; InputError names the place of whatever is wrong."""
    text = text_of(data, file=file, limit=MAX_REPORT)
    if text[:64].lstrip()[:1] == b"[":
        return Root(SchemaVersion=SCHEMA_VERSION, Results=decode_json(text, _LIST, file=file))
    root = decode_json(text, _ROOT, file=file)
    if root.SchemaVersion != SCHEMA_VERSION or root.Results is None:
        _refuse_other(text, root, file)
    return root


def _refuse_other(text: bytes, root: Root, file: Path | str) -> None:
    """Refuse what is JSON but not a report that we read; a report without results is one."""
    keys = decode_json(text, _KEYS, file=file)
    for key, what in _OTHERS.items():
        if key in keys:
            raise InputError(f"this is {what}, not a scan of an image by Trivy", file=file, key=key)
    if "SchemaVersion" not in keys:
        raise InputError("not a Trivy report: it has no SchemaVersion", file=file)
    if root.SchemaVersion != SCHEMA_VERSION:
        raise InputError(
            f"schema version {root.SchemaVersion} is not known, expected {SCHEMA_VERSION}",
            file=file,
            key="SchemaVersion",
            hint="The report may come from a newer Trivy than this Hullmark reads.",
        )
