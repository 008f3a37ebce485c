"""The lists of a page, and the numbers that link to them."""

from __future__ import annotations

from html.parser import HTMLParser

_ROWS = {"table": "tr", "tbody": "tr", "ul": "li", "ol": "li", "div": "article"}
_VOID = frozenset({"meta", "link", "br", "img", "input", "path", "rect", "line", "circle"})


class Lists(HTMLParser):
    """For each element with an id how many rows it has; a row of a head is none."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._open: list[tuple[str, str]] = []
        self._rows: dict[str, int] = {}
        self._tags: dict[str, str] = {}
        self.feed(data.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        is_head = any(name == "thead" for name, _ in self._open)
        for name, anchor in self._open:
            if anchor and _ROWS.get(name) == tag and not is_head:
                self._rows[anchor] += 1
        if tag not in _VOID:
            anchor = dict(attrs).get("id") or ""
            self._open.append((tag, anchor))
            if anchor:
                self._rows[anchor] = 0
                self._tags[anchor] = tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An empty element of SVG: never a row."""

    def handle_endtag(self, tag: str) -> None:
        for place in range(len(self._open) - 1, -1, -1):
            if self._open[place][0] == tag:
                del self._open[place:]
                return

    def length(self, anchor: str) -> int | None:
        """The rows of the list at `anchor`; None where there is no list."""
        return self._rows.get(anchor) if self._tags.get(anchor) in _ROWS else None


class _Links(HTMLParser):
    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.found: list[tuple[str, int]] = []
        self.feed(data.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a" and (number := values.get("data-count")):
            self.found.append((values.get("href") or "", int(number)))


def links_of(data: bytes) -> list[tuple[str, int]]:
    """Every number of a page that is a link, with where it leads."""
    return _Links(data).found
