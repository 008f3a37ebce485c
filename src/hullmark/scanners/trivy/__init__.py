"""Trivy: identified by its bytes, run contained, its reports read; its words stop in this package.

Nothing is imported here: whoever reads reports alone must not pay for the sandbox (see `make bench`).
"""
