"""CycloneDX as Trivy writes it: made comparable, kept as evidence, and matched again years later.

Rules of `normalise`:
- the same image gives the same bytes, whichever folder, archive or run it came from: no serial number, time,
  random reference, tag, file name or vulnerability, everything sorted, a second time without effect;
- nothing that a match needs is lost: the same findings before and after;
- maintainers' addresses and licence texts do not belong into evidence;
- an SBOM made by another tool is refused: Trivy reads source packages from its own properties only, and
  loses 86 % of the findings without them (as Trivy's issue 2934 says of SPDX).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import InputError
from hullmark.finding import Package
from hullmark.image import Digest
from hullmark.scanners.trivy.decoding import decode_json, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_SBOM = 64 << 20
PREFIX = "aquasecurity:trivy:"
ROOT = "image"
"""Reference of the image itself in a normalised SBOM."""

_PACKAGE_TYPE = f"{PREFIX}PkgType"
_ROOT_PROPERTIES = frozenset({f"{PREFIX}{name}" for name in ("DiffID", "ImageID", "SchemaVersion")})
_UNSTABLE = frozenset({f"{PREFIX}LayerDigest"})
"""Of the compressed layer: another archive of the same image has another."""

_OWNERS = frozenset({"application", "operating-system"})
_TOOL = {"components": [{"group": "aquasecurity", "name": "trivy", "type": "application"}]}


class Property(msgspec.Struct, frozen=True, order=True):
    """A name and a value; names can occur twice."""

    name: str = ""
    value: str = ""


class License(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """A licence without its text."""

    id: str = ""
    name: str = ""


class LicenseChoice(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """One licence, or an SPDX expression of several."""

    license: License = License()
    expression: str = ""


class Component(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A package, the file that lists it, or the operating system. Fields that are not named are dropped."""

    ref: str = msgspec.field(name="bom-ref", default="")
    type: str = ""
    group: str = ""
    name: str = ""
    version: str = ""
    purl: str = ""
    hashes: list[dict[str, str]] = []
    licenses: list[LicenseChoice] = []
    properties: list[Property] = []

    def get(self, name: str) -> str:
        """The value of Trivy's own property `name`; empty when there is none."""
        wanted = PREFIX + name
        return next((entry.value for entry in self.properties if entry.name == wanted), "")


class Dependency(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one component consists of or needs."""

    ref: str
    depends_on: list[str] = []


class _Metadata(msgspec.Struct, frozen=True):
    component: Component = Component()
    tools: msgspec.Raw = msgspec.Raw()


class Document(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The parts of a CycloneDX document that matter here."""

    bom_format: str = ""
    spec_version: str = ""
    metadata: _Metadata = _Metadata()
    components: list[Component] = []
    dependencies: list[Dependency] = []


_DOCUMENT = msgspec.json.Decoder(Document)


def read_document(data: bytes, *, file: Path | str) -> Document:
    """Decode an SBOM that Trivy made; InputError for anything else."""
    document = decode_json(text_of(data, file=file, limit=MAX_SBOM), _DOCUMENT, file=file)
    if document.bom_format != "CycloneDX" or not document.spec_version.startswith("1."):
        raise InputError("not a CycloneDX SBOM of version 1", file=file)
    _refuse_foreign(document, file)
    return document


def normalise(data: bytes, *, name: str, digest: str = "", file: Path | str = "SBOM") -> bytes:
    """The SBOM `data` of the image `name` as stable bytes, see the module's rules.

    `digest` is the image's; without one, that of an already normalised SBOM stays.
    """
    document = read_document(data, file=file)
    root = document.metadata.component
    cleaned = {each.ref: _clean(each, "") for each in document.components}
    names = _stable_names(document, cleaned, file)
    components = {names[ref]: msgspec.structs.replace(each, ref=names[ref]) for ref, each in cleaned.items()}
    version = digest or (root.version if root.version.startswith("sha256:") else "")
    image = _clean(
        msgspec.structs.replace(
            root,
            type="container",
            group="",
            name=name,
            version=version,
            purl="",
            properties=[each for each in root.properties if each.name in _ROOT_PROPERTIES],
        ),
        ROOT,
    )
    metadata = {"component": image} | ({"tools": _TOOL} if _names_trivy(document) else {})
    return _content(
        {
            "bomFormat": "CycloneDX",
            "components": [components[ref] for ref in sorted(components)],
            "dependencies": _dependencies(document, names),
            "metadata": metadata,
            "specVersion": document.spec_version,
            "version": 1,
        }
    )


def packages(data: bytes, *, file: Path | str = "SBOM") -> tuple[Package, ...]:
    """The packages of an SBOM, as a scan of its image names them, sorted."""
    document = read_document(data, file=file)
    owners = _owners(document)
    by_ref = {each.ref: each for each in document.components}
    found = {
        package for component in document.components for package in _packages_of(component, owners, by_ref)
    }
    return tuple(sorted(found))


class Installed(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A package of an SBOM, with what is known of it beside its version."""

    package: Package
    licences: tuple[str, ...] = ()
    layer: str = ""
    """Digest of the uncompressed layer that has it; empty where the SBOM does not say."""


def installed(data: bytes, *, file: Path | str = "SBOM") -> tuple[Installed, ...]:
    """The packages of an SBOM with their licences and layers, sorted."""
    document = read_document(data, file=file)
    owners = _owners(document)
    by_ref = {each.ref: each for each in document.components}
    found = {
        Installed(
            package=package,
            licences=tuple(
                each.expression or each.license.id or each.license.name for each in component.licenses
            ),
            layer=component.get("LayerDiffID"),
        )
        for component in document.components
        for package in _packages_of(component, owners, by_ref)
    }
    return tuple(sorted(found))


def _packages_of(
    component: Component, owners: Mapping[str, frozenset[str]], by_ref: Mapping[str, Component]
) -> list[Package]:
    """One component can be a package at several paths; the system itself is none."""
    package_type = component.get("PkgType")
    if not package_type:
        return []
    paths = {by_ref[owner].name for owner in owners[component.ref] if by_ref[owner].type == "application"}
    own = component.get("FilePath")
    return [_package(component, package_type, path) for path in ({own} if own else paths or {""})]


def references(data: bytes, *, file: Path | str = "SBOM") -> dict[tuple[str, str, str], tuple[str, ...]]:
    """For the type, name and path of each package the references of its components in the SBOM."""
    document = read_document(data, file=file)
    owners = _owners(document)
    by_ref = {each.ref: each for each in document.components}
    found: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for component in document.components:
        for package in _packages_of(component, owners, by_ref):
            found[package.type, package.name, package.path].add(component.ref)
    return {place: tuple(sorted(refs)) for place, refs in found.items()}


def image_digest(data: bytes, *, file: Path | str = "SBOM") -> Digest:
    """What identifies the image of an SBOM: its digest, its id, or else the SBOM's own hash."""
    root = read_document(data, file=file).metadata.component
    named = root.version if root.version.startswith("sha256:") else root.get("ImageID")
    return Digest(named or f"sha256:{hashlib.sha256(data).hexdigest()}")


def title_of(data: bytes, *, file: Path | str = "SBOM") -> str:
    """What the image's own label says that it is, in an SBOM of Trivy's; empty when it says nothing."""
    return read_document(data, file=file).metadata.component.get("Labels:org.opencontainers.image.title")


def _refuse_foreign(document: Document, file: Path | str) -> None:
    libraries = [each for each in document.components if each.type not in _OWNERS]
    own = [each for each in libraries if each.get("PkgType")]
    marked = any(each.name.startswith(PREFIX) for each in document.metadata.component.properties)
    if len(own) == len(libraries) and (own or marked or _names_trivy(document)):
        return
    missing = f"{len(libraries) - len(own)} of {len(libraries)} packages"
    raise InputError(
        f"not an SBOM of Trivy's: {missing} lack its properties, and most findings would be lost",
        file=file,
        hint="Scan the image itself, or make the SBOM with: trivy image --format cyclonedx",
    )


def _names_trivy(document: Document) -> bool:
    return b'"trivy"' in bytes(document.metadata.tools)


def _clean(component: Component, ref: str) -> Component:
    return msgspec.structs.replace(
        component,
        ref=ref,
        hashes=sorted(component.hashes, key=_content),
        licenses=sorted(each for each in component.licenses if each != LicenseChoice()),
        properties=sorted(
            each
            for each in component.properties
            if each.name.startswith(PREFIX) and each.name not in _UNSTABLE
        ),
    )


def _content(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _owners(document: Document) -> Mapping[str, frozenset[str]]:
    """Which applications and systems each component is reached from, by reference."""
    below = {each.ref: each.depends_on for each in document.dependencies}
    reached: defaultdict[str, set[str]] = defaultdict(set)
    for owner in document.components:
        if owner.type not in _OWNERS:
            continue
        waiting = list(below.get(owner.ref, ()))
        while waiting:
            ref = waiting.pop()
            if owner.ref not in reached[ref]:
                reached[ref].add(owner.ref)
                waiting.extend(below.get(ref, ()))
    return defaultdict(frozenset, {ref: frozenset(owners) for ref, owners in reached.items()})


def _stable_names(document: Document, cleaned: Mapping[str, Component], file: Path | str) -> dict[str, str]:
    """A reference for each of the document's own: the package URL, with a hash where several share one.

    Components that are equal and belong to the same files are one component.
    """
    by_ref = {each.ref: each for each in document.components}
    root = document.metadata.component.ref
    if "" in by_ref or len(by_ref) != len(document.components) or root in by_ref:
        raise InputError("components without a reference of their own", file=file, key="components")
    content = {ref: _content(each) for ref, each in cleaned.items()}
    owners = _owners(document)
    keys = {ref: (text, tuple(sorted({content[o] for o in owners[ref]}))) for ref, text in content.items()}
    sharing: defaultdict[str, set[object]] = defaultdict(set)
    for ref, key in keys.items():
        sharing[_base_name(by_ref[ref])].add(key)
    names = {root: ROOT}
    for ref, key in keys.items():
        base = _base_name(by_ref[ref])
        names[ref] = base if len(sharing[base]) == 1 else f"{base}#{_short_hash(key)}"
    return names


def _base_name(component: Component) -> str:
    return component.purl or f"{component.type}:{component.name}"


def _short_hash(key: tuple[bytes, tuple[bytes, ...]]) -> str:
    content, owners = key
    return hashlib.sha256(b"\0".join((content, *owners))).hexdigest()[:16]


def _dependencies(document: Document, names: Mapping[str, str]) -> list[dict[str, object]]:
    edges: defaultdict[str, set[str]] = defaultdict(set)
    for each in document.dependencies:
        if each.ref in names:
            edges[names[each.ref]].update(names[ref] for ref in each.depends_on if ref in names)
    return [{"dependsOn": sorted(edges[ref]), "ref": ref} for ref in sorted(edges) if edges[ref]]


def _package(component: Component, package_type: str, path: str) -> Package:
    source_version = _joined(
        component.get("SrcEpoch"), component.get("SrcVersion"), component.get("SrcRelease")
    )
    return Package(
        type=package_type,
        name=_full_name(component),
        version=component.version,
        path=path,
        source=component.get("SrcName"),
        source_version=source_version,
    )


def _full_name(component: Component) -> str:
    """The name as a scan's result writes it: CycloneDX keeps scopes and groups apart."""
    if not component.group:
        return component.name
    separator = ":" if component.purl.startswith("pkg:maven/") else "/"
    return f"{component.group}{separator}{component.name}"


def _joined(epoch: str, version: str, release: str) -> str:
    full = f"{version}-{release}" if release else version
    return f"{epoch}:{full}" if epoch else full


def purls(data: bytes, *, file: Path | str = "SBOM") -> dict[tuple[str, str], tuple[str, ...]]:
    """The package URLs of an SBOM's packages, sorted, by package type and name."""
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for component in read_document(data, file=file).components:
        if (package_type := component.get("PkgType")) and component.purl:
            found[package_type, _full_name(component)].add(component.purl)
    return {package: tuple(sorted(names)) for package, names in found.items()}
