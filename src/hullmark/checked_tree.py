"""What a check of the repository looked at, and with which tools: evidence in place of an SBOM."""

from __future__ import annotations

from typing import Literal

import msgspec

from hullmark.errors import RepositoryError
from hullmark.image import Digest
from hullmark.scan import Scanner


class CheckedTree(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The evidence beside the findings of a check. `version` is that of this document."""

    version: Literal[1] = 1
    digest: Digest
    """Of the names and contents of all files that were looked at."""
    commit: str = ""
    """The commit that the files are; empty where the working tree differed from it."""
    tools: tuple[Scanner, ...]
    """Sorted by name."""


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
