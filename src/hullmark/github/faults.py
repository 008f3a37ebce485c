"""What GitHub refuses, and how we say it.

NetworkError
└── GitHubError
    ├── LimitedError      asked too often; waiting would have taken too long
    ├── LostError         whether it was carried out, nobody knows
    └── RefusedError      it was not carried out
        ├── DeniedError   the token may not do it; the permission is named
        └── AbsentError   what was asked for is not there, or the token may not see it
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import NetworkError
from hullmark.text import cut_utf16

if TYPE_CHECKING:
    from collections.abc import Callable

    from hullmark.github.transport import Answer, Request

MAX_SAID = 500
"""How much of GitHub's own words an error repeats."""


class GitHubError(NetworkError):
    """GitHub did not do what was asked."""


class LimitedError(GitHubError):
    """Asked too often."""

    def __init__(self, message: str, *, wait: float) -> None:
        super().__init__(
            f"{message}; GitHub asks to wait for {wait:.0f} s",
            hint="Run the command again later: it goes on where it stopped.",
        )


class LostError(GitHubError):
    """Whether it was carried out, nobody knows."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="Run the command again: it looks before it repeats.")


class RefusedError(GitHubError):
    """It was not carried out."""

    def __init__(self, message: str, *, status: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class DeniedError(RefusedError):
    """The token may not do it."""

    def __init__(self, message: str, *, needs: str, status: int) -> None:
        hint = f"The token needs the permission `{needs}`." if needs else "The token lacks a permission."
        super().__init__(message, status=status, hint=hint)
        self.needs = needs


class AbsentError(RefusedError):
    """It is not there, or the token may not see it."""


class _Error(msgspec.Struct):
    message: str = ""
    errors: list[msgspec.Raw] = []


def refusal(request: Request, answer: Answer, *, needs: str, scrub: Callable[[str], str]) -> GitHubError:
    """The error that `answer` means. `needs` is the permission that the request takes."""
    said = cut_utf16(scrub(_said(answer)), MAX_SAID)
    message = f"{request.method} {request.url.partition('?')[0]}: {answer.status}: {said}"
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return LostError(message)
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return RefusedError(
            message,
            status=answer.status,
            hint="The token is wrong, expired or revoked; set GITHUB_TOKEN anew.",
        )
    if answer.status == HTTPStatus.FORBIDDEN:
        accepted = answer.headers.get("x-accepted-github-permissions", "").replace("=", ": ")
        return DeniedError(message, needs=accepted or needs, status=answer.status)
    if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        hint = f"It does not exist, or the token lacks `{needs}`." if needs else "It does not exist."
        return AbsentError(message, status=answer.status, hint=hint)
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        return RefusedError(
            message, status=answer.status, hint="It has moved; use the repository's new name."
        )
    return RefusedError(message, status=answer.status)


def _said(answer: Answer) -> str:
    """GitHub's own words, with what is wrong in each field."""
    try:
        error = msgspec.json.decode(answer.body[:100_000], type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "no reason given"
    return "; ".join([error.message or "no reason given", *(bytes(each).decode() for each in error.errors)])
