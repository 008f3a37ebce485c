"""What is known to be exploited: CISA's list (Known Exploited Vulnerabilities), kept in a file.

Rules (each has a test with the same words):
- only `hullmark db update` asks the network: nothing else refreshes a feed;
- a feed that is configured and is missing or old is stale: a person decides, never an empty list;
- what is fetched is checked before it replaces anything, and an older list never replaces a newer one;
- no answer is read without a limit, and no redirect is followed;
- plain HTTP is allowed for loopback only.

Source: the JSON form of CISA's Known Exploited Vulnerabilities catalog.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from hullmark.decision import Kev, KevState
from hullmark.errors import InputError, NetworkError, UsageError
from hullmark.files import read_bounded, write_whole
from hullmark.ledger.entry import format_time

if TYPE_CHECKING:
    from pathlib import Path
    from urllib.parse import SplitResult

    from urllib3 import BaseHTTPResponse, PoolManager

MAX_FEED = 32 << 20
CONNECT_SECONDS = 15
READ_SECONDS = 60
ATTEMPTS = 3
MAX_FUTURE = timedelta(days=1)

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_ID = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}")
_HINT = "Expected CISA's catalog of known exploited vulnerabilities, as JSON."


class _Entry(msgspec.Struct, frozen=True):
    cveID: str  # noqa: N815 - CISA's key


class _Catalog(msgspec.Struct, frozen=True, rename="camel"):
    date_released: str
    count: int
    vulnerabilities: tuple[_Entry, ...]


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """A list of exploited vulnerabilities."""

    released: datetime
    """When CISA published it, UTC."""
    ids: tuple[str, ...]
    """Sorted."""

    def age(self, now: datetime) -> timedelta:
        """How old it is."""
        return now - self.released


def parse_feed(data: bytes, *, file: Path | str) -> Feed:
    """Read a catalog, or raise InputError. One that is empty or cut is refused."""
    try:
        catalog = msgspec.json.decode(data, type=_Catalog)
        released = datetime.fromisoformat(catalog.date_released)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InputError(str(error), file=file, hint=_HINT) from error
    if released.tzinfo is None:
        released = released.replace(tzinfo=UTC)
    for place, entry in enumerate(catalog.vulnerabilities):
        if not _ID.fullmatch(entry.cveID):
            key = f"vulnerabilities[{place}].cveID"
            raise InputError(f"{entry.cveID[:40]!r} is no CVE", file=file, key=key, hint=_HINT)
    if not catalog.vulnerabilities or catalog.count != len(catalog.vulnerabilities):
        raise InputError(
            f"says it has {catalog.count} vulnerabilities, and has {len(catalog.vulnerabilities)}",
            file=file,
            key="count",
            hint="It was cut. Fetch it again with: hullmark db update",
        )
    ids = tuple(sorted({entry.cveID for entry in catalog.vulnerabilities}))
    return Feed(released=released.astimezone(UTC), ids=ids)


def load_feed(path: Path) -> Feed | None:
    """The list in the file at `path`; None where there is no such file."""
    return parse_feed(read_bounded(path, MAX_FEED), file=path) if path.exists() else None


def ask_feed(path: Path | None, *, now: datetime, max_age: int) -> Kev:
    """What the gate may ask about exploited vulnerabilities. `path` is None where no feed is configured.

    A list that is stale is not asked at all: what it does not know yet would look harmless.
    """
    if path is None:
        return Kev()
    feed = load_feed(path)
    if feed is None:
        return Kev(state=KevState.STALE)
    is_fresh = -MAX_FUTURE <= feed.age(now) <= timedelta(days=max_age)
    return Kev(
        state=KevState.FRESH if is_fresh else KevState.STALE,
        date=format_time(feed.released.replace(microsecond=0)),
        ids=feed.ids,
    )


def update_feed(path: Path, url: str) -> tuple[Feed, bool]:
    """Fetch the list at `url` into the file at `path`; the list that is there now, and whether it changed."""
    check_address(url)
    data = _fetch(url)
    fetched = parse_feed(data, file=url)
    try:
        present = load_feed(path)
    except InputError:
        present = None  # a damaged file is replaced
    if present is not None and present.released >= fetched.released:
        return present, False
    write_whole(path, data)
    return fetched, True


def check_address(url: str) -> None:
    """Raise UsageError when `url` is not an address that is safe to ask."""
    parts = urlsplit(url)
    plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not parts.hostname or parts.username or parts.password or not (parts.scheme == "https" or plain):
        raise UsageError(f"{url!r} is no address of a feed", hint="Expected https://HOST/PATH.")


def _fetch(url: str) -> bytes:
    import urllib3  # noqa: PLC0415 - only an update pays for it

    with _pool(urlsplit(url)) as pool:
        try:
            response = pool.request("GET", url, preload_content=False, redirect=False)
            try:
                return _read(url, response)
            finally:
                response.close()
        except urllib3.exceptions.HTTPError as error:
            raise NetworkError(f"{url}: {error}", hint="Is the network there?") from error


def _read(url: str, response: BaseHTTPResponse) -> bytes:
    if response.status != HTTPStatus.OK:
        moved = response.headers.get("Location", "")
        hint = f"It has moved to {moved}; name that if you trust it." if moved else "Try again later."
        raise NetworkError(f"{url} answered {response.status}", hint=hint)
    data = bytearray()
    for block in response.stream(1 << 16, decode_content=True):
        data += block
        if len(data) > MAX_FEED:
            raise NetworkError(f"{url} gives more than {MAX_FEED:,} bytes", hint="It is not the feed.")
    return bytes(data)


def _pool(url: SplitResult) -> PoolManager:
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - only an update pays for it

    import urllib3  # noqa: PLC0415 - same

    retries = urllib3.Retry(
        total=ATTEMPTS,
        redirect=False,
        backoff_factor=0.2,
        status_forcelist=(429, 500, 502, 503, 504),
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    proxy = getproxies().get(url.scheme)
    if proxy and not proxy_bypass(url.hostname or ""):
        return urllib3.ProxyManager(proxy, retries=retries, timeout=timeout)
    return urllib3.PoolManager(retries=retries, timeout=timeout)
