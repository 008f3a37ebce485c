"""Signing a published image without a key of one's own, by cosign, where that is installed.

It is given what it needs to ask for an identity and to talk to the registry, and nothing else of our
environment. Whoever calls this has said that the signature may be public.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from hullmark.errors import EnvironmentFaultError, NetworkError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hullmark.image import Digest
    from hullmark.registry.place import Place

SECONDS = 300

_PASSED = (
    *("PATH", "HOME", "TMPDIR", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "SIGSTORE_ID_TOKEN"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)


def find_cosign(environ: Mapping[str, str]) -> str | None:
    """The program; None where it is not installed."""
    return shutil.which("cosign", path=environ.get("PATH"))


def sign(program: str, place: Place, digest: Digest, environ: Mapping[str, str]) -> None:
    """Sign what `digest` names, and every platform's image that it names."""
    passed = {name: environ[name] for name in _PASSED if name in environ}
    command = [program, "sign", "--yes", "--recursive", f"{place}@{digest}"]
    try:
        done = subprocess.run(
            command,
            env=passed,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        )
    except OSError as error:
        raise EnvironmentFaultError(f"cannot run {program}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise NetworkError(f"cosign did not sign {place} within {SECONDS} seconds") from error
    if done.returncode:
        said = done.stdout[-2000:].decode(errors="replace").strip().rsplit("\n", 1)[-1]
        raise NetworkError(f"cosign could not sign {place}@{digest}: {said or done.returncode}")
