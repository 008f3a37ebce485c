"""From an image's package list to its lock: the newest version of each package over all its suites."""

from __future__ import annotations

import difflib
from functools import cmp_to_key
from typing import TYPE_CHECKING

import msgspec

from hullmark.build.definition import DEFINITION_FILE, LOCK_FILE, Definition, load_definition
from hullmark.build.index import read_suite
from hullmark.build.lock import Lock, LockedPackage, format_lock, load_lock
from hullmark.build.slices import architecture_of
from hullmark.errors import InputError
from hullmark.files import write_whole
from hullmark.image import parse_platform

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hullmark.build.fetch import Fetcher
    from hullmark.build.mirror import Sources


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A package whose lock changed; an empty version means it was not there."""

    package: str
    before: str
    after: str


class Locked(msgspec.Struct, frozen=True, kw_only=True):
    """What locking an image did."""

    path: str
    written: bool
    changes: tuple[Change, ...]
    packages: int


def lock_image(folder: Path, *, fetcher: Fetcher, sources: Sources, refresh: bool) -> Locked:
    """Bring the lock of the image in `folder` up to date.

    Without `refresh` a lock that names exactly the declared packages is left alone. A lock whose packages
    are already the newest keeps its bytes: its date moves only when its content does. Whatever fails, the
    old lock stays as it was.
    """
    definition = load_definition(folder)
    path = folder / LOCK_FILE
    old = load_lock(path) if path.exists() else None
    if old is not None and not refresh and not disagreement(definition, old):
        return Locked(path=str(path), written=False, changes=(), packages=len(old.packages))
    new = resolve(definition, fetcher=fetcher, sources=sources, file=folder / DEFINITION_FILE)
    if old is not None and new.packages == old.packages:
        return Locked(path=str(path), written=False, changes=(), packages=len(old.packages))
    write_whole(path, format_lock(new).encode())
    changes = tuple(compare(old.packages if old else (), new.packages))
    return Locked(path=str(path), written=True, changes=changes, packages=len(new.packages))


def resolve(definition: Definition, *, fetcher: Fetcher, sources: Sources, file: Path) -> Lock:
    """The newest packages that the definition's suites offer."""
    architectures = [architecture_of(parse_platform(platform)) for platform in definition.platforms]
    names = definition.packages.keys()
    suites = []
    for suite in definition.suites:
        fetcher.progress.say(f"reading the index of {suite}")
        suites.append(read_suite(fetcher, sources, suite, architectures, names))
    offered = [package for suite in suites for package in suite.packages]
    chosen = tuple(
        _newest(offered, architecture, name, file) for architecture in architectures for name in sorted(names)
    )
    return Lock(indexes=tuple(sorted(suite.index for suite in suites)), packages=tuple(sorted(chosen)))


def _newest(offered: list[LockedPackage], architecture: str, name: str, file: Path) -> LockedPackage:
    found = [package for package in offered if (package.architecture, package.name) == (architecture, name)]
    if not found:
        raise InputError(
            f"no suite has this package for {architecture}",
            file=file,
            key=f"packages.{name}",
            hint="Check its spelling; library names change with Debian's releases.",
        )
    return newest(found)


def newest(packages: Iterable[LockedPackage]) -> LockedPackage:
    """The highest version by Debian's rules (Debian Policy §5.6.12), of equal ones the first."""
    from debian.debian_support import version_compare  # noqa: PLC0415 - only locking pays for it

    def by_version(one: LockedPackage, other: LockedPackage) -> int:
        return version_compare(one.version, other.version)

    return max(packages, key=cmp_to_key(by_version))


def disagreement(definition: Definition, lock: Lock) -> str:
    """How the lock's packages differ from the declared ones, empty when they do not."""
    for platform in definition.platforms:
        architecture = architecture_of(parse_platform(platform))
        locked = {package.name for package in lock.for_architecture(architecture)}
        missing = sorted(definition.packages.keys() - locked)
        extra = sorted(locked - definition.packages.keys())
        if missing:
            near = difflib.get_close_matches(missing[0], extra, n=1)
            return f"{missing[0]} is declared but not locked" + (f" ({near[0]} is)" if near else "")
        if extra:
            return f"{extra[0]} is locked but not declared"
    return ""


def compare(before: Iterable[LockedPackage], after: Iterable[LockedPackage]) -> list[Change]:
    """Which packages came, went or changed version, by name."""
    old = {package.name: package.version for package in before}
    new = {package.name: package.version for package in after}
    return [
        Change(package=name, before=old.get(name, ""), after=new.get(name, ""))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
