"""Fixtures for tests of workflows."""

from __future__ import annotations

from tests.github.conftest import github

__all__ = ["github"]
