"""Real .deb files, a real Debian archive in a folder of bytes, and a web server for it on loopback."""

from __future__ import annotations

import hashlib
import io
import lzma
import tarfile
import threading
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DATE = 1_700_000_000


def regular(path: str, data: bytes = b"", mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    """A file for `make_deb`."""
    member = tarfile.TarInfo(f"./{path}")
    member.mode, member.size = mode, len(data)
    return member, data


def special(path: str, kind: bytes, target: str = "", *, prefix: str = "./") -> tuple[tarfile.TarInfo, bytes]:
    """A link, device or pipe for `make_deb`."""
    member = tarfile.TarInfo(f"{prefix}{path}")
    member.type, member.linkname = kind, target
    return member, b""


def make_tar(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member, data in members:
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def make_ar(members: list[tuple[str, bytes]]) -> bytes:
    parts = [b"!<arch>\n"]
    for name, data in members:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
        parts += [header.encode(), data, b"\n" * (len(data) % 2)]
    return b"".join(parts)


def make_deb(
    name: str,
    version: str = "1.0",
    members: list[tuple[tarfile.TarInfo, bytes]] | None = None,
    *,
    source: str = "",
    compress: Callable[[bytes], bytes] = lzma.compress,
    suffix: str = ".xz",
) -> bytes:
    """A package whose md5sums are true."""
    members = [regular(f"usr/share/doc/{name}/copyright", b"free\n"), *(members or [])]
    sums = "".join(
        f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}  {member.name[2:]}\n"
        for member, data in members
        if member.isreg()
    )
    control = f"Package: {name}\n"
    control += f"Source: {source}\n" if source else ""
    control += f"Version: {version}\nArchitecture: amd64\nMaintainer: nobody\nDescription: test\n more\n"
    described = [regular("control", control.encode()), regular("md5sums", sums.encode())]
    return make_ar(
        [
            ("debian-binary", b"2.0\n"),
            (f"control.tar{suffix}", compress(make_tar(described))),
            (f"data.tar{suffix}", compress(make_tar(members))),
        ]
    )


class Archive:
    """Debian's archives as bytes by path, in the form that mirrors have them."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._debs: dict[str, list[tuple[str, str, str, bytes]]] = {}

    def add(self, suite: str, name: str, version: str, deb: bytes, *, source: str = "") -> str:
        """Offer a package in `suite`; its path below the archive."""
        path = f"pool/main/{name[0]}/{name}/{name}_{version.rpartition(':')[2]}_amd64.deb"
        self.files[f"/{_archive(suite)}/{path}"] = deb
        self._debs.setdefault(suite, []).append((name, version, source, deb))
        self.publish(suite)
        return path

    def publish(self, suite: str, *, origin: str = "Debian", date: int = DATE, codename: str = "") -> None:
        """Write the index of `suite` and its InRelease."""
        paragraphs = []
        for name, version, source, deb in self._debs.get(suite, []):
            path = f"pool/main/{name[0]}/{name}/{name}_{version.rpartition(':')[2]}_amd64.deb"
            digest = hashlib.sha256(deb).hexdigest()
            paragraphs.append(
                f"Package: {name}\nVersion: {version}\n"
                + (f"Source: {source}\n" if source else "")
                + f"Architecture: amd64\nFilename: {path}\nSize: {len(deb)}\nSHA256: {digest}\n"
            )
        packed = lzma.compress("\n".join(paragraphs).encode())
        digest = hashlib.sha256(packed).hexdigest()
        base = f"/{_archive(suite)}/dists/{suite}"
        index = "main/binary-amd64/Packages.xz"
        self.files[f"{base}/{index}"] = packed
        self.files[f"{base}/main/binary-amd64/by-hash/SHA256/{digest}"] = packed
        text = (
            f"Origin: {origin}\nSuite: stable\nCodename: {codename or suite}\n"
            f"Date: {formatdate(date, usegmt=True)}\nSHA256:\n {digest} {len(packed)} {index}\n"
        )
        framed = (
            f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{text}\n-----BEGIN PGP SIGNATURE-----\n"
        )
        self.files[f"{base}/InRelease"] = framed.encode()


def _archive(suite: str) -> str:
    return "debian-security" if suite.endswith("-security") else "debian"


class Mirror:
    """A web server on loopback that can be told to misbehave."""

    def __init__(self) -> None:
        self.archive = Archive()
        self.requests: list[str] = []
        self.statuses: dict[str, list[int]] = {}
        """Answers to give first, by path."""
        self.cut: dict[str, int] = {}
        """Bytes after which the connection breaks once, by path."""
        self.address = ""

    @property
    def debian(self) -> str:
        return f"{self.address}/debian"


@contextmanager
def serve() -> Iterator[Mirror]:
    """A running mirror."""
    mirror = Mirror()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            mirror.requests.append(self.path)
            queued = mirror.statuses.get(self.path)
            data = mirror.archive.files.get(self.path)
            if queued or data is None:
                self.send_response(queued.pop(0) if queued else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            end = mirror.cut.pop(self.path, len(data))
            self.wfile.write(data[start:end])
            self.close_connection = end < len(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing when a client leaves in the middle: some tests make it."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    mirror.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield mirror
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
