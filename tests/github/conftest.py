"""Fixtures for tests that talk to the fake GitHub."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.github.fake import FakeGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    """A GitHub with one empty repository. Whatever broke GitHub's own description fails the test."""
    with FakeGitHub() as fake:
        yield fake
    assert fake.violations == []
