"""The machine's apt configuration, read for one thing: where this machine gets Debian's packages from.

Both forms are read (sources.list(5)): one line an entry, and deb822 stanzas. Only addresses are taken; which
suites an image uses stands in its `image.toml`, and hashes decide what is accepted. An entry counts as
Debian's when its suite is one of Debian's releases and it offers `main`; Ubuntu's names are others.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from hullmark.build.lock import archive_of_suite

MAX_SOURCES_BYTES = 1 << 20
CLASSES = {"oldoldstable", "oldstable", "stable", "testing", "unstable", "experimental"}
CODE_NAMES = {"buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid"}
RELEASES = CLASSES | CODE_NAMES
_SUFFIX = re.compile(r"(-updates|-security|-backports|-proposed-updates|/updates)$")
_ONE_LINE = re.compile(r"deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)")


class AptEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One enabled source of binary packages."""

    addresses: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]


def read_apt(folder: Path = Path("/etc/apt")) -> tuple[AptEntry, ...]:
    """The entries of `sources.list` and `sources.list.d`; a file that cannot be read gives none."""
    entries: list[AptEntry] = []
    parts = folder / "sources.list.d"
    names = sorted(parts.iterdir()) if parts.is_dir() else []
    for path in (folder / "sources.list", *names):
        if path.suffix not in (".list", ".sources") or not path.is_file():
            continue
        try:
            with path.open("rb") as file:
                text = file.read(MAX_SOURCES_BYTES).decode()
        except (OSError, UnicodeDecodeError):
            continue
        entries += parse_one_line(text) if path.suffix == ".list" else parse_deb822(text)
    return tuple(entries)


def parse_one_line(text: str) -> tuple[AptEntry, ...]:
    """The entries of a `.list` file."""
    found = (_ONE_LINE.fullmatch(line.split("#", 1)[0].strip()) for line in text.splitlines())
    return tuple(
        AptEntry(addresses=(match[1],), suites=(match[2],), components=tuple(match[3].split()))
        for match in found
        if match
    )


def parse_deb822(text: str) -> tuple[AptEntry, ...]:
    """The entries of a `.sources` file."""
    entries = []
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t") and name:
                fields[name] += f" {line.strip()}"
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        enabled = fields.get("enabled", "yes").lower() not in ("no", "false", "0", "off")
        if enabled and "deb" in fields.get("types", "").split():
            words = (tuple(fields.get(key, "").split()) for key in ("uris", "suites", "components"))
            addresses, suites, components = words
            entries.append(AptEntry(addresses=addresses, suites=suites, components=components))
    return tuple(entries)


def debian_addresses(entries: tuple[AptEntry, ...], archive: str) -> tuple[str, ...]:
    """Where `entries` get Debian's `archive` from, the likeliest first.

    Other vendors use Debian's suite names too; Debian's own folder name is preferred, hashes do the rest.
    """
    found = [
        address.rstrip("/")
        for entry in entries
        for address in entry.addresses
        for suite in entry.suites
        if "main" in entry.components
        and _SUFFIX.sub("", suite) in RELEASES
        and archive_of_suite(suite.replace("/updates", "-security")) == archive
        and usable(address)
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda address: not address.endswith(f"/{archive}")))


def usable(address: str) -> bool:
    """Whether `address` is plain http or https without a name and password in it."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username
