"""What is proposed: a new lock of one image, what it changes, and what that is predicted to do."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from hullmark.build.changes import Change
from hullmark.build.lock import Lock, format_lock
from hullmark.errors import InputError
from hullmark.finding import Severity
from hullmark.image import Digest

MAX_PROPOSALS = 64 << 20


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the document that is handed over."""


class Vulnerability(_Part, frozen=True, kw_only=True, order=True):
    """One vulnerability of one source package."""

    id: str
    source: str
    severity: Severity
    packages: tuple[str, ...]
    """The binary packages that carry it, sorted."""


class Effect(_Part, frozen=True, kw_only=True):
    """What the new packages do, by both locks alone, matched with one scanner and one database."""

    platform: str
    resolved: tuple[Vulnerability, ...] = ()
    introduced: tuple[Vulnerability, ...] = ()
    database: str = ""
    """Its date."""
    unknown: str = ""
    """Why nothing is predicted; then the rest says nothing."""


class Proposal(_Part, frozen=True, kw_only=True):
    """A new lock for one image."""

    image: str
    before: Digest
    """Of the lock that it replaces."""
    definition: Digest
    """Of the `image.toml` that it was resolved from."""
    lock: str
    """Its text."""
    changes: tuple[Change, ...]
    effects: tuple[Effect, ...] = ()
    """One a platform."""


class Failure(_Part, frozen=True, kw_only=True):
    """An image that could not be resolved again."""

    image: str
    reason: str
    hint: str = ""


class Proposals(_Part, frozen=True, kw_only=True):
    """What was found for all images that were asked for. `version` is that of this document."""

    version: Literal[1] = 1
    proposals: tuple[Proposal, ...] = ()
    current: tuple[str, ...] = ()
    """Images whose locks already name the newest packages."""
    failures: tuple[Failure, ...] = ()


def read_proposals(data: bytes, *, file: str) -> Proposals:
    """The document that `data` holds, or InputError."""
    try:
        return msgspec.json.decode(data, type=Proposals)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"no proposals: {error}", file=file) from error


def content_of(lock: Lock) -> Digest:
    """What names the packages and helpers of a lock, whichever lists they were chosen from."""
    lines = format_lock(lock).splitlines()
    kept = "".join(f"{line}\n" for line in lines if line.startswith(("package ", "helper ")))
    return Digest(f"sha256:{hashlib.sha256(kept.encode()).hexdigest()}")
