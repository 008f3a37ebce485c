"""Strict reading of TOML documents: what is not understood is an error with its place, never ignored.

A message names file, key path, what was expected and, for an unknown key, the nearest known one.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from hullmark.errors import EnvironmentFaultError, InputError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1_000_000

Document = TypeVar("Document")

_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*)`", re.DOTALL)
_PLACE = re.compile(r"^(?P<text>.*?) - at `(?:key in )?\$(?P<path>.*)`$", re.DOTALL)


def read_toml(path: Path, document: type[Document], *, limit: int = MAX_BYTES) -> Document:
    """Read `path` as a `document`, or raise InputError."""
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
    """Decode `data`, or raise InputError that names `file` and the key."""
    try:
        return msgspec.toml.decode(data, type=document)
    except msgspec.ValidationError as error:
        raise _explain(str(error), document, file) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"not a TOML document: {error}", file=file) from error


def _explain(text: str, document: object, file: Path | str) -> InputError:
    match = _PLACE.match(text)
    message, path = (match["text"], match["path"].lstrip(".")) if match else (text, "")
    unknown = _UNKNOWN.match(message)
    if unknown is None:
        return InputError(message[:1].lower() + message[1:], file=file, key=path)
    key = unknown["key"]
    place = f"{path}.{key}" if path else key
    known = sorted(_fields(document, path))
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    return InputError(
        "unknown key",
        file=file,
        key=place,
        hint=f"Did you mean {nearest[0]}? Known here: {', '.join(known)}." if nearest else "",
    )


def _fields(document: object, path: str) -> tuple[str, ...]:
    """The keys that the struct at `path` (`images[...].platforms[0]`) accepts."""
    kind = document
    for step in re.findall(r"[^.\[\]]+|\[[^\]]*\]", path):
        if step.startswith("["):
            kind = _arguments(kind)[-1] if _arguments(kind) else kind
        else:
            kind = _member(kind, step)
    struct = _struct(kind)
    return struct.__struct_encode_fields__ if struct is not None else ()


def _member(kind: object, name: str) -> object:
    struct = _struct(kind)
    if struct is None:
        return kind
    fields = dict(zip(struct.__struct_encode_fields__, struct.__struct_fields__, strict=True))
    return typing.get_type_hints(struct).get(fields.get(name, name), object)


def _arguments(kind: object) -> tuple[object, ...]:
    return tuple(argument for argument in typing.get_args(kind) if argument is not Ellipsis)


def _struct(kind: object) -> type[msgspec.Struct] | None:
    options: tuple[Any, ...] = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    return next((o for o in options if isinstance(o, type) and issubclass(o, msgspec.Struct)), None)
