"""Templates with all text escaped, once, by `text.escape_html`.

Rules (each has a test with the same words):
- whatever a template prints is escaped, unless it was made here as markup;
- characters that cannot be seen or that turn the direction of reading are written out;
- a page has no inline style, no inline script, and asks no other host for anything.
"""

from __future__ import annotations

from functools import cache
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
    return value if isinstance(value, Markup) or not isinstance(value, str) else Markup(escape_html(value))  # noqa: S704 - just escaped


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
        "day": in_words,
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
