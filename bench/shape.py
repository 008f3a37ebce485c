"""A snapshot of `bench.history` as Trivy 0.76 writes it: the JSON report, and the CycloneDX SBOM."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from bench import prose
from bench.history import prose_of

if TYPE_CHECKING:
    from bench.history import Advisory, Snapshot, Source

_LAYERS = 6
_DATA_SOURCE = {
    "ID": "debian",
    "Name": "Debian Security Tracker",
    "URL": "https://salsa.debian.org/security-tracker-team/security-tracker",
}
_RANKS = {"UNKNOWN": 0, "LOW": 1, "MEDIUM": 2, "HIGH": 3, "CRITICAL": 4}


def write_report(snapshot: Snapshot) -> bytes:
    """The report, indented as Trivy does it."""
    rows = [
        _row(snapshot, advisory, binary)
        for binary, advisory in sorted(
            ((binary, advisory) for advisory in snapshot.advisories for binary in advisory.source.binaries),
            key=lambda pair: (pair[0], pair[1].id),
        )
    ]
    result = {
        "Target": f"local-{snapshot.image}:latest (debian {snapshot.release})",
        "Class": "os-pkgs",
        "Type": "debian",
        "Packages": [
            _package(snapshot, source, binary) for source in snapshot.versions for binary in source.binaries
        ],
        "Vulnerabilities": rows,
    }
    document = {
        "SchemaVersion": 2,
        "Trivy": {"Version": "0.76.0"},
        "CreatedAt": f"{snapshot.at:%FT%TZ}",
        "ArtifactID": f"sha256:{_digest(snapshot, 'image')}",
        "ArtifactName": f"local-{snapshot.image}:latest",
        "ArtifactType": "container_image",
        "Metadata": {
            "OS": {"Family": "debian", "Name": snapshot.release},
            "ImageID": f"sha256:{_digest(snapshot, 'image')}",
            "DiffIDs": [_layer(snapshot, number)["DiffID"] for number in range(_LAYERS)],
            "RepoTags": [f"local-{snapshot.image}:latest"],
            "ImageConfig": {
                "architecture": "amd64",
                "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": []},
                "config": {},
            },
        },
        "Results": [result],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


def write_sbom(snapshot: Snapshot) -> bytes:
    """The SBOM, before it is normalised."""
    image = _digest(snapshot, "image")
    system = {"bom-ref": "os", "type": "operating-system", "name": "debian", "version": snapshot.release}
    libraries = [
        _component(snapshot, source, binary) for source in snapshot.versions for binary in source.binaries
    ]
    properties = _properties(ImageID=f"sha256:{image}", SchemaVersion="2")
    properties += [
        {"name": "aquasecurity:trivy:DiffID", "value": _layer(snapshot, number)["DiffID"]}
        for number in range(_LAYERS)
    ]
    return msgspec.json.encode(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "metadata": {
                "component": {
                    "bom-ref": "root",
                    "type": "container",
                    "name": snapshot.image,
                    "properties": properties,
                },
                "tools": {"components": [{"group": "aquasecurity", "name": "trivy", "type": "application"}]},
            },
            "components": [system, *libraries],
            "dependencies": [
                {"ref": "root", "dependsOn": ["os"]},
                {"ref": "os", "dependsOn": [library["bom-ref"] for library in libraries]},
            ],
        }
    )


def _row(snapshot: Snapshot, advisory: Advisory, binary: str) -> dict[str, object]:
    texts = prose_of(advisory.id, advisory.source.name)
    version = snapshot.versions[advisory.source]
    package = f"{binary}@{version}"
    fixed = {"FixedVersion": advisory.fixed} if advisory.fixed else {}
    return {
        "VulnerabilityID": advisory.id,
        "PkgID": package,
        "PkgName": binary,
        "PkgIdentifier": {"PURL": _purl(snapshot, binary, version), "UID": _short(package)},
        "InstalledVersion": version,
        **fixed,
        "Status": advisory.status,
        **({"Layer": _layer(snapshot, len(binary))} if len(binary) % 5 < 2 else {}),  # left out where empty
        "SeveritySource": "debian" if advisory.severity == "LOW" else "nvd",
        "PrimaryURL": f"https://avd.aquasec.com/nvd/{advisory.id.lower()}",
        "DataSource": _DATA_SOURCE,
        "Fingerprint": f"sha256:{_hex(snapshot.build + package + advisory.id)}",
        "Title": texts.title,
        "Description": texts.description,
        "Severity": advisory.severity,
        "CweIDs": [f"CWE-{len(texts.description) % 900}"],
        "VendorSeverity": dict.fromkeys(texts.cvss, _RANKS[advisory.severity]),
        "CVSS": texts.cvss,
        "References": texts.references,
        "PublishedDate": advisory.published,
        "LastModifiedDate": advisory.published,
    }


def _package(snapshot: Snapshot, source: Source, binary: str) -> dict[str, object]:
    version = snapshot.versions[source]
    upstream, _, revision = version.partition("-")
    return {
        "ID": f"{binary}@{version}",
        "Name": binary,
        "Identifier": {"PURL": _purl(snapshot, binary, version), "UID": _short(f"{binary}@{version}")},
        "Version": upstream,
        "Release": revision,
        "Arch": "amd64",
        "SrcName": source.name,
        "SrcVersion": upstream,
        "SrcRelease": revision,
        "Licenses": ["GPL-2.0-or-later", "LGPL-2.1-or-later"],
        "Maintainer": "Somebody <somebody@example.org>",
        "Repository": {"Class": "official"},
        "Layer": _layer(snapshot, len(binary)),
        "InstalledFiles": _files(binary),
        "AnalyzedBy": "dpkg",
    }


def _component(snapshot: Snapshot, source: Source, binary: str) -> dict[str, Any]:
    version = snapshot.versions[source]
    upstream, _, revision = version.partition("-")
    purl = _purl(snapshot, binary, version)
    return {
        "bom-ref": purl,
        "type": "library",
        "name": binary,
        "version": version,
        "purl": purl,
        "licenses": [{"license": {"name": "GPL-2.0-or-later"}}, {"license": {"name": "LGPL-2.1-or-later"}}],
        "properties": _properties(
            LayerDiffID=_layer(snapshot, len(binary))["DiffID"],
            LayerDigest=_layer(snapshot, len(binary))["Digest"],
            PkgID=f"{binary}@{version}",
            PkgType="debian",
            SrcName=source.name,
            SrcRelease=revision,
            SrcVersion=upstream,
        ),
    }


def _properties(**values: str) -> list[dict[str, str]]:
    return [{"name": f"aquasecurity:trivy:{name}", "value": value} for name, value in values.items()]


def _purl(snapshot: Snapshot, binary: str, version: str) -> str:
    return f"pkg:deb/debian/{binary}@{quote(version)}?arch=amd64&distro=debian-{snapshot.release}"


def _layer(snapshot: Snapshot, number: int) -> dict[str, str]:
    which = number % _LAYERS
    return {
        "Digest": f"sha256:{_digest(snapshot, f'packed {which}')}",
        "DiffID": f"sha256:{_digest(snapshot, f'layer {which}')}",
    }


def _digest(snapshot: Snapshot, what: str) -> str:
    return _hex(f"{snapshot.build} {what}")


@cache
def _files(binary: str) -> list[str]:
    return prose.files(Random(binary), binary)


def _hex(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _short(text: str) -> str:
    return _hex(text)[:16]
