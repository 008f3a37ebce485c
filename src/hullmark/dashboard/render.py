"""Templates with all text escaped, once, by `text.escape_html`.

Rules (each has a test with the same words):
- whatever a template prints is escaped, unless it was made here as markup;
- characters that cannot be seen or that turn the direction of reading are written out;
- a page has no inline style, no inline script, and asks no other host for anything.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hullmark.dashboard import charts, links, tables, words
from hullmark.finding import Severity
from hullmark.formats.markdown import in_words, plural
from hullmark.text import escape_html

if TYPE_CHECKING:
    from datetime import date, datetime

    from hullmark.finding import Counts

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
"""Of content. `frame-ancestors` and `sandbox` have no effect in a page, so they are not here."""


def render(template: str, **values: Any) -> bytes:  # noqa: ANN401 - what a template is given
    """The page that `template` makes of `values`."""
    text = _environment().get_template(template).render(**values)
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip()).encode() + b"\n"


def escaped(value: object) -> object:
    """`value` as a template may print it: text is escaped, markup that was made here is not."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else _markup(value)


@lru_cache(maxsize=65_536)
def _markup(text: str) -> Markup:
    # Names, versions and dates repeat on every page.
    return Markup(escape_html(text))  # noqa: S704 - escaped here


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("hullmark.dashboard"),
        autoescape=True,
        finalize=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "signed": signed,
        "day": lru_cache(maxsize=4_096)(in_words),
        "short_day": charts.short_day,
        "moment": moment,
        "plural": plural,
        "digest": short_digest,
    }
    environment.globals |= {
        "policy": POLICY,
        "severities": tuple(Severity),
        "charts": charts,
        "links": links,
        "words": words,
        "count_of": count_of,
        "severity": severity_mark,
        "num": num,
        "num_signed": num_signed,
        "action_ids": tables.action_ids,
        "action_link": tables.action_link,
    }
    return environment


def number(value: int) -> str:
    """`1,234`."""
    return f"{value:,}"


def signed(value: int) -> str:
    """`+3`, `-2` with a true minus, `±0`."""
    return f"+{value:,}" if value > 0 else f"\N{MINUS SIGN}{-value:,}" if value else "±0"


def moment(at: str | datetime | date) -> str:
    """`2 March 2026, 04:44 UTC`."""
    text = at if isinstance(at, str) else at.isoformat()
    return f"{in_words(text)}, {text[11:16]} UTC"


def short_digest(digest: str) -> str:
    """As much of a digest as people compare."""
    return digest[:19] + "…" if len(digest) > 20 else digest  # noqa: PLR2004 - `sha256:` and twelve digits


def count_of(counts: Counts, severity: Severity) -> int:
    """The number of one severity."""
    found: int = getattr(counts, severity.value.lower())
    return found


@cache
def severity_mark(severity: Severity) -> Markup:
    """A severity as shape and word."""
    return Markup(  # noqa: S704 - words of ours
        f'<span class="severity">{charts.glyph(severity)} {severity.value.capitalize()}</span>'
    )


def num(value: int, href: str) -> Markup:
    """A number that links to the list that it counts; nothing to list is no link.

    Functions and no macros, as pages have them by the ten thousand.
    """
    if not value:
        return _NOTHING
    return _linked(f"{value:,}", value, href)


def num_signed(value: int, size: int, href: str) -> Markup:
    """A change of a number, with a link to the `size` findings that made it."""
    if not size:
        return Markup(f'<span class="zero">{signed(value)}</span>')  # noqa: S704 - a number
    return _linked(signed(value), size, href)


_NOTHING = Markup('<span class="zero">0</span>')


def _linked(text: str, size: int, href: str) -> Markup:
    return Markup(f'<a class="n" href="{escape_html(href)}" data-count="{size}">{text}</a>')  # noqa: S704 - escaped
