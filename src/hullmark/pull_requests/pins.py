"""Whether a change does nothing but move pins: the version or digest of an image that a Dockerfile names.

Rules (each has a test with the same words):
- only `FROM`, `COPY --from` and an `ARG` that holds a version may differ, and only in tag, version or digest;
- the image stays the same one, with the same suffix of its tag, and never loses its digest;
- a new digest and a new patch version are small steps; a minor or major version waits for a person;
- a file whose differing lines GitHub does not show is no pin.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hullmark.pull_requests.request import ChangedFile

_DOCKERFILE = re.compile(r"(?:.+/)?(?:Dockerfile(?:\.[\w.-]+)?|[\w.-]+\.Dockerfile)")
_REFERENCE = (
    r"(?P<name>[a-z0-9][\w./:-]*?)(?::(?P<tag>\w[\w.-]{0,127}))?(?:@sha256:(?P<digest>[0-9a-f]{64}))?"
)
_PINS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?P<before>FROM(?:\s+--platform=\S+)?\s+){_REFERENCE}(?P<after>(?:\s+AS\s+[\w.-]+)?\s*)",
        rf"(?P<before>COPY\s+--from=){_REFERENCE}(?P<after>\s+[^<]*)",
        r"(?P<before>ARG\s+)(?P<name>\w+_VERSION=[\"']?)(?P<tag>v?\d[\w.-]{0,127})(?P<digest>)(?P<after>[\"']?\s*)",
    )
)
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(.*)")
_PATCH = 3
"""Numbers of a version that has a patch level."""


class Step(IntEnum):
    """How far a pin moves."""

    DIGEST = 0
    PATCH = 1
    MINOR = 2
    """A minor or major version, or one that cannot be compared."""


class _Pin(NamedTuple):
    frame: tuple[str, ...]
    """What must be the same."""
    tag: str
    has_digest: bool


def pin_step(file: ChangedFile) -> Step | None:
    """How far the pins of a changed file move; None when it changes anything else."""
    if file.status != "modified" or file.patch is None or not _DOCKERFILE.fullmatch(file.path):
        return None
    lines = [line for line in file.patch.split("\n") if line[:1] in ("+", "-")]
    removed = [_read(line[1:]) for line in lines if line[0] == "-"]
    added = [_read(line[1:]) for line in lines if line[0] == "+"]
    if not removed or len(removed) != len(added):
        return None
    steps = []
    for old, new in zip(removed, added, strict=True):
        if old is None or new is None or old.frame != new.frame or old.has_digest > new.has_digest:
            return None
        steps.append(_step(old.tag, new.tag))
    return max(steps)


def _read(line: str) -> _Pin | None:
    """A line that is a pin; None for any other."""
    for pattern in _PINS:
        if (found := pattern.fullmatch(line)) is not None:
            return _Pin(
                (found["before"], found["name"], found["after"]), found["tag"] or "", bool(found["digest"])
            )
    return None


def _step(old: str, new: str) -> Step:
    if old == new:
        return Step.DIGEST
    before, after = _VERSION.fullmatch(old), _VERSION.fullmatch(new)
    if before is None or after is None or before[2] != after[2]:
        return Step.MINOR
    one, other = before[1].split("."), after[1].split(".")
    rises = [int(part) for part in other] > [int(part) for part in one]
    if len(one) == len(other) == _PATCH and one[:2] == other[:2] and rises:
        return Step.PATCH
    return Step.MINOR
