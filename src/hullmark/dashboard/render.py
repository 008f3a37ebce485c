"""Templates with all text escaped, once, by `text.escape_html`.

Rules (each has a test with the same words):
- whatever a template prints is escaped, unless it was made here as markup;
- characters that cannot be seen or that turn the direction of reading are written out;
- a page has no inline style, no inline script, and asks no other host for anything.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hullmark.dashboard import cells, charts, links, listing, tables, words
from hullmark.finding import Severity
from hullmark.formats.markdown import plural

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
    return value if isinstance(value, Markup) or not isinstance(value, str) else cells.text(value)


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
        "coded": cells.coded,
        "number": cells.number,
        "day": cells.day,
        "short_day": charts.short_day,
        "moment": cells.moment,
        "plural": plural,
        "digest": cells.short_digest,
    }
    environment.globals |= {
        "policy": POLICY,
        "severities": tuple(Severity),
        "charts": charts,
        "links": links,
        "words": words,
        "listing": listing,
        "count_of": charts.count,
        "severity": cells.severity,
        "num": cells.num,
        "action_ids": tables.action_ids,
        "action_link": tables.action_link,
    }
    return environment
