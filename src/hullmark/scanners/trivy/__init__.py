"""Trivy: identified by its bytes, run contained, its reports read; its words stop in this package."""
