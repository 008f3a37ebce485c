"""The site: how long it takes to make, how large its first page is, how quickly its list answers."""

from __future__ import annotations

import gzip
import os
import shutil
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from bench.budget import Figure
from bench.clock import command
from bench.fleets import record_fleet
from hullmark.dashboard.columns import as_script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.workspace import Workspace

WEEKS = 26
ROUNDS = 3
ROWS = 100_000
QUERIES = ("severity=HIGH", "q=oak tools", "fix=yes&by=vulnerability", "state=all", "sort=id")

_NOTE_FIRST = """
addEventListener("DOMContentLoaded", () => {
  const begin = performance.now();
  requestAnimationFrame(() => setTimeout(() => {
    globalThis.hullmarkDrawn = performance.now() - begin;
    globalThis.hullmarkLoaded = performance.now();
  }));
});
"""
"""From the page's own start, when its data is there, to its first rows on the screen."""
_TIMED = """
(query) => new Promise((done) => {
  const begin = performance.now();
  history.replaceState(null, "", "#" + query);
  dispatchEvent(new HashChangeEvent("hashchange"));
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - begin)));
})
"""


def site(workspace: Workspace) -> Iterator[Figure]:
    """Both sizes of the issue: two images, and a hundred with 30,000 findings and half a year."""
    small = workspace.fresh("site-small")
    record_fleet(small, images=2, weeks=4)
    large = workspace.fresh("site-large")
    _, expected = record_fleet(large, images=7, weeks=WEEKS, twins=93, summarise=False)
    for root, what, most in ((small, "2 images", 1.0), (large, "100 images, 26 weeks", 5.0)):
        names = sorted(path.name for path in (root / "audit-logs").iterdir() if path.is_dir())
        images = "".join(f"[images.{name}]\n" for name in names if name not in ("runs", "evidence"))
        (root / "hullmark.toml").write_text(f"version = 1\n{images}")
        seconds, processor = _seconds(workspace, root)
        note = f"{processor:.2f} s of processor time; {_told(root)}"
        yield Figure(what=f"site of {what}", unit="s", at_most=most, measured=seconds, note=note)
    first = [large / "docs" / path for path in ("index.html", "assets/style.css", "assets/app.js")]
    size = sum(len(gzip.compress(path.read_bytes(), mtime=0)) for path in first) / 1024
    yield Figure(what="Today with style and script, gzip", unit="KiB", at_most=30.0, measured=size)
    yield from _browser(large / "docs")
    assert len(expected) == 100


def _told(root: Path) -> str:
    """How many findings are open there."""
    document = msgspec.json.decode((root / "docs/data/findings.json").read_bytes())
    number = sum(until < 0 for until in document["columns"]["until"])
    return f"{number:,} open findings, {document['rows']:,} ever"


def _seconds(workspace: Workspace, root: Path) -> tuple[float, float]:
    """How long it takes, and how long a processor works for it: that is the same on a busy machine."""
    run = command([workspace.installed.with_name("hullmark"), "-C", root, "dashboard"])
    times, worked = [], []
    for _ in range(ROUNDS):
        begin, before = perf_counter(), os.times()
        run()
        after = os.times()
        times.append(perf_counter() - begin)
        worked.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    return median(times), median(worked)


def _browser(docs: Path) -> Iterator[Figure]:
    program = shutil.which("chromium")
    if program is None:
        yield Figure(what="list of 100,000 rows", measured=None, note="chromium is not installed")
        return
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only here

    rows = grow(docs / "data")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.add_init_script(_NOTE_FIRST)
        drawn: list[float] = []
        for _ in range(ROUNDS):
            page.goto(f"file://{docs}/findings.html")
            page.wait_for_function("globalThis.hullmarkDrawn > 0")
            drawn.append(float(page.evaluate("globalThis.hullmarkDrawn")))
        loaded = float(page.evaluate("globalThis.hullmarkLoaded"))
        filtered = {
            query: median(float(page.evaluate(_TIMED, query)) for _ in range(ROUNDS)) for query in QUERIES
        }
        browser.close()
    slowest = max(filtered, key=lambda query: filtered[query])
    note = f"{rows:,} rows; with reading the data {loaded:,.0f} ms"
    yield Figure(what="list first drawn", unit="ms", at_most=300.0, measured=median(drawn), note=note)
    note = f"the slowest of {len(QUERIES)}: {slowest}"
    yield Figure(what="list filtered", unit="ms", at_most=200.0, measured=filtered[slowest], note=note)


def grow(data: Path) -> int:
    """Repeat the rows of the site's data until there are 100,000 that are open."""
    document = msgspec.json.decode((data / "findings.json").read_bytes())
    kept = [row for row, until in enumerate(document["columns"]["until"]) if until < 0]
    chosen = [kept[place % len(kept)] for place in range(ROWS)]
    document["columns"] = {
        name: [column[row] for row in chosen] for name, column in document["columns"].items()
    }
    document |= {"rows": ROWS, "ratings": {}}
    (data / "findings.js").write_bytes(as_script("findings", msgspec.json.encode(document)))
    return ROWS
