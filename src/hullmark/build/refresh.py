"""From an image's package list to its lock: the newest version of each package over all its suites.

Rules (each has a test with the same words):

1. Whatever fails, the old lock stays as it was.
2. A lock that names exactly the declared packages is left alone, unless the newest are asked for; what the
   helpers compile to is locked anew without asking anybody.
3. A lock whose packages are already the newest keeps its bytes: its date moves only when its content does.
4. A check writes nothing.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import msgspec

from hullmark.build.changes import Change, Kind, compare, newest
from hullmark.build.definition import DEFINITION_FILE, LOCK_FILE, Definition, load_definition
from hullmark.build.helpers import compile_helpers, compiler_cache, lock_helpers, write_objects
from hullmark.build.index import read_indexes, read_suite
from hullmark.build.lock import Index, Lock, LockedHelper, LockedPackage, format_lock, load_lock, parse_lock
from hullmark.build.slices import architecture_of
from hullmark.errors import InputError
from hullmark.files import write_whole
from hullmark.image import parse_platform

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hullmark.build.fetch import Fetcher
    from hullmark.build.index import Suite
    from hullmark.build.mirror import Sources
    from hullmark.build.release import Trust


class Locked(msgspec.Struct, frozen=True, kw_only=True):
    """What locking or checking an image found and did."""

    image: str
    path: str
    written: bool
    changes: tuple[Change, ...]
    packages: int
    indexes: tuple[Index, ...] = ()
    """The signed lists that were read; none when nothing had to be read."""

    @property
    def newer(self) -> tuple[Change, ...]:
        """The changes that make another image; a file that only moved does not."""
        return tuple(change for change in self.changes if change.kind is not Kind.MOVED)


def lock_image(folder: Path, *, fetcher: Fetcher, sources: Sources, trust: Trust, refresh: bool) -> Locked:
    """Bring the lock of the image in `folder` up to date; with `refresh`, to the newest packages."""
    definition = load_definition(folder)
    path = folder / LOCK_FILE
    old = load_lock(path) if path.exists() else None
    helpers = compiled(definition, folder, fetcher, leave=True)
    if old is not None and not refresh and not disagreement(definition, old):
        if old.helpers == helpers:
            return _locked(folder, old, ())
        new, offered = old, list(old.packages)
    else:
        new, offered = resolve(
            definition, fetcher=fetcher, sources=sources, trust=trust, old=old, file=folder / DEFINITION_FILE
        )
    indexes = () if new is old else new.indexes
    kept = old if old is not None and new.packages == old.packages else new
    new = msgspec.structs.replace(kept, helpers=helpers)
    changes = compare(old, new, offered, file=path)
    if new == old:
        return _locked(folder, new, (), indexes=indexes)
    text = format_lock(new)
    _check_readable(text)
    write_whole(path, text.encode())
    return _locked(folder, new, changes, indexes=indexes, written=True)


def _check_readable(text: str) -> None:
    """Refuse, before the old lock is replaced, what an index names and no lock can hold."""
    try:
        parse_lock(text, file="the new packages.lock")
    except InputError as error:
        raise InputError(
            "an index names what no lock can hold", file=error.file, key=error.key, hint="Try another mirror."
        ) from error


class Relocked(msgspec.Struct, frozen=True, kw_only=True):
    """The lock of an image as it is, and as `lock_image` with `refresh` would make it."""

    old: Lock
    new: Lock
    changes: tuple[Change, ...]
    indexes: tuple[Index, ...]
    """The signed lists that were read."""


def check_image(folder: Path, *, fetcher: Fetcher, sources: Sources, trust: Trust) -> Locked:
    """What `lock_image` with `refresh` would change. Nothing is written but the cache."""
    found = relock(folder, fetcher=fetcher, sources=sources, trust=trust)
    return _locked(folder, found.old, found.changes, indexes=found.indexes)


def relock(folder: Path, *, fetcher: Fetcher, sources: Sources, trust: Trust) -> Relocked:
    """The lock that `lock_image` with `refresh` would write. Nothing is written but the cache."""
    definition = load_definition(folder)
    path = folder / LOCK_FILE
    if not path.exists():
        raise InputError("there is no lock to check", file=path, hint=f"Run `hullmark lock {folder.name}`.")
    old = load_lock(path)
    resolved, offered = resolve(
        definition, fetcher=fetcher, sources=sources, trust=trust, old=old, file=folder / DEFINITION_FILE
    )
    kept = old if resolved.packages == old.packages else resolved
    new = msgspec.structs.replace(kept, helpers=compiled(definition, folder, fetcher, leave=False))
    _check_readable(format_lock(new))
    changes = compare(old, new, offered, file=path)
    return Relocked(old=old, new=new, changes=changes, indexes=resolved.indexes)


def compiled(
    definition: Definition, folder: Path, fetcher: Fetcher, *, leave: bool
) -> tuple[LockedHelper, ...]:
    """What the image's helpers compile to on all its platforms; with `leave`, left there for a Dockerfile."""
    cache = compiler_cache(fetcher.cache.folder)
    found: list[LockedHelper] = []
    for architecture in _architectures(definition):
        objects = compile_helpers(definition, folder, architecture, cache=cache)
        if leave:
            write_objects(objects, folder, architecture)
        found += lock_helpers(objects, architecture)
    return tuple(sorted(found))


def _locked(
    folder: Path,
    lock: Lock,
    changes: tuple[Change, ...],
    *,
    indexes: tuple[Index, ...] = (),
    written: bool = False,
) -> Locked:
    return Locked(
        image=folder.name,
        path=str(folder / LOCK_FILE),
        written=written,
        changes=changes,
        packages=len(lock.packages),
        indexes=indexes,
    )


def resolve(
    definition: Definition, *, fetcher: Fetcher, sources: Sources, trust: Trust, old: Lock | None, file: Path
) -> tuple[Lock, list[LockedPackage]]:
    """The newest packages for all the definition's platforms, and all that its suites offer."""
    known = {index.suite: index for index in old.indexes} if old else {}
    suites = []
    for suite in definition.suites:
        fetcher.progress.say(f"reading the index of {suite}")
        suites.append(
            read_suite(suite, fetcher=fetcher, sources=sources, trust=trust, locked=known.get(suite))
        )
    return choose(definition, suites, fetcher=fetcher, sources=sources, file=file)


def choose(
    definition: Definition, suites: Sequence[Suite], *, fetcher: Fetcher, sources: Sources, file: Path
) -> tuple[Lock, list[LockedPackage]]:
    """The newest packages over `suites` for all the definition's platforms, and all that they offer."""
    architectures = _architectures(definition)
    names = sorted(definition.packages)
    offered = read_indexes(suites, architectures, names, fetcher=fetcher, sources=sources)
    chosen = [_newest(offered, architecture, name, file) for architecture in architectures for name in names]
    indexes = tuple(sorted(suite.index for suite in suites))
    return Lock(indexes=indexes, packages=tuple(sorted(chosen))), offered


def _architectures(definition: Definition) -> tuple[str, ...]:
    return tuple(architecture_of(parse_platform(platform)) for platform in definition.platforms)


def _newest(offered: Sequence[LockedPackage], architecture: str, name: str, file: Path) -> LockedPackage:
    found = [package for package in offered if (package.architecture, package.name) == (architecture, name)]
    if not found:
        raise InputError(
            f"no suite has this package for {architecture}",
            file=file,
            key=f"packages.{name}",
            hint="Check its spelling; library names change with Debian's releases.",
        )
    return newest(found)


def disagreement(definition: Definition, lock: Lock) -> str:
    """How the lock's packages differ from the declared ones, empty when they do not."""
    architectures = _architectures(definition)
    for architecture in architectures:
        locked = {package.name for package in lock.for_architecture(architecture)}
        missing = sorted(definition.packages.keys() - locked)
        extra = sorted(locked - definition.packages.keys())
        if not locked:
            return f"nothing is locked for {architecture}"
        if missing:
            near = difflib.get_close_matches(missing[0], extra, n=1)
            return f"{missing[0]} is declared but not locked" + (f" ({near[0]} is)" if near else "")
        if extra:
            return f"{extra[0]} is locked but not declared"
    other = sorted({package.architecture for package in lock.packages} - set(architectures))
    return f"{other[0]} is locked, but no platform declares it" if other else ""
