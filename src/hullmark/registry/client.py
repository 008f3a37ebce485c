"""Talking to a registry: blobs and manifests, by digest and by tag (OCI distribution specification 1.1).

Rules (each has a test with the same words):
- what is put there is what its digest says, and what is read too: every answer is hashed here;
- what is there already is not sent again;
- a login is sent to the registry and to the token server that it names, encrypted, and stands in no error;
- no redirect is followed with a login, and no answer is waited for or read without a limit;
- what may be repeated is repeated when the registry is not there or breaks off.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlencode, urljoin, urlsplit

import msgspec

from hullmark import __version__
from hullmark.errors import NetworkError
from hullmark.image import Digest
from hullmark.registry.place import Place

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

    from hullmark.registry.login import Login

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ACCEPTED = (
    INDEX,
    MANIFEST,
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ATTEMPTS = 4
PAUSE = 1.0
"""Seconds before the second attempt, doubled for each that follows."""
MAX_MANIFEST = 4 << 20
MAX_ANSWER = 64 << 10
CONNECT_SECONDS, READ_SECONDS, UPLOAD_SECONDS = 15, 60, 600

_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')

Opener = Callable[[], IO[bytes]]
"""Opens the same bytes each time it is called."""


class Manifest(NamedTuple):
    """A manifest or an index, as the registry gave it."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> Digest:
        """Of these bytes, whatever the registry says."""
        return Digest(f"sha256:{hashlib.sha256(self.content).hexdigest()}")


class _Token(msgspec.Struct):
    token: str = ""
    access_token: str = ""


class Registry:
    """One repository of a registry."""

    def __init__(
        self, place: Place, login: Login | None, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.place = place
        self._login = login
        self._sleep = sleep
        self._authorization = ""
        self._pool: PoolManager | None = None

    def find(self, reference: str) -> Manifest | None:
        """The manifest that a tag or digest names; None where there is none."""
        answer = self._send("GET", f"manifests/{reference}", headers={"Accept": ", ".join(ACCEPTED)})
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        self._expect(answer, f"manifests/{reference}", HTTPStatus.OK)
        found = Manifest(answer.headers.get("content-type", "").split(";")[0], answer.body)
        if reference.startswith("sha256:") and found.digest != reference:
            raise NetworkError(f"{self.place}: gives other bytes than {reference}")
        return found

    def has_blob(self, digest: Digest) -> bool:
        """Whether a blob is there."""
        answer = self._send("HEAD", f"blobs/{digest}")
        # Some registries keep blobs elsewhere and say where; that they know the place is enough.
        return answer.status in (HTTPStatus.OK, HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.FOUND)

    def put_blob(self, digest: Digest, size: int, open_: Opener) -> bool:
        """Put a blob there; False when it was there already."""
        if self.has_blob(digest):
            return False
        for attempt in range(ATTEMPTS):
            begun = self._send("POST", "blobs/uploads/")
            self._expect(begun, "blobs/uploads/", HTTPStatus.ACCEPTED)
            place = urljoin(f"{self.place.address}/", begun.headers.get("location", ""))
            url = f"{place}{'&' if urlsplit(place).query else '?'}{urlencode({'digest': digest})}"
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
            try:
                with open_() as stream:
                    answer = self._once("PUT", url, headers, stream)
            except NetworkError:
                if attempt == ATTEMPTS - 1:
                    raise
            else:
                if not _is_passing(answer.status) or attempt == ATTEMPTS - 1:
                    self._expect(answer, f"blobs/{digest}", HTTPStatus.CREATED)
                    return True
            self._sleep(PAUSE * 2**attempt)
        raise AssertionError("unreachable")  # pragma: no cover

    def put_manifest(self, reference: str, manifest: Manifest) -> None:
        """Put a manifest under its digest or under a tag."""
        headers = {"Content-Type": manifest.media_type}
        answer = self._send("PUT", f"manifests/{reference}", headers=headers, body=manifest.content)
        self._expect(answer, f"manifests/{reference}", HTTPStatus.CREATED)
        stated = answer.headers.get("docker-content-digest", manifest.digest)
        if stated != manifest.digest:
            raise NetworkError(f"{self.place}: took {manifest.digest}, and calls it {stated}")

    def keeps_referrers(self, subject: Digest) -> bool:
        """Whether the registry lists what is attached to an image by itself."""
        answer = self._send("GET", f"referrers/{subject}", headers={"Accept": INDEX})
        return answer.status == HTTPStatus.OK and answer.headers.get("content-type", "").startswith(INDEX)

    def _send(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> _Answer:
        """Carry a request out, again where the registry is not there or says that it is busy."""
        url = f"{self.place.address}/v2/{self.place.path}/{quote(path, safe='/:')}"
        for attempt in range(ATTEMPTS):
            try:
                answer = self._once(method, url, headers or {}, body)
            except NetworkError:
                if attempt == ATTEMPTS - 1:
                    raise
            else:
                if not _is_passing(answer.status) or attempt == ATTEMPTS - 1:
                    return answer
            self._sleep(PAUSE * 2**attempt)
        raise AssertionError("unreachable")  # pragma: no cover

    def _once(self, method: str, url: str, headers: dict[str, str], body: bytes | IO[bytes]) -> _Answer:
        answer = self._carry(method, url, headers, body)
        if answer.status != HTTPStatus.UNAUTHORIZED:
            return answer
        self._authorize(answer.headers.get("www-authenticate", ""))
        if not isinstance(body, bytes):
            body.seek(0)
        return self._carry(method, url, headers, body)

    def _carry(self, method: str, url: str, headers: dict[str, str], body: bytes | IO[bytes]) -> _Answer:
        sent = {"User-Agent": f"hullmark/{__version__}", **headers}
        if self._authorization and url.startswith(f"{self.place.address}/"):
            sent["Authorization"] = self._authorization
        return self._exchange(method, url, sent, body)

    def _exchange(self, method: str, url: str, headers: dict[str, str], body: bytes | IO[bytes]) -> _Answer:
        import urllib3  # noqa: PLC0415 - only talking to a registry pays for it

        if self._pool is None:
            self._pool = urllib3.PoolManager(retries=False)
        seconds = READ_SECONDS if isinstance(body, bytes) else UPLOAD_SECONDS
        try:
            response = self._pool.request(
                method,
                url,
                headers=headers,
                body=body or None,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=seconds),
                redirect=False,
                preload_content=False,
            )
            return _read(response, f"{method} {_bare(url)}")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise NetworkError(
                f"{method} {_bare(url)}: no answer: {type(error).__name__}",
                hint="Is the registry there? Nothing is lost: run the command again.",
            ) from error

    def _authorize(self, challenge: str) -> None:
        """Answer a registry that wants to know who we are."""
        kind, _, rest = challenge.partition(" ")
        asked = dict(_CHALLENGE.findall(rest))
        if kind.lower() == "basic" and self._login:
            self._authorization = self._login.basic
        elif kind.lower() == "bearer" and "realm" in asked:
            self._authorization = f"Bearer {self._token(asked)}"
        else:
            raise self._refused("asks who we are")

    def _token(self, asked: dict[str, str]) -> str:
        realm = asked["realm"]
        parts = urlsplit(realm)
        if parts.scheme != "https" and not (self.place.is_local and Place(parts.netloc, "").is_local):
            raise NetworkError(f"{self.place.host}: its token server {_bare(realm)} is not encrypted")
        scope = f"repository:{self.place.path}:pull,push"
        query = urlencode({"service": asked.get("service", ""), "scope": scope})
        headers = {"Authorization": self._login.basic} if self._login else {}
        answer = self._exchange("GET", f"{realm}{'&' if parts.query else '?'}{query}", headers, b"")
        if answer.status != HTTPStatus.OK:
            raise self._refused(f"{_bare(realm)} answers {answer.status}")
        try:
            given = msgspec.json.decode(answer.body, type=_Token)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise NetworkError(f"{_bare(realm)}: no token: {error}") from error
        return given.token or given.access_token

    def _expect(self, answer: _Answer, path: str, status: HTTPStatus) -> None:
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise self._refused(f"{path}: {answer.status}")
        if answer.status != status:
            said = answer.body[:300].decode(errors="replace").strip()
            raise NetworkError(f"{self.place}: {path}: {answer.status} {said}".rstrip())

    def _refused(self, why: str) -> NetworkError:
        who = f"as {self._login.user}" if self._login else "without a login"
        return NetworkError(
            f"{self.place}: refused {who}: {why}",
            hint=f"Log in with `docker login {self.place.host}` (or podman, skopeo), as one who may write. "
            "In a workflow the job needs `packages: write`, and the package must know this repository.",
        )


class _Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    """Their names in lower case."""
    body: bytes


def _is_passing(status: int) -> bool:
    """Whether the same request may be answered otherwise a little later."""
    return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _read(response: BaseHTTPResponse, what: str) -> _Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    limit = MAX_MANIFEST if response.status == HTTPStatus.OK else MAX_ANSWER
    try:
        body = response.read(limit + 1, decode_content=True)
        if len(body) > limit:
            raise NetworkError(f"{what}: an answer of more than {limit:,} bytes")
    finally:
        response.drain_conn() if response.status < HTTPStatus.BAD_REQUEST else response.close()
        response.release_conn()
    return _Answer(response.status, headers, body)


def _bare(url: str) -> str:
    """An address without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
