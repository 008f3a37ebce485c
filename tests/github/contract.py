"""GitHub's own description of its REST interface, asked about requests and answers.

`described/` holds the parts of it that we need, word for word; `scripts/vendor_github.py` makes them.
"""
# ruff: noqa: ANN401 - any JSON

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jsonschema import Draft4Validator
from referencing import Registry
from referencing.jsonschema import DRAFT4

DESCRIBED = Path(__file__).parent / "described"
ROOT = "urn:github"
SLASHED = ("path", "ref", "branch")
"""Parameters of a path that may hold a slash."""

DEFECTS = frozenset({"conclusion", "state_reason"})
"""Where GitHub answers null, as `nullable` says, although the list of values beside it has no null."""


class Operation(NamedTuple):
    """One method of one path."""

    method: str
    path: str
    pattern: re.Pattern[str]
    described: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.described["operationId"])

    def names_in(self, path: str) -> dict[str, str]:
        """What the parameters of the path are in `path`."""
        found = self.pattern.fullmatch(path)
        return found.groupdict() if found else {}


class Contract:
    """What GitHub's description says of a request or an answer."""

    def __init__(self) -> None:
        self.document = _translate(json.loads((DESCRIBED / "rest.json").read_bytes()))
        self._answered: dict[tuple[int, str], list[str]] = {}
        resource = DRAFT4.create_resource(self.document)
        self._registry: Registry[Any] = Registry().with_resource(ROOT, resource)
        self._operations = [
            Operation(method.upper(), path, _pattern(path), described)
            for path, methods in self.document["paths"].items()
            for method, described in methods.items()
        ]
        # `/issues/comments/1` is also `/issues/{number}/…` to a careless reader: the longest text decides.
        self._operations.sort(key=lambda each: -len(re.sub(r"\{\w+\}", "", each.path)))

    def find(self, method: str, path: str) -> Operation | None:
        """The operation of a request; None when GitHub has none."""
        return next(
            (each for each in self._operations if each.method == method and each.pattern.fullmatch(path)),
            None,
        )

    def check_request(self, operation: Operation, query: dict[str, str], body: Any) -> list[str]:
        """What is wrong with a request; nothing that is not described may stand in it."""
        parameters = [self._follow(each) for each in operation.described.get("parameters", ())]
        known = {each["name"] for each in parameters if each["in"] == "query"}
        faults = [f"query: {name!r} is not described" for name in query.keys() - known]
        described = self._follow(operation.described.get("requestBody", {}))
        if not described:
            return [*faults, *(["no body is expected"] if body is not None else [])]
        if body is None and not described.get("required"):
            return faults
        schema = described["content"]["application/json"]["schema"]
        faults += self._faults(schema, body)
        properties = self._follow(schema).get("properties", {})
        if properties and isinstance(body, dict):
            faults += [f"{name!r} is not described" for name in body.keys() - properties.keys()]
        return faults

    def check_answer(self, operation: Operation, status: int, body: Any) -> list[str]:
        """What is wrong with an answer of the fake."""
        described = operation.described["responses"].get(str(status))
        if described is None:
            # Faults of authentication, limits and the server itself are not described with every operation.
            return [] if status in (401, 403, 404, 429, 304, 502) else [f"status {status} is not described"]
        content = self._follow(described).get("content", {}).get("application/json")
        return self._faults(content["schema"], body) if content and "schema" in content else []

    def fill(self, schema: str, **known: Any) -> dict[str, Any]:
        """An object of a named schema with what is `known`, and something harmless for all it requires."""
        described = self.document["components"]["schemas"][schema]
        properties = described.get("properties", {})
        return {name: self._default(properties[name]) for name in described.get("required", ())} | known

    def _default(self, schema: dict[str, Any]) -> Any:
        schema = self._follow(schema)
        kinds = schema.get("type", "object")
        kind = kinds[0] if isinstance(kinds, list) else kinds
        if isinstance(kinds, list) and "null" in kinds:
            return None
        if "enum" in schema:
            return schema["enum"][0]
        if any(name in schema for name in ("anyOf", "oneOf")):
            return self._default((schema.get("anyOf") or schema["oneOf"])[0])
        if kind == "object":
            properties = schema.get("properties", {})
            return {name: self._default(properties[name]) for name in schema.get("required", ())}
        if kind == "string":
            formats = {"uri": "https://github.example/", "date-time": "2026-01-01T00:00:00Z"}
            return formats.get(schema.get("format", ""), "")
        return {"integer": 0, "number": 0, "boolean": False, "array": []}[kind]

    def _follow(self, part: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in part:
            found: Any = self.document
            for name in part["$ref"].partition("#/")[2].split("/"):
                found = found[name]
            part = found
        return part

    def _faults(self, schema: dict[str, Any], value: Any) -> list[str]:
        """What is wrong with `value`; the same is asked thousands of times, and answered once."""
        key = id(schema), json.dumps(value)
        if key not in self._answered:
            self._answered[key] = self._validate(schema, value)
        return self._answered[key]

    def _validate(self, schema: dict[str, Any], value: Any) -> list[str]:
        found = Draft4Validator(
            schema, registry=self._registry, format_checker=Draft4Validator.FORMAT_CHECKER
        ).iter_errors(value)
        return [
            f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
            for error in found
            if not (error.instance is None and error.absolute_path and error.absolute_path[-1] in DEFECTS)
        ]


@cache
def contract() -> Contract:
    """The contract, read once."""
    return Contract()


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    return re.compile(
        "".join(
            re.escape(part) if place % 2 == 0 else f"(?P<{part}>{'.+' if part in SLASHED else '[^/]+'})"
            for place, part in enumerate(parts)
        )
    )


def _translate(part: Any) -> Any:
    """OpenAPI 3.0 in the words of JSON Schema: what is nullable has null among its types."""
    if isinstance(part, list):
        return [_translate(each) for each in part]
    if not isinstance(part, dict):
        return part
    found = {key: _translate(value) for key, value in part.items()}
    if isinstance(found.get("$ref"), str):
        found["$ref"] = ROOT + found["$ref"]
    if found.get("nullable") is True:
        del found["nullable"]
        if "type" in found:
            found["type"] = [found["type"], "null"]
        elif "enum" not in found:
            return {"anyOf": [found, {"type": "null"}]}
    return found
