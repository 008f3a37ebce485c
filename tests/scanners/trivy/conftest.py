from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from hullmark.finding import Severity
from hullmark.image import LINUX_AMD64
from hullmark.sandbox import Sandbox
from hullmark.scanners import database, sample
from hullmark.scanners.advisory import Advisory
from hullmark.scanners.trivy.binary import Binary, find_binary, identify
from hullmark.scanners.trivy.scan import ScanResult, scan_image
from hullmark.scanners.trivy.scanner import Trivy
from tests.scanners.trivy import craft

if TYPE_CHECKING:
    from pathlib import Path

ADVISORIES = [
    Advisory(id="CVE-2099-0001", package="openssl", fixed="3.5.99-1", severity=Severity.HIGH),
    Advisory(id="CVE-2099-0002", package="openssl", severity=Severity.CRITICAL),
    Advisory(id="CVE-2099-0003", package="gcc+x", severity=Severity.LOW, rated_by="debian"),
    Advisory(id="CVE-2099-1001", system="npm", package="tar", fixed="7.5.3", severity=Severity.HIGH),
    Advisory(id="CVE-2099-1002", system="npm", package="@scope/tar", fixed="2.0.0"),
    Advisory(id="CVE-2099-2001", system="pip", package="jinja2", fixed="3.1.5", severity=Severity.MEDIUM),
    Advisory(id="CVE-2099-3001", system="go", package="golang.org/x/net", fixed="0.38.0"),
    Advisory(id="CVE-2099-4001", system="composer", package="a/b", fixed="2.0.0"),
]


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    return Sandbox.find()


@pytest.fixture(scope="session")
def binary(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Binary:
    return identify(find_binary(), sandbox, cache=tmp_path_factory.mktemp("hashes") / "hashes.json")


@pytest.fixture(scope="session")
def held(tmp_path_factory: pytest.TempPathFactory) -> database.Held:
    folder = tmp_path_factory.mktemp("cache")
    updated_at = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
    built = sample.build(ADVISORIES, folder=folder, updated_at=updated_at, canary=False)
    return database.inspect(built)


@pytest.fixture(scope="session")
def trivy(binary: Binary, held: database.Held, sandbox: Sandbox) -> Trivy:
    return Trivy(binary, held, sandbox, timeout=60)


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return craft.docker_archive(tmp_path_factory.mktemp("images") / "mixed.tar", craft.MIXED)


@pytest.fixture(scope="session")
def mixed_result(trivy: Trivy, mixed: Path) -> ScanResult:
    return scan_image(trivy, mixed, image="app", platform=LINUX_AMD64)


@pytest.fixture(scope="session")
def mixed_sbom(trivy: Trivy, mixed_result: ScanResult) -> bytes:
    """As Trivy writes it."""
    return trivy.to_sbom(mixed_result.report)
