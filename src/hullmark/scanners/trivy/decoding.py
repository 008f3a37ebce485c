"""Decode JSON of a scanner into typed values; whatever is wrong is an InputError with the exact place."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import msgspec

from hullmark.errors import EnvironmentFaultError, InputError

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_WRONG_TYPE = re.compile(r"Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`(?: - at `\$(?P<path>.*)`)?")
_STEP = re.compile(r"\.(\w+)|\[\.\.\.\]")


def read_file(path: Path, *, limit: int) -> bytes:
    """The bytes of the regular file at `path`, at most `limit` of them.

    A link is not followed: an untrusted program that wrote there could have us read any file for it.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise EnvironmentFaultError(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError("not a regular file", file=path)
    with os.fdopen(handle, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise InputError(f"larger than {limit >> 20} MiB", file=path)
    return data


def text_of(data: bytes, *, file: Path | str, limit: int) -> bytes:
    """`data` without a byte order mark, when it can be UTF-8 JSON of an accepted size."""
    if len(data) > limit:
        raise InputError(f"larger than {limit >> 20} MiB", file=file)
    if not data.strip():
        raise InputError("the file is empty", file=file, hint="Scan again; the scanner may have failed.")
    if data.startswith(_UTF16_MARKS) or b"\0" in data[:64]:
        hint = "A shell may have written UTF-16; let the scanner write the file itself, with --output."
        raise InputError("not UTF-8 text", file=file, hint=hint)
    return data.removeprefix(_UTF8_MARK)


def decode_json(text: bytes, decoder: msgspec.json.Decoder[T], *, file: Path | str) -> T:
    """Decode `text`, or raise InputError with the key path of the first wrong value."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        _refuse_types(text, error, file)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        ended = text.rstrip()[-1:] in (b"}", b"]")
        hint = "" if ended else "The file seems to be cut off; scan again."
        raise InputError(f"not valid JSON: {error}", file=file, hint=hint) from error
    except RecursionError as error:
        raise InputError("nested too deeply", file=file) from error


def _refuse_types(text: bytes, error: msgspec.ValidationError, file: Path | str) -> NoReturn:
    """Name the exact place: the decoder's own message says `[...]` where a list is."""
    match = _WRONG_TYPE.match(str(error))
    if match is None:
        raise InputError(str(error), file=file) from error
    path = match["path"] or ""
    steps = [step[1] or "" for step in _STEP.finditer(path)]
    message = f"expected {match['expected']}, got {match['got']}"
    try:
        key = _find(msgspec.json.decode(text), steps, match["got"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        key = None  # broken further on as well; the path without numbers has to do
    raise InputError(message, file=file, key=path.lstrip(".") if key is None else key) from error


def _find(value: Any, steps: list[str], got: str) -> str | None:  # noqa: ANN401 - any JSON value
    """The first place along `steps` ("" is any item of a list) that holds a value of type `got`."""
    if not steps:
        return "" if _type_name(value) == got else None
    step, rest = steps[0], steps[1:]
    if step:
        if not isinstance(value, dict) or step not in value:
            return None
        below = _find(value[step], rest, got)
        return None if below is None else _join(step, below)
    for index, item in enumerate(value if isinstance(value, list) else ()):
        below = _find(item, rest, got)
        if below is not None:
            return _join(f"[{index}]", below)
    return None


def _join(step: str, below: str) -> str:
    return step + below if not below or below.startswith("[") else f"{step}.{below}"


def _type_name(value: Any) -> str:  # noqa: ANN401 - any JSON value
    names = {str: "str", bool: "bool", int: "int", float: "float", dict: "object", list: "array"}
    return names.get(type(value), "null")
