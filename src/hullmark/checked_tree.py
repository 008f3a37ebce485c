"""What a check of the repository looked at, and with which tools: evidence in place of an SBOM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from hullmark.errors import RepositoryError
from hullmark.image import Digest
from hullmark.scan import Scanner

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hullmark.finding import Finding


class CheckedTree(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The evidence beside the findings of a check. `version` is that of this document."""

    version: Literal[1] = 1
    digest: Digest
    """Of the names and contents of all files that were looked at."""
    commit: str = ""
    """The commit that the files are; empty where the working tree differed from it."""
    tools: tuple[Scanner, ...]
    """Sorted by name."""


def changed_tools(before: CheckedTree, after: CheckedTree) -> frozenset[str]:
    """Names of tools that looked at both trees, with other bytes, version or rules."""
    then = {tool.name: tool for tool in before.tools}
    return frozenset(tool.name for tool in after.tools if then.get(tool.name, tool) != tool)


def today_of(
    recorded: Iterable[Finding], again: Iterable[Finding], changed: frozenset[str]
) -> tuple[Finding, ...]:
    """What base shows with today's tools: as recorded, but for the tools that changed as seen again."""
    return (
        *(finding for finding in recorded if finding.package_type not in changed),
        *(finding for finding in again if finding.package_type in changed),
    )


_DECODER = msgspec.json.Decoder(CheckedTree)


def format_checked_tree(tree: CheckedTree) -> bytes:
    """The document's bytes; equal documents have equal bytes."""
    return msgspec.json.encode(tree, order="sorted")


def parse_checked_tree(data: bytes, *, place: str) -> CheckedTree:
    """Read a document that was stored. `place` is named by the error."""
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RepositoryError(
            f"{place}: does not say what was checked: {error}",
            hint="It was written by another version, or is evidence of another kind.",
        ) from error
