"""Real parts for these tests: Trivy, and an OCI registry on loopback."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from hullmark.finding import Severity
from hullmark.scanners.advisory import Advisory
from hullmark.scanners.trivy.report import read_report
from tests.absence import absent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hullmark.finding import Finding

ROOT = Path(__file__).resolve().parents[2]
DATE = datetime(2026, 11, 21, tzinfo=UTC)
OPENSSL = Advisory(id="CVE-1", package="openssl", fixed="3.5.4-1~deb13u2", severity=Severity.CRITICAL)


def require(name: str) -> Path:
    """A program that these tests need: without it they fail in CI, and are skipped elsewhere."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        absent(f"{name} is not installed")
    return Path(found)


def run_trivy(database: Path, kind: str, subject: Path) -> bytes:
    """The JSON report of `trivy image` or `trivy sbom`, offline and with nothing of this machine."""
    what = ["image", "--input"] if kind == "image" else ["sbom"]
    flags = "--skip-db-update --skip-java-db-update --skip-version-check --offline-scan --disable-telemetry"
    more = "--cache-backend memory --config= --ignorefile= --scanners vuln --format json --quiet"
    done = subprocess.run(
        [require("trivy"), *what, subject, "--cache-dir", database, *flags.split(), *more.split()],
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        cwd=subject.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def make_cache(folder: Path, image: Path) -> None:
    """Let Trivy write its own cache, which is a bbolt file, by looking at `image`."""
    flags = "--format cyclonedx --quiet --offline-scan --skip-version-check --disable-telemetry --config="
    subprocess.run(
        [require("trivy"), "image", "--input", image, "--cache-dir", folder, *flags.split()],
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        cwd=image.parent,
        check=True,
    )


def rows(report: bytes) -> list[dict[str, Any]]:
    """The vulnerabilities of a report, as Trivy writes them."""
    return [
        row for result in json.loads(report).get("Results", []) for row in result.get("Vulnerabilities", [])
    ]


class Trivy:
    """The two callables of a canary, for one database."""

    def __init__(self, database: Path, folder: Path) -> None:
        self.database = database
        self.folder = folder

    def match(self, sbom: bytes) -> tuple[Finding, ...]:
        path = self.folder / "sbom.cdx.json"
        path.write_bytes(sbom)
        return read_report(run_trivy(self.database, "sbom", path), file=path).findings

    def scan(self, archive: Path) -> tuple[Finding, ...]:
        return read_report(run_trivy(self.database, "image", archive), file=archive).findings


def pack(files: Mapping[str, bytes]) -> bytes:
    """A tar.gz of `files`."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def database_files(folder: Path, place: str = "db") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / place).iterdir())}


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """`host:port` of a registry that keeps everything in memory."""
    config = folder / "registry.json"
    config.write_text(
        json.dumps(
            {
                "version": 0.1,
                "storage": {"inmemory": {}},
                "http": {"addr": "127.0.0.1:0"},
                "log": {"level": "info", "accesslog": {"disabled": True}},
            }
        )
    )
    command = [str(require("docker-registry")), "serve", str(config)]
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    with (
        (folder / "registry.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.PIPE, text=True, env=environment) as child,
    ):
        try:
            assert child.stderr is not None
            # It says its port as soon as it listens. What it says after that must be taken, or it waits.
            for line in child.stderr:
                if match := re.search(r"listening on (127\.0\.0\.1:\d+)", line):
                    threading.Thread(target=child.stderr.read, daemon=True).start()
                    yield match[1]
                    return
            pytest.fail("the registry did not start")
        finally:
            child.kill()


def push(host: str, name: str, files: Mapping[str, bytes], *, kind: str = "db", tag: str = "2") -> str:
    """Push `files` in the form in which trivy-db is distributed; returns the repository."""
    client = urllib3.PoolManager(retries=False)
    base = f"http://{host}/v2/{name}"

    def blob(content: bytes) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        place = client.request("POST", f"{base}/blobs/uploads/").headers["Location"]
        joined = f"{place}{'&' if '?' in place else '?'}digest={digest}"
        kept = client.request(
            "PUT", joined, body=content, headers={"Content-Type": "application/octet-stream"}
        )
        assert kept.status == 201
        return {"digest": digest, "size": len(content)}

    media = "application/vnd.oci.image.manifest.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": media,
        "config": {"mediaType": "application/vnd.aquasec.trivy.config.v1+json", **blob(b"{}")},
        "layers": [
            {
                "mediaType": f"application/vnd.aquasec.trivy.{kind}.layer.v1.tar+gzip",
                **blob(pack(files)),
                "annotations": {"org.opencontainers.image.title": f"{kind}.tar.gz"},
            }
        ],
    }
    kept = client.request(
        "PUT", f"{base}/manifests/{tag}", body=json.dumps(manifest), headers={"Content-Type": media}
    )
    assert kept.status == 201
    return f"{host}/{name}"
