"""Debian's package indexes: what a suite offers.

A signed `InRelease` names the sha256 of each index, and an index the sha256 of each package; a lock keeps the
package's. Security suites have no `Packages.gz`: only `.xz` is read. An index is asked for by its hash first
(`Acquire-By-Hash`), so that a mirror which is being updated gives one that fits.
"""

from __future__ import annotations

import lzma
import re
from typing import TYPE_CHECKING

import msgspec

from hullmark.build.fetch import Fetcher, Wanted, digest_of
from hullmark.build.lock import MAX_DEB_BYTES, Index, LockedPackage, archive_of_suite, check_version
from hullmark.build.mirror import HINT, Sources
from hullmark.build.release import Release, Trust, read_release
from hullmark.errors import EnvironmentFaultError, HullmarkError, InputError, NetworkError, UsageError
from hullmark.image import parse_digest

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

MAX_RELEASE_BYTES = 8 << 20
MAX_INDEX_BYTES = 64 << 20
"""Compressed; Debian's largest has 10 MB."""
MAX_INDEX_TEXT = 256 << 20
"""Unpacked; Debian's largest has 57 MB."""

_AS_SIGNED = "The file is as it was signed, so another mirror has the same: wait for the archive's next one."
_SOURCE = re.compile(r"(\S+)(?: \((\S+)\))?")


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """A suite whose `InRelease` was read and believed."""

    index: Index
    address: str
    """Where it was had from: an archive's."""
    release: Release


def read_suite(
    suite: str, *, fetcher: Fetcher, sources: Sources, trust: Trust, locked: Index | None = None
) -> Suite:
    """`suite` as the first address has it that may be believed; one that may not is passed over, and said."""
    archive = archive_of_suite(suite)
    addresses = sources.addresses(archive)
    if not addresses:
        raise EnvironmentFaultError(f"no address of the archive {archive} is known", hint=HINT)
    faults: list[HullmarkError] = []
    for address in addresses:
        file = f"{address}/dists/{suite}/InRelease"
        try:
            data = fetcher.read(file, limit=MAX_RELEASE_BYTES)
            if data is None:
                continue
            release = read_release(data, suite=suite, trust=trust, locked=locked, file=file)
        except (InputError, NetworkError) as error:
            faults.append(error)
            continue
        for fault in faults:
            fetcher.progress.say(f"passed over: {fault.message}")
        index = Index(archive=archive, suite=suite, release=digest_of(data), date=release.date)
        return Suite(index=index, address=address, release=release)
    if faults:
        raise faults[0]
    raise NetworkError(
        f"Debian's suite {suite} is not offered by {', '.join(addresses)}",
        hint=f"Is it a Debian mirror? Ubuntu's, for one, has other suites. {HINT}",
    )


def wanted_index(suite: Suite, architecture: str, sources: Sources) -> Wanted:
    """The package index of `suite` for `architecture`, to be fetched by its hash."""
    path = f"main/binary-{architecture}/Packages.xz"
    name = suite.index.suite
    file = f"{suite.address}/dists/{name}/InRelease"
    if path not in suite.release.files:
        raise InputError("no such index", file=file, key=path, hint=f"Does Debian have {architecture}?")
    digest, size = suite.release.files[path]
    if not 0 < size <= MAX_INDEX_BYTES:
        raise InputError(
            f"expected a size up to {MAX_INDEX_BYTES:,}, got {size:,}", file=file, key=path, hint=_AS_SIGNED
        )
    folder = f"dists/{name}/main/binary-{architecture}"
    # Another mirror's file does as well: the hash decides.
    others = [other for other in sources.addresses(suite.index.archive) if other != suite.address]
    bases = [f"{address}/{folder}" for address in (suite.address, *others)]
    by_hash = [f"{base}/by-hash/SHA256/{digest.removeprefix('sha256:')}" for base in bases]
    urls = (*by_hash, *(f"{base}/Packages.xz" for base in bases))
    return Wanted(what=f"{bases[0]}/Packages.xz", digest=digest, size=size, urls=urls, suffix=".xz")


def read_indexes(
    suites: Sequence[Suite],
    architectures: Collection[str],
    names: Collection[str],
    *,
    fetcher: Fetcher,
    sources: Sources,
) -> list[LockedPackage]:
    """All that `suites` offer of the packages called one of `names`, in the order of the suites."""
    asked = [
        (suite.index.suite, architecture, wanted_index(suite, architecture, sources))
        for suite in suites
        for architecture in architectures
    ]
    fetcher.fetch_all([wanted for _, _, wanted in asked], what="package indexes")
    return [
        package
        for suite, architecture, wanted in asked
        for package in parse_packages(read_index(fetcher, wanted), names, suite, architecture)
    ]


def read_index(fetcher: Fetcher, wanted: Wanted) -> bytes:
    """The text of a package index that was fetched."""
    data = fetcher.cache.read(wanted)
    if data is None:
        raise InputError(
            "vanished from the cache while it was read", file=fetcher.cache.path(wanted), hint="Run it again."
        )
    decoder = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=MAX_INDEX_TEXT)
    try:
        text = decoder.decompress(data, max_length=MAX_INDEX_TEXT)
    except lzma.LZMAError as error:
        raise InputError(f"not xz: {error}", file=wanted.what, hint=_AS_SIGNED) from error
    if not decoder.eof:
        big = len(text) >= MAX_INDEX_TEXT
        reason = f"unpacks to more than {MAX_INDEX_TEXT:,} bytes" if big else "truncated"
        raise InputError(reason, file=wanted.what, hint=_AS_SIGNED)
    if decoder.unused_data:
        raise InputError("more than one xz stream", file=wanted.what, hint=_AS_SIGNED)
    return text


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
        name, version = str(fields["Package"]), check_version(str(fields["Version"]))
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
        raise InputError(
            f"not a package paragraph: {error}", file=f"Packages of {suite}", hint=_AS_SIGNED
        ) from error


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
