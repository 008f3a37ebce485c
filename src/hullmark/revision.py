"""The repository as one commit has it, or as it lies on disk: files as data, and what images are built from.

Rules (each has a test with the same words):
- equal content gives the equal digest in the working tree and in a commit;
- what git ignores, and what Hullmark writes itself, is no input;
- nothing of a commit is checked out, and no link of it is followed;
- a submodule, device or pipe in an image's folder is refused, and so is a link that a build would follow.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from hullmark.build.definition import DEFINITION_FILE
from hullmark.build.engine import DOCKERFILE
from hullmark.build.inputs import InputFile, Recipe, digest_inputs, find_bases
from hullmark.config import CONFIG_FILE, Project, parse_project
from hullmark.errors import InputError
from hullmark.filehash import hash_file
from hullmark.files import read_bounded, write_whole
from hullmark.git import (
    changed_paths,
    list_kept,
    place_in_repository,
    read_blobs,
    read_file,
    read_tree,
    resolve,
)
from hullmark.image import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hullmark.config import Image
    from hullmark.image import Platform

LINK = "120000"
"""The mode of a link, in git's words."""
SUBMODULE = "160000"
FILE_MODES = ("100644", "100755")
MAX_FILE = 4 << 20
"""Bytes of a configuration, Dockerfile or other file that is read as data."""
MAX_FILES = 20_000
MAX_CONTEXT = 4 << 30
"""Bytes of one image's folder."""
MAX_EXPORT = 256 << 20
WRITTEN = (
    *("audit-logs", "cve-baseline", "docs/data", "reports/trivy", "SECURITY_SUMMARY.md"),
    *(".hullmark", ".cache", "dist", ".git"),
)
"""What Hullmark and git write below the top of the repository."""


class Revision(Protocol):
    """The files of a repository at one time."""

    root: Path
    label: str
    """What errors call it."""

    def read(self, path: str) -> bytes | None:
        """The content of the file at `path` from the root; None where there is none."""

    def files(self, folder: str) -> dict[str, InputFile]:
        """Every file below `folder` that git holds or would hold, by path below it."""


class Commit:
    """A commit of the repository in `root`."""

    def __init__(self, root: Path, revision: str) -> None:
        self.root = root
        self.id = resolve(root, revision)
        self.label = self.id[:12]
        self._prefix = place_in_repository(root) or ""

    def read(self, path: str) -> bytes | None:
        """The content of `path`, or None."""
        return read_file(self.root, self.id, self._prefix + path, limit=MAX_FILE)

    def files(self, folder: str) -> dict[str, InputFile]:
        """Every file below `folder`."""
        top = self._prefix + (f"{folder}/" if folder else "")
        entries = {
            path.removeprefix(top): entry
            for path, entry in read_tree(self.root, self.id, *([top] if top else [])).items()
            if path.startswith(top) and not _is_written(path.removeprefix(self._prefix))
        }
        _check_number(entries, f"{self.label}:{folder}")
        for path, entry in entries.items():
            if entry.mode == SUBMODULE:
                raise _unreadable(f"{self.label}:{top}{path}", "a submodule")
        objects = (entry.object for entry in entries.values())
        digests = {name: _digest(data) for name, data in read_blobs(self.root, objects, limit=MAX_CONTEXT)}
        return {path: InputFile(entry.mode, digests[entry.object]) for path, entry in entries.items()}

    def changed_since(self, other: Commit) -> tuple[str, ...]:
        """Every path from the top of the repository in which this commit differs from `other`."""
        return changed_paths(self.root, other.id, self.id)

    def below_root(self, path: str) -> str | None:
        """`path`, which is from the top of the repository, from the root; None where it is not below it."""
        return path.removeprefix(self._prefix) if path.startswith(self._prefix) else None

    def export(self, folder: str, target: Path) -> None:
        """Write every regular file below `folder` into `target`; nothing else is written."""
        top = f"{self._prefix}{folder}/"
        entries = {
            path.removeprefix(top): entry
            for path, entry in read_tree(self.root, self.id, top).items()
            if path.startswith(top) and entry.mode in FILE_MODES and ".." not in path.split("/")
        }
        _check_number(entries, f"{self.label}:{folder}")
        objects = (entry.object for entry in entries.values())
        contents = dict(read_blobs(self.root, objects, limit=MAX_EXPORT))
        for path, entry in entries.items():
            write_whole(target / path, contents[entry.object])


class WorkingTree:
    """The repository in `root` as it lies on disk; it need not be one of git's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.label = str(root)

    @cached_property
    def _is_kept(self) -> bool:
        return place_in_repository(self.root) is not None

    def read(self, path: str) -> bytes | None:
        """The content of `path`, or None."""
        place = self.root / path
        return read_bounded(place, MAX_FILE) if place.exists() else None

    def files(self, folder: str) -> dict[str, InputFile]:
        """Every file below `folder`."""
        names = list_kept(self.root, folder) if self._is_kept else list(_walk(self.root, folder))
        top = f"{folder}/" if folder else ""
        wanted = [name for name in names if name.startswith(top) and not _is_written(name)]
        _check_number(wanted, self.root / folder)
        return {
            name.removeprefix(top): _input_file(self.root / name)
            for name in wanted
            if os.path.lexists(self.root / name)
        }


def _walk(root: Path, folder: str) -> Iterable[str]:
    for above, folders, names in os.walk(root / folder):
        place = Path(above)
        links = [name for name in folders if (place / name).is_symlink()]
        yield from (str((place / name).relative_to(root)) for name in sorted([*names, *links]))
        folders[:] = [name for name in folders if not _is_written(str((place / name).relative_to(root)))]


def _is_written(path: str) -> bool:
    return any(path == name or path.startswith(f"{name}/") for name in WRITTEN)


def _check_number(names: Mapping[str, Any] | list[str], place: Path | str) -> None:
    if len(names) > MAX_FILES:
        raise InputError(f"more than {MAX_FILES:,} files", file=place, hint="Give the image a folder.")


def _input_file(path: Path) -> InputFile:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return InputFile(LINK, _digest(os.fsencode(path.readlink())))
    if not stat.S_ISREG(mode):
        raise _unreadable(path, "a submodule" if stat.S_ISDIR(mode) else "a device or pipe")
    return InputFile("100755" if mode & stat.S_IXUSR else "100644", hash_file(path))


def _digest(content: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")


def _unreadable(place: Path | str, what: str) -> InputError:
    return InputError(f"{what}, which cannot be a build input", file=place)


def load_revision(revision: Revision) -> Project | None:
    """What `hullmark.toml` says there; None where there is none."""
    data = revision.read(CONFIG_FILE)
    if data is None:
        return None
    return parse_project(data, root=revision.root, file=f"{revision.label}:{CONFIG_FILE}")


class BuildInputs:
    """What the images of `project` are built from, as `revision` has it. Each folder is read once."""

    def __init__(self, revision: Revision, project: Project) -> None:
        self._revision = revision
        self._project = project
        self._recipes: dict[str, Recipe] = {}

    def digest(self, image: str, platform: Platform) -> Digest:
        """The digest of everything that `image` is built from."""
        self._read(image)
        return digest_inputs(image, platform, self._recipes)

    def is_fixed(self, image: str) -> bool:
        """Whether equal inputs always give equal content."""
        return self._read(image).is_fixed

    def bases(self, image: str) -> tuple[str, ...]:
        """Other images of the repository that `image` is built from, sorted."""
        return self._read(image).bases

    def order(self, images: Iterable[str]) -> tuple[str, ...]:
        """`images` with all that they are built from, each after its bases; InputError for a circle."""
        ordered: dict[str, None] = {}

        def place(name: str, above: tuple[str, ...]) -> None:
            if name in above:
                circle = " -> ".join((*above[above.index(name) :], name))
                raise InputError("images are built from one another in a circle", file=circle)
            for base in self._read(name).bases:
                place(base, (*above, name))
            ordered.setdefault(name)

        for image in images:
            place(image, ())
        return tuple(ordered)

    def _read(self, name: str) -> Recipe:
        """The recipe of `name`; afterwards those of all its bases are read too."""
        if name not in self._recipes:
            self._recipes[name] = recipe = self._recipe(self._project.image(name))
            for base in recipe.bases:
                self._read(base)
        return self._recipes[name]

    def _recipe(self, image: Image) -> Recipe:
        settings = msgspec.to_builtins(image.settings)
        settings["package_types"] = list(image.package_types)
        del settings["platforms"]
        if image.reference:
            return Recipe(settings=settings, reference=image.reference)
        folder = folder_of(image)
        files = self._revision.files(folder)
        place = f"{self._revision.label}:{folder}"
        if not files:
            raise InputError("no file that an image could be built from", file=place)
        _check_links(files, place)
        bases: tuple[str, ...] = ()
        if DEFINITION_FILE not in files and DOCKERFILE in files:
            text = self._revision.read(posixpath.join(folder, DOCKERFILE)) or b""
            others = {other.name for other in self._project.images} - {image.name}
            bases = find_bases(text.decode(errors="replace"), others)
        return Recipe(settings=settings, files=files, bases=bases)


def _check_links(files: Mapping[str, InputFile], place: str) -> None:
    """Refuse links that a build would follow: what they lead to could change unseen."""
    followed = files if DEFINITION_FILE in files else (DOCKERFILE, ".dockerignore")
    for path in sorted(followed):
        if path in files and files[path].mode == LINK:
            raise InputError("a link; put the file itself there", file=place, key=path)


def folder_of(image: Image) -> str:
    """The image's folder, from the root of the repository; empty for the root itself."""
    path = posixpath.normpath(image.settings.path or f"images/{image.name}")
    return "" if path == "." else path
