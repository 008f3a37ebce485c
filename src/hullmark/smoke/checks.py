"""The checks: what is asked of a running image, from outside and by its own protocol.

Each function ends quietly when the image does what it must, raises `CheckFailedError` when it does not, and
EnvironmentFaultError when this machine lacks what the check needs: then nobody knows.
"""

from __future__ import annotations

import http.client
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, assert_never

import msgspec

from hullmark.build.smoke import Check, FastCgi, Http, Postgres, Redis, Restart, Tcp
from hullmark.errors import EnvironmentFaultError
from hullmark.smoke import fastcgi
from hullmark.smoke.network import Network
from hullmark.smoke.secrets import EXTRA, Secrets

if TYPE_CHECKING:
    import socket


MAX_BODY = 1 << 20
SHOWN = 300
WRONG_PASSWORD = "a wrong password"  # noqa: S105 - nobody's


class CheckFailedError(Exception):
    """The image does not do what it must; the message says what it did instead."""


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """How a running image is reached."""

    network: Network
    secrets: Secrets
    timeout: float
    """Seconds to wait for each answer."""

    def connect(self, port: int) -> socket.socket:
        """A connection to `port`, or CheckFailedError."""
        try:
            return self.network.connect(port, self.timeout)
        except OSError as error:
            raise CheckFailedError(f"no connection to port {port}: {error}") from error


def perform(check: Check, probe: Probe) -> None:
    """Ask the image what `check` says, once."""
    try:
        match check:
            case Tcp():
                probe.connect(check.port).close()
            case Http():
                _ask_http(check, probe)
            case Redis():
                _ask_redis(check, probe)
            case FastCgi():
                _ask_fastcgi(check, probe)
            case Postgres():
                _ask_postgres(check, probe)
            case Restart():
                raise CheckFailedError("a restart is not a question")
            case _:
                assert_never(check)
    except TimeoutError as error:
        raise CheckFailedError(f"no answer within {probe.timeout:.0f} seconds") from error
    except OSError as error:
        raise CheckFailedError(f"the connection failed: {error}") from error


def _ask_http(check: Http, probe: Probe) -> None:
    with probe.connect(check.port) as made:
        client = http.client.HTTPConnection("localhost", check.port, timeout=probe.timeout)
        client.sock = made
        try:
            client.request("GET", check.path, headers={"Connection": "close"})
            with client.getresponse() as response:
                status, body = response.status, response.read(MAX_BODY)
        except http.client.HTTPException as error:
            raise CheckFailedError(f"the answer is not HTTP: {type(error).__name__}") from error
        finally:
            client.close()
    _compare(status, check.status, body, check.answer)


def _ask_fastcgi(check: FastCgi, probe: Probe) -> None:
    parameters = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_METHOD": "GET",
        "SCRIPT_FILENAME": check.script,
        "SCRIPT_NAME": check.script,
        "REQUEST_URI": check.script,
        "QUERY_STRING": check.query,
    }
    with probe.connect(check.port) as made:
        try:
            answer = fastcgi.ask(made, parameters)
        except fastcgi.ProtocolError as error:
            raise CheckFailedError(str(error)) from error
    _compare(answer.status, check.status, answer.body or answer.errors, check.answer)


def _compare(status: int, expected: int, body: bytes, answer: str) -> None:
    said = _shown(body)
    if status != expected:
        raise CheckFailedError(f"status {status}, expected {expected}: {said}")
    if answer.encode() not in body:
        raise CheckFailedError(f"the answer has no {answer!r}: {said}")


def _ask_redis(check: Redis, probe: Probe) -> None:
    words = [word.encode() for word in check.command]
    request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    with probe.connect(check.port) as made, made.makefile("rb") as stream:
        made.sendall(request)
        head = stream.readline(MAX_BODY)
        text = head[1:].strip()
        if head.startswith(b"$") and text.isdigit():
            size = min(int(text), MAX_BODY)
            text = stream.read(size + len(b"\r\n"))
            if len(text) != size + len(b"\r\n"):
                raise CheckFailedError(f"expected {check.answer!r}, got an answer that is cut off")
            text = text[:size]
    if not head.startswith((b"+", b"$", b":")) or text != check.answer.encode():
        raise CheckFailedError(f"expected {check.answer!r}, got {_shown(head[:1] + text)}")


def _ask_postgres(check: Postgres, probe: Probe) -> None:
    try:
        from pg8000 import exceptions, native  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise EnvironmentFaultError("asking PostgreSQL needs the library pg8000", hint=EXTRA) from error
    password = probe.secrets.text(check.password) if check.password else WRONG_PASSWORD
    context = probe.secrets.tls() if check.tls else False
    made = probe.connect(check.port)
    try:
        connection = native.Connection(
            check.user,
            host="localhost",
            database=check.database,
            password=password,
            sock=made,
            ssl_context=context,
        )
        try:
            rows = connection.run(check.sql) or []
        finally:
            with suppress(OSError, exceptions.InterfaceError):
                connection.close()
    except exceptions.DatabaseError as error:
        _expect_refusal(check, error.args[0] if error.args else {})
        return
    except ssl.SSLCertVerificationError as error:
        raise CheckFailedError(f"its certificate is not right: {error.verify_message}") from error
    except OSError:
        raise
    except Exception as error:
        # Not PostgreSQL's protocol: the library raises whatever it stumbles over in what a stranger sends.
        raise CheckFailedError(f"the answer is not PostgreSQL's: {_shown(str(error).encode())}") from error
    finally:
        made.close()
    if check.refused:
        raise CheckFailedError(f"expected a refusal ({check.refused}), and was let in")
    answer = "\n".join("" if row[0] is None else str(row[0]) for row in rows if row)
    if check.answer != answer:
        raise CheckFailedError(f"expected {check.answer!r}, got {_shown(answer.encode())}")


def _expect_refusal(check: Postgres, fields: dict[str, str]) -> None:
    """PostgreSQL's error fields: C is the SQLSTATE, M the message."""
    state, message = fields.get("C", "?"), _shown(fields.get("M", "").encode())
    if not check.refused:
        raise CheckFailedError(f"refused with {state}: {message}")
    if state != check.refused:
        raise CheckFailedError(f"expected the refusal {check.refused}, got {state}: {message}")


def _shown(data: bytes) -> str:
    """The beginning of what came back, on one line; whoever prints it escapes it."""
    text = " ".join(data[: SHOWN * 4].decode("utf-8", "backslashreplace").split())
    return text[:SHOWN] + ("…" if len(text) > SHOWN else "") if text else "nothing"
