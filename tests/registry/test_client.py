"""The registry client, on Debian's registry and on a small server that misbehaves."""

from __future__ import annotations

import hashlib
import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import NetworkError, UsageError
from hullmark.image import Digest
from hullmark.registry.client import INDEX, MANIFEST, Manifest, Registry
from hullmark.registry.login import Login
from hullmark.registry.place import Place, parse_place
from hullmark.registry.referrer import CYCLONEDX, attach
from tests.layouts import inspect, skopeo, write_layout
from tests.scanners.support import registry, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "do-not-tell"


def digest_of(content: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    for program in ("docker-registry", "skopeo"):
        require(program)
    with registry(tmp_path) as host:
        yield parse_place(f"{host}/team/app")


class Server:
    """A registry that answers as a test says, and keeps what it was asked."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        asked = self.asked = list[tuple[str, str, str]]()

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                asked.append((self.command, self.path, self.headers.get("Authorization", "")))
                answer(self)

            do_GET = do_HEAD = do_PUT = do_POST = handle_any  # noqa: N815 - names of the base class

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.http.server_port}"

    def open(self, login: Login | None = None) -> Registry:
        return Registry(parse_place(f"{self.host}/team/app"), login, sleep=lambda _: None)


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[BaseHTTPRequestHandler], None]], Server]]:
    servers: list[Server] = []

    def begin(answer: Callable[[BaseHTTPRequestHandler], None]) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield begin
    for server in servers:
        server.http.shutdown()
        server.http.server_close()


def reply(request: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


def test_what_is_there_already_is_not_sent_again(place: Place) -> None:
    client = Registry(place, None)
    content = b"layer" * 100_000
    opened = 0

    def open_() -> io.BytesIO:
        nonlocal opened
        opened += 1
        return io.BytesIO(content)

    assert client.put_blob(digest_of(content), len(content), open_)
    assert not client.put_blob(digest_of(content), len(content), open_)
    assert opened == 1


def test_bytes_that_are_not_what_their_digest_says_are_not_taken(place: Place) -> None:
    with pytest.raises(NetworkError):
        Registry(place, None, sleep=lambda _: None).put_blob(
            digest_of(b"one"), 5, lambda: io.BytesIO(b"other")
        )


def test_a_manifest_that_is_read_by_its_digest_is_hashed_here(
    serve: Callable[[Callable[[BaseHTTPRequestHandler], None]], Server],
) -> None:
    server = serve(lambda request: reply(request, 200, b"{}", Content_Type=MANIFEST))

    with pytest.raises(NetworkError, match="gives other bytes"):
        server.open().find(digest_of(b"x"))


def test_a_document_is_attached_once_however_often(place: Place, tmp_path: Path) -> None:
    digest = write_layout(tmp_path / "image", "amd64")["amd64"]
    skopeo("copy", "--dest-tls-verify=false", f"oci:{tmp_path}/image", f"docker://{place}:1")
    client = Registry(place, None)
    subject = client.find("1") or pytest.fail("it was not pushed")

    first = attach(client, subject, CYCLONEDX, b'{"a":1}')
    assert attach(client, subject, CYCLONEDX, b'{"a":1}') == first
    attach(client, subject, CYCLONEDX, b'{"a":2}')

    listed = inspect(f"{place}:{digest.replace(':', '-')}")
    assert listed["mediaType"] == INDEX
    assert len(listed["manifests"]) == 2
    assert inspect(f"{place}@{first}")["subject"]["digest"] == digest


def test_a_login_is_exchanged_for_a_token_and_stands_in_no_error(
    serve: Callable[[Callable[[BaseHTTPRequestHandler], None]], Server],
) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path.startswith("/token"):
            reply(request, 200, b'{"token":"t0k"}')
        elif request.headers.get("Authorization") != "Bearer t0k":
            realm = f"http://127.0.0.1:{request.server.server_port}/token"  # type: ignore[attr-defined]
            reply(request, 401, WWW_Authenticate=f'Bearer realm="{realm}",service="here"')
        else:
            reply(request, 403, SECRET.encode())

    server = serve(answer)
    with pytest.raises(NetworkError) as refused:
        server.open(Login("me", SECRET)).put_manifest("latest", Manifest(MANIFEST, b"{}"))

    assert "refused as me" in refused.value.message
    assert SECRET not in f"{refused.value.message}{refused.value.hint}"
    asked = next(path for _, path, _ in server.asked if path.startswith("/token"))
    assert asked == "/token?service=here&scope=repository%3Ateam%2Fapp%3Apull%2Cpush"
    assert next(held for _, path, held in server.asked if path.startswith("/token")).startswith("Basic ")


def test_a_login_is_not_sent_to_a_token_server_that_is_elsewhere_and_not_encrypted(
    serve: Callable[[Callable[[BaseHTTPRequestHandler], None]], Server],
) -> None:
    server = serve(
        lambda request: reply(request, 401, WWW_Authenticate='Bearer realm="http://thief.example/t"')
    )

    with pytest.raises(NetworkError, match="is not encrypted"):
        server.open(Login("me", SECRET)).find("latest")


def test_without_a_login_it_is_said_how_to_get_one(
    serve: Callable[[Callable[[BaseHTTPRequestHandler], None]], Server],
) -> None:
    server = serve(lambda request: reply(request, 401, WWW_Authenticate='Basic realm="x"'))

    with pytest.raises(NetworkError, match="without a login") as refused:
        server.open().find("latest")

    assert f"docker login {server.host}" in refused.value.hint


def test_what_fails_for_a_moment_is_tried_again(
    serve: Callable[[Callable[[BaseHTTPRequestHandler], None]], Server],
) -> None:
    left = 2

    def answer(request: BaseHTTPRequestHandler) -> None:
        nonlocal left
        left -= 1
        reply(request, 503) if left >= 0 else reply(request, 404)

    server = serve(answer)
    assert server.open().find("latest") is None
    assert len(server.asked) == 3


def test_no_redirect_is_followed_with_a_login(
    serve: Callable[[Callable[[BaseHTTPRequestHandler], None]], Server],
) -> None:
    other = serve(lambda request: reply(request, 200, b"{}"))
    server = serve(lambda request: reply(request, 302, Location=f"http://{other.host}/v2/"))

    with pytest.raises(NetworkError, match="302"):
        server.open(Login("me", SECRET)).find("latest")

    assert other.asked == []


def test_an_answer_without_end_is_cut_off(
    serve: Callable[[Callable[[BaseHTTPRequestHandler], None]], Server],
) -> None:
    server = serve(lambda request: reply(request, 200, b"x" * ((4 << 20) + 2)))

    with pytest.raises(NetworkError, match="an answer of more than"):
        server.open().find("latest")


@pytest.mark.parametrize(
    "text", ["", "app", "team/app", "ghcr.io", "ghcr.io/Acme", "ghcr.io/a//b", "x.y/../z"]
)
def test_what_is_no_place_in_a_registry_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_place(text)


@pytest.mark.parametrize(("text", "is_local"), [("127.0.0.1:5000/a", True), ("10.0.0.1:5000/a", False)])
def test_only_a_registry_of_this_machine_is_talked_to_without_encryption(text: str, is_local: bool) -> None:
    place = parse_place(text)

    assert (place.is_local, place.address.startswith("http://")) == (is_local, is_local)
