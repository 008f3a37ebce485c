"""A tiny image with chosen packages: what a known-answer test scans, and what sample SBOMs are made from.

No container tool is needed: a docker-archive of one layer with the few files that a scanner reads. The same
packages give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import quote

import msgspec

from hullmark.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hullmark.scan import System

    Json: TypeAlias = dict[str, object]

Type = Literal["debian", "ubuntu", "node-pkg", "python-pkg"]

# Trivy does not match packages whose maintainer looks like a third party; this one does not.
_MAINTAINER = "Debian Developers <debian-devel@lists.debian.org>"
_MADE = "1970-01-01T00:00:00Z"
_NO_SYSTEM = "packages of an operating system need the system they are installed on"
_SYSTEM_TYPES = frozenset({"debian", "ubuntu"})
_PURL_TYPES = {"debian": "pkg:deb", "ubuntu": "pkg:deb", "node-pkg": "pkg:npm", "python-pkg": "pkg:pypi"}


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """A package that a specimen pretends to have installed."""

    type: Type = "debian"
    name: str
    version: str
    source: str = ""
    """Source package of an operating system's package; empty: the same name."""
    source_version: str = ""
    """Empty: the same version."""
    architecture: str = "amd64"


def archive(
    packages: Iterable[Installed],
    *,
    system: System | None = None,
    tag: str = "specimen:1",
    architecture: str = "amd64",
    title: str = "",
) -> bytes:
    """A docker-archive of one layer that has `packages` installed on `system`, with `title` as its label."""
    layer = _tar(_layer_files(tuple(packages), system))
    digest = hashlib.sha256(layer).hexdigest()
    config = msgspec.json.encode(
        {
            "architecture": architecture,
            "config": {"Labels": {"org.opencontainers.image.title": title}} if title else {},
            "created": _MADE,
            "history": [{"created": _MADE, "created_by": "hullmark specimen"}],
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    )
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    layer_name = f"{digest}/layer.tar"
    manifest = msgspec.json.encode([{"Config": config_name, "RepoTags": [tag], "Layers": [layer_name]}])
    return _tar({config_name: config, layer_name: layer, "manifest.json": manifest})


def sbom(packages: Iterable[Installed], *, system: System | None = None) -> bytes:
    """A CycloneDX document in the form that Trivy writes itself, with `packages` installed on `system`."""
    root = {"bom-ref": "specimen", "type": "container", "name": "specimen", "properties": []}
    components: list[Json] = []
    if system is not None:
        properties = _properties({"Class": "os-pkgs", "Type": system.family})
        components.append(
            {
                "bom-ref": "system",
                "type": "operating-system",
                "name": system.family,
                "version": system.release,
                "properties": properties,
            }
        )
    components.extend(_component(package, system) for package in packages)
    return msgspec.json.encode(
        {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {"component": root},
            "components": components,
            "dependencies": [],
        }
    )


def _component(package: Installed, system: System | None) -> Json:
    purl, version = _PURL_TYPES[package.type], package.version
    properties: dict[str, str] = {"PkgType": package.type}
    if package.type in _SYSTEM_TYPES:
        if system is None:
            raise UsageError(_NO_SYSTEM)
        epoch, version = _split_epoch(package.version)
        purl = f"{purl}/{system.family}/{package.name}@{quote(version, safe='~')}"
        purl += f"?arch={package.architecture}&distro={system.family}-{system.release}"
        purl += f"&epoch={epoch}" if epoch else ""
        properties |= _source_properties(package)
    else:
        purl = f"{purl}/{quote(package.name)}@{quote(version)}"
    return {
        "bom-ref": purl,
        "type": "library",
        "name": package.name,
        "version": package.version,
        "purl": purl,
        "properties": _properties(properties),
    }


def _source_properties(package: Installed) -> dict[str, str]:
    epoch, version = _split_epoch(package.source_version or package.version)
    upstream, _, revision = version.rpartition("-")
    found = {"SrcName": package.source or package.name, "SrcVersion": upstream or revision}
    if upstream:
        found["SrcRelease"] = revision
    if epoch:
        found["SrcEpoch"] = epoch
    return found


def _split_epoch(version: str) -> tuple[str, str]:
    epoch, colon, rest = version.partition(":")
    return (epoch, rest) if colon else ("", version)


def _properties(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": f"aquasecurity:trivy:{name}", "value": values[name]} for name in sorted(values)]


def _layer_files(packages: tuple[Installed, ...], system: System | None) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    if system is not None:
        files["etc/os-release"] = f'ID={system.family}\nVERSION_ID="{system.release}"\n'.encode()
        if system.family == "debian":
            files["etc/debian_version"] = f"{system.release}\n".encode()
    status: list[str] = []
    for package in packages:
        match package.type:
            case "debian" | "ubuntu":
                status.append(_stanza(package))
            case "node-pkg":
                path = f"app/node_modules/{package.name}/package.json"
                files[path] = msgspec.json.encode({"name": package.name, "version": package.version})
            case "python-pkg":
                path = f"usr/lib/python3/dist-packages/{package.name}-{package.version}.dist-info/METADATA"
                text = f"Metadata-Version: 2.1\nName: {package.name}\nVersion: {package.version}\n"
                files[path] = text.encode()
    if status:
        if system is None:
            raise UsageError(_NO_SYSTEM)
        files["var/lib/dpkg/status"] = "\n".join(status).encode()
    return files


def _stanza(package: Installed) -> str:
    lines = [
        f"Package: {package.name}",
        "Status: install ok installed",
        f"Maintainer: {_MAINTAINER}",
        f"Architecture: {package.architecture}",
        f"Version: {package.version}",
    ]
    if package.source and (package.source, package.source_version) != (package.name, ""):
        version = f" ({package.source_version})" if package.source_version else ""
        lines.insert(4, f"Source: {package.source}{version}")
    return "\n".join(lines) + "\n"


def _tar(files: Mapping[str, bytes]) -> bytes:
    """A tar of `files` in sorted order, with neither dates nor owners of its own."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size = len(files[name])
            tar.addfile(member, io.BytesIO(files[name]))
    return buffer.getvalue()
