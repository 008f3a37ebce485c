"""`fcgi-ping.c`: healthy is exactly one answer, and whatever else comes is not."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.build.helpers.conftest import FAULT, Build

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OUTPUT, END, ERRORS = 6, 3, 7
GOOD = b"Content-type: text/plain;charset=UTF-8\r\n\r\npong"
WHOLE = bytes(8)
HEALTHY, SICK, WRONG = 0, 1, 2


@pytest.fixture(scope="module")
def ping(build: Build) -> Path:
    return build("fcgi-ping.c")


def record(kind: int, content: bytes, *, padding: int = 0, request: int = 1, version: int = 1) -> bytes:
    size = len(content)
    header = bytes([version, kind, request >> 8, request & 255, size >> 8, size & 255, padding, 0])
    return header + content + bytes(padding)


def answer(content: bytes) -> bytes:
    return record(OUTPUT, content) + record(OUTPUT, b"") + record(END, WHOLE)


@contextmanager
def serving(sent: bytes | None) -> Iterator[tuple[int, list[bytes]]]:
    """A server that reads one request and answers with `sent`, or not at all."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(30)
                try:
                    requests.append(connection.recv(4096))
                    if sent is None:
                        connection.recv(1)
                    else:
                        connection.sendall(sent)
                        connection.shutdown(socket.SHUT_WR)
                        connection.recv(1)
                except ConnectionError:
                    pass  # it has read what it wanted to

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], requests
        thread.join(30)


def ask(ping: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([ping, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert FAULT not in done.stderr
    return done


def code_for(ping: Path, sent: bytes | None) -> int:
    with serving(sent) as (port, _):
        return ask(ping, str(port), "/ping", "pong").returncode


def test_it_asks_for_the_page(ping: Path) -> None:
    with serving(answer(GOOD)) as (port, requests):
        assert ask(ping, str(port), "/ping", "pong").returncode == HEALTHY
    assert requests[0].startswith(record(1, b"\0\1" + bytes(6)))
    assert b"\x0e\x03REQUEST_METHODGET\x0b\x05SCRIPT_NAME/ping" in requests[0]
    assert requests[0].endswith(record(4, b"") + record(5, b""))


@pytest.mark.parametrize(
    "sent",
    [
        answer(GOOD),
        answer(b"Status: 200 OK\r\n" + GOOD),
        answer(b"X: y\r\nstatus:200\r\n\r\npong"),
        record(ERRORS, b"a warning") + answer(GOOD),
        record(OUTPUT, GOOD[:5], padding=7) + record(OUTPUT, GOOD[5:], padding=255) + record(END, WHOLE),
    ],
)
def test_healthy_is_the_page_with_status_200_and_exactly_the_answer(ping: Path, sent: bytes) -> None:
    assert code_for(ping, sent) == HEALTHY


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\npong",
        answer(GOOD)[:-9],
        answer(b"Status: 404 Not Found\r\n" + GOOD),
        answer(b"Status: 2000\r\n" + GOOD),
        answer(b"X: y\r\nStatus: 500\r\n\r\npong"),
        answer(GOOD + b"!"),
        answer(GOOD[:-1]),
        answer(b"pong"),
        answer(b"X: \0\r\n\r\npong"),
        record(OUTPUT, GOOD, request=2) + record(END, WHOLE),
        record(OUTPUT, GOOD, version=2) + record(END, WHOLE),
        record(OUTPUT, GOOD) + record(END, b"\0\0\0\0\1\0\0\0"),
        record(OUTPUT, GOOD) + record(END, b""),
        record(9, b"") + answer(GOOD),
        answer(b"X: " + b"y" * 5000 + b"\r\n\r\npong"),
        record(OUTPUT, bytes(65_535), padding=255) * 3,
    ],
)
def test_sick_is_everything_else(ping: Path, sent: bytes) -> None:
    assert code_for(ping, sent) == SICK


def test_nothing_that_listens_is_sick(ping: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert ask(ping, str(port), "/ping", "pong").returncode == SICK


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("9000",),
        ("9000", "/ping"),
        ("9000", "/ping", "pong", "more"),
        ("0", "/ping", "pong"),
        ("65536", "/ping", "pong"),
        ("9000x", "/ping", "pong"),
        ("-1", "/ping", "pong"),
        ("9" * 40, "/ping", "pong"),
        ("", "/ping", "pong"),
        ("9000", "ping", "pong"),
        ("9000", "", "pong"),
        ("9000", "/" + "x" * 127, "pong"),
    ],
)
def test_called_wrongly_it_says_how(ping: Path, arguments: tuple[str, ...]) -> None:
    done = ask(ping, *arguments)
    assert done.returncode == WRONG
    assert done.stderr == "fcgi-ping: expected PORT PATH ANSWER, as 9000 /ping pong\n"


def test_three_seconds_for_everything_after_that_a_signal_ends_it(ping: Path) -> None:
    assert code_for(ping, None) == -signal.SIGALRM


def judge(sent: bytes) -> int:
    """What the answer means, by another reading of the specification."""
    page = b""
    while len(sent) >= 8:
        version, kind, high, low, size_high, size_low, padding, _ = sent[:8]
        size = size_high << 8 | size_low
        content, sent = sent[8 : 8 + size], sent[8 + size :]
        if (version, high, low) != (1, 0, 1) or len(content) < size or len(sent) < padding:
            return SICK
        sent = sent[padding:]
        if kind == OUTPUT:
            page += content
        elif kind == END:
            return _judge_page(page) if size == 8 and content[4] == 0 and len(page) <= 4096 else SICK
        elif kind != ERRORS:
            return SICK
    return SICK


def _judge_page(page: bytes) -> int:
    head, gap, body = page.partition(b"\r\n\r\n")
    if not gap or body != b"pong" or b"\0" in head:
        return SICK
    for line in head.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon and name.lower() == b"status":
            code = value.lstrip(b" \t")
            if code[:3] != b"200" or code[3:4] not in (b"", b" ", b"\r"):
                return SICK
    return HEALTHY


contents = st.one_of(
    st.sampled_from([GOOD, GOOD[:20], GOOD[20:], b"\r\n\r\n", b"pong", b"", WHOLE, b"Status: 200"]),
    st.binary(max_size=40),
    st.integers(4000, 9000).map(lambda size: b"x" * size),
)
records = st.builds(
    record,
    st.sampled_from([OUTPUT, OUTPUT, OUTPUT, END, ERRORS, 0, 9, 255]),
    contents,
    padding=st.sampled_from([0, 0, 1, 255]),
    request=st.sampled_from([1, 1, 1, 1, 0, 257]),
    version=st.sampled_from([1, 1, 1, 1, 0]),
)
lines = st.sampled_from(
    [b"X: y", b"Status: 200 OK", b"status:\t200", b"STATUS: 500", b"Status: 2001", b"Status:", b"\r"]
)
cut = st.tuples(st.integers(0, 100), st.binary(max_size=60)).map(
    lambda parts: answer(GOOD)[: parts[0]] + parts[1]
)
answers = st.one_of(
    st.lists(records, max_size=8).map(b"".join),
    st.lists(records, max_size=4).map(lambda parts: b"".join(parts) + answer(GOOD)),
    st.lists(lines).map(lambda head: answer(b"\r\n".join(head) + b"\r\n\r\npong")),
    cut,
)


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answers)
@example(answer(b"\r\n\r\npong"))
def test_whatever_the_other_side_sends_it_is_read_as_the_specification_says(ping: Path, sent: bytes) -> None:
    assert code_for(ping, sent) == judge(sent)
