from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import EnvironmentFaultError, IncompleteError, InputError
from hullmark.sandbox import Sandbox
from hullmark.scan import Containment
from hullmark.scanners.trivy import binary as trivy_binary
from hullmark.scanners.trivy.binary import find_binary, identify
from tests.absence import absent

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def contained() -> Sandbox:
    """A way that shows the system's shell, which the fakes of this file are written for."""
    sandbox = Sandbox(Containment.UNSHARE)
    if not sandbox.works():
        absent("unshare does not work on this machine")
    return sandbox


def fake(folder: Path, script: str) -> Path:
    """A program that is not Trivy: what it prints is what a hostile or foreign one could print."""
    path = folder / "trivy"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def telling(folder: Path, version: str) -> Path:
    return fake(folder, f"""echo '{{"Version":"{version}"}}'""")


def test_the_installed_trivy_is_known_and_not_run_to_learn_its_version() -> None:
    """The digest in the table is recomputed from the installed program."""
    binary = identify(find_binary(), Sandbox(Containment.NONE), require_verified=True)
    assert binary.version == "0.76.0"
    assert binary.scanner.verified
    assert binary.digest in trivy_binary.OFFICIAL


@pytest.mark.parametrize("version", ["0.69.4", "0.69.5", "0.69.6", "0.69.4-dev"])
def test_versions_of_the_attack_are_refused(contained: Sandbox, tmp_path: Path, version: str) -> None:
    with pytest.raises(InputError, match=r"trivy: Trivy 0\.69\.\d was published by an attacker"):
        identify(telling(tmp_path, version), contained)


def test_known_malicious_bytes_are_refused_before_they_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fake(tmp_path, f"touch {tmp_path}/was-run")
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    monkeypatch.setattr(trivy_binary, "MALICIOUS", frozenset({digest}))
    with pytest.raises(InputError, match="known to be malicious"):
        identify(path, Sandbox(Containment.NONE))
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("version", ["0.69.3", "0.10.0", "0.0.1"])
def test_a_version_below_the_floor_is_refused(contained: Sandbox, tmp_path: Path, version: str) -> None:
    with pytest.raises(InputError, match="is too old"):
        identify(telling(tmp_path, version), contained)


@pytest.mark.parametrize("version", ["0.70.0", "0.99.1", "1.0.0", "0.70.1-rc1"])
def test_an_unknown_program_is_used_contained_and_recorded_as_unverified(
    contained: Sandbox, tmp_path: Path, version: str
) -> None:
    binary = identify(telling(tmp_path, version), contained)
    assert binary.scanner.version == version
    assert not binary.scanner.verified


def test_an_unknown_program_is_refused_where_verified_ones_are_required(
    contained: Sandbox, tmp_path: Path
) -> None:
    with pytest.raises(IncompleteError, match="not a Trivy release known to Hullmark"):
        identify(telling(tmp_path, "0.76.0"), contained, require_verified=True)


def test_an_unknown_program_is_not_run_without_containment(tmp_path: Path) -> None:
    path = fake(tmp_path, f'touch {tmp_path}/was-run; echo \'{{"Version":"0.76.0"}}\'')
    with pytest.raises(IncompleteError, match="no containment works"):
        identify(path, Sandbox(Containment.NONE))
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        "echo Version: 0.76.0",
        "echo '{}'",
        """echo '{"Version":7}'""",
        """echo '{"Version":"dev"}'""",
        r"""printf '{"Version":"0.76.0\\u001b[2J"}'""",
        r"printf '\377\376'",
        r"head -c 100000 /dev/zero | tr '\0' '['",
    ],
)
def test_what_does_not_tell_a_version_is_no_trivy(contained: Sandbox, tmp_path: Path, script: str) -> None:
    with pytest.raises(InputError, match="not a Trivy"):
        identify(fake(tmp_path, script), contained)


def test_a_program_that_floods_us_is_ended(contained: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFaultError, match="wrote more than"):
        identify(fake(tmp_path, "while :; do echo 0123456789; done"), contained)
