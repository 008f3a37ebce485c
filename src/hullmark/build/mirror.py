"""Where Debian's packages come from; no host name stands in this code.

The first of these that says something is taken:

1. what the caller gives (`hullmark.toml`, a command's option);
2. `HULLMARK_DEBIAN_MIRROR`, and `HULLMARK_DEBIAN_SECURITY_MIRROR` when the security archive is elsewhere;
3. the machine's apt configuration, if it is Debian's.

The address of Debian's dated snapshot archive, when one is given, stands behind all of them: it keeps every
version for ever, but is slow.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hullmark.build.apt import debian_addresses, read_apt, usable
from hullmark.build.lock import ARCHIVES
from hullmark.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

MIRROR_VARIABLE = "HULLMARK_DEBIAN_MIRROR"
SECURITY_VARIABLE = "HULLMARK_DEBIAN_SECURITY_MIRROR"
SNAPSHOT_VARIABLE = "HULLMARK_DEBIAN_SNAPSHOT"

HINT = f"Set {MIRROR_VARIABLE} to the address of a Debian mirror, as http://MIRROR/debian."


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses of each archive, to be tried in this order."""

    debian: tuple[str, ...] = ()
    security: tuple[str, ...] = ()
    snapshot: str = ""

    def addresses(self, archive: str) -> tuple[str, ...]:
        """The addresses of `debian` or `debian-security`."""
        return self.security if archive == "debian-security" else self.debian

    def at(self, instant: str) -> Sources:
        """The same archives as they were at `instant`, as the snapshot archive keeps them."""
        if not self.snapshot:
            raise UsageError(
                "no dated snapshot archive is known", hint=f"Set {SNAPSHOT_VARIABLE} to the address of one."
            )
        debian, security = (f"{self.snapshot}/archive/{name}/{instant}" for name in ARCHIVES)
        return Sources(debian=(debian,), security=(security,), snapshot=self.snapshot)

    def urls(self, archive: str, path: str, epoch: int) -> tuple[str, ...]:
        """Where the file `path` of `archive` may be had; the snapshot of the lock's time comes last."""
        urls = [f"{address}/{path}" for address in self.addresses(archive)]
        if self.snapshot:
            urls.append(f"{self.snapshot}/archive/{archive}/{instant_of(epoch)}/{path}")
        return tuple(urls)


def instant_of(moment: int) -> str:
    """The name of `moment` (seconds since 1970) in a dated snapshot archive."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")


def find_sources(
    environ: Mapping[str, str],
    mirror: str = "",
    security: str = "",
    *,
    snapshot: str = "",
    apt: Path = Path("/etc/apt"),
) -> Sources:
    """The sources of this machine. There may be none: what is already fetched needs none."""
    mirror = _checked(mirror or environ.get(MIRROR_VARIABLE, ""))
    security = _checked(security or environ.get(SECURITY_VARIABLE, "") or _beside(mirror))
    snapshot = _checked(snapshot or environ.get(SNAPSHOT_VARIABLE, ""))
    entries = read_apt(apt)
    return Sources(
        debian=(mirror,) if mirror else debian_addresses(entries, "debian"),
        security=(security,) if security else debian_addresses(entries, "debian-security"),
        snapshot=snapshot,
    )


def _beside(mirror: str) -> str:
    """Mirrors that carry the security archive keep it beside the main one under this name."""
    return f"{mirror}-security" if mirror.endswith("/debian") else ""


def _checked(address: str) -> str:
    if address and not usable(address):
        raise UsageError(
            "the address of a mirror must be http or https, without a name or password in it", hint=HINT
        )
    return address.rstrip("/")
