"""What `--base` and `--head` of `hullmark gate` name, brought together image by image.

    --base FILE-OR-REF --head FILE-OR-REF                    one image
    --base NAME --head FILE-OR-REF                           NAME's baseline in this repository
    --base NAME=FILE-OR-REF --head NAME=FILE-OR-REF ...      several images
    --base NAME@OS/ARCH=... --head NAME@OS/ARCH=...          several platforms

Rules (each has a test with the same words):
- each side of an image and platform is given once;
- an image that is only in base was not scanned, and blocks; one that is only in head has no base;
- a name of hullmark.toml stands for its baseline, which must be what the ledger says.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hullmark.baseline import file_stem
from hullmark.commands.options import locate
from hullmark.config import Project  # noqa: TC001 - NamedTuple fields
from hullmark.decision import Absence, Missing, Seen
from hullmark.errors import UsageError
from hullmark.files import read_bounded
from hullmark.gate import Trial
from hullmark.image import Platform, parse_platform
from hullmark.journal import Journal  # noqa: TC001 - NamedTuple fields
from hullmark.pipeline import Source
from hullmark.progress import Progress  # noqa: TC001 - NamedTuple fields
from hullmark.projection import BASELINES, read_baseline
from hullmark.scanners.trivy import sbom as cyclonedx

if TYPE_CHECKING:
    from collections.abc import Iterable

UNNAMED = "image"
"""What an image is called that nobody named."""

_NAMED = re.compile(r"(?P<name>[a-z0-9]+(?:[._-][a-z0-9]+)*)(?:@(?P<platform>[a-z0-9/]+))?=(?P<place>.*)")


class Finder(NamedTuple):
    """Where sides are looked for."""

    root: Path
    project: Project | None
    journal: Journal
    platform: Platform
    """Of whatever names none itself."""
    progress: Progress


class _Given(NamedTuple):
    """One value of an option."""

    name: str
    """Empty where none was given."""
    platform: Platform
    place: str
    """A file, a reference, or the name of an image of this repository."""


def find_trials(bases: Iterable[str], heads: Iterable[str], finder: Finder) -> tuple[Trial, ...]:
    """One trial for each image and platform that is named, sorted."""
    before, after = (
        [_parse(text, finder) for text in bases],
        [_parse(text, finder) for text in heads],
    )
    _refuse_unclear([*before, *after])
    if not before and not after:
        raise UsageError("nothing to compare", hint="Give --base and --head.")
    sides = {"--base": _by_label(before, "--base"), "--head": _by_label(after, "--head")}
    name = _common_name([*before, *after], finder)
    return tuple(
        Trial(
            image=label[0] or name,
            platform=str(label[1]),
            base=_find(sides["--base"].get(label), name, finder, Absence.NEVER_RECORDED),
            head=_find(sides["--head"].get(label), name, finder, Absence.NOT_SCANNED),
        )
        for label in sorted(sides["--base"].keys() | sides["--head"].keys())
    )


def _parse(text: str, finder: Finder) -> _Given:
    match = _NAMED.fullmatch(text)
    if match is None or Path(text).exists():
        return _Given("", finder.platform, text)
    if not match["place"]:
        raise UsageError(f"{text!r} names no file", hint="Write NAME=FILE-OR-REF, or NAME alone.")
    platform = parse_platform(match["platform"]) if match["platform"] else finder.platform
    return _Given(match["name"], platform, match["place"])


def _refuse_unclear(given: list[_Given]) -> None:
    if len({bool(one.name) for one in given}) > 1:
        raise UsageError(
            "some sides are named and others are not",
            hint="With NAME=... give a name to every --base and --head.",
        )


def _by_label(given: list[_Given], option: str) -> dict[tuple[str, Platform], _Given]:
    found: dict[tuple[str, Platform], _Given] = {}
    for one in given:
        if (one.name, one.platform) in found:
            what = f"{one.name} {one.platform}".strip()
            raise UsageError(
                f"{option} is given twice for {what}", hint="For several images write NAME=FILE-OR-REF."
            )
        found[one.name, one.platform] = one
    return found


def _is_configured(place: str, finder: Finder) -> bool:
    known = {image.name for image in finder.project.images} if finder.project else set()
    return place in known and not Path(place).exists()


def _common_name(given: list[_Given], finder: Finder) -> str:
    """What an image is called whose sides have no names: as hullmark.toml or its own SBOM calls it."""
    for one in given:
        if _is_configured(one.place, finder):
            return one.place
    for one in given:
        path = Path(one.place)
        if path.is_file() and Source(image="", platform=one.platform, path=path).seen is Seen.SBOM:
            data = read_bounded(path, cyclonedx.MAX_SBOM)
            root = cyclonedx.read_document(data, file=path).metadata.component
            if root.ref == cyclonedx.ROOT:
                return root.name
    return UNNAMED


def _find(given: _Given | None, name: str, finder: Finder, absence: Absence) -> Source | Missing:
    if given is None:
        return Missing(reason=absence)
    image = given.name or name
    settings = [one for one in (finder.project.images if finder.project else ()) if one.name == image]
    types = settings[0].package_types if settings else ()
    if _is_configured(given.place, finder):
        if given.place != image:
            raise UsageError(f"{given.place!r} is another image than {image!r}")
        sbom = read_baseline(finder.journal, finder.root, image, str(given.platform))
        path = finder.root / BASELINES / f"{file_stem(image, str(given.platform))}.cdx.json"
        return Source(image=image, platform=given.platform, path=path, sbom=sbom, package_types=types)
    path = locate(given.place, root=finder.root, platform=given.platform, progress=finder.progress)
    is_named = image != UNNAMED
    return Source(image=image, platform=given.platform, path=path, package_types=types, is_named=is_named)
