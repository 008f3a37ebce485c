"""Trivy's checks of a repository: configuration, secrets and licences, with what it brings along.

Rules (each has a test with the same words):
- no download, no configuration, no ignore file: the checks are those that are built into this Trivy;
- a secret is looked for everywhere, also in tests, examples and Markdown, where Trivy alone does not;
- a secret never leaves this module's matches: what Trivy shows of the place is not read;
- a permissive licence is no finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import EnvironmentFaultError, InputError
from hullmark.files import scratch_folder
from hullmark.finding import Kind
from hullmark.scanners.checker import Answer, Checker, Job, MissingToolError, said
from hullmark.scanners.occurrence import Match
from hullmark.scanners.trivy.binary import find_binary, identify
from hullmark.scanners.trivy.decoding import decode_json, read_file, text_of
from hullmark.scanners.trivy.report import severity_of
from hullmark.scanners.trivy.wire import MAX_REPORT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hullmark.scanners.tree import Tree

NAME = "trivy"
KINDS = (Kind.MISCONFIGURATION, Kind.SECRET, Kind.LICENCE)

_OPTIONS = (
    *("--scanners", "misconfig,secret,license", "--license-full", "--skip-check-update"),
    *("--skip-version-check", "--offline-scan", "--disable-telemetry", "--config=", "--ignorefile="),
    *("--show-suppressed", "--format", "json", "--quiet", "--cache-backend", "memory"),
)
# Built-in rules by which Trivy leaves files out (trivy `pkg/fanal/secret/builtin-allow-rules.go`).
_EVERYWHERE = b"""disable-allow-rules: [tests, examples, vendor, usr-dirs, locale-dir, markdown, node.js,
  golang, python, rubygems, wordpress, anaconda-log]
"""
_PERMISSIVE = frozenset({"notice", "permissive", "unencumbered"})
_FAILED = frozenset({"FAIL", ""})


class _Cause(msgspec.Struct, frozen=True):
    StartLine: int = 0
    EndLine: int = 0


class _Misconfiguration(msgspec.Struct, frozen=True):
    ID: str = ""
    Title: str = ""
    Severity: str = ""
    PrimaryURL: str = ""
    Status: str = ""
    CauseMetadata: _Cause = _Cause()


class _Secret(msgspec.Struct, frozen=True):
    RuleID: str = ""
    Severity: str = ""
    Title: str = ""
    StartLine: int = 0
    Match: str = ""
    Offset: int = -1


class _License(msgspec.Struct, frozen=True):
    Severity: str = ""
    Category: str = ""
    PkgName: str = ""
    FilePath: str = ""
    Name: str = ""
    Link: str = ""


class _Result(msgspec.Struct, frozen=True):
    Target: str = ""
    Misconfigurations: list[_Misconfiguration] = []
    Secrets: list[_Secret] = []
    Licenses: list[_License] = []
    ExperimentalModifiedFindings: list[_Modified] = []


class _Modified(msgspec.Struct, frozen=True):
    Type: str = ""
    Finding: msgspec.Raw | None = None


class _Report(msgspec.Struct, frozen=True):
    SchemaVersion: int
    Results: list[_Result] = []


_REPORT = msgspec.json.Decoder(_Report)


def wants(path: str) -> bool:  # noqa: ARG001 - a secret can be in any file
    """Everything."""
    return True


def check(job: Job) -> Answer:
    """Look at all files of the tree."""
    try:
        path = find_binary(job.trivy)
    except EnvironmentFaultError as error:
        raise MissingToolError(error.message, hint=error.hint) from error
    binary = identify(path, job.sandbox, cache=job.cache)
    with scratch_folder() as folder:
        output, cache, secrets = folder / "out.json", folder / "cache", folder / "secrets.yaml"
        secrets.write_bytes(_EVERYWHERE)
        where = ("--secret-config", str(secrets), "--cache-dir", str(cache), "--output", str(output))
        limit = ("--timeout", f"{int(job.timeout)}s")
        ended = job.sandbox.run(
            [str(binary.path), "filesystem", *_OPTIONS, *where, *limit, str(job.tree.folder)],
            readable=(job.tree.folder,),
            writable=folder,
            timeout=job.timeout,
        )
        if ended.code != 0:
            raise EnvironmentFaultError(f"trivy failed with code {ended.code}: {said(ended)}")
        data = read_file(output, limit=MAX_REPORT)
    return Answer(binary.scanner, tuple(read_matches(data, job.tree)))


def read_matches(data: bytes, tree: Tree) -> Iterator[Match]:
    """What a report says about the files of `tree`."""
    file = "Trivy's report of the repository"
    report = decode_json(text_of(data, file=file, limit=MAX_REPORT), _REPORT, file=file)
    if report.SchemaVersion != 2:  # noqa: PLR2004 - the only one there is
        raise InputError(f"schema version {report.SchemaVersion}, expected 2", file=file, key="SchemaVersion")
    for result in report.Results:
        yield from _misconfigurations(result)
        yield from _secrets(result, tree)
        yield from _licences(result)


def _misconfigurations(result: _Result) -> Iterator[Match]:
    for found in result.Misconfigurations:
        if found.Status in _FAILED:
            yield Match(
                rule=found.ID,
                kind=Kind.MISCONFIGURATION,
                severity=severity_of(found.Severity),
                title=found.Title,
                path=result.Target,
                line=found.CauseMetadata.StartLine,
                end=found.CauseMetadata.EndLine,
                url=found.PrimaryURL,
            )


def _secrets(result: _Result, tree: Tree) -> Iterator[Match]:
    for found in result.Secrets:
        length = found.Match.count("*")
        start = found.Offset
        known = tree.read(result.Target)[start : start + length] if start >= 0 and length else b""
        yield Match(
            rule=found.RuleID,
            kind=Kind.SECRET,
            severity=severity_of(found.Severity),
            title=found.Title,
            path=result.Target,
            line=found.StartLine,
            secret=known.decode("utf-8", "replace"),
        )


def _licences(result: _Result) -> Iterator[Match]:
    for found in result.Licenses:
        if found.Category not in _PERMISSIVE:
            yield Match(
                rule=found.Name,
                kind=Kind.LICENCE,
                severity=severity_of(found.Severity),
                title=f"licence of category {found.Category}" if found.Category else "licence not known",
                path=found.FilePath or result.Target,
                package=found.PkgName,
                url=found.Link,
            )


CHECKER = Checker(NAME, KINDS, wants, check)
