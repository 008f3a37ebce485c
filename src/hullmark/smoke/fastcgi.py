"""One FastCGI request and its answer (FastCGI specification 1.0, a responder over one connection)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping

MAX_ANSWER = 1 << 20

_HEADER = struct.Struct(">BBHHBx")  # version, type, request, content length, padding length
_VERSION = 1
_REQUEST = 1
_BEGIN, _END, _PARAMS, _STDIN, _STDOUT, _STDERR = 1, 3, 4, 5, 6, 7
_RESPONDER = struct.pack(">HB5x", 1, 0)
_SHORT = 0x80


class Answer(NamedTuple):
    """What a script said."""

    status: int
    body: bytes
    errors: bytes


class ProtocolError(Exception):
    """The other side does not speak FastCGI."""


def ask(connection: socket.socket, parameters: Mapping[str, str]) -> Answer:
    """Send one request with `parameters` (CGI's variables) and read its answer to the end."""
    content = b"".join(_pair(name, value) for name, value in parameters.items())
    connection.sendall(
        _record(_BEGIN, _RESPONDER) + _record(_PARAMS, content) + _record(_PARAMS, b"") + _record(_STDIN, b"")
    )
    output, errors = bytearray(), bytearray()
    for kind, data in _records(connection):
        if kind == _STDOUT:
            output += data
        elif kind == _STDERR:
            errors += data
        if len(output) + len(errors) > MAX_ANSWER:
            raise ProtocolError(f"the answer is longer than {MAX_ANSWER:,} bytes")
    return _parse(bytes(output), bytes(errors))


def _pair(name: str, value: str) -> bytes:
    key, content = name.encode(), value.encode()
    return _length(len(key)) + _length(len(content)) + key + content


def _length(number: int) -> bytes:
    return bytes([number]) if number < _SHORT else struct.pack(">I", number | 1 << 31)


def _record(kind: int, content: bytes) -> bytes:
    return _HEADER.pack(_VERSION, kind, _REQUEST, len(content), 0) + content


def _records(connection: socket.socket) -> Iterator[tuple[int, bytes]]:
    while True:
        version, kind, _, length, padding = _HEADER.unpack(_read(connection, _HEADER.size))
        if version != _VERSION:
            raise ProtocolError("the answer is not FastCGI")
        data = _read(connection, length + padding)[:length]
        if kind == _END:
            return
        yield kind, data


def _read(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        block = connection.recv(size - len(data))
        if not block:
            raise ProtocolError("the connection was closed before the answer was complete")
        data += block
    return bytes(data)


def _parse(output: bytes, errors: bytes) -> Answer:
    """Split the headers off; without a `Status` it is 200 (RFC 3875 §6.3.3)."""
    head, _, body = output.partition(b"\r\n\r\n")
    status = 200
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        number = value.split()[:1]
        if name.strip().lower() == b"status" and number and number[0].isdigit():
            status = int(number[0])
    return Answer(status, body, errors)
