"""The checks against servers that answer anything: only a right answer passes, and every wait ends."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hullmark.build.smoke import Check, FastCgi, Http, Made, Postgres, Redis, Tcp
from hullmark.smoke.checks import CheckFailedError, Probe, perform
from hullmark.smoke.fastcgi import ask
from hullmark.smoke.secrets import Secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PASSWORD = "/run/password"
SECRETS = Secrets({PASSWORD: Made.PASSWORD})
CHECKS: tuple[Check, ...] = (
    Http(name="h", port=80, answer="hello"),
    Redis(name="r"),
    FastCgi(name="f", script="/x", answer="hello"),
    Postgres(name="p", user="u", database="d", password=PASSWORD, answer="1"),
)


class Canned:
    """A network whose only server reads something, says `answer` and closes."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.asked = b""
        self._threads: list[threading.Thread] = []

    def connect(self, port: int, timeout: float) -> socket.socket:
        if self.answer is None:
            raise ConnectionRefusedError(f"nobody listens on {port}")
        ours, theirs = socket.socketpair()
        ours.settimeout(timeout)
        thread = threading.Thread(target=self._serve, args=(theirs, self.answer))
        thread.start()
        self._threads.append(thread)
        return ours

    def command(self, program: Sequence[str]) -> list[str]:
        return list(program)

    def _serve(self, channel: socket.socket, answer: bytes) -> None:
        with channel:
            channel.settimeout(5)
            self.asked += channel.recv(1 << 16)
            try:
                channel.sendall(answer)
                channel.shutdown(socket.SHUT_WR)
                while channel.recv(1 << 16):
                    pass
            except OSError:
                return  # the client has gone, as it may

    def join(self) -> None:
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()


@contextmanager
def answering(answer: bytes | None, *, timeout: float = 5) -> Iterator[tuple[Canned, Probe]]:
    network = Canned(answer)
    yield network, Probe(network=network, secrets=SECRETS, timeout=timeout)
    network.join()


def record(kind: int, content: bytes, padding: int = 0) -> bytes:
    head = bytes([1, kind, 0, 1]) + len(content).to_bytes(2, "big") + bytes([padding, 0])
    return head + content + bytes(padding)


RIGHT = (
    (CHECKS[0], b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    (CHECKS[1], b"+PONG\r\n"),
    (Redis(name="r", command=("GET", "k"), answer="Grüße"), b"$7\r\n" + "Grüße".encode() + b"\r\n"),
    (Redis(name="r", command=("INCR", "k"), answer="2"), b":2\r\n"),
    (
        CHECKS[2],
        record(6, b"X: y\r\n\r\nhel", 5) + record(7, b"note") + record(6, b"lo") + record(3, bytes(8)),
    ),
    (Tcp(name="t", port=1), b""),
)
WRONG = (
    (CHECKS[0], b"HTTP/1.1 500 No\r\n\r\nhello", "status 500, expected 200: hello"),
    (CHECKS[0], b"HTTP/1.1 200 OK\r\n\r\nbye", "the answer has no 'hello': bye"),
    (CHECKS[0], b"SSH-2.0-OpenSSH\r\n", "the answer is not HTTP"),
    (CHECKS[1], b"-NOAUTH Authentication required.\r\n", "expected 'PONG', got -NOAUTH"),
    (CHECKS[1], b"$4\r\nPO", "expected 'PONG'"),
    (CHECKS[1], b"$99999999999\r\nPONG", "expected 'PONG'"),
    (CHECKS[2], record(6, b"Status: 404 Not Found\r\n\r\nFile not found."), "closed before the answer"),
    (CHECKS[2], record(6, b"Status: 404 No\r\n\r\nFile not found.") + record(3, bytes(8)), "status 404"),
    (CHECKS[2], b"HTTP/1.0 400 Bad", "the answer is not FastCGI"),
    (CHECKS[2], b"".join(record(6, bytes(65_000)) for _ in range(20)), "longer than"),
    (CHECKS[3], b"HTTP/1.0 400 Bad request, this is no database", "the answer is not PostgreSQL's"),
    (CHECKS[3], b"", "the answer is not PostgreSQL's"),
    (CHECKS[3], b"E\0\0\0\x1aSFATAL\0C3D000\0Mno db\0\0", "refused with 3D000: no db"),
)


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_a_right_answer_passes(check: Check, answer: bytes) -> None:
    with answering(answer) as (_, probe):
        perform(check, probe)


@pytest.mark.parametrize(("check", "answer", "said"), WRONG)
def test_a_wrong_answer_fails_and_says_what_came(check: Check, answer: bytes, said: str) -> None:
    with answering(answer) as (_, probe), pytest.raises(CheckFailedError) as caught:
        perform(check, probe)
    assert said in str(caught.value)


@pytest.mark.parametrize("check", CHECKS)
def test_where_nobody_listens_every_check_fails(check: Check) -> None:
    with answering(None) as (_, probe), pytest.raises(CheckFailedError, match="nobody listens on"):
        perform(check, probe)


def test_an_expected_refusal_passes_and_another_one_does_not() -> None:
    wrong = Postgres(name="p", user="u", database="d", refused="28P01")
    for state, passes in (("28P01", True), ("3D000", False)):
        body = f"SFATAL\0C{state}\0Mno\0\0".encode()
        with answering(b"E" + (len(body) + 4).to_bytes(4, "big") + body) as (_, probe):
            if passes:
                perform(wrong, probe)
            else:
                with pytest.raises(CheckFailedError, match="expected the refusal 28P01, got 3D000: no"):
                    perform(wrong, probe)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CHECKS), st.binary(max_size=200))
def test_no_random_answer_passes_or_breaks_a_check(check: Check, answer: bytes) -> None:
    with answering(answer) as (_, probe), pytest.raises(CheckFailedError):
        perform(check, probe)


def test_long_parameters_of_fastcgi_are_sent_with_long_lengths() -> None:
    answer = record(6, b"\r\n\r\nok") + record(3, bytes(8))
    with answering(answer) as (network, probe), probe.connect(1) as made:
        assert ask(made, {"LONG": "x" * 200}).body == b"ok"
    assert b"\x04\x80\x00\x00\xc8LONG" + b"x" * 200 in network.asked
