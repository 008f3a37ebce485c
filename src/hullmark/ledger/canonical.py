"""The exact bytes of a JSON value: RFC 8785, the JSON Canonicalization Scheme.

`msgspec` writes the same bytes as RFC 8785 for everything except floats, integers beyond 2**53 and keys
outside ASCII (RFC 8785 §3.2.3 sorts by UTF-16). It is an order of magnitude faster, so it writes the values
it is right about, and `rfc8785` writes the others. A property test holds the two together.
"""

from __future__ import annotations

import msgspec

MAX_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (RFC 8785 §3.2.2.3)."""

_encode = msgspec.json.Encoder(order="sorted").encode


def canonical(value: object) -> bytes:
    """Return the RFC 8785 bytes of `value`; structs, enums and times are first made plain JSON.

    Raises ValueError when JSON cannot say `value` exactly: NaN, a whole number over 2**53, a lone surrogate,
    a key that is not a string, nesting too deep.
    """
    try:
        plain = msgspec.to_builtins(value)
        return _encode(plain) if _is_simple(plain) else _encode_with_care(plain)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    except TypeError as error:
        raise ValueError(str(error)) from error


def is_canonical(line: bytes) -> bool:
    """Say whether `line` is JSON in the one form that RFC 8785 allows (so: no key twice, no spare space)."""
    try:
        return canonical(msgspec.json.decode(line)) == line
    except (ValueError, msgspec.DecodeError, RecursionError):
        return False


def _encode_with_care(plain: object) -> bytes:
    import rfc8785  # noqa: PLC0415 - loaded only for the few values that need it

    text = rfc8785.dumps(plain)  # type: ignore[arg-type] # to_builtins made it JSON
    # The float 2.0**53 is written as an integer that may not be written again: read back what we wrote.
    rfc8785.dumps(msgspec.json.decode(text))
    return text


def _is_simple(value: object) -> bool:
    """Say whether msgspec writes `value` as RFC 8785 asks."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return -MAX_INTEGER <= value <= MAX_INTEGER  # type: ignore[operator] # kind is int
    if kind is dict:
        return all(
            type(key) is str and key.isascii() and _is_simple(item)
            for key, item in value.items()  # type: ignore[attr-defined] # kind is dict
        )
    if kind is list:
        return all(map(_is_simple, value))  # type: ignore[call-overload] # kind is list
    return False
