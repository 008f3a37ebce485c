"""Charts as functions of numbers: SVG that needs no script, prints sharp, and has the page's colours.

Nothing here comes from a scanner: numbers, dates and words of ours. Every attribute is quoted: an unquoted
one swallows the slash that ends its element. No chart is the only place of a number: a table is beside it.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from hullmark.finding import Severity
from hullmark.formats.markdown import in_words
from hullmark.text import escape_html

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hullmark.finding import Counts
    from hullmark.fleet import Week

SHOWN = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM)
"""What trends show: each on a scale of its own, or CRITICAL would be a flat line under MEDIUM."""

RHYTHM = 10
"""Days after which the next point of a weekly trend is late."""

_SHAPES = {
    Severity.CRITICAL: "M6 0 12 6 6 12 0 6Z",
    Severity.HIGH: "M6 .8 12 11.4H0Z",
    Severity.MEDIUM: "M1 1h10v10H1Z",
    Severity.LOW: "M6 1a5 5 0 1 0 0 10A5 5 0 1 0 6 1Z",
    Severity.UNKNOWN: (
        "M6 .5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11Zm0 2.3a3.2 3.2 0 1 1 0 6.4a3.2 3.2 0 1 1 0-6.4Z"
    ),
}


def glyph(severity: Severity) -> Markup:
    """The shape of a severity: no one needs to tell colours apart."""
    return Markup(  # noqa: S704 - constants
        f'<svg class="glyph {severity.value.lower()}" width="12" height="12" viewBox="0 0 12 12" '
        f'aria-hidden="true"><path fill-rule="evenodd" d="{_SHAPES[severity]}"/></svg>'
    )


def short_day(at: str) -> str:
    """`2 Mar`: the axis of a chart, whose table has the whole date."""
    day = date.fromisoformat(at[:10])
    return f"{day.day} {in_words(day).split()[1][:3]}"


def count(counts: Counts, severity: Severity) -> int:
    """The number of one severity."""
    found: int = getattr(counts, severity.value.lower())
    return found


class _Frame(NamedTuple):
    """The size of a chart, in units that are pixels at its natural width."""

    width: int
    left: int
    right: int
    row: int
    gap: int
    labels: int
    """Number of dates on the axis."""


WIDE = _Frame(720, 34, 74, 62, 16, 6)
NARROW = _Frame(340, 30, 62, 52, 14, 3)


def trend(weeks: Sequence[Week]) -> Markup:
    """Open findings at the end of each week: one row for each severity, wide and narrow."""
    if not weeks:
        return Markup()
    return Markup(  # noqa: S704 - made of numbers below
        f'<div class="chart wide">{_trend(weeks, WIDE)}</div>'
        f'<div class="chart narrow">{_trend(weeks, NARROW)}</div>'
    )


def _trend(weeks: Sequence[Week], frame: _Frame) -> str:
    across = _Across(len(weeks), frame.left, frame.width - frame.right)
    top, parts = 18, []
    marks = [(place, note) for place, week in enumerate(weeks) if (note := _scope_note(week, place))]
    height = top + len(SHOWN) * (frame.row + frame.gap) + 14
    bottom = height - 14 - frame.gap
    taken = -1000.0
    for place, note in marks:
        x = across.at(place)
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="14" y2="{bottom}"/>')
        if x - taken > 90:  # noqa: PLR2004 - a label's width
            side = "end" if x > frame.width * 0.6 else "start"
            parts.append(f'<text x="{x:.1f}" y="10" text-anchor="{side}">{escape_html(note)}</text>')
            taken = x
    for severity in SHOWN:
        parts.append(_row(weeks, severity, across, top, frame))
        top += frame.row + frame.gap
    parts += _days([week.end for week in weeks], across, height - 4, frame.labels)
    parts += _hits(map(_told, weeks), across, 12, height - 30)
    return _svg(frame.width, height, "Open findings at the end of each week, by severity", parts)


def _row(weeks: Sequence[Week], severity: Severity, across: _Across, top: int, frame: _Frame) -> str:
    values = [count(week.after, severity) for week in weeks]
    scanned = [week.scanned for week in weeks]
    highest = _rounded(max(*values, 1))
    base = top + frame.row
    points = [(across.at(place), base - value / highest * frame.row) for place, value in enumerate(values)]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    area = f"{line}L{points[-1][0]:.1f} {base}L{points[0][0]:.1f} {base}Z"
    x, y = points[-1]
    label = min(max(y, top + 8), base - 12)
    bridges = "".join(
        f'<path class="bridge" d="M{before[0]:.1f} {before[1]:.1f}L{after[0]:.1f} {after[1]:.1f}"/>'
        for before, after, is_seen in zip(points, points[1:], scanned[1:], strict=False)
        if not is_seen
    )
    solid = "".join(
        f"M{before[0]:.1f} {before[1]:.1f}L{after[0]:.1f} {after[1]:.1f}"
        for before, after, is_seen in zip(points, points[1:], scanned[1:], strict=False)
        if is_seen
    )
    return (
        f'<line class="axis" x1="{frame.left}" x2="{across.end}" y1="{top}" y2="{top}"/>'
        f'<line class="axis" x1="{frame.left}" x2="{across.end}" y1="{base}" y2="{base}"/>'
        f'<text x="{frame.left - 6}" y="{top + 4}" text-anchor="end">{highest:,}</text>'
        f'<text x="{frame.left - 6}" y="{base + 4}" text-anchor="end">0</text>'
        f'<g class="{severity.value.lower()}"><path class="area" d="{area}"/>{bridges}'
        f'<path class="line" d="{solid}"/><circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/></g>'
        f'<text class="figure" x="{x + 12:.1f}" y="{label + 1:.1f}">{values[-1]:,}</text>'
        f'<text x="{x + 12:.1f}" y="{label + 14:.1f}">{severity.value.capitalize()}</text>'
    )


def _scope_note(week: Week, place: int) -> str:
    """What changed about how much is looked at; of the first week, nothing can be said."""
    if not place:
        return ""
    if week.left.total:
        return "image retired"
    return "scope grew" if week.joined.total else ""


def flow(weeks: Sequence[Week]) -> Markup:
    """What was introduced and resolved in each week, up and down, wide and narrow."""
    if not weeks:
        return Markup()
    return Markup(  # noqa: S704 - made of numbers below
        f'<div class="chart wide">{_flow(weeks, _Frame(520, 38, 4, 104, 0, 5))}</div>'
        f'<div class="chart narrow">{_flow(weeks, _Frame(340, 32, 2, 96, 0, 3))}</div>'
    )


def _flow(weeks: Sequence[Week], frame: _Frame) -> str:
    top, height = 18, 18 + 2 * frame.row + 36
    zero = top + frame.row
    highest = _rounded(max(max(_shown(week.new), _shown(week.gone)) for week in weeks) or 1)
    scale = frame.row / highest
    slot = (frame.width - frame.left - frame.right) / len(weeks)
    across = _Across(len(weeks), frame.left + slot / 2, frame.width - frame.right - slot / 2)
    right = frame.width - frame.right
    parts = []
    for value in (highest, 0, -highest):
        y = zero - value * scale
        kind = "axis" if value else "axis zero"
        parts += [
            f'<line class="{kind}" x1="{frame.left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<text x="{frame.left - 6}" y="{y + 4:.1f}" text-anchor="end">{abs(value):,}</text>',
        ]
    for place, week in enumerate(weeks):
        x = across.at(place) - slot * 0.32
        for counts, sign in ((week.new, -1), (week.gone, 1)):
            parts += _bars(counts, x, zero, slot * 0.64, sign * scale)
    parts += [
        f'<text class="figure" x="{frame.left + 2}" y="12">New</text>',
        f'<text class="figure" x="{frame.left + 2}" y="{height - 20}">Gone</text>',
    ]
    parts += _days([week.end for week in weeks], across, height - 4, frame.labels)
    parts += _hits(map(_flow_told, weeks), across, 4, height - 26)
    return _svg(frame.width, height, "Findings introduced and resolved in each week", parts)


def _bars(counts: Counts, x: float, zero: float, width: float, scale: float) -> Iterable[str]:
    edge = zero
    faded = " gone" if scale > 0 else ""
    for severity in SHOWN:
        length = count(counts, severity) * abs(scale)
        if not length:
            continue
        edge += length if scale > 0 else -length
        y = edge - length if scale > 0 else edge
        yield (
            f'<rect class="bar {severity.value.lower()}{faded}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
            f'height="{max(length, 1):.1f}"/>'
        )


def _flow_told(week: Week) -> str:
    return f"{in_words(week.end)}: {_shown(week.new):,} new, {_shown(week.gone):,} gone"


def _shown(counts: Counts) -> int:
    return sum(count(counts, severity) for severity in SHOWN)


def sparkline(values: Sequence[int], severity: Severity) -> Markup:
    """A word-sized line; the numbers are in the cell beside it."""
    if len(values) < 2:  # noqa: PLR2004 - one point is no line
        return Markup()
    lowest, highest = min(values), max(values)
    spread = (highest - lowest) or 1
    across = _Across(len(values), 2, 90)
    points = [(across.at(place), 17 - (value - lowest) / spread * 13) for place, value in enumerate(values)]
    x, y = points[-1]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return Markup(  # noqa: S704 - made of numbers
        f'<svg class="spark {severity.value.lower()}" width="96" height="22" viewBox="0 0 96 22" '
        f'aria-hidden="true"><path class="line" d="{line}"/>'
        f'<circle class="tip-dot" cx="{x:.1f}" cy="{y:.1f}" r="2.2"/></svg>'
    )


def stack(counts: Counts, highest: int) -> Markup:
    """A bar of all severities; its full width is `highest`."""
    x, parts = 0.0, []
    for severity in Severity:
        width = count(counts, severity) / max(highest, 1) * 200
        if width:
            parts.append(
                f'<rect class="bar {severity.value.lower()}" x="{x:.1f}" y="0" '
                f'width="{max(width - 1, 1):.1f}" height="12" rx="1.5"/>'
            )
            x += width
    return Markup(  # noqa: S704 - made of numbers
        '<svg class="stack" viewBox="0 0 200 12" width="200" height="12" aria-hidden="true">'
        f"{''.join(parts)}</svg>"
    )


class _Across:
    """Places of equal distance from `start` to `end`."""

    def __init__(self, number: int, start: float, end: float) -> None:
        self.number = number
        self.start = start
        self.end = end

    @property
    def step(self) -> float:
        return (self.end - self.start) / max(self.number - 1, 1)

    def at(self, place: int) -> float:
        # One point alone stands where the newest one always stands.
        return self.end if self.number == 1 else self.start + place * self.step


def _days(ends: Sequence[str], across: _Across, y: float, labels: int) -> Iterable[str]:
    every = max(1, -(-(len(ends) - 1) // max(labels - 1, 1)))
    for place in range(len(ends) - 1, -1, -every):
        side = "end" if place == len(ends) - 1 and len(ends) > 1 else "middle"
        yield f'<text x="{across.at(place):.1f}" y="{y}" text-anchor="{side}">{short_day(ends[place])}</text>'


def _hits(told: Iterable[str], across: _Across, top: float, height: float) -> Iterable[str]:
    """One invisible area a week, for pointer, keyboard and screen reader. The newest takes the focus.

    Its label, `DAY: NUMBERS`, is also what a tip shows.
    """
    width = min(across.step if across.number > 1 else 40.0, 80.0)
    for place, label in enumerate(told):
        focus = 0 if place == across.number - 1 else -1
        yield (
            f'<rect class="hit" tabindex="{focus}" role="img" aria-label="{escape_html(label)}" '
            f'x="{across.at(place) - width / 2:.1f}" y="{top}" width="{width:.1f}" height="{height}"/>'
        )


def _told(week: Week) -> str:
    counts = ", ".join(f"{severity.value.lower()} {count(week.after, severity):,}" for severity in SHOWN)
    return f"{in_words(week.end)}: {counts}{'' if week.scanned else ', no scan in this week'}"


def _svg(width: int, height: float, label: str, parts: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}" role="group" '
        f'aria-label="{escape_html(label)}">{"".join(parts)}</svg>'
    )


def _rounded(value: int) -> int:
    """The next number that makes a calm axis: 1, 2, 3, 4, 5, 6, 8, 10, 15, 20 and so on."""
    size = 1
    while True:
        for tenths in (10, 15, 20, 30, 40, 50, 60, 80):
            if value * 10 <= tenths * size and tenths * size % 10 == 0:
                return tenths * size // 10
        size *= 10
