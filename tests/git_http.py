"""Git over HTTP as a forge offers it: real `git http-backend` behind a login, on 127.0.0.1."""

from __future__ import annotations

import base64
import os
import subprocess
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRITER, READER = "token-that-writes", "token-that-reads"
WAIT = 60
"""Seconds after which git is given up."""


class GitServer(ThreadingHTTPServer):
    """Serves every bare repository below a folder; only to who brings a known token."""

    daemon_threads = True

    def __init__(self, folder: Path, *, moved_to: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.moved_to = moved_to
        """Where every request is sent on to, if anywhere."""
        self.logins: list[str | None] = []
        """What each request brought to be let in."""

    @property
    def address(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def token_of(self, login: str | None) -> str:
        """The token in an `Authorization` header; empty for none."""
        kind, _, secret = (login or "").partition(" ")
        if kind.lower() != "basic":
            return ""
        return base64.b64decode(secret).decode().removeprefix("x-access-token:")


class _Handler(BaseHTTPRequestHandler):
    server: GitServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self._body()
        login = self.headers.get("Authorization")
        self.server.logins.append(login)
        if self.server.moved_to:
            self._reply(302, {"Location": f"{self.server.moved_to}{self.path}"})
            return
        token = self.server.token_of(login)
        if token not in (WRITER, READER):
            self._reply(401, {"WWW-Authenticate": 'Basic realm="git"'})
        elif "git-receive-pack" in self.path and token != WRITER:
            self._reply(403, {}, b"Write access to repository not granted.")
        else:
            self._reply(*self._backend(body))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _backend(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        path, _, query = self.path.partition("?")
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.server.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REMOTE_USER": "somebody",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            },
            capture_output=True,
            check=True,
            timeout=WAIT,
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        return int(headers.pop("Status", "200").split()[0]), headers, content

    def _reply(self, code: int, headers: dict[str, str], content: bytes = b"") -> None:
        self.send_response(code)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def serving(folder: Path, *, moved_to: str = "") -> Iterator[GitServer]:
    """A server of the repositories in `folder`, until the end of the block."""
    server = GitServer(folder, moved_to=moved_to)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
