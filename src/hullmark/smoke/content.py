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
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import msgspec

from hullmark.build.archive import ArchivedImage, image_members
from hullmark.build.container import open_container
from hullmark.build.layers import Kind, Layers, merge_layers
from hullmark.errors import InputError
from hullmark.files import explained

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_TEXT = 1 << 20
USERS = "etc/passwd"
GROUPS = "etc/group"
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


class _Stored(NamedTuple):
    """A file of the merged layers, kept on disk; nothing for folders and links."""

    mode: int
    uid: int
    gid: int
    data: Path | None


class _Store:
    """Keeps the content of each file in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0

    def __call__(self, member: tarfile.TarInfo, stream: IO[bytes] | None) -> _Stored:
        """Keep one member."""
        place = None
        if stream is not None:
            self._number += 1
            place = self._folder / str(self._number)
            with place.open("wb") as file:
                shutil.copyfileobj(stream, file, _BLOCK)
        return _Stored(member.mode, member.uid, member.gid, place)


def unpack(content: Content, folder: Path) -> User:
    """Write the image's files into the empty `folder`; whom the image runs as."""
    with explained(folder):
        store = folder.with_name(f"{folder.name}.parts")
        store.mkdir()
        try:
            merged = merge_layers(content.path, content.layers, _Store(store))
            user = _look_up(content, _text(merged, USERS), _text(merged, GROUPS))
            _write(merged, folder, user)
        finally:
            shutil.rmtree(store, ignore_errors=True)
    return user


def _text(merged: Layers[_Stored], path: str) -> str:
    """The text of a small file; empty when there is none."""
    node = merged.find(path)
    if node is None or node.data.data is None or node.data.data.stat().st_size > MAX_TEXT:
        return ""
    return node.data.data.read_text("utf-8", "replace")


def _write(merged: Layers[_Stored], folder: Path, user: User) -> None:
    """Folders, then files, then links: while anything is written there is no link to follow."""
    folders = sorted(path for path, node in merged.nodes.items() if node.kind is Kind.FOLDER)
    for path in folders:
        (folder / path).mkdir(parents=True, exist_ok=True)
    for path, node in merged.nodes.items():
        if node.data.data is not None:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            os.link(node.data.data, folder / path)
            (folder / path).chmod(_effective(node.data, user))
    for path, node in merged.nodes.items():
        if node.kind is Kind.LINK:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).symlink_to(node.target)
    for path in reversed(folders):
        (folder / path).chmod(_effective(merged.nodes[path].data, user))


def _effective(node: _Stored, user: User) -> int:
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
