"""Code scanning: one upload for each image.

Rules (each has a test with the same words):
- what is uploaded twice takes its own place, so a lost answer is repeated;
- an upload counts when GitHub has processed it, and that is waited for with a bound;
- a repository without code scanning is a missing capability, told apart from a missing permission.
"""

from __future__ import annotations

import base64
import gzip
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import InputError, NetworkError
from hullmark.github.faults import DeniedError, RefusedError
from hullmark.github.repository import convert

if TYPE_CHECKING:
    from collections.abc import Callable

    from hullmark.github.client import Client
    from hullmark.github.repository import Repository

MAX_PACKED = 10 << 20
"""Bytes that GitHub takes, compressed."""
ATTEMPTS = 20
PAUSE = 6.0
"""Seconds between two questions whether an upload was processed."""
NEEDS = "security_events: write"
_OFF = ("advanced security", "code security", "code scanning is not enabled")


class CodeScanningOffError(RefusedError):
    """The repository has no code scanning."""


class _Receipt(msgspec.Struct):
    id: str


class _Status(msgspec.Struct):
    processing_status: str = "pending"
    errors: list[str] | None = None


def upload(
    client: Client,
    repository: Repository,
    sarif: bytes,
    *,
    commit: str,
    ref: str,
    sleep: Callable[[float], None],
) -> str:
    """Upload one SARIF document about `commit` on `ref` (`refs/heads/main`); return its receipt."""
    packed = gzip.compress(sarif, mtime=0)
    if len(packed) > MAX_PACKED:
        raise InputError(
            f"has {len(packed):,} bytes compressed; GitHub takes {MAX_PACKED:,}", file="the SARIF document"
        )
    body = {
        "commit_sha": commit,
        "ref": ref,
        "sarif": base64.b64encode(packed).decode(),
        "tool_name": "Hullmark",
    }
    path = f"{repository.path}/code-scanning/sarifs"
    try:
        receipt = convert(client.change("POST", path, body, needs=NEEDS), _Receipt).id
    except DeniedError as error:
        if any(word in error.message.lower() for word in _OFF):
            raise CodeScanningOffError(
                f"{repository.name} has no code scanning",
                status=HTTPStatus.FORBIDDEN,
                hint="Private repositories need GitHub Advanced Security; public ones have it.",
            ) from error
        raise
    _wait(client, f"{path}/{receipt}", sleep)
    return receipt


def _wait(client: Client, path: str, sleep: Callable[[float], None]) -> None:
    for _ in range(ATTEMPTS):
        status = convert(client.get(path, needs=NEEDS), _Status)
        if status.processing_status == "complete":
            return
        if status.processing_status == "failed":
            said = "; ".join(status.errors or ["no reason given"])
            raise RefusedError(f"GitHub could not process an upload: {said}", status=HTTPStatus.ACCEPTED)
        sleep(PAUSE)
    raise NetworkError(f"{path} was not processed within {ATTEMPTS * PAUSE:.0f} s", hint="Upload it again.")
