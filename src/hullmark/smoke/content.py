"""What an engine needs to know of an image: its configuration and its layers, read in place.

The unpacking here is for running an image without an engine. Rules (each has a test with the same words):

1. Nothing is written outside the folder: a link on the way is followed inside the image only.
2. A later layer replaces, and whiteouts remove, what earlier layers brought.
3. Devices and pipes are left out; setuid and setgid bits are dropped.
4. A file's owner bits are those that the image's user has on it, because all files here belong to us.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from hullmark.build.archive import ArchivedImage, image_members
from hullmark.build.container import open_container
from hullmark.errors import InputError
from hullmark.files import explained

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILES = 400_000
MAX_BYTES = 16 << 30
MAX_HOPS = 40
MAX_TEXT = 1 << 20
USERS = "etc/passwd"
GROUPS = "etc/group"
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_BLOCK = 1 << 20


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """How an image is started (OCI image configuration, `config`)."""

    user: str = ""
    env: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""
    volumes: dict[str, object] | None = None
    stop_signal: str = ""


class _Config(msgspec.Struct, frozen=True):
    config: ImageConfig | None = None


class User(msgspec.Struct, frozen=True):
    """Whom the image runs as."""

    uid: int
    gid: int


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """One platform's image in an archive or layout."""

    path: Path
    image: ArchivedImage
    config: ImageConfig
    raw_config: bytes
    layers: tuple[str, ...]
    """Members of the archive, the lowest first."""


def read_content(path: Path, image: ArchivedImage) -> Content:
    """The configuration and the layers of `image`, which `inspect_archive` found at `path`."""
    with open_container(path) as container:
        raw, layers = image_members(container, image)
    try:
        decoded = msgspec.json.decode(raw, type=_Config)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"its configuration: {error}", file=path) from error
    return Content(
        path=path, image=image, config=decoded.config or ImageConfig(), raw_config=raw, layers=layers
    )


class _Node:
    """A file, folder or link of the merged layers."""

    def __init__(self, member: tarfile.TarInfo, data: Path | None = None) -> None:
        self.kind = "folder" if member.isdir() else "link" if member.issym() else "file"
        self.mode, self.uid, self.gid = member.mode, member.uid, member.gid
        self.target = member.linkname
        self.data = data


class _Merged:
    """The layers laid over each other: path -> node. Contents wait in files of their own."""

    def __init__(self, path: Path, store: Path) -> None:
        self._path = path
        self._store = store
        self._bytes = 0
        self._number = 0
        self.nodes: dict[str, _Node] = {}

    def add(self, layer: BinaryIO) -> None:
        """Lay one more layer over what is there."""
        before = set(self.nodes)
        with tarfile.open(fileobj=layer, mode="r|*") as tar:
            for member in tar:
                self._add(tar, member, before)
                if len(self.nodes) > MAX_FILES or self._bytes > MAX_BYTES:
                    raise InputError(f"more than {MAX_FILES:,} files or {MAX_BYTES:,} bytes", file=self._path)

    def _add(self, tar: tarfile.TarFile, member: tarfile.TarInfo, before: set[str]) -> None:
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if ".." in parts or "\0" in member.name:
            raise InputError("path leaves the image", file=self._path, key=repr(member.name))
        if not parts:
            return
        place = self.resolve(parts[:-1])
        if any(self._is_file(place[:count]) for count in range(1, len(place) + 1)):
            raise InputError("lies beneath a file", file=self._path, key=repr(member.name))
        path = "/".join((*place, parts[-1]))
        if parts[-1].startswith(WHITEOUT):
            self._white_out(place, parts[-1], before)
        elif member.isdir():
            self.nodes[path] = _Node(member)
        elif member.islnk():
            target = self.resolve([part for part in member.linkname.split("/") if part not in ("", ".")])
            if (found := self.nodes.get("/".join(target))) is None:
                raise InputError(f"link to nothing: {member.linkname!r}", file=self._path, key=path)
            self.nodes[path] = found
        elif member.issym() or member.isreg():
            if path in self.nodes and self.nodes[path].kind == "folder":
                self._remove(path, set(self.nodes))
            self.nodes[path] = _Node(member, self._keep(tar, member) if member.isreg() else None)

    def resolve(self, parts: list[str]) -> list[str]:
        """`parts` without links on the way; a link never leads out of the image."""
        waiting, done, hops = list(reversed(parts)), list[str](), 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                done = done[:-1]
                continue
            node = self.nodes.get("/".join((*done, part)))
            if node is None or node.kind != "link":
                done.append(part)
                continue
            hops += 1
            if hops > MAX_HOPS:
                raise InputError("links in a circle", file=self._path, key="/".join(parts))
            done = [] if node.target.startswith("/") else done
            waiting += [step for step in reversed(node.target.split("/")) if step not in ("", ".")]
        return done

    def text(self, path: str) -> str:
        """The text of a small file; empty when there is none."""
        node = self.nodes.get("/".join(self.resolve(path.split("/"))))
        if node is None or node.data is None or node.data.stat().st_size > MAX_TEXT:
            return ""
        return node.data.read_text("utf-8", "replace")

    def _is_file(self, parts: list[str]) -> bool:
        node = self.nodes.get("/".join(parts))
        return node is not None and node.kind == "file"

    def _white_out(self, place: list[str], name: str, before: set[str]) -> None:
        """Remove what earlier layers brought: one name, or all that is in a folder."""
        if name == OPAQUE:
            self._remove("/".join(place), before, keep=True)
        else:
            self._remove("/".join((*place, name.removeprefix(WHITEOUT))), before)

    def _remove(self, path: str, only: set[str], *, keep: bool = False) -> None:
        """Remove `path` (not with `keep`) and what lies beneath it, as far as it is in `only`."""
        beneath = [name for name in self.nodes if name.startswith(f"{path}/" if path else "")]
        for name in (*beneath, *(() if keep else (path,))):
            if name in only:
                self.nodes.pop(name, None)

    def _keep(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> Path:
        self._number += 1
        self._bytes += member.size
        if self._bytes > MAX_BYTES:
            raise InputError(f"more than {MAX_BYTES:,} bytes", file=self._path)
        place = self._store / str(self._number)
        stream = tar.extractfile(member)
        with place.open("wb") as file:
            if stream is not None:
                shutil.copyfileobj(stream, file, _BLOCK)
        return place


def unpack(content: Content, folder: Path) -> User:
    """Write the image's files into the empty `folder`; whom the image runs as."""
    with explained(folder):
        store = folder.with_name(f"{folder.name}.parts")
        store.mkdir()
        try:
            merged = _merge(content, store)
            user = _look_up(content, merged.text(USERS), merged.text(GROUPS))
            _write(merged, folder, user)
        finally:
            shutil.rmtree(store, ignore_errors=True)
    return user


def _merge(content: Content, store: Path) -> _Merged:
    merged = _Merged(content.path, store)
    with open_container(content.path) as container:
        for layer in content.layers:
            try:
                with container.open(layer) as stream:
                    merged.add(stream)  # type: ignore[arg-type] # IO[bytes] that reads
            except (tarfile.TarError, EOFError, zlib.error) as error:
                raise InputError(f"damaged layer: {error}", file=content.path, key=layer) from error
    return merged


def _write(merged: _Merged, folder: Path, user: User) -> None:
    """Folders, then files, then links: while anything is written there is no link to follow."""
    folders = sorted(path for path, node in merged.nodes.items() if node.kind == "folder")
    for path in folders:
        (folder / path).mkdir(parents=True, exist_ok=True)
    for path, node in merged.nodes.items():
        if node.kind == "file" and node.data is not None:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            os.link(node.data, folder / path)
            (folder / path).chmod(_effective(node, user))
    for path, node in merged.nodes.items():
        if node.kind == "link":
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).symlink_to(node.target)
    for path in reversed(folders):
        (folder / path).chmod(_effective(merged.nodes[path], user))


def _effective(node: _Node, user: User) -> int:
    mode = node.mode & 0o777
    owner = mode >> 6 if user.uid == node.uid else mode >> 3 if user.gid == node.gid else mode
    return (owner & 0o7) << 6 | mode & 0o77


def find_user(content: Content) -> User:
    """Whom the image runs as; its layers are read only when it names a user instead of numbers."""
    name, _, group = content.config.user.partition(":")
    if name.isdecimal() and group.isdecimal():
        return User(int(name), int(group))
    texts = dict.fromkeys((USERS, GROUPS), "")
    with open_container(content.path) as container:
        for layer in content.layers:
            with container.open(layer) as stream, tarfile.open(fileobj=stream, mode="r|*") as tar:
                for member in tar:
                    path = member.name.removeprefix("./").lstrip("/")
                    if path in texts and member.isreg() and (found := tar.extractfile(member)):
                        texts[path] = found.read(MAX_TEXT).decode("utf-8", "replace")
    return _look_up(content, texts[USERS], texts[GROUPS])


def _look_up(content: Content, passwd: str, group_file: str) -> User:
    """The image's user as numbers; names are looked up in its own files, as an engine does."""
    name, _, group = (content.config.user or "0").partition(":")
    users = {text: record for record in _records(passwd, 4) for text in (record[2], record[0])}
    groups = {record[0]: record[2] for record in _records(group_file, 3)}
    found = users.get(name)
    uid = found[2] if found else name
    gid = groups.get(group, group) or (found[3] if found else "0")
    if not uid.isdecimal() or not gid.isdecimal():
        raise InputError(f"its user {content.config.user!r} is not in its {USERS}", file=content.path)
    return User(int(uid), int(gid))


def _records(text: str, fields: int) -> Iterator[list[str]]:
    for line in text.splitlines():
        record = line.split(":")
        if len(record) >= fields and all(part.isdecimal() for part in record[2:fields]):
            yield record
