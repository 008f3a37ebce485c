"""Images built from their committed locks, with the repository's own download cache."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hullmark.build.builder import build_image
from hullmark.build.fetch import Cache, Fetcher, VanishedError
from hullmark.build.mirror import find_sources
from hullmark.build.refresh import lock_image
from hullmark.build.release import Trust

if TYPE_CHECKING:
    from hullmark.build.builder import BuiltImage

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "debs"


def build_locked(folder: Path, out: Path) -> tuple[BuiltImage, ...]:
    """The image from its committed lock, or from today's when its packages have left the mirror."""
    sources = find_sources(os.environ)
    try:
        return build_image(folder, out=out, cache=CACHE, sources=sources)
    except VanishedError:
        with Fetcher(Cache(CACHE)) as fetcher:
            trust = Trust(now=int(time.time()))
            lock_image(folder, fetcher=fetcher, sources=sources, trust=trust, refresh=True)
        return build_image(folder, out=out, cache=CACHE, sources=sources)
