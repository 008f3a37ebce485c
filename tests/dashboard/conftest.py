"""One recorded world and its site, made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hullmark.dashboard import build_site, read_contents, read_summary, write_site
from hullmark.verification import verify_history
from tests.dashboard import world

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.fleet import Fleet
    from hullmark.journal import Journal


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a recorded history and its summary."""
    root = tmp_path_factory.mktemp("world")
    world.record_world(root)
    images = "".join(f"[images.{name}]\n" for name, _ in world.EXPECTED)
    (root / "hullmark.toml").write_text(f"version = 1\n{images}")
    (root / "exemptions.toml").write_bytes(world.EXEMPTIONS)
    return root


@pytest.fixture(scope="session")
def journal(home: Path) -> Journal:
    from hullmark.journal import Journal

    return Journal(home / "audit-logs")


@pytest.fixture(scope="session")
def fleet(journal: Journal) -> Fleet:
    return world.fleet_of(journal)


@pytest.fixture(scope="session")
def site(home: Path, journal: Journal, fleet: Fleet) -> dict[str, bytes]:
    """Every file of the site, as bytes; also written below `home`."""
    trend = read_summary(home, now=world.START + 20 * world.WEEK, sample=True)
    files = build_site(fleet, verify_history(journal), read_contents(journal, fleet), trend)
    write_site(home, files)
    return files
