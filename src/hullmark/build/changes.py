"""What differs between two locks of an image, and which of it is a security update.

The same version with another hash is refused: Debian never changes a published version.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cmp_to_key
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from hullmark.build.lock import Lock, LockedHelper, LockedPackage


class Kind(StrEnum):
    """How a package's lock changes."""

    ADDED = "added"
    REMOVED = "removed"
    NEWER = "newer"
    OLDER = "older"
    """The locked version is no longer offered, in an index that is not older than the lock's."""
    MOVED = "moved"
    """The same file in another suite, as at a point release."""
    COMPILED = "compiled"
    """A helper whose source or compiler changed; its versions are digests."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A package whose lock changes; an empty version means it was not there."""

    package: str
    architecture: str
    kind: Kind
    before: str
    after: str
    suite: str = ""
    """Which the new version comes from."""
    security: str = ""
    """The security suite that offers a newer version than the locked one, if any does."""


def newest(packages: Iterable[LockedPackage]) -> LockedPackage:
    """The highest version by Debian's rules (Debian Policy §5.6.12), of equal ones the first."""

    def by_version(one: LockedPackage, other: LockedPackage) -> int:
        return _order(one.version, other.version)

    return max(packages, key=cmp_to_key(by_version))


def _order(one: str, other: str) -> int:
    from debian.debian_support import version_compare  # noqa: PLC0415 - only locking pays for it

    return version_compare(one, other)


def compare(
    old: Lock | None, new: Lock, offered: Sequence[LockedPackage], *, file: Path
) -> tuple[Change, ...]:
    """What comes, goes and changes from `old` to `new`, by name and architecture.

    `offered` is all that the suites have; `file` is the lock's name for messages.
    """
    before = {(package.name, package.architecture): package for package in old.packages} if old else {}
    after = {(package.name, package.architecture): package for package in new.packages}
    packages = tuple(
        _change(before.get(key), after.get(key), offered, file)
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    )
    return packages + _compiled(old.helpers if old else (), new.helpers)


def _compiled(old: Sequence[LockedHelper], new: Sequence[LockedHelper]) -> tuple[Change, ...]:
    before = {(helper.path, helper.architecture): helper for helper in old}
    after = {(helper.path, helper.architecture): helper for helper in new}
    return tuple(
        Change(
            package=path,
            architecture=architecture,
            kind=Kind.COMPILED,
            before=_object(before.get((path, architecture))),
            after=_object(after.get((path, architecture))),
        )
        for path, architecture in sorted(before.keys() | after.keys())
        if before.get((path, architecture)) != after.get((path, architecture))
    )


def _object(helper: LockedHelper | None) -> str:
    return f"{helper.digest} by {helper.compiler}" if helper else ""


def _change(
    before: LockedPackage | None, after: LockedPackage | None, offered: Sequence[LockedPackage], file: Path
) -> Change:
    known = after or before
    if known is None:
        raise ValueError("neither before nor after")
    return Change(
        package=known.name,
        architecture=known.architecture,
        kind=_kind(before, after, file),
        before=before.version if before else "",
        after=after.version if after else "",
        suite=after.suite if after else "",
        security=_security(before, offered) if before and after else "",
    )


def _kind(before: LockedPackage | None, after: LockedPackage | None, file: Path) -> Kind:
    if before is None:
        return Kind.ADDED
    if after is None:
        return Kind.REMOVED
    order = _order(after.version, before.version)
    if order:
        return Kind.NEWER if order > 0 else Kind.OLDER
    if after.digest != before.digest:
        raise InputError(
            f"{after.version} is locked with {before.digest}, and {after.suite} now gives {after.digest}",
            file=file,
            key=after.name,
            hint="Debian never changes a published version. To take it anyway delete packages.lock first.",
        )
    return Kind.MOVED


def _security(before: LockedPackage, offered: Sequence[LockedPackage]) -> str:
    """The security suite that has a newer version than `before`, whichever suite the newest comes from."""
    place = (before.name, before.architecture)
    for package in offered:
        if (
            package.suite.endswith("-security")
            and (package.name, package.architecture) == place
            and _order(package.version, before.version) > 0
        ):
            return package.suite
    return ""
