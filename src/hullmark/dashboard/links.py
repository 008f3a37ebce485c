"""Addresses of lists. A number on a page links to exactly the list that it counts.

The list of findings reads its filters from the part of its address behind `#`, so that it works from a file
and on every host. What each key means is said where the script reads it, in `assets/app.js`.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

FINDINGS = "findings.html"
CVE = "cve.html"


def image_page(name: str) -> str:
    """The page of one image."""
    return f"images/{quote(name)}.html"


def findings(**filters: str) -> str:
    """The list of the findings that match `filters`; those that are open where nothing else is said."""
    chosen = "&".join(f"{key}={_quoted(value)}" for key, value in filters.items() if value)
    return f"{FINDINGS}#{chosen}" if chosen else FINDINGS


def cve(name: str) -> str:
    """Which images have or had a vulnerability."""
    return f"{CVE}#id={_quoted(name)}"


def https_only(url: str) -> str:
    """`url` if it is an address that a page may link to, else nothing."""
    return (
        url if url.startswith("https://") and url.isascii() and url.isprintable() and " " not in url else ""
    )


@lru_cache(maxsize=65_536)
def _quoted(value: str) -> str:
    # The same images, times and severities stand in tens of thousands of addresses.
    return quote(value, safe="")
