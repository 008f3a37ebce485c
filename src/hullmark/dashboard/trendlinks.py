"""Links from the numbers of a weekly summary to the lists that they count.

A summary may come from elsewhere, and repeats the last known counts of an image that was missed: a number is
linked only where the ledger has a list of exactly that length for that time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING

from markupsafe import Markup

from hullmark.dashboard import links
from hullmark.dashboard.charts import count
from hullmark.text import escape_html

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hullmark.dashboard.trendpage import Trend
    from hullmark.finding import Severity
    from hullmark.fleet import Member
    from hullmark.summary_document import ImageEntry, TrendPoint


class TrendLinks:
    """How many findings were open at a time, by image and severity, and the link to them."""

    def __init__(self, members: Iterable[Member], trend: Trend | None) -> None:
        self.generated_at = trend.generated_at if trend else ""
        self.begun: dict[tuple[str, Severity], list[str]] = defaultdict(list)
        self.ended: dict[tuple[str, Severity], list[str]] = defaultdict(list)
        for member in members if trend else ():
            for life in member.timeline.intervals if member.timeline else ():
                self._add(member.name, life.severities, life.resolved_at or member.retired_at)
        for times in (*self.begun.values(), *self.ended.values()):
            times.sort()

    def _add(self, name: str, severities: tuple[tuple[str, Severity], ...], until: str) -> None:
        for place, (at, severity) in enumerate(severities):
            end = severities[place + 1][0] if place + 1 < len(severities) else until
            for image in ("", name):
                self.begun[image, severity].append(at)
                if end:
                    self.ended[image, severity].append(end)

    def open_at(self, at: str, severity: Severity, image: str = "") -> int:
        """Findings open at a time, in one image or in all."""
        begun, ended = self.begun[image, severity], self.ended[image, severity]
        return bisect_right(begun, at) - bisect_right(ended, at)

    def then(self, point: TrendPoint, severity: Severity) -> Markup:
        """A number of the trend."""
        at = f"{point.date}T23:59:59Z"
        if self.generated_at.startswith(str(point.date)):
            at = self.generated_at
        return self._number(getattr(point, severity.value.lower()), at, severity)

    def now(self, image: ImageEntry, severity: Severity) -> Markup:
        """A number of an image in the newest summary."""
        return self._number(count(image.counts, severity), self.generated_at, severity, image.name)

    def _number(self, number: int, at: str, severity: Severity, image: str = "") -> Markup:
        if not number or self.open_at(at, severity, image) != number:
            return Markup(f"{number:,}")  # noqa: S704 - a number
        href = escape_html(links.findings(image=image, at=at, severity=severity.value))
        return Markup(f'<a class="n" href="{href}" data-count="{number}">{number:,}</a>')  # noqa: S704 - escaped
