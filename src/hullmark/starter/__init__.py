"""What `hullmark init` puts into a repository: a configuration for what is there, workflows, a Renovate file.

Rules (each has a test with the same words):
- a file that is there is never overwritten, and nothing is asked;
- a second run changes nothing;
- what is written is read by Hullmark without a complaint;
- workflows are written only where it is known which commit of Hullmark they shall install.
"""

from __future__ import annotations

import re
from enum import StrEnum
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hullmark.errors import InputError, RepositoryError, UsageError
from hullmark.files import read_bounded, write_whole
from hullmark.image import MAX_NAME, parse_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_FILE = 1_000_000
WORKFLOWS = ".github/workflows"
INSTALL = ".github/hullmark/install.sh"
IGNORED = (".hullmark/", ".cache/", "dist/", "reports/trivy/", "audit-logs/.lock")
ATTRIBUTES = ("audit-logs/** -text -merge", "cve-baseline/** -text")
BUILT_FROM = ("image.toml", "Dockerfile")

_COMMIT = re.compile(r"[0-9a-f]{40}")
_ADDRESS = re.compile(r"https://[A-Za-z0-9._~/-]+")


class State(StrEnum):
    """What becomes of a file."""

    NEW = "new"
    EXTENDED = "extended"
    """Lines are added at its end."""
    KEPT = "kept"
    """It was there, and stays as it is."""


class Origin(NamedTuple):
    """Which Hullmark the workflows install."""

    repository: str
    commit: str


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One file."""

    path: str
    state: State
    content: str = ""
    """The whole file as it will be; empty when it is kept."""


def parse_origin(text: str) -> Origin:
    """`ADDRESS@COMMIT`, or raise UsageError."""
    repository, _, commit = text.rpartition("@")
    if not _ADDRESS.fullmatch(repository) or not _COMMIT.fullmatch(commit):
        raise UsageError(
            f"{text!r} does not say which Hullmark to install",
            hint="Give the https address of its repository, @, and the 40 digits of a commit.",
        )
    return Origin(repository, commit)


def plan(root: Path, origin: Origin | None) -> tuple[Planned, ...]:
    """What would be written into `root`, sorted by path."""
    planned = [
        _new(root, "hullmark.toml", _configuration(root)),
        _new(root, "exemptions.toml", _shipped("exemptions.toml")),
        _new(root, "renovate.json", _shipped("renovate.json")),
        _lines(root, ".gitignore", IGNORED),
        _lines(root, ".gitattributes", ATTRIBUTES),
    ]
    if origin is not None:
        install = _shipped("install.sh").replace("@REPOSITORY@", origin.repository)
        planned.append(_new(root, INSTALL, install.replace("@COMMIT@", origin.commit)))
        planned += [_new(root, f"{WORKFLOWS}/{name}", text) for name, text in shipped_workflows()]
    return tuple(sorted(planned, key=lambda each: each.path))


def write(root: Path, planned: tuple[Planned, ...]) -> None:
    """Write what is new or extended."""
    for each in planned:
        if each.state is not State.KEPT:
            write_whole(root / each.path, each.content.encode())


def shipped_workflows() -> Iterator[tuple[str, str]]:
    """Name and text of every workflow that is shipped, sorted."""
    for file in sorted((files(__name__) / "workflows").iterdir(), key=lambda each: each.name):
        yield file.name, file.read_text(encoding="utf-8")


def find_images(root: Path) -> dict[str, str]:
    """Name -> folder below `root` of everything that looks like an image; empty when nothing does."""
    found: dict[str, str] = {}
    for place in (root, *_folders(root), *_folders(root / "images")):
        if any((place / name).is_file() for name in BUILT_FROM):
            name = re.sub(r"[^a-z0-9]+", "-", place.resolve().name.lower()).strip("-")[:MAX_NAME].strip("-")
            try:
                found.setdefault(parse_name(name or "app"), place.relative_to(root).as_posix())
            except UsageError:  # reserved for Hullmark's own files
                found.setdefault(f"{name}-image", place.relative_to(root).as_posix())
    return dict(sorted(found.items()))


def _folders(place: Path) -> list[Path]:
    if not place.is_dir() or place.is_symlink():
        return []
    return sorted(
        child
        for child in place.iterdir()
        if child.is_dir() and not child.is_symlink() and not child.name.startswith(".")
    )


def _configuration(root: Path) -> str:
    """`hullmark.toml` with a table for each image."""
    found = find_images(root) or {"app": "images/app"}
    lines = ["# What Hullmark looks after in this repository.", "version = 1"]
    for name, folder in found.items():
        lines += ["", f"[images.{name if '.' not in name else f'{chr(34)}{name}{chr(34)}'}]"]
        lines += [f'path = "{folder}"'] if folder != f"images/{name}" else []
        lines += ['platforms = ["linux/amd64"]']
    return "\n".join(lines) + "\n" + _shipped("settings.toml")


def _shipped(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")


def _new(root: Path, path: str, content: str) -> Planned:
    if _is_there(root, path):
        return Planned(path=path, state=State.KEPT)
    return Planned(path=path, state=State.NEW, content=content)


def _lines(root: Path, path: str, wanted: tuple[str, ...]) -> Planned:
    """A file of lines, to which those are added that it lacks."""
    if not _is_there(root, path):
        return Planned(path=path, state=State.NEW, content="".join(f"{line}\n" for line in wanted))
    file = root / path
    try:
        text = read_bounded(file, MAX_FILE).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}", file=file) from error
    held = {line.strip().lstrip("/") for line in text.splitlines()}
    missing = [line for line in wanted if line not in held]
    if not missing:
        return Planned(path=path, state=State.KEPT)
    joint = "" if not text or text.endswith("\n") else "\n"
    added = "".join(f"{line}\n" for line in missing)
    return Planned(path=path, state=State.EXTENDED, content=f"{text}{joint}{added}")


def _is_there(root: Path, path: str) -> bool:
    """Whether something lies at `path`. RepositoryError where a link leads there: it is not followed."""
    place = root
    for part in path.split("/"):
        place /= part
        if place.is_symlink():
            raise RepositoryError(
                f"{place}: is a symbolic link; files are written to real folders only",
                hint="Remove the link, then run the command again.",
            )
    return place.exists()
