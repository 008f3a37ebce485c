"""Cut GitHub's own descriptions of its interfaces down to what our tests ask of them.

    python scripts/vendor_github.py            # fetches the npm packages named below with npm
    python scripts/vendor_github.py FOLDER     # takes them from FOLDER/node_modules

What is kept is kept word for word, but for examples and prose. Every `$ref` leads to something that is kept.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphql import language, parse, print_ast

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = Path(__file__).resolve().parent.parent / "tests/github/described"
OPENAPI, OPENAPI_FILE = ("@octokit/openapi", "23.0.2"), "generated/api.github.com.json"
GRAPHQL, GRAPHQL_FILE = ("@octokit/graphql-schema", "15.26.1"), "schema.graphql"

OPERATIONS = (
    *("actions/create-workflow-dispatch", "actions/list-workflow-runs"),
    *("checks/create", "checks/list-for-ref", "checks/update"),
    *("code-scanning/get-sarif", "code-scanning/upload-sarif"),
    *("issues/create", "issues/create-comment", "issues/create-label", "issues/get", "issues/get-label"),
    *("issues/list-comments", "issues/list-for-repo", "issues/update", "issues/update-comment"),
    *("pulls/create", "pulls/get", "pulls/list", "pulls/list-commits", "pulls/list-files"),
    *("pulls/list-reviews", "pulls/update"),
    *("repos/get", "repos/get-branch", "repos/get-branch-rules", "repos/get-collaborator-permission-level"),
    "repos/list-pull-requests-associated-with-commit",
)
FIELDS: dict[str, tuple[str, ...]] = {
    "Query": ("repository", "viewer"),
    "Mutation": ("disablePullRequestAutoMerge", "enablePullRequestAutoMerge"),
    "DisablePullRequestAutoMergePayload": ("pullRequest",),
    "EnablePullRequestAutoMergePayload": ("pullRequest",),
    "Repository": ("autoMergeAllowed", "nameWithOwner", "pullRequest"),
    "PullRequest": ("autoMergeRequest", "baseRefName", "headRefOid", "id", "isDraft", "number", "state"),
    "AutoMergeRequest": ("enabledAt", "enabledBy", "mergeMethod"),
    "Actor": ("login",),
    "Bot": ("login",),
    "User": ("databaseId", "login"),
}
"""The fields that are kept of each type; inputs, enumerations and scalars are kept whole."""

_PROSE = frozenset(("description", "example", "examples", "externalDocs"))
_NAMED = frozenset(("headers", "parameters", "paths", "patternProperties", "properties", "responses"))


def main(arguments: list[str]) -> int:
    """Write the cuts, and where they come from."""
    HOME.mkdir(parents=True, exist_ok=True)
    if arguments:
        cut(Path(arguments[0]) / "node_modules")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        packages = ("@".join(OPENAPI), "@".join(GRAPHQL))
        command = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", *packages)
        subprocess.run(command, cwd=folder, check=True)
        cut(Path(folder) / "node_modules")
    return 0


def cut(modules: Path) -> None:
    """Write both cuts from the packages in `modules`."""
    openapi = _package(modules, *OPENAPI) / OPENAPI_FILE
    graphql = _package(modules, *GRAPHQL) / GRAPHQL_FILE
    (HOME / "rest.json").write_text(render(cut_openapi(json.loads(openapi.read_bytes()))))
    (HOME / "schema.graphql").write_text(cut_graphql(graphql.read_text()))
    licences = {OPENAPI: "LICENSE", GRAPHQL: "LICENSE.md"}
    texts = [f"{name}:\n\n{(modules / name / file).read_text()}" for (name, _), file in licences.items()]
    (HOME / "LICENSE").write_text("\n\n".join(text.strip() for text in texts) + "\n")
    source = {
        "rest.json": _origin(*OPENAPI, openapi, OPENAPI_FILE),
        "schema.graphql": _origin(*GRAPHQL, graphql, GRAPHQL_FILE),
    }
    (HOME / "source.json").write_text(json.dumps(source, indent=2) + "\n")


def _package(modules: Path, name: str, version: str) -> Path:
    found = json.loads((modules / name / "package.json").read_bytes())["version"]
    if found != version:
        raise SystemExit(f"{name} is {found}, expected {version}")
    return modules / name


def _origin(name: str, version: str, path: Path, file: str) -> dict[str, str]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"package": name, "version": version, "file": file, "sha256": digest, "licence": "MIT"}


def cut_openapi(whole: dict[str, Any]) -> dict[str, Any]:
    """The operations of `OPERATIONS` with everything that they refer to."""
    paths: dict[str, dict[str, Any]] = {}
    wanted = set(OPERATIONS)
    for path, methods in whole["paths"].items():
        for method, operation in methods.items():
            if operation.get("operationId") in wanted:
                wanted.discard(operation["operationId"])
                paths.setdefault(path, {})[method] = _plain(operation)
    if wanted:
        raise SystemExit(f"no such operation: {', '.join(sorted(wanted))}")
    components: dict[str, dict[str, Any]] = {}
    open_ = list(_references(paths))
    while open_:
        _, _, section, name = open_.pop().split("/", 3)
        if section != "examples" and name not in components.setdefault(section, {}):
            part = _plain(whole["components"][section][name])
            components[section][name] = part
            open_ += _references(part)
    return {"openapi": whole["openapi"], "paths": paths, "components": components}


def _plain(part: Any, *, named: bool = False) -> Any:  # noqa: ANN401 - any JSON
    """`part` without prose and examples. In a table of names a name may be `example`."""
    if isinstance(part, list):
        return [_plain(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        key: _plain(value, named=key in _NAMED and not named)
        for key, value in part.items()
        if named or not (key in _PROSE or key.startswith("x-"))
    }


def _references(part: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    values = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    if isinstance(part, dict) and isinstance(part.get("$ref"), str):
        yield part["$ref"]
    for value in values:
        yield from _references(value)


def render(document: dict[str, Any]) -> str:
    """The cut with one line a path and a component, so that a new version reads well in a diff."""
    lines = [f'{{"openapi":{json.dumps(document["openapi"])},"paths":{{']
    lines += [_lines(document["paths"]), '},"components":{']
    sections = sorted(document["components"].items())
    lines.append(",\n".join(f'"{name}":{{\n{_lines(section)}\n}}' for name, section in sections))
    return "\n".join([*lines, "}}"]) + "\n"


def _lines(section: dict[str, Any]) -> str:
    return ",\n".join(
        f"{json.dumps(name)}:{json.dumps(part, sort_keys=True, separators=(',', ':'))}"
        for name, part in sorted(section.items())
    )


def cut_graphql(text: str) -> str:
    """The types of `FIELDS` with those fields, and every input, enumeration and scalar that they need."""
    known = {
        each.name.value: each
        for each in parse(text, no_location=True).definitions
        if isinstance(each, language.TypeDefinitionNode)
    }
    kept: dict[str, str] = {}
    open_ = list(FIELDS)
    while open_:
        name = open_.pop()
        if name not in kept and name in known:
            node = _narrow(known[name], FIELDS.get(name))
            kept[name] = print_ast(node)
            open_ += _types(node)
    return "\n\n".join(kept[name] for name in sorted(kept)) + "\n"


def _narrow(node: Any, fields: tuple[str, ...] | None) -> Any:  # noqa: ANN401 - a node of graphql-core
    """`node` without prose, and with those of its fields only that are named."""
    parts: dict[str, Any] = {}
    if isinstance(node, (language.ObjectTypeDefinitionNode, language.InterfaceTypeDefinitionNode)):
        if fields is None:
            raise SystemExit(f"{node.name.value} is needed; name its fields")
        parts["interfaces"] = tuple(each for each in node.interfaces or () if each.name.value in FIELDS)
        parts["fields"] = tuple(_bare(each) for each in node.fields or () if each.name.value in fields)
    elif isinstance(node, language.InputObjectTypeDefinitionNode):
        parts["fields"] = tuple(map(_bare, node.fields or ()))
    elif isinstance(node, language.EnumTypeDefinitionNode):
        parts["values"] = tuple(map(_bare, node.values or ()))
    return replace(_bare(node), **parts)


def _bare(node: Any) -> Any:  # noqa: ANN401 - a node of graphql-core
    arguments = {"arguments": tuple(map(_bare, node.arguments))} if getattr(node, "arguments", ()) else {}
    return replace(node, description=None, directives=(), **arguments)


def _types(node: Any) -> Iterator[str]:  # noqa: ANN401 - a node of graphql-core
    for field in getattr(node, "fields", ()) or ():
        for member in (field, *(getattr(field, "arguments", ()) or ())):
            type_ = member.type
            while not isinstance(type_, language.NamedTypeNode):
                type_ = type_.type
            yield type_.name.value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
