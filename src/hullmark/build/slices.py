"""Slices: which files of a package an image ships.

A pattern is a path in which `*` and `?` match within one folder and `**` matches over folders; `{triplet}`
stands for the platform's library folder, as `x86_64-linux-gnu`. A pattern that matches nothing is an error:
a file that upstream moved must not vanish from an image unseen.

Of every package the licence (`usr/share/doc/<package>/copyright`) is shipped, and of the rest of the
documentation nothing, whatever the patterns say.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from hullmark.errors import UsageError

if TYPE_CHECKING:
    from hullmark.image import Platform

TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}

_DOCUMENTATION = re.compile(r"usr/share/(doc|doc-base|man|locale|lintian|bug|info)/.*")
_TOKEN = re.compile(r"\*\*|\*|\?|[^*?]+")
_REGEX = {"**": ".*", "*": "[^/]*", "?": "[^/]"}


def architecture_of(platform: Platform) -> str:
    """Debian's word for the platform's architecture; OCI uses the same for those known here."""
    if platform.os != "linux" or platform.architecture not in TRIPLETS or platform.variant:
        known = ", ".join(f"linux/{name}" for name in TRIPLETS)
        raise UsageError(f"cannot build for {platform}", hint=f"Known platforms: {known}.")
    return platform.architecture


@cache
def compile_pattern(pattern: str, triplet: str) -> re.Pattern[str]:
    """`pattern` as a regular expression for whole paths."""
    tokens = _TOKEN.findall(pattern.replace("{triplet}", triplet))
    return re.compile("".join(_REGEX.get(token) or re.escape(token) for token in tokens))


def is_licence(path: str, package: str) -> bool:
    """Whether `path` is the licence of `package`, or its documentation folder linked to another package's."""
    return path in (f"usr/share/doc/{package}/copyright", f"usr/share/doc/{package}")


def is_documentation(path: str) -> bool:
    """Whether `path` is documentation, which no image ships."""
    return _DOCUMENTATION.fullmatch(path) is not None
