"""Files fetched by hash into a cache that is keyed by hash.

Rules (each has a test with the same words):

1. Nothing enters the cache whose size or sha256 differs from what was asked for.
2. A cached file is hashed again before use; a damaged one is fetched anew.
3. Addresses are tried in order; a file that all of them lack is `VanishedError`.
4. Retries are bounded, and so is every answer's size.
5. An interrupted download leaves nothing.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

import msgspec

from hullmark.build.mirror import HINT
from hullmark.errors import EnvironmentFaultError, NetworkError
from hullmark.files import explained, replacing
from hullmark.image import Digest
from hullmark.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from urllib3 import BaseHTTPResponse, PoolManager

WORKERS = 8
ATTEMPTS = 3
BLOCK = 1 << 18
CONNECT_SECONDS = 15
READ_SECONDS = 60
NOT_FOUND = frozenset({403, 404, 410})
RETRY_STATUS = frozenset({429, 500, 502, 503, 504})


class VanishedError(NetworkError):
    """No address has the file any more: mirrors keep superseded packages for some weeks only."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One file, known by hash before it is fetched."""

    what: str
    """How to call it in a message."""
    digest: Digest
    size: int
    urls: tuple[str, ...]
    suffix: str = ""
    """Of its name in the cache."""


class Cache:
    """A folder of files named by their sha256."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, wanted: Wanted) -> Path:
        """Where `wanted` is, or will be."""
        return self.folder / (wanted.digest.removeprefix("sha256:") + wanted.suffix)

    def read(self, wanted: Wanted) -> bytes | None:
        """The bytes of `wanted` if the cache holds them unharmed."""
        try:
            with self.path(wanted).open("rb") as file:
                data = file.read(wanted.size + 1)
        except OSError:
            return None
        return data if digest_of(data) == wanted.digest and len(data) == wanted.size else None


class Fetcher:
    """Fetches over HTTP, with bounded retries, sizes and time."""

    def __init__(self, cache: Cache, *, progress: Progress | None = None) -> None:
        self.cache = cache
        self.progress = progress or Silent()
        self._pool = _pool()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.clear()

    def read(self, url: str, *, limit: int) -> bytes | None:
        """The answer of `url`, None when it does not exist; NetworkError when it cannot be had."""
        try:
            return b"".join(self._blocks(url, limit))
        except VanishedError:
            return None

    def fetch_all(self, wanted: Sequence[Wanted], *, what: str = "packages") -> None:
        """Bring all of `wanted` into the cache, several at a time. Progress calls them `what`."""
        missing = [item for item in wanted if self.cache.read(item) is None]
        if not missing:
            return
        with explained(self.cache.folder):
            self.cache.folder.mkdir(parents=True, exist_ok=True)
        self.progress.begin(f"fetching {len(missing)} {what}", sum(item.size for item in missing))
        executor = ThreadPoolExecutor(WORKERS, thread_name_prefix="fetch")
        try:
            for future in [executor.submit(self.fetch, item) for item in missing]:
                future.result()
        finally:
            executor.shutdown(cancel_futures=True)

    def fetch(self, wanted: Wanted) -> None:
        """Bring `wanted` into the cache from the first address that has it unharmed."""
        if not wanted.urls:
            raise EnvironmentFaultError(f"no address to fetch {wanted.what} from is known", hint=HINT)
        faults: list[NetworkError] = []
        for url in wanted.urls:
            try:
                self._fetch_from(url, wanted)
            except NetworkError as error:
                faults.append(error)
            else:
                return
        if all(isinstance(fault, VanishedError) for fault in faults):
            raise VanishedError(
                f"{wanted.what} is no longer on any mirror",
                hint="Try another mirror, or a dated snapshot archive (HULLMARK_DEBIAN_SNAPSHOT).",
            )
        fault = next(fault for fault in faults if not isinstance(fault, VanishedError))
        raise NetworkError(f"cannot fetch {wanted.what}: {fault.message}", hint=fault.hint) from fault

    def _fetch_from(self, url: str, wanted: Wanted) -> None:
        hasher = hashlib.sha256()
        size = 0
        with replacing(self.cache.path(wanted)) as file:
            for block in self._blocks(url, wanted.size):
                file.write(block)
                hasher.update(block)
                size += len(block)
                self.progress.advance(len(block))
            digest = f"sha256:{hasher.hexdigest()}"
            if digest != wanted.digest or size != wanted.size:
                raise NetworkError(
                    f"{url} gave {size:,} bytes with {digest}, expected {wanted.size:,} with {wanted.digest}",
                    hint="The mirror is damaged, or not the one that was locked from; try another.",
                )

    def _blocks(self, url: str, limit: int) -> Iterator[bytes]:
        """The answer in blocks; a connection that breaks is continued where it broke."""
        import urllib3  # noqa: PLC0415 - only fetching pays for it

        done = 0
        for attempt in range(1, ATTEMPTS + 1):
            try:
                for block in self._answer(url, limit, done):
                    done += len(block)
                    if done > limit:
                        raise NetworkError(
                            f"{url} gives more than the {limit:,} bytes expected",
                            hint="It is not the file that is meant; try another mirror.",
                        )
                    yield block
            except urllib3.exceptions.HTTPError as error:
                # MaxRetryError: urllib3 has tried as often as it may, before the answer began.
                if attempt == ATTEMPTS or isinstance(error, urllib3.exceptions.MaxRetryError):
                    reason = str(error.__cause__ or error)
                    raise NetworkError(f"{url}: {reason}", hint="Is the network there?") from error
            else:
                return

    def _answer(self, url: str, limit: int, start: int) -> Iterator[bytes]:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        response = self._pool.request("GET", url, preload_content=False, headers=headers)
        try:
            _check_status(response, url, start)
            skip = start if start and response.status == 200 else 0  # noqa: PLR2004 - the range was ignored
            for block in response.stream(min(BLOCK, limit + 1), decode_content=False):
                if skip < len(block):
                    yield block[skip:]
                skip = max(0, skip - len(block))
        finally:
            response.close()  # after the last block it is back in the pool, before that it is of no use


def _check_status(response: BaseHTTPResponse, url: str, start: int) -> None:
    if response.status in NOT_FOUND:
        raise VanishedError(f"{url} does not exist ({response.status})")
    if response.status not in ((200, 206) if start else (200,)):
        raise NetworkError(f"{url} answered {response.status}", hint="Try again later or use another mirror.")


def _pool() -> PoolManager:
    """Connections with bounded retries, through the proxy that the environment names."""
    from urllib.request import getproxies  # noqa: PLC0415 - only fetching pays for it

    import urllib3  # noqa: PLC0415 - same

    # Retry-After is not obeyed: a server could hold a build for hours.
    retries = urllib3.Retry(
        total=ATTEMPTS,
        backoff_factor=0.2,
        status_forcelist=RETRY_STATUS,
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    proxy = getproxies().get("http")
    if proxy:
        return urllib3.ProxyManager(proxy, maxsize=WORKERS, retries=retries, timeout=timeout)
    return urllib3.PoolManager(maxsize=WORKERS, retries=retries, timeout=timeout)


def digest_of(data: bytes) -> Digest:
    """The sha256 of `data`."""
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")
