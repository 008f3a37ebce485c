"""Debian's package indexes: what a suite offers (`InRelease`, `Packages.xz`).

`InRelease` names the sha256 of each index, and an index the sha256 of each package; a lock keeps the
package's. Security suites have no `Packages.gz`: only `.xz` is read.
"""

from __future__ import annotations

import lzma
import re
from typing import TYPE_CHECKING

import msgspec

from hullmark.build.fetch import Fetcher, Wanted, digest_of
from hullmark.build.lock import MAX_DEB_BYTES, Index, LockedPackage, archive_of_suite
from hullmark.build.mirror import HINT, Sources
from hullmark.errors import EnvironmentFaultError, InputError, NetworkError, UsageError
from hullmark.image import Digest, parse_digest

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_RELEASE_BYTES = 8 << 20
MAX_INDEX_BYTES = 128 << 20
MAX_INDEX_TEXT = 1 << 30

_SIGNED = re.compile(
    rb"-----BEGIN PGP SIGNED MESSAGE-----\r?\n(?:[^\r\n]+\r?\n)*\r?\n(.*?)\r?\n-----BEGIN PGP SIGNATURE-----",
    re.DOTALL,
)
_SOURCE = re.compile(r"(\S+)(?: \((\S+)\))?")


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """What `InRelease` says about its suite."""

    origin: str
    names: tuple[str, ...]
    """Its suite and code name: `stable-security`, `trixie-security`."""
    date: int
    files: dict[str, tuple[Digest, int]]


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """A suite that was read, and the packages in it that were asked for."""

    index: Index
    packages: tuple[LockedPackage, ...]


def verify_release(data: bytes) -> str:
    """The signed text of an `InRelease` file.

    The signature itself is not checked yet: what this function returns is the text inside the signature's
    frame, and nothing outside of it. The archive keyring belongs here.
    """
    match = _SIGNED.search(data)
    if match is None:
        raise InputError("not a signed InRelease file", file="InRelease")
    return "\n".join(line.removeprefix("- ") for line in match[1].decode(errors="replace").splitlines())


def parse_release(text: str, *, file: str) -> Release:
    """The release that `text` describes, or InputError naming `file`."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - it loads socket

    from debian.deb822 import Release as Deb822Release  # noqa: PLC0415 - only locking pays for it

    fields = Deb822Release(text)
    try:
        files = {
            str(entry["name"]): (parse_digest(f"sha256:{entry['sha256']}"), int(entry["size"]))
            for entry in fields["SHA256"]
        }
        date = int(parsedate_to_datetime(str(fields["Date"])).timestamp())
    except (KeyError, ValueError, TypeError, UsageError) as error:
        raise InputError(f"not a release file: {error}", file=file) from error
    names = tuple(str(fields[key]) for key in ("Suite", "Codename") if key in fields)
    return Release(origin=str(fields.get("Origin", "")), names=names, date=date, files=files)


def parse_packages(text: bytes, names: Collection[str], suite: str, architecture: str) -> list[LockedPackage]:
    """The packages called one of `names` in an index. Only their paragraphs are decoded: there are 68,000."""
    wanted = {name.encode() for name in names}
    found = []
    for paragraph in text.split(b"\n\n"):
        first = paragraph.lstrip(b"\n").split(b"\n", 1)[0]
        if first.startswith(b"Package: ") and first[9:].strip() in wanted:
            found.append(_package(paragraph.decode(errors="replace"), suite, architecture))
    return found


def _package(paragraph: str, suite: str, architecture: str) -> LockedPackage:
    from debian.deb822 import Packages  # noqa: PLC0415 - only locking pays for it

    fields = Packages(paragraph)
    try:
        name, version = str(fields["Package"]), str(fields["Version"])
        source, source_version = _source(str(fields.get("Source", name)))
        return LockedPackage(
            architecture=architecture,
            name=name,
            version=version,
            digest=parse_digest(f"sha256:{fields['SHA256']}"),
            size=_size(fields["Size"]),
            suite=suite,
            path=str(fields["Filename"]),
            source=source,
            source_version=source_version or version,
        )
    except (KeyError, ValueError, UsageError) as error:
        raise InputError(f"not a package paragraph: {error}", file=f"Packages of {suite}") from error


def _source(text: str) -> tuple[str, str]:
    match = _SOURCE.fullmatch(text)
    if match is None:
        raise ValueError(f"Source {text!r}")
    return match[1], match[2] or ""


def _size(text: str) -> int:
    size = int(text)
    if not 0 < size <= MAX_DEB_BYTES:
        raise ValueError(f"Size {text!r}")
    return size


def read_suite(
    fetcher: Fetcher, sources: Sources, suite: str, architectures: Collection[str], names: Collection[str]
) -> Suite:
    """Read `suite` from the first address that offers it, and choose `names` from its indexes."""
    archive = archive_of_suite(suite)
    for address in sources.addresses(archive):
        data = fetcher.read(f"{address}/dists/{suite}/InRelease", limit=MAX_RELEASE_BYTES)
        if data is None:
            continue
        release = parse_release(verify_release(data), file=f"{address}/dists/{suite}/InRelease")
        if release.origin != "Debian" or suite not in release.names:
            continue
        index = Index(archive=archive, suite=suite, release=digest_of(data), date=release.date)
        packages = [
            package
            for architecture in architectures
            for package in parse_packages(
                _index_text(fetcher, f"{address}/dists/{suite}", release, architecture),
                names,
                suite,
                architecture,
            )
        ]
        return Suite(index=index, packages=tuple(packages))
    if not sources.addresses(archive):
        raise EnvironmentFaultError(f"no address of the archive {archive} is known", hint=HINT)
    tried = ", ".join(sources.addresses(archive))
    raise NetworkError(f"Debian's suite {suite} is not offered by {tried}", hint=HINT)


def _index_text(fetcher: Fetcher, base: str, release: Release, architecture: str) -> bytes:
    path = f"main/binary-{architecture}/Packages.xz"
    if path not in release.files:
        raise InputError("no such index", file=f"{base}/InRelease", key=path)
    digest, size = release.files[path]
    if size > MAX_INDEX_BYTES:
        raise InputError(f"{size:,} bytes, more than {MAX_INDEX_BYTES:,}", file=f"{base}/InRelease", key=path)
    by_hash = f"{base}/main/binary-{architecture}/by-hash/SHA256/{digest.removeprefix('sha256:')}"
    wanted = Wanted(
        what=f"{base}/{path}", digest=digest, size=size, urls=(by_hash, f"{base}/{path}"), suffix=".xz"
    )
    data = fetcher.cache.read(wanted)
    if data is None:
        fetcher.fetch(wanted)
        data = fetcher.cache.read(wanted)
    if data is None:
        raise InputError("vanished from the cache while it was read", file=fetcher.cache.path(wanted))
    try:
        decoder = lzma.LZMADecompressor()
        text = decoder.decompress(data, max_length=MAX_INDEX_TEXT)
    except lzma.LZMAError as error:
        raise InputError(f"not xz: {error}", file=f"{base}/{path}") from error
    if not decoder.eof:
        raise InputError("truncated or too big", file=f"{base}/{path}")
    return text
