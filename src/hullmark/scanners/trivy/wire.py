"""Trivy's JSON report as Trivy writes it, from 0.10 to 0.76; the only place where its keys are named.

Fields that nobody needs are not named, so the decoder skips them: References, Description and CVSS are 70 %
of a report. Every field has a default, because Trivy leaves out whatever is empty.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from hullmark.errors import InputError

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


class ImageConfig(msgspec.Struct, frozen=True):
    """`Metadata.ImageConfig`, of the OCI image configuration."""

    os: str = ""
    architecture: str = ""
    variant: str = ""


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
_LIST = msgspec.json.Decoder(list[Result])  # up to 0.19: only the results

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_WRONG_TYPE = re.compile(r"Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`(?: - at `\$(?P<path>.*)`)?")
_STEP = re.compile(r"\.(\w+)|\[\.\.\.\]")

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
    _refuse_bytes(data, file)
    text = data.removeprefix(_UTF8_MARK)
    try:
        if text[:64].lstrip()[:1] == b"[":
            return Root(SchemaVersion=SCHEMA_VERSION, Results=_LIST.decode(text))
        root = _ROOT.decode(text)
    except msgspec.ValidationError as error:
        _refuse_types(text, error, file)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not valid JSON: {error}", file=file, hint=_cut_hint(text)) from error
    except RecursionError as error:
        raise InputError("nested too deeply", file=file) from error
    if root.SchemaVersion != SCHEMA_VERSION or root.Results is None:
        _refuse_other(text, root, file)
    return root


def _refuse_bytes(data: bytes, file: Path | str) -> None:
    if len(data) > MAX_REPORT:
        raise InputError(f"larger than {MAX_REPORT >> 20} MiB", file=file)
    if not data.strip():
        raise InputError("the report is empty", file=file, hint="Scan again; the scanner may have failed.")
    if data.startswith(_UTF16_MARKS) or b"\0" in data[:64]:
        raise InputError(
            "not UTF-8 text", file=file, hint="A shell may have written UTF-16; use trivy --output."
        )


def _cut_hint(text: bytes) -> str:
    return "" if text.rstrip()[-1:] in (b"}", b"]") else "The file seems to be cut off; scan again."


def _refuse_other(text: bytes, root: Root, file: Path | str) -> None:
    """Refuse what is JSON but not a report that we read; a report without results is one."""
    keys = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
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


def _refuse_types(text: bytes, error: msgspec.ValidationError, file: Path | str) -> NoReturn:
    """Name the exact place: the decoder's own message says `[...]` where a list is."""
    match = _WRONG_TYPE.match(str(error))
    if match is None:
        raise InputError(str(error), file=file) from error
    path = match["path"] or ""
    steps = [step[1] or "" for step in _STEP.finditer(path)]
    key = _find(msgspec.json.decode(text), steps, match["got"])
    message = f"expected {match['expected']}, got {match['got']}"
    raise InputError(message, file=file, key=path.lstrip(".") if key is None else key) from error


def _find(value: Any, steps: list[str], got: str) -> str | None:  # noqa: ANN401 - any JSON value
    """The first place along `steps` ("" is any item of a list) that holds a value of type `got`."""
    if not steps:
        return "" if _type_name(value) == got else None
    step, rest = steps[0], steps[1:]
    if step:
        if not isinstance(value, dict) or step not in value:
            return None
        below = _find(value[step], rest, got)
        return None if below is None else _join(step, below)
    for index, item in enumerate(value if isinstance(value, list) else ()):
        below = _find(item, rest, got)
        if below is not None:
            return _join(f"[{index}]", below)
    return None


def _join(step: str, below: str) -> str:
    return step + below if not below or below.startswith("[") else f"{step}.{below}"


def _type_name(value: Any) -> str:  # noqa: ANN401 - any JSON value
    names = {str: "str", bool: "bool", int: "int", float: "float", dict: "object", list: "array"}
    return names.get(type(value), "null")
