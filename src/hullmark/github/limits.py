"""How long GitHub wants us to wait, and what it refuses for good.

Rules (in GitHub's documented order; each has a test with the same words):
- `Retry-After` says how long;
- where nothing remains of the hourly limit, until the time at which it is reset;
- where a secondary limit gives no time, a minute, and twice as long each time after that;
- a refusal for lack of a permission is not a limit: waiting does not help.
"""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hullmark.github.transport import Answer

MINUTE = 60.0
MARGIN = 1.0
"""Seconds after a reset: GitHub's clock and ours differ a little."""
BACKOFF = 2.0
"""Seconds before the first repetition of what failed on the way."""

_REFUSED = (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
_SECONDARY = ("secondary rate limit", "abuse detection", "temporarily blocked from content creation")


def limit_wait(answer: Answer, *, attempt: int, now: float) -> float | None:
    """Seconds to wait before the same request may be repeated; None when this is no limit.

    `attempt` counts from 0; `now` is in seconds since 1970.
    """
    if answer.status not in _REFUSED:
        return None
    if (seconds := _number(answer.headers.get("retry-after"))) is not None:
        return seconds
    if answer.headers.get("x-ratelimit-remaining") == "0":
        reset = _number(answer.headers.get("x-ratelimit-reset")) or now
        return max(0.0, reset - now) + MARGIN
    text = answer.body[:10_000].decode(errors="replace").lower()
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS or any(word in text for word in _SECONDARY):
        return MINUTE * 2.0**attempt
    return None


def fault_wait(attempt: int) -> float:
    """Seconds before what failed on the way is repeated."""
    return BACKOFF * 2.0**attempt


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text else None
    except ValueError:
        return None
    return number if number is not None and math.isfinite(number) and number >= 0 else None
