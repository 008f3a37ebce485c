"""Whether a lock is byte for byte what resolving gives at the signed lists that its header names.

Rules (each has a test with the same words):

1. The definition, the sources of its helpers and the lock before are those that lie here; of the other lock
   only its text is read.
2. A list counts by the hash that the header names and by its signature, wherever it was had from.
3. A list that is older than that of the lock before, or has expired, proves nothing.
4. Every byte must be the same: packages, header and helpers.
5. A list that no mirror has any more proves nothing, and is told apart: then the image is locked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hullmark.build.definition import DEFINITION_FILE, LOCK_FILE, load_definition
from hullmark.build.fetch import digest_of
from hullmark.build.index import MAX_RELEASE_BYTES, Suite
from hullmark.build.lock import archive_of_suite, format_lock, load_lock, parse_lock
from hullmark.build.mirror import instant_of
from hullmark.build.refresh import choose, compiled
from hullmark.build.release import read_release
from hullmark.errors import HullmarkError, NetworkError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hullmark.build.definition import Definition
    from hullmark.build.fetch import Fetcher
    from hullmark.build.lock import Index, Lock
    from hullmark.build.mirror import Sources
    from hullmark.build.release import Trust

SNAPSHOT_HOURS = (0, 6, 12, 24)
"""How long after a list was signed a snapshot archive is asked for it: it takes some hours to have it."""


def doubt(data: bytes, folder: Path, *, fetcher: Fetcher, sources: Sources, trust: Trust) -> str:
    """Why the lock in `data` is not proved for the image in `folder`; empty when it is.

    NetworkError when what it takes to say so cannot be had.
    """
    try:
        return _doubt(data, folder, fetcher, sources, trust)
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except NetworkError:
        raise
    except HullmarkError as error:
        return f"it cannot be resolved again: {error.message}"


def _doubt(data: bytes, folder: Path, fetcher: Fetcher, sources: Sources, trust: Trust) -> str:
    lock = parse_lock(data.decode(), file="the lock")
    definition, before = load_definition(folder), load_lock(folder / LOCK_FILE)
    if fault := _misnamed(lock, definition):
        return fault
    made = before
    if (lock.indexes, lock.packages) != (before.indexes, before.packages):
        known = {index.suite: index for index in before.indexes}
        suites = [_read_named(each, known.get(each.suite), fetcher, sources, trust) for each in lock.indexes]
        file = folder / DEFINITION_FILE
        made, _ = choose(definition, suites, fetcher=fetcher, sources=sources, file=file)
    same = lock.helpers == before.helpers
    helpers = before.helpers if same else compiled(definition, folder, fetcher, leave=False)
    made = msgspec.structs.replace(made, helpers=helpers)
    return "" if format_lock(made).encode() == data else _difference(lock, made)


def _misnamed(lock: Lock, definition: Definition) -> str:
    """How the lists of the header are others than those of the definition; empty when they are not."""
    named = sorted(index.suite for index in lock.indexes)
    if named != sorted(definition.suites):
        taken = ", ".join(sorted(definition.suites))
        return f"it names lists of {', '.join(named)}, and the image takes {taken}"
    other = [index for index in lock.indexes if index.archive != archive_of_suite(index.suite)]
    return f"{other[0].suite} does not lie in {other[0].archive}" if other else ""


def _read_named(index: Index, known: Index | None, fetcher: Fetcher, sources: Sources, trust: Trust) -> Suite:
    """The list that `index` names, believed as when an image is locked. NetworkError when nobody has it."""
    faults: list[NetworkError] = []
    for address in _addresses(index, sources):
        try:
            data = fetcher.read(f"{address}/dists/{index.suite}/InRelease", limit=MAX_RELEASE_BYTES)
        except NetworkError as error:
            faults.append(error)
            continue
        if data is not None and digest_of(data) == index.release:
            # Judged by today, also where it is a snapshot's: what has expired since proves nothing.
            file = f"InRelease of {index.suite}"
            release = read_release(data, suite=index.suite, trust=trust, locked=known, file=file)
            read = msgspec.structs.replace(index, date=release.date)
            return Suite(index=read, address=address, release=release)
    if faults:
        raise faults[0]
    raise NetworkError(
        f"no mirror has the list of {index.suite} that it names any more",
        hint="The next run of update-locks locks it again.",
    )


def _addresses(index: Index, sources: Sources) -> Iterator[str]:
    yield from sources.addresses(index.archive)
    if sources.snapshot:
        for hours in SNAPSHOT_HOURS:
            yield from sources.at(instant_of(index.date + hours * 3600)).addresses(index.archive)


def _difference(lock: Lock, made: Lock) -> str:
    """The first thing in which `lock` is another than what resolving gives."""
    held = {(each.name, each.architecture): each for each in lock.packages}
    right = {(each.name, each.architecture): each for each in made.packages}
    for key in sorted(held.keys() | right.keys()):
        one, other = held.get(key), right.get(key)
        if one != other:
            gives = (
                f"resolving gives {other.version} of {other.suite}" if other else "the image does not take it"
            )
            has = f"{one.version} of {one.suite}" if one else "not there"
            same = (
                one is not None
                and other is not None
                and (one.version, one.suite) == (other.version, other.suite)
            )
            return f"{key[0]} ({key[1]}) is {has}, and {gives}" + (" with another file" if same else "")
    if lock.helpers != made.helpers:
        return "its helpers are not what their sources compile to"
    if lock.indexes != made.indexes:
        return "its header states another date than the signed list"
    return "its text is not what `hullmark lock` writes"
