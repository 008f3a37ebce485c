"""SARIF 2.1.0 of any tool, read strictly and without trust (OASIS SARIF 2.1.0).

Rules (each has a test with the same words):
- another version, a file that is too big, and a result without a rule are refused, with their place;
- a path is one of the repository: one outside of it, and a URI of another scheme than `file`, are refused;
- a result that the tool itself suppressed counts: only `exemptions.toml` accepts a finding;
- what the tool says about a place is not kept, because it may quote a secret: only what the rule says;
- a rule without a severity is a warning, as the standard says.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, NoReturn
from urllib.parse import unquote, urlsplit

import msgspec

from hullmark.errors import InputError
from hullmark.finding import Kind, Severity
from hullmark.scanners.occurrence import Match
from hullmark.scanners.trivy.decoding import decode_json, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_SARIF = 100 << 20
MAX_RESULTS = 200_000
VERSION = "2.1.0"

_LEVELS = {
    "error": Severity.HIGH,
    "warning": Severity.MEDIUM,
    "note": Severity.LOW,
    "none": Severity.LOW,
}
_SCORES = ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM), (0.0, Severity.LOW))
"""CVSS's own bounds, for the property `security-severity` that GitHub reads too."""
_HARMLESS = frozenset({"pass", "notApplicable", "informational"})


class _Text(msgspec.Struct, frozen=True):
    text: str = ""


class _Properties(msgspec.Struct, frozen=True):
    security_severity: str | float | None = msgspec.field(name="security-severity", default=None)


class _Configuration(msgspec.Struct, frozen=True):
    level: str = ""


class _Rule(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    name: str = ""
    short_description: _Text = _Text()
    full_description: _Text = _Text()
    help: _Text = _Text()
    help_uri: str = ""
    default_configuration: _Configuration = _Configuration()
    properties: _Properties = _Properties()


class _Driver(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    version: str = ""
    semantic_version: str = ""
    rules: list[_Rule] = []


class _Component(msgspec.Struct, frozen=True):
    name: str = ""
    rules: list[_Rule] = []


class _Tool(msgspec.Struct, frozen=True):
    driver: _Driver
    extensions: list[_Component] = []


class _Artifact(msgspec.Struct, frozen=True, rename="camel"):
    uri: str = ""
    uri_base_id: str = ""
    index: int = -1


class _Region(msgspec.Struct, frozen=True, rename="camel"):
    start_line: int = 0
    end_line: int = 0


class _Physical(msgspec.Struct, frozen=True, rename="camel"):
    artifact_location: _Artifact = _Artifact()
    region: _Region = _Region()


class _Location(msgspec.Struct, frozen=True, rename="camel"):
    physical_location: _Physical | None = None


class _ToolComponent(msgspec.Struct, frozen=True):
    index: int = -1


class _Reference(msgspec.Struct, frozen=True, rename="camel"):
    id: str = ""
    index: int = -1
    tool_component: _ToolComponent | None = None


class _Result(msgspec.Struct, frozen=True, rename="camel"):
    rule_id: str = ""
    rule_index: int = -1
    rule: _Reference = _Reference()
    level: str = ""
    kind: str = "fail"
    message: _Text = _Text()
    baseline_state: str = ""
    locations: list[_Location] = []
    properties: _Properties = _Properties()


class _Listed(msgspec.Struct, frozen=True):
    location: _Artifact = _Artifact()


class _Run(msgspec.Struct, frozen=True, rename="camel"):
    tool: _Tool
    results: list[_Result] | None = None
    artifacts: list[_Listed] = []
    original_uri_base_ids: dict[str, _Artifact] = {}


class _Document(msgspec.Struct, frozen=True):
    version: str
    runs: list[_Run]


class _Head(msgspec.Struct, frozen=True):
    version: str = ""
    runs: list[msgspec.Raw] | None = None


_HEAD = msgspec.json.Decoder(_Head)
_DOCUMENT = msgspec.json.Decoder(_Document)


class Sarif(NamedTuple):
    """What one SARIF file says."""

    tool: str
    version: str
    """As the tool calls it; empty when it does not say."""
    matches: tuple[Match, ...]


def read_sarif(
    data: bytes,
    *,
    file: Path | str,
    root: Path | str,
    kind: Kind = Kind.CODE,
    speaks_for_the_rule: bool = False,
) -> Sarif:
    """Read `data`, whose absolute paths must lie below `root`. InputError names whatever does not fit.

    `speaks_for_the_rule` is said of a tool whose messages are the words of its rule and quote no content.
    """
    text = text_of(data, file=file, limit=MAX_SARIF)
    head = decode_json(text, _HEAD, file=file)
    if head.runs is None:
        raise InputError("not SARIF: it has no runs", file=file, key="runs")
    if head.version != VERSION:
        raise InputError(
            f"SARIF {head.version or 'without a version'}, expected {VERSION}", file=file, key="version"
        )
    document = decode_json(text, _DOCUMENT, file=file)
    if not document.runs:
        raise InputError("no run: nothing says that a tool ran", file=file, key="runs")
    matches: list[Match] = []
    for number, run in enumerate(document.runs):
        if run.results is None:
            raise InputError(
                "no results, not even an empty list: the tool did not run", file=file, key=f"runs[{number}]"
            )
        reader = _Reader(run, str(file), str(root), kind, speaks_for_the_rule=speaks_for_the_rule)
        matches += reader.matches(f"runs[{number}].results")
        if len(matches) > MAX_RESULTS:
            raise InputError(f"more than {MAX_RESULTS:,} results", file=file)
    driver = document.runs[0].tool.driver
    return Sarif(driver.name, driver.semantic_version or driver.version, tuple(matches))


class _Reader:
    """Reads the results of one run."""

    def __init__(self, run: _Run, file: str, root: str, kind: Kind, *, speaks_for_the_rule: bool) -> None:
        self.run = run
        self.file = file
        self.root = PurePosixPath(root)
        self.kind = kind
        self.speaks_for_the_rule = speaks_for_the_rule
        self.rules = {rule.id: rule for rule in run.tool.driver.rules}

    def matches(self, place: str) -> Iterator[Match]:
        """Every result that says that something is wrong."""
        for number, result in enumerate(self.run.results or ()):
            if result.kind not in _HARMLESS and result.baseline_state != "absent":
                yield self._match(result, f"{place}[{number}]")

    def _match(self, result: _Result, place: str) -> Match:
        rule = self._rule(result, place)
        physical = result.locations[0].physical_location if result.locations else None
        path = self._path(physical.artifact_location, place) if physical else ""
        region = physical.region if physical else _Region()
        return Match(
            rule=rule.id,
            kind=self.kind,
            severity=_severity(result, rule),
            title=self._title(result, rule),
            path=path,
            line=max(0, region.start_line),
            end=max(0, region.end_line),
            url=rule.help_uri if urlsplit(rule.help_uri).scheme in ("http", "https") else "",
        )

    def _title(self, result: _Result, rule: _Rule) -> str:
        said = result.message.text if self.speaks_for_the_rule else ""
        described = rule.short_description.text or rule.full_description.text or rule.help.text
        return described or said or rule.name or rule.id

    def _rule(self, result: _Result, place: str) -> _Rule:
        """The rule of a result, by its place in a list or by its id, which is all where it is not listed."""
        component = result.rule.tool_component
        rules = self.run.tool.driver.rules
        if component is not None and component.index >= 0:
            if component.index >= len(self.run.tool.extensions):
                raise InputError(
                    f"no extension {component.index}", file=self.file, key=f"{place}.rule.toolComponent"
                )
            rules = self.run.tool.extensions[component.index].rules
        index = max(result.rule_index, result.rule.index)
        if index >= 0:
            if index < len(rules):
                return rules[index]
            raise InputError(
                f"no rule {index}, there are {len(rules)}", file=self.file, key=f"{place}.ruleIndex"
            )
        name = result.rule_id or result.rule.id
        if not name:
            raise InputError("a result without a rule", file=self.file, key=f"{place}.ruleId")
        return self.rules.get(name) or _Rule(id=name)

    def _path(self, artifact: _Artifact, place: str) -> str:
        """Where the result is, from the root of the repository."""
        key = f"{place}.locations[0].physicalLocation.artifactLocation"
        if not artifact.uri and 0 <= artifact.index < len(self.run.artifacts):
            artifact = self.run.artifacts[artifact.index].location
        if not artifact.uri:
            return ""
        base = self._base(artifact.uri_base_id, key)
        uri = self._local(artifact.uri, f"{key}.uri")
        joined = PurePosixPath(base) / uri
        if joined.is_absolute():
            if not joined.is_relative_to(self.root):
                self._refuse(artifact.uri, f"{key}.uri")
            joined = joined.relative_to(self.root)
        parts: list[str] = []
        for part in joined.parts:
            if part == "..":
                if not parts:
                    self._refuse(artifact.uri, f"{key}.uri")
                parts.pop()
            else:
                parts.append(part)
        return "/".join(parts)

    def _base(self, name: str, key: str) -> str:
        """The folder that a base stands for: the root, where only its name is given."""
        known = self.run.original_uri_base_ids
        seen: list[str] = []
        while name in known and name not in seen:
            seen.insert(0, name)
            name = known[name].uri_base_id
        base = PurePosixPath()
        for one in seen:
            base /= self._local(known[one].uri, f"{key}.uriBaseId")
        return str(base)

    def _local(self, uri: str, key: str) -> str:
        """The path of a URI that is one of a file here."""
        try:
            parts = urlsplit(uri)
        except ValueError as error:
            raise InputError(f"{uri!r} is no URI: {error}", file=self.file, key=key) from error
        if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
            raise InputError(
                f"{uri!r} is no file of this repository",
                file=self.file,
                key=key,
                hint="Expected a relative path.",
            )
        path = unquote(parts.path, errors="replace")
        if "\0" in path or "\\" in path:
            self._refuse(uri, key)
        return path

    def _refuse(self, uri: str, key: str) -> NoReturn:
        raise InputError(
            f"{uri!r} is outside of the repository",
            file=self.file,
            key=key,
            hint="Run the tool in the folder of the repository, on paths in it.",
        )


def _severity(result: _Result, rule: _Rule) -> Severity:
    """The score where there is one, else the level of the result, else that of the rule."""
    for score in (result.properties.security_severity, rule.properties.security_severity):
        if score is None:
            continue
        try:
            number = float(score)
        except ValueError:
            return Severity.UNKNOWN
        return next((severity for least, severity in _SCORES if number >= least), Severity.UNKNOWN)
    level = result.level or rule.default_configuration.level or "warning"
    return _LEVELS.get(level, Severity.UNKNOWN)
