"""Reports in the shapes that Trivy 0.10 to 0.76 wrote, made here."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")


def rows(*numbers: int) -> list[dict[str, object]]:
    """Rows of vulnerabilities, so many of each severity from CRITICAL down."""
    ids = count(1)
    return [
        {
            "VulnerabilityID": f"CVE-2026-{next(ids):04}",
            "PkgName": "openssl",
            "InstalledVersion": "3.5.1-1",
            "Severity": severity,
        }
        for severity, number in zip(SEVERITIES, numbers, strict=False)
        for _ in range(number)
    ]


def in_0_10(*numbers: int) -> object:
    """A list of results; `null` where nothing was found."""
    return [{"Target": "app (debian 10.1)", "Type": "debian", "Vulnerabilities": rows(*numbers) or None}]


def in_0_20(*numbers: int) -> object:
    """The first with an object at its root; no packages, no date."""
    result = {"Target": "app (debian 11.1)", "Class": "os-pkgs", "Type": "debian"}
    if numbers:
        result |= {"Vulnerabilities": rows(*numbers)}  # type: ignore[dict-item]
    return {"SchemaVersion": 2, "ArtifactName": "app", "ArtifactType": "container_image", "Results": [result]}


def in_0_48(*numbers: int, created_at: str = "2026-11-20T03:00:00.123456789+01:00") -> object:
    """With a date."""
    return {**in_0_20(*numbers), "CreatedAt": created_at}  # type: ignore[dict-item]


def in_0_76(*numbers: int, created_at: str = "2026-11-20T03:00:00Z") -> object:
    """With packages and the program's version."""
    result = {
        "Target": "app (debian 13.1)",
        "Class": "os-pkgs",
        "Type": "debian",
        "Packages": [
            {"ID": "openssl@3.5.1-1", "Name": "openssl", "Version": "3.5.1-1", "SrcName": "openssl"}
        ],
        "Vulnerabilities": rows(*numbers),
    }
    return {
        "SchemaVersion": 2,
        "Trivy": {"Version": "0.76.0"},
        "CreatedAt": created_at,
        "ArtifactName": "app",
        "ArtifactType": "container_image",
        "Metadata": {"OS": {"Family": "debian", "Name": "13.1"}},
        "Results": [result],
    }


def save(path: Path, report: object) -> Path:
    """Write `report` to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(report))
    return path
