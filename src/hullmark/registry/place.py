"""Where an image is kept: a registry's host and a repository on it (OCI distribution specification 1.1)."""

from __future__ import annotations

import ipaddress
import re

import msgspec

from hullmark.errors import UsageError

GITHUB = "ghcr.io"

_PLACE = re.compile(
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?)"
    r"/(?P<path>[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)",
    re.ASCII,
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_MAX = 255


class Place(msgspec.Struct, frozen=True):
    """A repository of a registry, as `ghcr.io/acme/images/app`."""

    host: str
    """With its port, where it has one."""
    path: str

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"

    @property
    def is_local(self) -> bool:
        """Whether the registry is on this machine: only then is it talked to without encryption."""
        name = self.host.rsplit(":", 1)[0]
        if name == "localhost":
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    @property
    def address(self) -> str:
        """Of the registry."""
        return f"{'http' if self.is_local else 'https'}://{self.host}"


def parse_place(text: str) -> Place:
    """Return `host[:port]/path` as a place, or raise UsageError."""
    match = _PLACE.fullmatch(text)
    host = match["host"] if match else ""
    if match is None or len(text) > _MAX or not ("." in host or ":" in host or host == "localhost"):
        raise UsageError(
            f"{text!r} is not a place in a registry", hint="Expected for example ghcr.io/acme/images."
        )
    return Place(match["host"].lower(), match["path"])


def check_tag(text: str) -> str:
    """Return `text` as a tag, or raise UsageError."""
    if not _TAG.fullmatch(text):
        raise UsageError(f"{text!r} is not a tag", hint="Expected for example latest.")
    return text
