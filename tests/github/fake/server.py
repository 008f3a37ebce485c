"""The fake over real HTTP on the loopback interface: tokens, limits, tags, pages, faults."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from hullmark.github.client import Client
from hullmark.github.transport import HttpTransport
from tests.github.contract import contract
from tests.github.fake import pulls, rest
from tests.github.fake.graph import execute
from tests.github.fake.rest import Call, Refusal, Reply
from tests.github.fake.world import TOKEN, Account, World

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

LIMIT = 5_000
HANDLERS = {**rest.HANDLERS, **pulls.HANDLERS}


class Fault(Enum):
    """A way in which one request fails."""

    BAD_GATEWAY = "502"
    """Refused on the way: it was not carried out."""
    BAD_GATEWAY_AFTER = "502 after"
    """Carried out, and then 502."""
    SECONDARY_LIMIT = "403 limit"
    TIMEOUT = "timeout"
    """Neither carried out nor answered: the connection ends."""
    LOST = "lost answer"
    """Carried out, and the connection ends."""


class FakeGitHub:
    """Serves one world. What breaks the contract is collected in `violations`."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.log: list[str] = []
        """Every request, as `POST /repos/acme/images/issues`."""
        self.violations: list[str] = []
        self.faults: dict[int, Fault] = {}
        """By the number of the request, from 0, counted over everything that was asked."""
        self.later: deque[tuple[str, Fault]] = deque()
        """Faults of the next requests whose line in the log begins so (`POST /repos`)."""
        self.remaining = LIMIT
        self.reset_at = 0.0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/v3"

    @property
    def changes(self) -> list[str]:
        """Every request that was no question; GraphQL's are told by what they changed."""
        return [line for line in self.log if not line.startswith("GET ") and "/graphql" not in line]

    def client(self, token: str = TOKEN, *, max_wait: float = 900.0) -> Client:
        """A client of ours, in the time of this world."""
        transport = HttpTransport(self.base, token, read_seconds=30)
        world = self.world
        return Client(
            self.base,
            transport,
            clock=lambda: world.now,
            sleep=world.sleep,
            scrub=transport.scrub,
            max_wait=max_wait,
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join(timeout=30)
        self._server.server_close()

    def answer(self, method: str, url: str, headers: dict[str, str], raw: bytes) -> Reply | None:
        """What GitHub answers; None when the connection ends without a word."""
        with self._lock:
            line = f"{method} {urlsplit(url).path.removeprefix('/api/v3')}"
            fault = self._fault(line)
            self.log.append(line)
            if fault in (Fault.BAD_GATEWAY, Fault.TIMEOUT):
                return Reply(502, {"message": "Server Error"}) if fault is Fault.BAD_GATEWAY else None
            if fault is Fault.SECONDARY_LIMIT:
                said = {"message": "You have exceeded a secondary rate limit."}
                return Reply(403, said, {"retry-after": "30"})
            reply = self._carry_out(method, url, headers, raw)
            if fault is Fault.BAD_GATEWAY_AFTER:
                return Reply(502, {"message": "Server Error"})
            return None if fault is Fault.LOST else reply

    def _fault(self, line: str) -> Fault | None:
        if (fault := self.faults.get(len(self.log))) is not None:
            return fault
        if self.later and line.startswith(self.later[0][0]):
            return self.later.popleft()[1]
        return None

    def _carry_out(self, method: str, url: str, headers: dict[str, str], raw: bytes) -> Reply:
        try:
            return self._reply(method, url, headers, raw)
        except Refusal as refusal:
            said = {"message": str(refusal), "documentation_url": "https://docs.github.example"}
            return Reply(refusal.status, said, refusal.headers)

    def _reply(self, method: str, url: str, headers: dict[str, str], raw: bytes) -> Reply:
        account = self._admit(headers)
        parts = urlsplit(url)
        path, query = (
            parts.path.removeprefix("/api/v3"),
            dict(parse_qsl(parts.query, strict_parsing=True) if parts.query else ()),
        )
        body = json.loads(raw) if raw else None
        if "x-github-api-version" not in headers or "user-agent" not in headers:
            self.violations.append(f"{method} {path}: a header is missing")
        if method == "POST" and parts.path == "/api/graphql":
            answer, unfit = execute(self.world, account, body)
            self.violations += [f"GraphQL: {fault}" for fault in unfit]
            return Reply(200, answer)
        operation = contract().find(method, path)
        if operation is None or operation.name not in HANDLERS:
            self.violations.append(f"{method} {path}: no such operation")
            raise Refusal(404, "Not Found")
        faults = contract().check_request(operation, query, body)
        self.violations += [f"{method} {path}: {fault}" for fault in faults]
        if faults:
            raise Refusal(422, f"Validation Failed: {faults[0]}")
        names = operation.names_in(path)
        self._find_repository(method, names)
        call = Call(self.world, account, names, query, body, self.base)
        reply = HANDLERS[operation.name](call)
        reply = self._page(reply, url, query)
        self._check(method, path, reply, operation)
        return self._tag(method, headers, reply)

    def _admit(self, headers: dict[str, str]) -> Account:
        if self.remaining <= 0 and self.world.now < self.reset_at:
            reset = str(int(self.reset_at))
            raise Refusal(403, "API rate limit exceeded", x_ratelimit_remaining="0", x_ratelimit_reset=reset)
        if self.remaining <= 0:
            self.remaining = LIMIT
        self.remaining -= 1
        account = self.world.accounts.get(headers.get("authorization", "").removeprefix("Bearer "))
        if account is None:
            raise Refusal(401, "Bad credentials")
        return account

    def _find_repository(self, method: str, names: dict[str, str]) -> None:
        name = f"{names['owner']}/{names['repo']}"
        if name == self.world.renamed_from:
            raise Refusal(301 if method == "GET" else 307, "Moved", location=f"{self.base}/repositories/1")
        if name != self.world.name:
            raise Refusal(404, "Not Found")
        if self.world.archived and method != "GET":
            raise Refusal(403, "Repository was archived so is read-only.")

    def _page(self, reply: Reply, url: str, query: dict[str, str]) -> Reply:
        if isinstance(reply.body, dict) and reply.key:
            listed = self._page(Reply(200, reply.body[reply.key], reply.headers), url, query)
            return Reply(200, {**reply.body, reply.key: listed.body}, listed.headers)
        if not isinstance(reply.body, list):
            return reply
        size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
        rest = reply.body[page * size :]
        if rest:
            kept = {name: value for name, value in query.items() if name != "page"}
            text = "&".join(f"{name}={value}" for name, value in {**kept, "page": str(page + 1)}.items())
            link = f'<{url.partition("?")[0]}?{text.replace(" ", "%20")}>; rel="next"'
            reply.headers["link"] = link
        reply.body = reply.body[(page - 1) * size : page * size]
        return reply

    def _check(self, method: str, path: str, reply: Reply, operation: Any) -> None:  # noqa: ANN401
        faults = contract().check_answer(operation, reply.status, reply.body)
        self.violations += [f"answer to {method} {path}: {fault}" for fault in faults]

    def _tag(self, method: str, headers: dict[str, str], reply: Reply) -> Reply:
        if method == "GET" and reply.status == 200:
            tag = f'"{hashlib.sha256(json.dumps(reply.body).encode()).hexdigest()[:20]}"'
            if headers.get("if-none-match") == tag:
                self.remaining += 1  # costs nothing
                return Reply(304, None, {"etag": tag})
            reply.headers["etag"] = tag
        reply.headers["x-ratelimit-remaining"] = str(self.remaining)
        return reply


def _handler(fake: FakeGitHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

        def do_any(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            url = f"http://{self.headers['Host']}{self.path}"
            reply = fake.answer(self.command, url, headers, raw)
            self.close_connection = True
            if reply is None:
                return
            body = b"" if reply.body is None else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_any  # noqa: N815 - the library's names

    return Handler
