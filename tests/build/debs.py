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
from typing import TYPE_CHECKING, NamedTuple

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
    """Debian's archives as bytes by path, in the form that mirrors have them, signed by `sign`."""

    def __init__(self, sign: Callable[[str], bytes]) -> None:
        self.files: dict[str, bytes] = {}
        self.architectures = ["amd64"]
        self._sign = sign
        self._debs: dict[str, list[_Offer]] = {}

    def add(
        self,
        suite: str,
        name: str,
        version: str,
        deb: bytes,
        *,
        source: str = "",
        architecture: str = "amd64",
    ) -> str:
        """Offer a package in `suite`; its path below the archive."""
        offer = _Offer(name, version, source, architecture, deb)
        self.files[f"/{_archive(suite)}/{offer.path}"] = deb
        self._debs.setdefault(suite, []).append(offer)
        self.publish(suite)
        return offer.path

    def publish(self, suite: str, *, replace: tuple[str, str] = ("", ""), **fields: str | int) -> None:
        """Write the indexes of `suite` and its InRelease; `replace` changes its text before it is signed."""
        base = f"/{_archive(suite)}/dists/{suite}"
        sums = ""
        for architecture in self.architectures:
            offers = [item for item in self._debs.get(suite, []) if item.architecture == architecture]
            packed = lzma.compress("\n".join(offer.paragraph for offer in offers).encode())
            sums += self.put_index(suite, architecture, packed)
        date = int(fields.pop("date", DATE))
        known = {
            "Origin": "Debian",
            "Suite": "stable",
            "Codename": suite,
            "Date": formatdate(date, usegmt=True),
        }
        known |= {name.replace("_", "-"): str(value) for name, value in fields.items()}
        text = "".join(f"{name}: {value}\n" for name, value in known.items()) + f"SHA256:\n{sums}"
        self.files[f"{base}/InRelease"] = self._sign(text.replace(*replace) if replace[0] else text)

    def put_index(self, suite: str, architecture: str, packed: bytes) -> str:
        """Store an index under both its names; its line in `InRelease`."""
        digest = hashlib.sha256(packed).hexdigest()
        base = f"/{_archive(suite)}/dists/{suite}"
        index = f"main/binary-{architecture}/Packages.xz"
        self.files[f"{base}/{index}"] = packed
        self.files[f"{base}/main/binary-{architecture}/by-hash/SHA256/{digest}"] = packed
        return f" {digest} {len(packed)} {index}\n"


class _Offer(NamedTuple):
    name: str
    version: str
    source: str
    architecture: str
    deb: bytes

    @property
    def path(self) -> str:
        file = f"{self.name}_{self.version.rpartition(':')[2]}_{self.architecture}.deb"
        return f"pool/main/{self.name[0]}/{self.name}/{file}"

    @property
    def paragraph(self) -> str:
        return (
            f"Package: {self.name}\nVersion: {self.version}\n"
            + (f"Source: {self.source}\n" if self.source else "")
            + f"Architecture: {self.architecture}\nFilename: {self.path}\nSize: {len(self.deb)}\n"
            + f"SHA256: {hashlib.sha256(self.deb).hexdigest()}\n"
        )


def _archive(suite: str) -> str:
    return "debian-security" if suite.endswith("-security") else "debian"


class Mirror:
    """A web server on loopback that can be told to misbehave."""

    def __init__(self, sign: Callable[[str], bytes]) -> None:
        self.archive = Archive(sign)
        self.requests: list[str] = []
        self.statuses: dict[str, list[int]] = {}
        """Answers to give first, by path."""
        self.cut: dict[str, int] = {}
        """Bytes after which the connection breaks once, by path."""
        self.stalled: dict[str, threading.Event] = {}
        """What an answer waits for, by path; at most a minute."""
        self.address = ""

    @property
    def debian(self) -> str:
        return f"{self.address}/debian"


@contextmanager
def serve(sign: Callable[[str], bytes]) -> Iterator[Mirror]:
    """A running mirror of archives that `sign` signs."""
    mirror = Mirror(sign)

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
            if path := mirror.stalled.get(self.path):
                path.wait(60)
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
