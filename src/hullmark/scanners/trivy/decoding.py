"""Decode JSON of a scanner into typed values; whatever is wrong is an InputError with the exact place."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, NoReturn, TypeVar

import msgspec

from hullmark.errors import EnvironmentFaultError, InputError

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_WRONG_TYPE = re.compile(r"Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`(?: - at `\$(?P<path>.*)`)?")


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
    if not data or data.isspace():
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
        _refuse_types(error, file)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        ended = text.rstrip()[-1:] in (b"}", b"]")
        hint = "" if ended else "The file seems to be cut off; scan again."
        raise InputError(f"not valid JSON: {error}", file=file, hint=hint) from error
    except RecursionError as error:
        raise InputError("nested too deeply", file=file) from error


def _refuse_types(error: msgspec.ValidationError, file: Path | str) -> NoReturn:
    match = _WRONG_TYPE.match(str(error))
    if match is None:
        raise InputError(str(error), file=file) from error
    message = f"expected {match['expected']}, got {match['got']}"
    raise InputError(message, file=file, key=(match["path"] or "").lstrip(".")) from error
