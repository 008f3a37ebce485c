"""Talking to GitHub: questions, changes, creations, GraphQL.

Rules (each has a test with the same words):
- a limit is waited out, for any request: it was refused before it was carried out;
- what waiting would take longer than the bound is given up with a clear text;
- a server's fault or a lost answer is repeated only where repeating does no harm;
- a lost answer to a creation is looked up before it is repeated: one issue, not two;
- a missing permission is named, and never waited for;
- pages are followed by their link only, and never to another server;
- what has not changed costs nothing: a question is repeated with its ETag;
- changes go one at a time, a second apart.
"""

from __future__ import annotations

import re
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from hullmark.errors import NetworkError
from hullmark.github.faults import DeniedError, LimitedError, LostError, RefusedError, refusal
from hullmark.github.limits import fault_wait, limit_wait
from hullmark.github.transport import Answer, HttpTransport, NoAnswerError, Request, is_success

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hullmark.github.transport import Transport

    Query = Mapping[str, str | int]

ATTEMPTS = 5
MAX_WAIT = 900.0
"""Seconds that all waiting for one request may take."""
WRITE_GAP = 1.0
"""Seconds between two changes, as GitHub asks for."""
PAGE = 100
MAX_PAGES = 200
MAX_KEPT = 200
"""Answers kept for their ETag."""

_NEXT = re.compile(r'<([^<>]+)>\s*;\s*rel="?next"?')
_Found = TypeVar("_Found")


class Client:
    """Talks to one GitHub server. Its clock and sleep are given, so that nobody waits in a test."""

    def __init__(
        self,
        base: str,
        transport: Transport,
        *,
        graphql: str = "",
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        scrub: Callable[[str], str] = str,
        max_wait: float = MAX_WAIT,
    ) -> None:
        self.base = base.rstrip("/")
        self.graphql_url = graphql or graphql_address(self.base)
        self._transport = transport
        self._clock = clock
        self._sleep = sleep
        self._scrub = scrub
        self._max_wait = max_wait
        self._last_change = -WRITE_GAP
        self._kept: dict[str, tuple[str, Answer]] = {}

    def get(self, path: str, query: Query | None = None, *, needs: str = "") -> Any:  # noqa: ANN401 - any JSON
        """The document at `path`. `needs` is the permission that an error names."""
        return _document(self._ask(self._address(path, query or {}), needs))

    def pages(
        self,
        path: str,
        query: Query | None = None,
        *,
        needs: str = "",
        key: str = "",
        max_pages: int = MAX_PAGES,
    ) -> Iterator[Any]:
        """Every member of a list; `key` names it where the answer is an object that holds the list."""
        url = self._address(path, {"per_page": PAGE, **(query or {})})
        for _ in range(max_pages):
            answer = self._ask(url, needs)
            document = _document(answer)
            yield from document[key] if key else document
            found = _NEXT.search(answer.headers.get("link", ""))
            if found is None:
                return
            url = found[1]
            if urlsplit(url)[:2] != urlsplit(self.base)[:2]:
                raise NetworkError(f"GET {path}: the next page leads to another server: {urlsplit(url)[1]}")
        raise NetworkError(f"GET {path}: more than {max_pages} pages", hint="Something must be cleaned up.")

    def change(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        needs: str = "",
    ) -> Any:  # noqa: ANN401 - any JSON
        """Change what is there. Doing it twice must be the same as doing it once: it is repeated."""
        request = self._request(method, path, body)
        return _document(self._send(request, needs, repeatable=True))

    def create(
        self,
        path: str,
        body: object,
        find: Callable[[], _Found | None],
        read: Callable[[Any], _Found],
        *,
        needs: str = "",
    ) -> _Found:
        """Create something that is not there yet, once.

        `find` looks whether it is there, `read` understands the answer. When the answer is lost, nobody
        knows: it is looked for before it is created again.
        """
        request = self._request("POST", path, body)
        for attempt in range(ATTEMPTS):
            try:
                return read(_document(self._send(request, needs, repeatable=False)))
            except LostError:
                self._sleep(fault_wait(attempt))
                if (found := find()) is not None:
                    return found
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")  # pragma: no cover

    def graphql(self, query: str, variables: Mapping[str, object], *, needs: str = "") -> Any:  # noqa: ANN401 - any JSON
        """The data of a GraphQL query or of a mutation that may be done twice."""
        body = msgspec.json.encode({"query": query, "variables": variables})
        headers = {"Content-Type": "application/json"}
        request = Request(method="POST", url=self.graphql_url, headers=headers, body=body)
        document = _document(self._send(request, needs, repeatable=True))
        errors = document.get("errors") if isinstance(document, dict) else None
        if errors:
            said = self._scrub("; ".join(str(error.get("message", "")) for error in errors))
            if any(error.get("type") in ("FORBIDDEN", "INSUFFICIENT_SCOPES") for error in errors):
                raise DeniedError(f"GraphQL: {said}", needs=needs, status=HTTPStatus.FORBIDDEN)
            raise RefusedError(f"GraphQL: {said}", status=HTTPStatus.UNPROCESSABLE_ENTITY)
        return document["data"]

    def _address(self, path: str, query: Query) -> str:
        return f"{self.base}{path}{'?' + urlencode(query) if query else ''}"

    def _request(self, method: str, path: str, body: object) -> Request:
        if body is None:
            return Request(method=method, url=self._address(path, {}))
        return Request(
            method=method,
            url=self._address(path, {}),
            headers={"Content-Type": "application/json"},
            body=msgspec.json.encode(body),
        )

    def _ask(self, url: str, needs: str) -> Answer:
        tag, kept = self._kept.get(url, ("", None))
        headers = {"If-None-Match": tag} if tag else {}
        answer = self._send(Request(method="GET", url=url, headers=headers), needs, repeatable=True)
        if answer.status == HTTPStatus.NOT_MODIFIED and kept is not None:
            return kept
        if "etag" in answer.headers and len(self._kept) < MAX_KEPT:
            self._kept[url] = answer.headers["etag"], answer
        return answer

    def _send(self, request: Request, needs: str, *, repeatable: bool) -> Answer:
        """Carry `request` out, waiting and repeating as the rules allow."""
        waited = 0.0
        for attempt in range(ATTEMPTS):
            fault: NetworkError
            try:
                answer = self._carry(request)
            except NoAnswerError as error:
                wait, fault = fault_wait(attempt), error
                if error.is_sent and not repeatable:
                    raise LostError(error.message) from error
            else:
                if is_success(answer) or answer.status == HTTPStatus.NOT_MODIFIED:
                    return answer
                fault = refusal(request, answer, needs=needs, scrub=self._scrub)
                limited = limit_wait(answer, attempt=attempt, now=self._clock())
                if limited is not None:
                    wait, fault = limited, LimitedError(fault.message, wait=limited)
                elif isinstance(fault, LostError) and repeatable:
                    wait = fault_wait(attempt)
                else:
                    raise fault
            waited += wait
            if attempt == ATTEMPTS - 1 or waited > self._max_wait:
                raise fault
            self._sleep(wait)
        raise AssertionError("unreachable")  # pragma: no cover

    def _carry(self, request: Request) -> Answer:
        if request.method != "GET" and request.url != self.graphql_url:
            gap = self._last_change + WRITE_GAP - self._clock()
            if gap > 0:
                self._sleep(gap)
            self._last_change = self._clock()
        return self._transport(request)


def connect(base: str, token: str, *, graphql: str = "") -> Client:
    """A client that talks to the server at `base` over HTTP."""
    transport = HttpTransport(base, token)
    return Client(base, transport, graphql=graphql, scrub=transport.scrub)


def graphql_address(base: str) -> str:
    """Where a server answers GraphQL: beside `/v3` on a server of one's own."""
    return f"{base.removesuffix('/v3')}/graphql"


def _document(answer: Answer) -> Any:  # noqa: ANN401 - any JSON
    if not answer.body:
        return None
    try:
        return msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LostError(f"GitHub answered with something that is no JSON: {error}") from error
