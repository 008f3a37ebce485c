"""The static site: what must be done today, for whom, and why it can be believed."""

from __future__ import annotations

from hullmark.dashboard.contents import read_contents
from hullmark.dashboard.site import build_site
from hullmark.dashboard.writing import read_summary, write_site

__all__ = ["build_site", "read_contents", "read_summary", "write_site"]
