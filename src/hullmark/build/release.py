"""`InRelease`: what a suite says of itself, and when it may be believed.

Rules (each has a test with the same words):

1. Its signature is checked before anything in it is read (`signature.py`).
2. It is Debian's, and of the suite that was asked for.
3. It is not from the future: then this machine's clock is wrong, and the other rules mean nothing.
4. It has not expired (`Valid-Until`; suites of a stable release have none, their updates and security do).
5. It is not older than the one that the present lock was made from: an old index hides new packages.

The time is that of the command. An address of a dated snapshot is judged by its own instant: whoever wrote
the address chose it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hullmark.build.mirror import HINT
from hullmark.build.signature import DEBIAN_KEYRING, KEYRING_VARIABLE, verify
from hullmark.errors import InputError, UsageError
from hullmark.image import Digest, parse_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hullmark.build.lock import Index

CLOCK_SECONDS = 600
"""How far a mirror's clock may be ahead of ours."""

_INSTANT = "%Y%m%dT%H%M%SZ"
_DATED = re.compile(r"/(\d{8}T\d{6}Z)(?:/|$)")


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to believe, and at what time."""

    now: int
    """Seconds since 1970."""
    keyring: Path = DEBIAN_KEYRING

    def at(self, address: str) -> int:
        """The time to judge an index from `address` by."""
        match = _DATED.search(address)
        return parse_instant(match[1]) if match else self.now


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """What `InRelease` says about its suite."""

    origin: str
    names: tuple[str, ...]
    """Its suite and code name: `stable-security`, `trixie-security`."""
    date: int
    valid_until: int | None
    """None: it does not expire."""
    files: dict[str, tuple[Digest, int]]


def find_trust(environ: Mapping[str, str], now: datetime) -> Trust:
    """Debian's keys, or those of the keyring that the environment names."""
    own = environ.get(KEYRING_VARIABLE, "")
    return Trust(now=int(now.timestamp()), keyring=Path(own) if own else DEBIAN_KEYRING)


def parse_instant(text: str) -> int:
    """The time that a dated snapshot is named by, as 20260131T120000Z, or UsageError."""
    try:
        return int(datetime.strptime(text, _INSTANT).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise UsageError(f"{text!r} is not an instant", hint="Expected one as 20260131T120000Z.") from None


def read_release(data: bytes, *, suite: str, trust: Trust, locked: Index | None, file: str) -> Release:
    """What the `InRelease` in `data` says of `suite`, or InputError when it may not be believed.

    `file` is the address that it was had from, `locked` what the present lock knows of the suite.
    """
    now = trust.at(file)
    signed = verify(data, keyring=trust.keyring, now=now, file=file)
    release = parse_release(signed.text, file=file)
    if release.origin != "Debian" or suite not in release.names:
        says = f"{release.origin or 'nobody'}'s {' or '.join(release.names) or 'nothing'}"
        raise InputError(f"this is {says}, not Debian's {suite}", file=file, hint=HINT)
    if release.date > now + CLOCK_SECONDS:
        raise InputError(
            f"it is from the future: {_show(release.date)}, and now is {_show(now)}",
            file=file,
            hint="Set the clock of this machine.",
        )
    if release.valid_until is not None and release.valid_until < now:
        raise InputError(
            f"it expired at {_show(release.valid_until)}, and now is {_show(now)}",
            file=file,
            hint="The mirror has stopped following Debian: try another one.",
        )
    if locked is not None and release.date < locked.date:
        raise InputError(
            f"it is of {_show(release.date)}, older than {_show(locked.date)} in packages.lock",
            file=file,
            hint="The mirror lags behind, or somebody hides updates: try another one. "
            "To go back on purpose delete packages.lock first.",
        )
    return release


def parse_release(text: str, *, file: str) -> Release:
    """The release that `text` describes, or InputError naming `file`."""
    from debian.deb822 import Release as Deb822Release  # noqa: PLC0415 - only locking pays for it

    fields = Deb822Release(text)
    try:
        files = {
            str(entry["name"]): (parse_digest(f"sha256:{entry['sha256']}"), int(entry["size"]))
            for entry in fields["SHA256"]
        }
        date = _date(str(fields["Date"]))
        valid_until = _date(str(fields["Valid-Until"])) if "Valid-Until" in fields else None
    except (KeyError, ValueError, TypeError, UsageError) as error:
        raise InputError(f"not a release file: {error}", file=file, hint=HINT) from error
    names = tuple(str(fields[key]) for key in ("Suite", "Codename") if key in fields)
    origin = str(fields.get("Origin", ""))
    return Release(origin=origin, names=names, date=date, valid_until=valid_until, files=files)


def _date(text: str) -> int:
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - it loads socket

    moment = parsedate_to_datetime(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _show(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
