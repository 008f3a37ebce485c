"""What is known to be exploited."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullmark import feeds
from hullmark.decision import Kev, KevState
from hullmark.errors import InputError, NetworkError, UsageError
from hullmark.feeds import ask_feed, check_address, load_feed, parse_feed, update_feed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def catalog(*ids: str, released: str = "2026-11-20T14:00:08.4182Z", count: int | None = None) -> bytes:
    """A catalog in CISA's form."""
    entries = [
        {"cveID": each, "vendorProject": "Vendor", "dateAdded": "2026-11-20", "shortDescription": "ä"}
        for each in ids
    ]
    document = {
        "title": "CISA Catalog of Known Exploited Vulnerabilities",
        "catalogVersion": "2026.11.20",
        "dateReleased": released,
        "count": len(ids) if count is None else count,
        "vulnerabilities": entries,
    }
    return json.dumps(document).encode()


class Server:
    """A web server on loopback, with one answer for each path."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        self.requests: list[str] = []
        self.address = ""


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@contextmanager
def serving() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(self.path)
            status, body, headers = state.answers.get(self.path, (404, b"", {}))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        http.shutdown()
        thread.join(timeout=10)
        http.server_close()


def test_the_feed_is_fetched_into_its_file(server: Server, tmp_path: Path) -> None:
    server.answers["/kev.json"] = (200, catalog("CVE-2026-2", "CVE-2026-11111"), {})
    path = tmp_path / "feeds" / "kev.json"

    with pytest.raises(InputError, match="'CVE-2026-2' is no CVE"):
        update_feed(path, f"{server.address}/kev.json")
    assert not path.exists()
    server.answers["/kev.json"] = (200, catalog("CVE-2026-22222", "CVE-2026-11111"), {})
    feed, changed = update_feed(path, f"{server.address}/kev.json")

    assert changed
    assert feed.ids == ("CVE-2026-11111", "CVE-2026-22222")
    assert load_feed(path) == feed
    assert update_feed(path, f"{server.address}/kev.json") == (feed, False)


def test_an_older_list_never_replaces_a_newer_one(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "kev.json"
    path.write_bytes(catalog("CVE-2026-1000"))
    server.answers["/old"] = (200, catalog("CVE-2025-1000", released="2026-11-01T00:00:00Z"), {})
    server.answers["/new"] = (200, catalog("CVE-2026-2000", released="2026-11-22T00:00:00Z"), {})

    assert update_feed(path, f"{server.address}/old")[1] is False
    assert b"CVE-2026-1000" in path.read_bytes()
    assert update_feed(path, f"{server.address}/new")[1] is True
    path.write_bytes(b"damaged")
    assert update_feed(path, f"{server.address}/old")[1] is True


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ((404, b"", {}), NetworkError, "answered 404"),
        ((503, b"", {}), NetworkError, "answered 503"),
        ((302, b"", {"Location": "http://127.0.0.1/other"}), NetworkError, "answered 302"),
        ((200, b"<html>", {}), InputError, "malformed"),
        (
            (200, catalog("CVE-2026-1000", count=2), {}),
            InputError,
            "says it has 2 vulnerabilities, and has 1",
        ),
        ((200, catalog(), {}), InputError, "says it has 0 vulnerabilities"),
        ((200, catalog("CVE-2026-1000", released="yesterday"), {}), InputError, "yesterday"),
        ((200, b"x" * 5_001, {}), NetworkError, "gives more than 5,000 bytes"),
    ],
)
def test_what_is_no_feed_is_refused_and_leaves_what_is_there(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    answer: tuple[int, bytes, dict[str, str]],
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.setattr(feeds, "MAX_FEED", 5_000)
    path = tmp_path / "kev.json"
    path.write_bytes(catalog("CVE-2026-1000", released="2020-01-01T00:00:00Z"))
    before = path.read_bytes()
    server.answers["/kev.json"] = answer

    with pytest.raises(error, match=message):
        update_feed(path, f"{server.address}/kev.json")

    assert path.read_bytes() == before
    assert set(server.requests) == {"/kev.json"}


def test_a_server_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with serving() as gone:
        address = gone.address
    with pytest.raises(NetworkError, match=address):
        update_feed(tmp_path / "kev.json", f"{address}/kev.json")


@pytest.mark.parametrize(
    "url",
    [
        "http://feeds.example/kev.json",
        "file:///etc/passwd",
        "kev.json",
        "",
        "https://",
        "https://u:p@h.example/",
    ],
)
def test_plain_http_is_allowed_for_loopback_only(url: str) -> None:
    with pytest.raises(UsageError, match="no address of a feed"):
        check_address(url)
    check_address("https://feeds.example/kev.json")
    check_address("http://127.0.0.1:1/kev.json")


@given(st.integers(0, 40))
def test_a_feed_that_is_old_is_stale(tmp_path_factory: pytest.TempPathFactory, days: int) -> None:
    path = tmp_path_factory.mktemp("feed") / "kev.json"
    path.write_bytes(catalog("CVE-2026-1000", released="2026-11-24T12:00:00Z"))

    kev = ask_feed(path, now=NOW + timedelta(days=days), max_age=14)

    assert kev.state is (KevState.FRESH if days <= 14 else KevState.STALE)
    assert (kev.date, kev.ids) == ("2026-11-24T12:00:00Z", ("CVE-2026-1000",))


def test_a_feed_that_is_configured_and_missing_or_of_the_future_is_stale(tmp_path: Path) -> None:
    path = tmp_path / "kev.json"
    assert ask_feed(None, now=NOW, max_age=14) == Kev()
    assert ask_feed(path, now=NOW, max_age=14) == Kev(state=KevState.STALE)
    path.write_bytes(catalog("CVE-2026-1000", released="2027-01-01T00:00:00"))
    assert ask_feed(path, now=NOW, max_age=14).state is KevState.STALE
    path.write_bytes(b"{}")
    with pytest.raises(InputError, match=r"kev\.json: Object missing required field"):
        ask_feed(path, now=NOW, max_age=14)


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_a_feed_or_a_clear_error(data: bytes) -> None:
    with pytest.raises(InputError, match="x: "):
        parse_feed(data, file="x")
