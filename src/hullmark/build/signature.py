"""Debian's clear signatures: nothing in an `InRelease` is believed before one of its signatures holds.

Rules (each has a test with the same words):

1. The file is one signed message and nothing else: text before, after or between is refused, not skipped.
2. At least one signature is valid and by a key of the keyring; others do not count against it, because
   releases are signed with the next release's keys too.
3. A key that has expired or was revoked does not count, nor a signature over SHA-1.
4. What is read is what was verified: the text that the verifier gives back, and no other.

Two programs can verify: gpgv where it is installed, else Sequoia as a Python library (the extra `images`).
gpgv's exit code says nothing of expired and revoked keys; only its status lines do (GnuPG, doc/DETAILS).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from hullmark.errors import EnvironmentFaultError, InputError
from hullmark.files import read_bounded, scratch_folder
from hullmark.sandbox import SYSTEM_PATH, Sandbox
from hullmark.scan import Containment

DEBIAN_KEYRING = Path(__file__).parent / "keyring" / "debian-archive-keyring.pgp"
"""Debian's package `debian-archive-keyring`: the keys of its archives and stable releases."""
KEYRING_VARIABLE = "HULLMARK_DEBIAN_KEYRING"
MAX_KEYRING_BYTES = 4 << 20
GPGV_SECONDS = 60.0

_HINT = (
    "The mirror gives another file than Debian signed, or is not Debian's: try another mirror. "
    f"For an archive of your own name its keyring in {KEYRING_VARIABLE}."
)
# RFC 9580 §7. No header but `Hash`, and no line of the text that could end or begin a frame.
_FRAME = re.compile(
    rb"-----BEGIN PGP SIGNED MESSAGE-----\n"
    rb"(?:Hash: [A-Za-z0-9, -]{1,80}\n)*+\n"
    rb"((?:\n|(?:- |[^-\r\n\0])[^\r\n\0]*+\n)*+)"
    rb"-----BEGIN PGP SIGNATURE-----\n"
    rb"(?:[A-Za-z]{1,20}: [ -~]{0,200}\n)*+\n"
    rb"(?:[A-Za-z0-9+/=]{1,76}\n)++"
    rb"-----END PGP SIGNATURE-----\n*"
)
_FAULTS = {
    "BADSIG": "the text is not what {} signed",
    "NO_PUBKEY": "the keyring has no key {}",
    "EXPKEYSIG": "the key {} has expired",
    "REVKEYSIG": "the key {} was revoked",
    "EXPSIG": "the signature by {} has expired",
}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a verifier says of a signed message."""

    text: bytes = b""
    keys: tuple[str, ...] = ()
    """Fingerprints of the primary keys whose signatures are valid; none: nothing may be believed."""
    faults: tuple[str, ...] = ()


Verifier = Callable[[bytes, Path, int], Verdict]
"""Takes a signed message, the path of a keyring and the time in seconds since 1970."""


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A text, and whose valid signatures it carries."""

    text: str
    keys: tuple[str, ...]


def verify(data: bytes, *, keyring: Path, now: int, file: str, verifier: Verifier | None = None) -> Signed:
    """The signed text of the clear-signed message `data`, or InputError naming `file`."""
    match = _FRAME.fullmatch(data)
    if match is None:
        raise InputError("not one clear-signed message and nothing else", file=file, hint=_HINT)
    _check_keyring(keyring)
    verdict = (verifier or find_verifier())(data, keyring, now)
    if not verdict.keys:
        reasons = "; ".join(verdict.faults) or "no signature could be checked"
        raise InputError(f"not signed by a key of {keyring.name}: {reasons}", file=file, hint=_HINT)
    if _lines(verdict.text) != _lines(re.sub(rb"(?m)^- ", b"", match[1])):
        raise InputError("what was verified is not what the file says", file=file, hint=_HINT)
    return Signed(text=verdict.text.decode(errors="replace"), keys=verdict.keys)


def _lines(text: bytes) -> list[bytes]:
    """The lines without the white space at their ends, which a clear signature does not cover."""
    return [line.rstrip() for line in text.rstrip().split(b"\n")]


def _check_keyring(keyring: Path) -> None:
    if read_bounded(keyring, MAX_KEYRING_BYTES).startswith(b"-----"):
        raise InputError("keys in text form", file=keyring, hint="Convert it: gpg --dearmor < IN > OUT")


def find_verifier() -> Verifier:
    """The program gpgv if it is installed, else Sequoia, else EnvironmentFaultError."""
    if shutil.which("gpgv", path=SYSTEM_PATH):
        return verify_with_gpgv
    if find_spec("pysequoia"):
        return verify_with_sequoia
    raise EnvironmentFaultError(
        "nothing here can check Debian's signatures",
        hint="Install gpgv, or the extra `images`: pip install 'hullmark[images]'.",
    )


def verify_with_gpgv(data: bytes, keyring: Path, now: int) -> Verdict:  # noqa: ARG001 - gpgv has its own clock
    """Run gpgv with an empty environment, without the user's keys, and read its status lines."""
    program = shutil.which("gpgv", path=SYSTEM_PATH)
    if program is None:
        raise EnvironmentFaultError("gpgv is not installed")
    with scratch_folder() as folder:
        message, output = folder / "message", folder / "output"
        message.write_bytes(data)
        options = ("--homedir", str(folder), "--keyring", str(keyring.resolve()), "--weak-digest", "SHA1")
        argv = [program, *options, "--status-fd", "1", "--output", str(output), str(message)]
        ended = Sandbox(Containment.NONE).run(argv, writable=folder, timeout=GPGV_SECONDS)
        text = read_bounded(output, len(data)) if output.exists() else b""
    return parse_status(ended.stdout.decode(errors="replace"), text)


def parse_status(status: str, text: bytes) -> Verdict:
    """What gpgv's status lines say of `text`. Each signature starts with NEWSIG."""
    keys: list[str] = []
    faults: list[str] = []
    for block in status.split("[GNUPG:] NEWSIG")[1:]:
        words = [line.split() for line in block.splitlines() if line.startswith("[GNUPG:] ")]
        facts = {line[1]: line[2:] for line in words if len(line) > 1}
        wrong = [_FAULTS[fact].format((*facts[fact], "?")[0]) for fact in _FAULTS if fact in facts]
        if not wrong and "GOODSIG" in facts and "VALIDSIG" in facts:
            keys.append(facts["VALIDSIG"][-1].upper())
        else:
            faults += wrong or ["a signature that cannot be checked, or is too weak"]
    return Verdict(text=text, keys=tuple(keys), faults=tuple(faults))


def verify_with_sequoia(data: bytes, keyring: Path, now: int) -> Verdict:
    """Ask Sequoia. It takes a key that expired after it signed; we do not."""
    sequoia = import_module("pysequoia")  # an optional part, without types
    signers: list[str] = []
    certificates: list[Any] = []

    def known(ids: list[str]) -> list[Any]:
        signers.extend(ids)
        return certificates

    try:
        certificates += sequoia.Cert.split_bytes(keyring.read_bytes())
        checked = sequoia.verify(data, known)
    except Exception as error:  # noqa: BLE001 - the library has no narrower error; none of them is an answer
        reason = str(error).partition("\n")[0]
        named = f" (it names {', '.join(key.upper() for key in signers)})" if signers else ""
        return Verdict(faults=(f"{reason}{named}",))
    moment = datetime.fromtimestamp(now, UTC)
    lapsed = {
        item.fingerprint for item in certificates if item.expiration is not None and item.expiration <= moment
    }
    found = [signature.certificate for signature in checked.valid_sigs]
    return Verdict(
        text=bytes(checked.bytes),
        keys=tuple(key.upper() for key in found if key not in lapsed),
        faults=tuple(f"the key {key.upper()} has expired" for key in found if key in lapsed),
    )
