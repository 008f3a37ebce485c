"""Where an image says how it is tested: the table `[smoke]` of its `image.toml`, or of a `smoke.toml`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from hullmark.build.definition import DEFINITION_FILE, load_definition
from hullmark.build.smoke import SMOKE_FILE, SMOKE_FOLDER, Smoke, SmokeDocument
from hullmark.errors import InputError
from hullmark.files import read_bounded
from hullmark.toml import read_toml

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE = 4 << 20


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
    separate = folder / SMOKE_FILE
    smoke = load_definition(folder).smoke if (folder / DEFINITION_FILE).exists() else None
    if separate.exists():
        if smoke is not None:
            raise InputError(f"{DEFINITION_FILE} has a table `smoke` as well", file=separate)
        smoke = read_toml(separate, SmokeDocument).smoke
    if smoke is None:
        return None
    files = {path: _read(folder, source) for path, source in smoke.files.items()}
    return Declared(smoke=smoke, files=files)


def _read(folder: Path, source: str) -> bytes:
    own = folder / SMOKE_FOLDER
    place = (own / source).resolve()
    if not place.is_relative_to(own.resolve()):
        raise InputError(f"leads out of the folder {SMOKE_FOLDER}", file=own / source)
    return read_bounded(place, MAX_FILE)
