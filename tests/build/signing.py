"""A throw-away key made with gpg, and what it signs."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Signer:
    """A gpg home of its own with one key: ed25519, without a password."""

    def __init__(self, home: Path, name: str = "Archive <archive@example.org>", *options: str) -> None:
        self.home = home
        self.name = name
        self.keyring = home / "keyring.pgp"
        self._signed: dict[str, bytes] = {}
        expires = "1y" if options else "never"
        self.gpg(*options, "--passphrase", "", "--quick-gen-key", name, "ed25519", "sign", expires)
        self.keyring.write_bytes(self.gpg("--export", name))

    def gpg(self, *arguments: str, data: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", *arguments]
        return subprocess.run(command, input=data, check=True, capture_output=True).stdout

    def sign(self, text: str, *options: str) -> bytes:
        """The clear-signed `text`. The same text is signed once: many tests publish the same archive."""
        key = "\0".join((text, *options))
        if key not in self._signed:
            self._signed[key] = self.gpg(*options, "--clearsign", data=text.encode())
        return self._signed[key]

    def revoked(self) -> bytes:
        """The key with its revocation."""
        (path,) = (self.home / "openpgp-revocs.d").iterdir()
        self.gpg("--import", data=path.read_bytes().replace(b"\n:---", b"\n---"))
        return self.gpg("--export", self.name)

    def stop(self) -> None:
        """End the agent that gpg has started for this home."""
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=True)
