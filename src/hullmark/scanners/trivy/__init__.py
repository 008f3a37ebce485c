"""Trivy: identified by its bytes, run contained, its reports read; its words stop in this package."""

from hullmark.scanners.trivy.binary import Binary, find_binary, identify
from hullmark.scanners.trivy.report import Report, read_report
from hullmark.scanners.trivy.scan import (
    ScanResult,
    check_image,
    check_platform,
    match_sbom,
    scan_image,
    scan_sbom,
)
from hullmark.scanners.trivy.scanner import Trivy

__all__ = [
    "Binary",
    "Report",
    "ScanResult",
    "Trivy",
    "check_image",
    "check_platform",
    "find_binary",
    "identify",
    "match_sbom",
    "read_report",
    "scan_image",
    "scan_sbom",
]
