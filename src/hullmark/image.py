"""What names an image: its name in this repository, its content digest, its platform."""

from __future__ import annotations

import re
from typing import NewType

import msgspec

from hullmark.errors import UsageError

ImageName = NewType("ImageName", str)
"""A name from `hullmark.toml`: `[a-z0-9]+([._-][a-z0-9]+)*`, at most 64 characters, not reserved."""

Digest = NewType("Digest", str)
"""`sha256:` and 64 lower-case hexadecimal digits (OCI image specification, descriptor digests)."""

MAX_NAME = 64
REPOSITORY = "repository"
"""The name under which findings of the repository itself are kept."""
RESERVED_NAMES = frozenset({"runs", "evidence", REPOSITORY})

_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PLATFORM = re.compile(r"([a-z0-9]+)/([a-z0-9]+)(?:/([a-z0-9]+))?")


class Platform(msgspec.Struct, frozen=True, order=True):
    """An operating system and a processor architecture, as `linux/amd64`."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


LINUX_AMD64 = Platform("linux", "amd64")
SOURCE = Platform("source", "any")
"""Stands where an image has its platform, for what the built-in tools find in the repository's files."""


def parse_name(text: str) -> ImageName:
    """Return `text` as an image name, or raise UsageError."""
    if len(text) > MAX_NAME or not _NAME.fullmatch(text):
        raise UsageError(
            f"{text!r} is not an image name",
            hint=f"Use lower-case letters and digits with single . _ - between them, at most {MAX_NAME}.",
        )
    if text in RESERVED_NAMES:
        raise UsageError(f"{text!r} is reserved for Hullmark's own files", hint="Choose another name.")
    return ImageName(text)


def parse_digest(text: str) -> Digest:
    """Return `text` as a digest, or raise UsageError."""
    if not _DIGEST.fullmatch(text):
        raise UsageError(f"{text!r} is not a digest", hint="Expected sha256: and 64 hexadecimal digits.")
    return Digest(text)


def parse_platform(text: str) -> Platform:
    """Return `os/architecture[/variant]` as a platform, or raise UsageError."""
    match = _PLATFORM.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a platform", hint="Expected for example linux/amd64.")
    return Platform(match[1], match[2], match[3] or "")
