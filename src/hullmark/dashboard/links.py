"""Addresses of lists. A number on a page links to exactly the list that it counts.

The list of findings reads its filters from the part of its address behind `#`, so that it works from a file
and on every host. What each key means is said where the script reads it, in `assets/app.js`.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

FINDINGS = "findings.html"
CVE = "cve.html"


def image_page(name: str) -> str:
    """The page of one image."""
    return f"images/{quote(name)}.html"


def findings(**filters: str) -> str:
    """The list of the findings that match `filters`; those that are open where nothing else is said."""
    chosen = {key: value for key, value in filters.items() if value}
    return f"{FINDINGS}#{urlencode(chosen, quote_via=quote)}" if chosen else FINDINGS


def cve(name: str) -> str:
    """Which images have or had a vulnerability."""
    return f"{CVE}#{urlencode({'id': name}, quote_via=quote)}"
