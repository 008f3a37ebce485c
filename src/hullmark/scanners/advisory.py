"""An advisory: what a source states about one vulnerability in one package, and files of them.

Rules of a file of advisories (TOML, `version = 1`, tables `[[advisory]]`):
- an unknown key or a wrong type is an error with file, key path and the nearest key, never ignored;
- one package has at most one advisory of an id in one system.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from hullmark.errors import InputError
from hullmark.finding import Severity
from hullmark.toml import read_toml

if TYPE_CHECKING:
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
    advisories = read_toml(path, AdvisoryFile, limit=MAX_FILE_BYTES).advisory
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
