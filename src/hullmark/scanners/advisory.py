"""An advisory: what a source states about one vulnerability in one package, and files of them.

Rules of a file of advisories (TOML, `version = 1`, tables `[[advisory]]`):
- an unknown key or a wrong type is an error with file, key path and the nearest key, never ignored;
- one package has at most one advisory of an id in one system.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec

from hullmark.errors import InputError
from hullmark.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MAX_FILE_BYTES = 16 * 1024 * 1024

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Status = Literal["affected", "under_investigation", "will_not_fix", "fix_deferred", "end_of_life"]


class Advisory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One vulnerability of one package, as a source states it."""

    id: Text
    system: Text = "debian 13"
    """A release of an operating system, or a language ecosystem: `npm`, `pip`, `go`, …"""
    package: Text
    """Source package of an operating system; the package itself in a language ecosystem."""
    fixed: str = ""
    """The first fixed version; empty when there is none."""
    vulnerable: str = ""
    """Language ecosystems only: the range of affected versions; by default all before `fixed`."""
    status: Status = "affected"
    """What the source says while there is no fixed version."""
    severity: Severity = Severity.UNKNOWN
    rated_by: str = ""
    """`debian` for the distribution's own rating, else the source of the rating as `nvd`; may be empty."""
    score: Annotated[float, msgspec.Meta(ge=0, le=10)] | None = None
    """CVSS version 3 base score."""
    scored_by: str = "nvd"
    title: str = ""
    published: dt.date | None = None
    """Day of disclosure, only where it is known."""
    known: dt.date | None = None
    """First day of which a sample database lists it; none: every sample database does."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What an advisory is about: system, package, id."""
        return (self.system, self.package, self.id)


class AdvisoryFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of advisories."""

    version: Literal[1]
    advisory: tuple[Advisory, ...]


def load(path: Path) -> tuple[Advisory, ...]:
    """Read the advisories of `path`, in its order."""
    advisories = decode_toml(read_limited(path, MAX_FILE_BYTES), AdvisoryFile, file=path).advisory
    seen: set[tuple[str, str, str]] = set()
    for index, advisory in enumerate(advisories):
        if advisory.key in seen:
            raise InputError(
                f"a second advisory {advisory.id} for {advisory.package} in {advisory.system}",
                file=path,
                key=f"advisory[{index}]",
            )
        seen.add(advisory.key)
    return advisories


def read_limited(path: Path, limit: int) -> bytes:
    """Return the bytes of `path`, or raise InputError when it is missing or longer than `limit`."""
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    if len(raw) > limit:
        raise InputError(f"longer than {limit} bytes", file=path)
    return raw


_Decoded = TypeVar("_Decoded", bound=msgspec.Struct)
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<place>[^`]*)`)?$", re.DOTALL)
_UNKNOWN_KEY = re.compile(r"Object contains unknown field `(?P<key>[^`]*)`")


def decode_toml(raw: bytes, type_: type[_Decoded], *, file: Path) -> _Decoded:
    """Decode `raw` strictly as `type_`; InputError names file, key, expectation and nearest key."""
    try:
        return msgspec.toml.decode(raw, type=type_)
    except msgspec.ValidationError as error:
        raise _explained(str(error), file, _field_names(type_)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"not TOML: {error}", file=file) from error


def _explained(message: str, file: Path, known: Iterable[str]) -> InputError:
    match = _PLACE.match(message)
    what, place = (match["what"], match["place"] or "") if match else (message, "")
    place = place.removeprefix("$").removeprefix(".")
    unknown = _UNKNOWN_KEY.match(what)
    if unknown is None:
        return InputError(what, file=file, key=place)
    near = difflib.get_close_matches(unknown["key"], sorted(known), n=1)
    return InputError(
        f"unknown key {unknown['key']!r}",
        file=file,
        key=f"{place}.{unknown['key']}".removeprefix("."),
        hint=f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(sorted(known))}.",
    )


def _field_names(type_: type[msgspec.Struct]) -> set[str]:
    """Names of all fields of `type_` and of the structs inside it."""
    found: set[str] = set()
    waiting: list[msgspec.inspect.Type] = [msgspec.inspect.type_info(type_)]
    while waiting:
        item = waiting.pop()
        if isinstance(item, msgspec.inspect.StructType):
            found.update(field.encode_name for field in item.fields)
            waiting.extend(field.type for field in item.fields)
        elif isinstance(item, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
            waiting.append(item.item_type)
    return found
