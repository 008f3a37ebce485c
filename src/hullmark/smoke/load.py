"""Where an image says how it is tested: the table `[smoke]` of its `image.toml`, or of a `smoke.toml`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from hullmark.build.definition import DEFINITION_FILE, Definition
from hullmark.build.smoke import SMOKE_FILE, SMOKE_FOLDER, Smoke, SmokeDocument
from hullmark.errors import InputError
from hullmark.files import read_bounded
from hullmark.toml import decode_toml

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE = 4 << 20

Read = Callable[[str], bytes | None]
"""The content of a file by its path in the image's folder; None when there is no such file."""


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A smoke test with everything it needs."""

    smoke: Smoke
    files: Mapping[str, bytes]
    """Content by path in the image."""

    @property
    def digest(self) -> str:
        """The sha256 of what is asked: equal for equal tests, wherever they are written."""
        contents = {path: hashlib.sha256(data).hexdigest() for path, data in self.files.items()}
        encoded = msgspec.json.encode((self.smoke, contents), order="sorted")
        return f"sha256:{hashlib.sha256(encoded).hexdigest()}"


def load_declared(folder: Path) -> Declared | None:
    """What the image in `folder` declares; None when it declares no smoke test."""

    def read(name: str) -> bytes | None:
        place, own = (folder / name).resolve(), (folder / SMOKE_FOLDER).resolve()
        if name.startswith(f"{SMOKE_FOLDER}/") and not place.is_relative_to(own):
            raise InputError(f"leads out of the folder {SMOKE_FOLDER}", file=folder / name)
        return read_bounded(place, MAX_FILE) if place.exists() else None

    return read_declared(read, place=folder)


def read_declared(read: Read, *, place: Path) -> Declared | None:
    """What an image declares whose files `read` gives; errors call its folder `place`."""
    definition, separate = read(DEFINITION_FILE), read(SMOKE_FILE)
    smoke = None
    if definition is not None and "smoke" in decode_toml(definition, dict, file=place / DEFINITION_FILE):
        smoke = decode_toml(definition, Definition, file=place / DEFINITION_FILE).smoke
    if separate is not None:
        if smoke is not None:
            raise InputError(f"{DEFINITION_FILE} has a table `smoke` as well", file=place / SMOKE_FILE)
        smoke = decode_toml(separate, SmokeDocument, file=place / SMOKE_FILE).smoke
    if smoke is None:
        return None
    files = {}
    for path, source in smoke.files.items():
        name = f"{SMOKE_FOLDER}/{source}"
        if (data := read(name)) is None:
            raise InputError("file not found", file=place / name)
        files[path] = data
    return Declared(smoke=smoke, files=files)
