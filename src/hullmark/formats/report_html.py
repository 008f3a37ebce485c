"""A report as one HTML file: no script, nothing from another place, and it prints as it reads."""

from __future__ import annotations

import base64
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

from hullmark.report.words import in_words
from hullmark.text import escape_html

if TYPE_CHECKING:
    from jinja2 import Template

    from hullmark.report.document import Document


def render_report_html(document: Document) -> str:
    """The whole report, all text escaped, with a Content-Security-Policy that allows its own style only."""
    style = files("hullmark.formats").joinpath("templates", "report.css").read_text()
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    return _template().render(
        document=document,
        style=style,
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        made=in_words(document.made) if document.made else "",
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - only where pages are written
    from markupsafe import Markup  # noqa: PLC0415 - same

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # Beside the characters of HTML: what nobody sees, such as marks that turn the direction of text.
    environment.filters["shown"] = lambda text: Markup(escape_html(text))  # noqa: S704 - escape_html escapes
    return environment.from_string(
        files("hullmark.formats").joinpath("templates", "report.html.jinja").read_text()
    )
