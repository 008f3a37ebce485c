"""Parts of tables as markup: numbers that link to their lists, severities, dates. Text is escaped here.

Functions and no macros of templates, as pages have them by the ten thousand.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from hullmark.dashboard import charts
from hullmark.formats.markdown import in_words
from hullmark.text import escape_html

if TYPE_CHECKING:
    from datetime import date, datetime

    from hullmark.finding import Severity

day = lru_cache(maxsize=4_096)(in_words)
"""`2 March 2026`."""


@lru_cache(maxsize=65_536)
def text(value: str) -> Markup:
    """`value` as text of a page. Names, versions and dates repeat on every one."""
    return Markup(escape_html(value))  # noqa: S704 - escaped here


def coded(value: str) -> Markup:
    """`value` as text of a page, in which what stands between two backticks is code."""
    parts = value.split("`")
    if len(parts) % 2 == 0:
        return text(value)
    return Markup("").join(
        Markup("<code>%s</code>") % text(part) if place % 2 else text(part)
        for place, part in enumerate(parts)
    )


def number(value: int) -> str:
    """`1,234`."""
    return f"{value:,}"


def signed(value: int) -> str:
    """`+3`, `-2` with a true minus, `±0`."""
    return f"+{value:,}" if value > 0 else f"\N{MINUS SIGN}{-value:,}" if value else "±0"


def moment(at: str | datetime | date) -> str:
    """`2 March 2026, 04:44 UTC`."""
    told = at if isinstance(at, str) else at.isoformat()
    return f"{day(told)}, {told[11:16]} UTC"


def short_digest(digest: str) -> str:
    """As much of a digest as people compare."""
    return digest[:19] + "…" if len(digest) > 20 else digest  # noqa: PLR2004 - `sha256:` and twelve digits


@cache
def severity(of: Severity) -> Markup:
    """A severity as shape and word."""
    return Markup(  # noqa: S704 - words of ours
        f'<span class="severity">{charts.glyph(of)} {of.value.capitalize()}</span>'
    )


def num(value: int, href: str) -> Markup:
    """A number that links to the list that it counts; nothing to list is no link."""
    return _linked(f"{value:,}", value, href) if value else _NOTHING


def num_signed(value: int, size: int, href: str) -> Markup:
    """A change of a number, with a link to the `size` findings that made it."""
    if not size:
        return Markup(f'<span class="zero">{signed(value)}</span>')  # noqa: S704 - a number
    return _linked(signed(value), size, href)


def change(value: int) -> Markup:
    """What a week did to a number: more is bad, less is good, and the sign says which."""
    tone = "bad-text" if value > 0 else "good-text" if value < 0 else "zero"
    return Markup(f'<span class="{tone}">{signed(value)}</span>')  # noqa: S704 - a number


_NOTHING = Markup('<span class="zero">0</span>')


def _linked(told: str, size: int, href: str) -> Markup:
    return Markup(f'<a class="n" href="{escape_html(href)}" data-count="{size}">{told}</a>')  # noqa: S704 - escaped
