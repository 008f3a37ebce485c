"""Clear signatures: the rules of `signature.py`, with throw-away keys made by gpg, by both verifiers."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hullmark.build import signature
from hullmark.build.signature import (
    DEBIAN_KEYRING,
    Signed,
    Verdict,
    find_verifier,
    parse_status,
    verify,
    verify_with_gpgv,
    verify_with_sequoia,
)
from hullmark.errors import EnvironmentFaultError, InputError
from tests.absence import absent
from tests.build.conftest import required
from tests.build.signing import Signer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hullmark.build.signature import Verifier

NOW = 1_795_500_000
TEXT = "Origin: Debian\n- dash\n-----BEGIN PGP SIGNATURE-----\n\nFrom here: ünïcode\nlast: line\n"
IN_2020 = ("--faked-system-time", "20200601T000000!")


@pytest.fixture(scope="module")
def homes() -> Iterator[Path]:
    required("gpg", "gpg-agent", "gpgconf")
    with tempfile.TemporaryDirectory(prefix="gpg-") as name:
        yield Path(name)


def _signer(homes: Path, name: str, *options: str) -> Signer:
    home = homes / name
    home.mkdir(mode=0o700)
    return Signer(home, f"{name} <{name}@example.org>", *options)


@pytest.fixture(scope="module")
def other(homes: Path) -> Iterator[Signer]:
    made = _signer(homes, "other")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def lapsed(homes: Path) -> Iterator[Signer]:
    """A key that was valid in 2020 and expired in 2021."""
    made = _signer(homes, "lapsed", *IN_2020)
    yield made
    made.stop()


@pytest.fixture(params=["gpgv", "sequoia"])
def verifier(request: pytest.FixtureRequest) -> Verifier:
    if request.param == "gpgv":
        required("gpgv")
        return verify_with_gpgv
    if importlib.util.find_spec("pysequoia") is None:
        absent("the Python library pysequoia is not installed")
    return verify_with_sequoia


def check(data: bytes, signer: Signer, verifier: Verifier | None = None) -> Signed:
    return verify(data, keyring=signer.keyring, now=NOW, file="mirror/InRelease", verifier=verifier)


def refused(data: bytes, signer: Signer, verifier: Verifier | None = None) -> str:
    with pytest.raises(InputError) as caught:
        check(data, signer, verifier)
    assert caught.value.message.startswith("mirror/InRelease: ")
    assert "HULLMARK_DEBIAN_KEYRING" in caught.value.hint
    return caught.value.message


def test_what_is_read_is_the_text_that_was_verified(signer: Signer, verifier: Verifier) -> None:
    signed = check(signer.sign(TEXT), signer, verifier)
    assert signed.text.rstrip("\n") == TEXT.rstrip("\n")
    (key,) = signed.keys
    assert len(key) == 40
    assert key == key.upper()


@pytest.mark.parametrize("before", [b"Origin: Debian\n", b"\n", b"-----BEGIN PGP SIGNED MESSAGE-----\n\nx\n"])
def test_text_before_the_message_is_refused_not_skipped(signer: Signer, before: bytes) -> None:
    assert "not one clear-signed message and nothing else" in refused(before + signer.sign(TEXT), signer)


def test_text_after_or_between_is_refused_not_skipped(signer: Signer) -> None:
    data = signer.sign(TEXT)
    head, frame, tail = data.partition(b"-----BEGIN PGP SIGNATURE-----\n")
    for hostile in (
        data + b"Origin: Evil\n",
        data + data,
        head + b"-----END\n" + frame + tail,
        data.replace(b"\n\n", b"\nComment: Evil\n\n", 1),
        data.replace(b"Hash: ", b"Hash: \x00", 1),
        data.replace(b"Hash: ", b"NotDashEscaped: ", 1),
        data.replace(b"\n", b"\r\n"),
        data.replace(b"\n- - dash", b"\n-dash"),
        data[:-40],
        b"",
    ):
        assert "not one clear-signed message and nothing else" in refused(hostile, signer)


def test_a_changed_text_is_refused(signer: Signer, verifier: Verifier) -> None:
    data = signer.sign(TEXT)
    assert "not signed by a key of keyring.pgp" in refused(
        data.replace(b"Debian", b"Debiam"), signer, verifier
    )


@settings(deadline=None, max_examples=25)
@given(place=st.integers(0, 10_000), byte=st.integers(1, 255))
def test_no_changed_byte_gives_another_text(signer: Signer, place: int, byte: int) -> None:
    data = bytearray(signer.sign(TEXT))
    data[place % len(data)] ^= byte
    try:
        signed = check(bytes(data), signer)
    except InputError:
        return
    assert [line.rstrip() for line in signed.text.splitlines()] == TEXT.splitlines()


def test_an_unknown_key_is_refused_and_named(signer: Signer, other: Signer, verifier: Verifier) -> None:
    message = refused(other.sign(TEXT), signer, verifier)
    key = check(other.sign(TEXT), other, verifier).keys[0]
    assert key[-16:] in message


def test_a_signature_by_an_unknown_key_does_not_count_against_a_valid_one(
    signer: Signer, other: Signer, verifier: Verifier, homes: Path
) -> None:
    secret = signer.gpg("--export-secret-keys", "--armor")
    both = _signer(homes, f"both-{verifier.__name__}")
    try:
        both.gpg("--import", data=secret)
        names = ("--local-user", both.name, "--local-user", signer.name)
        data = both.sign(TEXT, *names)
        assert check(data, signer, verifier).keys == check(signer.sign(TEXT), signer, verifier).keys
        assert len(check(data, both, verifier).keys) == 1
        refused(data, other, verifier)
    finally:
        both.stop()


def test_a_key_that_has_expired_does_not_count(lapsed: Signer, verifier: Verifier) -> None:
    assert "has expired" in refused(lapsed.sign(TEXT, *IN_2020), lapsed, verifier)


def test_a_key_that_was_revoked_does_not_count(homes: Path, verifier: Verifier) -> None:
    revoked = _signer(homes, f"revoked-{verifier.__name__}")
    try:
        data = revoked.sign(TEXT)
        check(data, revoked, verifier)
        revoked.keyring.write_bytes(revoked.revoked())
        refused(data, revoked, verifier)
    finally:
        revoked.stop()


def test_a_signature_over_sha1_does_not_count(signer: Signer, verifier: Verifier) -> None:
    refused(signer.sign(TEXT, "--digest-algo", "SHA1"), signer, verifier)


def test_what_was_verified_must_be_what_the_file_says(signer: Signer) -> None:
    def lying(data: bytes, keyring: Path, now: int) -> Verdict:
        del data, keyring, now
        return Verdict(text=b"Origin: Evil\n", keys=("A" * 40,))

    assert "what was verified is not what the file says" in refused(signer.sign(TEXT), signer, lying)


@pytest.mark.parametrize(
    "status",
    [
        "",
        "[GNUPG:] GOODSIG 1 A\n[GNUPG:] VALIDSIG AA x 01 AA\n",
        "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 1 A\n",
        "[GNUPG:] NEWSIG\n[GNUPG:] VALIDSIG AA x 01 AA\n",
        "[GNUPG:] NEWSIG\ngpgv: [GNUPG:] GOODSIG 1 A\n[GNUPG:] VALIDSIG AA x 01 AA\n",
        "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 1 A\n[GNUPG:] NEWSIG\n[GNUPG:] VALIDSIG AA x 01 AA\n",
        "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 1 A\n[GNUPG:] VALIDSIG AA x 01 AA\n[GNUPG:] BADSIG 1 A\n",
        "[GNUPG:] NEWSIG\n[GNUPG:] ERRSIG\n[GNUPG:]\n",
    ],
)
def test_only_a_good_and_valid_signature_in_one_block_of_status_lines_counts(status: str) -> None:
    assert parse_status(status, b"").keys == ()


@pytest.mark.parametrize(("content", "why"), [(b"", "not signed by"), (b"?" * 99, "not signed by")])
def test_a_keyring_without_keys_trusts_nobody(
    signer: Signer, verifier: Verifier, tmp_path: Path, content: bytes, why: str
) -> None:
    keyring = tmp_path / "keys.pgp"
    keyring.write_bytes(content)
    with pytest.raises(InputError, match=why):
        verify(signer.sign(TEXT), keyring=keyring, now=NOW, file="f", verifier=verifier)


def test_a_keyring_that_cannot_be_used_is_named(signer: Signer, tmp_path: Path) -> None:
    for name, content in (("missing.pgp", None), ("armoured.asc", signer.gpg("--export", "--armor"))):
        keyring = tmp_path / name
        if content is not None:
            keyring.write_bytes(content)
        with pytest.raises(InputError, match=name):
            verify(signer.sign(TEXT), keyring=keyring, now=NOW, file="f")


def test_without_a_verifier_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature, "SYSTEM_PATH", "/nonexistent")
    if importlib.util.find_spec("pysequoia"):
        assert find_verifier() is verify_with_sequoia
        return
    with pytest.raises(EnvironmentFaultError) as caught:
        find_verifier()
    assert "Install gpgv" in caught.value.hint


def test_gpgv_sees_no_environment_and_no_keys_of_the_user(
    signer: Signer, other: Signer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    required("gpgv")
    (tmp_path / "trustedkeys.gpg").write_bytes(other.keyring.read_bytes())
    monkeypatch.setenv("GNUPGHOME", str(tmp_path))
    refused(other.sign(TEXT), signer, verify_with_gpgv)


def test_the_keyring_is_debians_whole_and_unchanged() -> None:
    data = DEBIAN_KEYRING.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    assert digest == "506b815cbb32d9b6066b4a2aa524071e071761e7e7f68c3ac74f3061ba852017"
    assert digest in (DEBIAN_KEYRING.parent / "README.md").read_text()
    installed = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if installed.exists() and installed.stat().st_size == len(data):
        assert installed.read_bytes() == data


def test_every_fingerprint_of_the_keyring_stands_in_the_decision(homes: Path) -> None:
    (page,) = (Path(__file__).parents[2] / "docs" / "adr").glob("*-debian-archive-keyring.md")
    home = homes / "show"
    home.mkdir(mode=0o700, exist_ok=True)
    command = ["gpg", "--homedir", str(home), "--batch", "--with-colons", "--show-keys", str(DEBIAN_KEYRING)]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    kinds = [line.split(":") for line in listed if line.startswith(("pub:", "sub:", "fpr:"))]
    primary = [line[9] for before, line in itertools.pairwise(kinds) if before[0] == "pub"]
    assert len(primary) == 9
    for fingerprint in primary:
        assert fingerprint in page.read_text()
