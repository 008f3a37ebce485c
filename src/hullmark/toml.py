"""TOML read strictly: an unknown key, a wrong type or a missing key is one line that says where.

msgspec decodes; when it refuses, its path lacks the names of table entries (`$.images[...]`), so the place
is found again here, key by key. The line names the file, the key path, what was expected and, for an unknown
key, the nearest known one.
"""

from __future__ import annotations

import difflib
import tomllib
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin

import msgspec

from hullmark.errors import EnvironmentFaultError, InputError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1_000_000

Document = TypeVar("Document")


def read_toml(path: Path, document: type[Document], *, limit: int = MAX_BYTES) -> Document:
    """Read the file at `path` as a `document`, or raise InputError naming the first key that does not fit."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise InputError("file not found", file=path) from None
    except IsADirectoryError:
        raise InputError("expected a file, found a folder", file=path) from None
    except OSError as error:
        raise EnvironmentFaultError(f"{path}: {error.strerror}") from error
    if len(data) > limit:
        raise InputError(f"larger than {limit:,} bytes", file=path)
    return decode_toml(data, document, file=path)


def decode_toml(data: bytes, document: type[Document], *, file: Path | str) -> Document:
    """Decode `data` as a `document`, or raise InputError that names `file` and the key."""
    try:
        values = tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}", file=file) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"not TOML: {error}", file=file) from error
    try:
        return msgspec.convert(values, document)
    except msgspec.ValidationError as error:
        key, reason = _locate(values, document, "")
        raise InputError(reason or str(error), file=file, key=key) from error


def _locate(value: Any, kind: Any, path: str) -> tuple[str, str]:  # noqa: ANN401 - a TOML value and a type
    """The path of the deepest part of `value` that is no `kind`, and why."""
    for name, child, child_kind in _children(value, kind):
        place = f"{path}.{name}" if path and not name.startswith("[") else f"{path}{name}"
        if child_kind is None:
            return place, _unknown(name, kind)
        try:
            msgspec.convert(child, child_kind)
        except msgspec.ValidationError:
            return _locate(child, child_kind, place)
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return path, _sentence(str(error))
    return path, ""


def _children(value: Any, kind: Any) -> list[tuple[str, Any, Any]]:  # noqa: ANN401 - a TOML value and a type
    """Name, value and expected type of each part; an unknown key has the type None."""
    kind = _without_none(kind)
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        known = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
        return [(name, child, known.get(name)) for name, child in value.items()]
    if isinstance(value, dict) and get_origin(kind) is dict:
        return [(_quoted(name), child, get_args(kind)[1]) for name, child in value.items()]
    if isinstance(value, list) and get_origin(kind) in (list, tuple):
        return [(f"[{place}]", child, get_args(kind)[0]) for place, child in enumerate(value)]
    return []


def _without_none(kind: Any) -> Any:  # noqa: ANN401 - a type
    parts = [part for part in get_args(kind) if part is not type(None)]
    return parts[0] if type(None) in get_args(kind) and len(parts) == 1 else kind


def _unknown(name: str, kind: Any) -> str:  # noqa: ANN401 - a type
    known = [field.encode_name for field in msgspec.structs.fields(_without_none(kind))]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"unknown key; nearest is `{near[0]}`" if near else f"unknown key; known are {', '.join(known)}"


def _quoted(name: str) -> str:
    plain = name.replace("-", "").replace("_", "").isalnum() and name.isascii()
    return name if plain else f'"{name}"'


def _sentence(message: str) -> str:
    """Msgspec's message without its own path, its first letter small."""
    text = message.split(" - at `", 1)[0]
    return text[:1].lower() + text[1:]
