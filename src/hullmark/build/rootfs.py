"""From packages and slices to the files of an image.

Rules (each has a test with the same words):

1. A package of which anything is declared is recorded whole in `var/lib/dpkg/status.d`, so that no scanner
   is blinded; its md5sums name exactly the files that are shipped.
2. Files of packages are shipped as they are; the one transform is joining text files.
3. Nothing is setuid or setgid.
4. The image's own files replace no package's file.
5. No maintainer script runs.
6. A link is shipped together with its target, when the target is in the same package.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from hullmark.build.definition import DEFINITION_FILE, FILES_FOLDER, Definition
from hullmark.build.slices import compile_pattern, is_documentation, is_licence
from hullmark.build.tree import SET_ID, ConflictError, Entry, Kind, Tree
from hullmark.errors import InputError
from hullmark.files import read_bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hullmark.build.deb import Deb
    from hullmark.build.definition import Package

MAX_OWN_FILE = 16 << 20
STATUS_FOLDER = "var/lib/dpkg/status.d"
SKELETON = ("dev", "etc", "proc", "run", "sys", "usr/bin", "usr/lib", "usr/lib64", "usr/sbin", STATUS_FOLDER)
LINKS = ("bin", "lib", "lib64", "sbin")


def selector(name: str, package: Package, triplet: str) -> Callable[[str], bool]:
    """Whether a path of the package `name` is shipped."""
    patterns = [compile_pattern(pattern, triplet) for pattern in package.keep]

    def selected(path: str) -> bool:
        if is_licence(path, name):
            return True
        return not is_documentation(path) and any(pattern.fullmatch(path) for pattern in patterns)

    return selected


def assemble(
    definition: Definition,
    folder: Path,
    debs: Mapping[str, Deb],
    triplet: str,
    *,
    helpers: Mapping[str, Entry] | None = None,
) -> Tree:
    """The files of the image in `folder`, from the packages in `debs` (read with `selector`).

    `helpers` are compiled programs of the image's author, by path.
    """
    tree = Tree()
    file = folder / DEFINITION_FILE
    _put_skeleton(tree)
    owners = _put_packages(tree, definition, debs, triplet, file)
    _join(tree, definition, triplet, file)
    _remove(tree, definition, triplet, file)
    _check_links(tree, debs, owners, file)
    _record(tree, debs, owners)
    _put_own(tree, definition, folder, owners)
    for path, entry in (helpers or {}).items():
        if path in owners and path in tree:
            message = f"{owners[path]} ships this file; a package's file is never replaced"
            raise InputError(message, file=file, key=f'helpers."{path}"')
        _put_declared(tree, path, entry, file, "helpers")
    return _sealed(tree)


def _put_skeleton(tree: Tree) -> None:
    for path in SKELETON:
        tree.put(path, Entry(kind=Kind.FOLDER))
    tree.put("tmp", Entry(kind=Kind.FOLDER, mode=0o1777))
    for path in LINKS:
        tree.put(path, Entry(kind=Kind.LINK, mode=0o777, target=f"usr/{path}"))


def _put_packages(
    tree: Tree, definition: Definition, debs: Mapping[str, Deb], triplet: str, file: Path
) -> dict[str, str]:
    """Put the files of all packages; the package of each path."""
    owners: dict[str, str] = {}
    for name in sorted(debs):
        deb = debs[name]
        _check_patterns(definition.packages[name], name, deb, triplet, file)
        for path, entry in deb.files.items():
            try:
                tree.put(path, entry)
            except ConflictError as error:
                raise InputError(str(error), file=file, key=f"packages.{name}") from error
            if owners.setdefault(path, name) != name:
                message = f"{path} is also shipped by {owners[path]}"
                raise InputError(message, file=file, key=f"packages.{name}")
    return owners


def _check_patterns(package: Package, name: str, deb: Deb, triplet: str, file: Path) -> None:
    for number, pattern in enumerate(package.keep):
        compiled = compile_pattern(pattern, triplet)
        if not any(compiled.fullmatch(path) for path in deb.files):
            raise InputError(
                f"{pattern!r} matches no file of the package",
                file=file,
                key=f"packages.{name}.keep[{number}]",
                hint="Did the file move in a newer version? `dpkg-deb -c` lists what the package has.",
            )


def _join(tree: Tree, definition: Definition, triplet: str, file: Path) -> None:
    for path, join in sorted(definition.join.items()):
        parts = _matching(tree, join.parts, triplet)
        if not parts:
            raise InputError(f"{join.parts!r} matches no file", file=file, key=f'join."{path}".parts')
        pieces = [tree.take(part).data for part in parts]
        data = b"".join(piece if piece.endswith(b"\n") else piece + b"\n" for piece in pieces)
        tree.put(path, Entry(kind=Kind.FILE, mode=0o644, data=data))


def _remove(tree: Tree, definition: Definition, triplet: str, file: Path) -> None:
    for number, removal in enumerate(definition.remove):
        for place, pattern in enumerate(removal.paths):
            paths = _matching(tree, pattern, triplet)
            if not paths:
                key = f"remove[{number}].paths[{place}]"
                raise InputError(f"{pattern!r} matches no file", file=file, key=key)
            for path in paths:
                tree.take(path)


def _matching(tree: Tree, pattern: str, triplet: str) -> list[str]:
    """Files and links of packages that `pattern` matches, by path."""
    compiled = compile_pattern(pattern, triplet)
    return [
        path for path, entry in tree.items() if entry.kind is not Kind.FOLDER and compiled.fullmatch(path)
    ]


def _check_links(tree: Tree, debs: Mapping[str, Deb], owners: Mapping[str, str], file: Path) -> None:
    for path, name in sorted(owners.items()):
        if path not in tree or tree[path].kind is not Kind.LINK:
            continue
        target = posixpath.normpath(posixpath.join("/", posixpath.dirname(path), tree[path].target))[1:]
        if target in debs[name].paths and target not in tree:
            message = f"the link {path} is shipped, but not its target {target}"
            raise InputError(message, file=file, key=f"packages.{name}.keep")


def _record(tree: Tree, debs: Mapping[str, Deb], owners: Mapping[str, str]) -> None:
    """Write what scanners read (the layout of distroless images: one file a package)."""
    for name, deb in debs.items():
        first, _, rest = deb.control.partition("\n")
        status = f"{first}\nStatus: install ok installed\n{rest}"
        _put_text(tree, f"{STATUS_FOLDER}/{name}", status)
        shipped = [path for path, owner in owners.items() if owner == name and path in tree]
        sums = [f"{deb.md5sums[path]}  {path}\n" for path in sorted(shipped) if path in deb.md5sums]
        _put_text(tree, f"{STATUS_FOLDER}/{name}.md5sums", "".join(sums))


def _put_text(tree: Tree, path: str, text: str) -> None:
    tree.put(path, Entry(kind=Kind.FILE, mode=0o644, data=text.encode()))


def _put_own(tree: Tree, definition: Definition, folder: Path, owners: Mapping[str, str]) -> None:
    file = folder / DEFINITION_FILE
    for path, directory in sorted(definition.directories.items()):
        uid, gid = _owner(directory.owner)
        entry = Entry(kind=Kind.FOLDER, mode=int(directory.mode, 8), uid=uid, gid=gid)
        _put_declared(tree, path, entry, file, "directories")
    for path, own in sorted(definition.files.items()):
        if path in owners and path in tree:
            message = f"{owners[path]} ships this file; a package's file is never replaced"
            raise InputError(message, file=file, key=f'files."{path}"')
        uid, gid = _owner(own.owner)
        data = read_bounded(folder / FILES_FOLDER / own.source, MAX_OWN_FILE)
        entry = Entry(kind=Kind.FILE, mode=int(own.mode, 8), uid=uid, gid=gid, data=data)
        _put_declared(tree, path, entry, file, "files")


def _put_declared(tree: Tree, path: str, entry: Entry, file: Path, table: str) -> None:
    try:
        tree.put(path, entry)
    except ConflictError as error:
        raise InputError(str(error), file=file, key=f'{table}."{path}"') from error


def _owner(text: str) -> tuple[int, int]:
    uid, _, gid = text.partition(":")
    return int(uid), int(gid)


def _sealed(tree: Tree) -> Tree:
    """The tree, after it was asserted that nothing in it changes its user when it runs."""
    for path, entry in tree.items():
        if entry.kind is Kind.FILE and entry.mode & SET_ID:
            raise AssertionError(f"{path} is setuid or setgid")
    return tree
