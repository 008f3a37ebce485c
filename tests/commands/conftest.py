"""Fixtures for tests of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.commands.project import Project
from tests.scanners.support import require

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Project:
    """A repository with one image called `app`."""
    require("trivy")
    return Project(tmp_path / "repository", capsys, monkeypatch)
