"""One request, one answer, over HTTP.

Rules (each has a test with the same words):
- the token goes to the configured server and nowhere else: no redirect is followed here;
- the token stands in no error and in no value that could be printed;
- no answer is waited for without a limit, or read without one.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from hullmark import __version__
from hullmark.errors import NetworkError, UsageError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

API = "https://api.github.com"
VERSION = "2022-11-28"
"""The version of the REST interface that every request names."""
CONNECT_SECONDS = 15
READ_SECONDS = 60
MAX_ANSWER = 64 << 20


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked. It never holds the token."""

    method: str
    url: str
    headers: dict[str, str] = {}
    body: bytes = b""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. Names of headers are in lower case."""

    status: int
    headers: dict[str, str] = {}
    body: bytes = b""


class NoAnswerError(NetworkError):
    """No answer came. `is_sent` says whether the request may have been carried out nevertheless."""

    def __init__(self, message: str, *, is_sent: bool) -> None:
        super().__init__(message, hint="Is the network there? githubstatus.com says whether GitHub is.")
        self.is_sent = is_sent


Transport = Callable[[Request], Answer]
"""Carries one request out, or raises NoAnswerError."""


class HttpTransport:
    """Carries requests to one server, with its token."""

    def __init__(self, base: str, token: str, *, read_seconds: float = READ_SECONDS) -> None:
        parts = urlsplit(base)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.password:
            raise UsageError(f"{base!r} is no address of a GitHub server", hint=f"Expected one as {API}.")
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise UsageError(
                "there is no token to talk to GitHub with",
                hint="Set GITHUB_TOKEN; in a workflow: env: GITHUB_TOKEN: ${{ github.token }}",
            )
        self._origin = (parts.scheme, parts.netloc)
        self._token = token
        self._read_seconds = read_seconds
        self._pool: PoolManager | None = None

    def __call__(self, request: Request) -> Answer:
        """Carry `request` out."""
        import urllib3  # noqa: PLC0415 - only talking to GitHub pays for it

        parts = urlsplit(request.url)
        if (parts.scheme, parts.netloc) != self._origin:
            raise NetworkError(f"{request.method} {request.url}: leads away from {self._origin[1]}")
        headers = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": VERSION,
            "User-Agent": f"hullmark/{__version__}",
            **request.headers,
            "Authorization": f"Bearer {self._token}",
        }
        try:
            response = self._open().request(
                request.method,
                request.url,
                body=request.body or None,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
            )
            return _read(request, response)
        except urllib3.exceptions.HTTPError as error:
            unsent = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
            raise NoAnswerError(
                f"{request.method} {request.url}: no answer: {type(error).__name__}",
                is_sent=not isinstance(error, unsent),
            ) from error

    def scrub(self, text: str) -> str:
        """`text` without the token, should the server have repeated it."""
        return text.replace(self._token, "***")

    def close(self) -> None:
        """Close every connection."""
        if self._pool is not None:
            self._pool.clear()

    def _open(self) -> PoolManager:
        if self._pool is None:
            self._pool = _pool(*self._origin, self._read_seconds)
        return self._pool


def _read(request: Request, response: BaseHTTPResponse) -> Answer:
    body = response.read(MAX_ANSWER + 1, decode_content=True)
    if len(body) > MAX_ANSWER:
        response.close()
        raise NetworkError(f"{request.method} {request.url}: an answer of more than {MAX_ANSWER:,} bytes")
    headers = {name.lower(): value for name, value in response.headers.items()}
    response.release_conn()
    return Answer(status=response.status, headers=headers, body=body)


def _pool(scheme: str, host: str, read_seconds: float) -> PoolManager:
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - only talking to GitHub pays for it

    import urllib3  # noqa: PLC0415 - same

    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds)
    proxy = getproxies().get(scheme)
    if proxy and not proxy_bypass(host):
        return urllib3.ProxyManager(proxy, maxsize=1, timeout=timeout)
    return urllib3.PoolManager(maxsize=1, timeout=timeout)


def is_success(answer: Answer) -> bool:
    """Whether the request was carried out."""
    return HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
