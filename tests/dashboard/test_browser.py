"""The site in a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bench.fleets import record_fleet
from bench.site import QUERIES, grow

from hullmark.dashboard import build_site, read_contents, read_summary, write_site
from hullmark.fleet import read_fleet
from hullmark.verification import verify_history
from tests.absence import absent
from tests.dashboard import world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

AXE = Path(__file__).parent / "vendor/axe-core/axe.min.js"
PAGES = (
    *("index.html", "images.html", "findings.html", "cve.html", "checks.html", "gate.html"),
    *("evidence.html", "trends.html", "images/app.html", "images/never.html", "images/legacy.html"),
)
WIDTHS = (320, 768, 1920)
WAIT = 20_000
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


LINKS = """
[...document.querySelectorAll("a[data-count]")].map((a) => [a.getAttribute("href"), Number(a.dataset.count)])
"""
DRAWN = """
Chart.getChart("chart").getSortedVisibleDatasetMetas().map((meta) =>
  meta.data.filter((point) => Number.isFinite(point.x) && Number.isFinite(point.y)).length)
"""
COUNTED = """
(text) => { const begin = performance.now(); hullmark.count(text); return performance.now() - begin; }
"""
INKED = """
(() => {
  const canvas = document.getElementById("chart");
  return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((part) => part);
})()
"""
NUMBER_REACHABLE = """
(() => {
  const all = document.querySelectorAll('a[href], button, summary, input, select, [tabindex="0"]');
  const shown = [...all].filter((each) => each.checkVisibility());
  shown.forEach((each, number) => { each.dataset.walk = number; });
  return shown.length;
})()
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        absent("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root, Chromium starts only without its own sandbox; all pages here are ours.
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def files(home: Path, site: dict[str, bytes]) -> str:
    """The address of the site as files."""
    assert site
    return f"file://{home}/docs/"


@pytest.fixture(scope="module")
def served(home: Path, site: dict[str, bytes]) -> Iterator[str]:
    """The address of the site below a sub-path of a server on this machine."""
    assert site
    handler = functools.partial(_Quiet, directory=str(home))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/docs/"
        server.shutdown()
        thread.join(timeout=10)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Say nothing."""


class Tab:
    """A page that notes every message, error and request."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        self.requests: list[str] = []
        page.set_default_timeout(WAIT)
        page.on("console", lambda message: self.faults.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("requestfailed", lambda request: self.faults.append(f"failed: {request.url}"))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, address: str) -> Page:
        self.page.goto(address)
        self.page.wait_for_load_state()
        return self.page


def context(browser: Browser, **options: Any) -> BrowserContext:  # noqa: ANN401 - Playwright's options
    return browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})


def overflow(page: Page) -> int:
    script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(page.evaluate(script))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_opens_from_a_file_without_error_request_or_sideways_scrolling(
    browser: Browser,
    files: str,
    theme: Any,  # noqa: ANN401 - a literal of Playwright
    width: int,
) -> None:
    with context(browser, viewport={"width": width, "height": 900}, color_scheme=theme) as opened:
        for path in PAGES:
            tab = Tab(opened.new_page())
            page = tab.open(files + path)
            assert overflow(page) <= 0, (path, width)
            assert tab.faults == [], path
            assert [each for each in tab.requests if not each.startswith(files)] == []
            page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_no_violation(browser: Browser, files: str, theme: Any, width: int) -> None:  # noqa: ANN401
    # The page's own policy keeps foreign scripts out, axe as well: it is set aside for this look.
    options: dict[str, Any] = {"viewport": {"width": width, "height": 900}, "color_scheme": theme}
    with context(browser, bypass_csp=True, **options) as opened:
        for path in PAGES:
            page = Tab(opened.new_page()).open(files + path)
            page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            page.add_script_tag(path=AXE)
            found = page.evaluate("(tags) => axe.run(document, { runOnly: tags })", RULES)
            told = [
                f"{path}: {each['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
                for each in found["violations"]
                for node in each["nodes"][:3]
            ]
            assert told == []
            page.close()


def test_it_works_below_any_address(browser: Browser, served: str) -> None:
    with context(browser) as opened:
        for path in PAGES:
            tab = Tab(opened.new_page())
            tab.open(served + path)
            assert tab.faults == [], path
            assert all(each.startswith(served) for each in tab.requests)


def test_every_number_of_findings_links_to_exactly_that_list(browser: Browser, files: str) -> None:
    """Numbers that link to a place on a page are followed without a browser, in `test_numbers`."""
    with context(browser) as opened:
        page = Tab(opened.new_page()).open(files + "findings.html")
        links: set[tuple[str, int]] = set()
        other = opened.new_page()
        for path in (*PAGES, *(f"images/{name}.html" for name in world.LATER)):
            other.goto(files + path)
            links |= {(href, number) for href, number in other.evaluate(LINKS) if "findings.html" in href}
        assert len(links) > 200
        wrong = [
            (href, number, counted)
            for href, number in sorted(links)
            if (counted := page.evaluate("(text) => hullmark.count(text)", href.partition("#")[2])) != number
        ]
        assert wrong == []


def test_numbers_of_the_cve_page_link_to_lists_of_that_length(browser: Browser, files: str) -> None:
    with context(browser) as opened:
        page = Tab(opened.new_page()).open(files + "findings.html")
        other = Tab(opened.new_page()).open(files + "cve.html")
        followed = 0
        for name in other.evaluate("hullmark.cves.dictionaries.advisory.id"):
            other.fill("input[name=id]", name)
            for href, number in other.evaluate(LINKS):
                assert page.evaluate("(text) => hullmark.count(text)", href.partition("#")[2]) == number, href
                followed += 1
        assert followed >= 8


def test_characters_that_turn_the_direction_of_reading_are_written_out_in_the_list(
    browser: Browser, files: str
) -> None:
    with context(browser) as opened:
        page = Tab(opened.new_page()).open(files + "findings.html#cve=CVE-2026-7")
        text = page.inner_text("#list tbody")
        assert "lib\\u202eevil" in text
        assert "\u202e" not in page.content()
        assert world.SCRIPT[:20] in text


def test_the_list_shows_the_worst_first_and_what_is_gone_last(browser: Browser, files: str) -> None:
    with context(browser) as opened:
        page = Tab(opened.new_page()).open(files + "findings.html#state=all")
        shown = [row.split("\n")[0] for row in page.locator("#list tbody tr").all_inner_texts()]
        ages = page.locator("#list .c-age").all_inner_texts()[1:]
        gone = ["gone" in age for age in ages]
        assert gone == sorted(gone)
        order = ["Critical", "High", "Medium", "Low", "Unknown"]
        ranks = [order.index(row.split("\t")[0].strip()) for row in shown]
        still = gone.count(False)
        assert ranks[:still] == sorted(ranks[:still])
        assert ranks[still:] == sorted(ranks[still:])
        page.goto(files + "findings.html#exploited=yes")
        assert page.inner_text("#count") == "1 finding"
        assert "known to be exploited" in page.inner_text("#chosen")


def test_numbers_of_a_long_history_link_to_lists_of_that_length(browser: Browser, tmp_path: Path) -> None:
    journal, expected = record_fleet(tmp_path, images=3, weeks=8, absent={4: frozenset({"postgres"})})
    fleet = read_fleet(journal, expected[1:])
    site = build_site(
        fleet,
        verify_history(journal),
        read_contents(journal, fleet),
        read_summary(tmp_path, now=world.START + 99 * world.WEEK, sample=True),
    )
    write_site(tmp_path, site)
    with context(browser) as opened:
        tab = Tab(opened.new_page())
        page = tab.open(f"file://{tmp_path}/docs/findings.html")
        other = opened.new_page()
        wrong = []
        for path in (
            "index.html",
            "trends.html",
            *(f"images/{member.name}.html" for member in fleet.members),
        ):
            other.goto(f"file://{tmp_path}/docs/{path}")
            for href, number in other.evaluate(LINKS):
                query = href.partition("#")[2]
                if (
                    "findings.html" in href
                    and page.evaluate("(text) => hullmark.count(text)", query) != number
                ):
                    wrong.append((path, href, number))
        assert wrong == []
        assert tab.faults == []


def test_a_hundred_thousand_rows_are_searched_at_once_and_few_of_them_drawn(
    browser: Browser, home: Path, site: dict[str, bytes], tmp_path: Path
) -> None:
    """How long drawing takes is measured by `make bench`: a busy machine says nothing about it."""
    assert site
    shutil.copytree(home / "docs", tmp_path / "docs")
    rows = grow(tmp_path / "docs/data")
    with context(browser) as opened:
        page = Tab(opened.new_page()).open(f"file://{tmp_path}/docs/findings.html")
        assert page.inner_text("#count") == f"{rows:,} findings"
        assert page.locator("#list tbody tr").count() < 60
        for query in QUERIES:
            page.evaluate("(text) => hullmark.count(text)", query)
            taken = page.evaluate(COUNTED, query)
            assert taken < 200, f"{query}: {taken} ms"


def test_filters_are_in_the_address_and_the_list_follows(browser: Browser, files: str) -> None:
    with context(browser) as opened:
        page = Tab(opened.new_page()).open(files + "findings.html#severity=HIGH&image=app")
        assert page.inner_text("#count") == "3 findings"
        assert page.is_checked("input[value=HIGH]")
        page.fill("input[name=q]", "libxml2")
        assert page.inner_text("#count") == "1 finding"
        assert "q=libxml2" in page.url
        page.click("#reset")
        assert page.inner_text("#count") == "10 findings"
        page.select_option("select[name=by]", "vulnerability")
        assert page.inner_text("#count") == "9 vulnerabilities"
        page.click("th[data-name=id] button")
        assert page.get_attribute("th[data-name=id]", "aria-sort") == "ascending"


def test_the_cve_page_answers(browser: Browser, files: str) -> None:
    with context(browser) as opened:
        page = Tab(opened.new_page()).open(files + "cve.html#id=cve-2026-20")
        assert page.inner_text("#answer") == "Not any more: no image has it now."
        assert "26 October 2026" in page.inner_text("#affected")
        page.fill("input[name=id]", "CVE-2026-1")
        assert page.inner_text("#answer") == "Yes: 1 image affected now."
        page.fill("input[name=id]", "CVE-1999-1")
        assert page.inner_text("#answer").startswith("No: CVE-1999-1 was never seen")


def test_the_keyboard_reaches_everything(browser: Browser, files: str) -> None:
    with context(browser) as opened:
        page = Tab(opened.new_page()).open(files + "index.html")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.evaluate("document.querySelector('.chart.wide .hit[tabindex=\"0\"]').focus()")
        page.keyboard.press("ArrowLeft")
        assert "26 October 2026" in page.evaluate("document.activeElement.getAttribute('aria-label')")
        assert "26 October 2026" in page.inner_text(".tip:not([hidden])")
        page.reload()
        reachable = page.evaluate(NUMBER_REACHABLE)
        reached = set()
        for _ in range(reachable + 5):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.dataset.walk || ''"))
        assert reached - {""} == {str(number) for number in range(reachable)}


def test_the_theme_is_changed_and_kept(browser: Browser, served: str) -> None:
    with context(browser, color_scheme="light") as opened:
        page = Tab(opened.new_page()).open(served + "index.html")
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.click("#theme")
        assert page.get_attribute("#theme", "aria-pressed") == "true"
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
        page.goto(served + "images.html")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_pages_are_whole_without_javascript(browser: Browser, files: str) -> None:
    with context(browser, java_script_enabled=False) as opened:
        for path in PAGES:
            page = Tab(opened.new_page()).open(files + path)
            assert page.locator("h1").count() == 1
            assert page.locator("#theme").is_hidden()
            assert overflow_free(page)
        page.goto(files + "findings.html")
        assert page.locator("noscript tbody tr, main tbody tr").count() == 10
        page.goto(files + "index.html")
        assert page.locator(".chart.wide svg").first.is_visible()


def overflow_free(page: Page) -> bool:
    """Whether the body is not wider than the window, asked without a script."""
    box = page.locator("body").bounding_box()
    return box is not None and box["width"] <= 1440


def test_today_prints_on_three_pages(browser: Browser, files: str) -> None:
    with context(browser) as opened:
        page = Tab(opened.new_page()).open(files + "index.html")
        data = page.pdf(prefer_css_page_size=True)
    assert 1 <= data.count(b"/Type /Page\n") <= 3


def test_the_chart_draws_three_lines_of_all_points(browser: Browser, files: str) -> None:
    with context(browser) as opened:
        page = Tab(opened.new_page()).open(files + "trends.html")
        drawn = page.evaluate(DRAWN)
        rows = page.locator("section[aria-labelledby=points] tbody tr").count()
        inked = page.evaluate(INKED)
        assert drawn == [rows] * 3
        assert rows == 4
        assert inked


def test_an_old_page_says_how_old_it_is(browser: Browser, files: str) -> None:
    with context(browser) as opened:
        page = opened.new_page()
        page.clock.set_fixed_time("2026-11-20T00:00:00Z")
        page.goto(files + "index.html")
        assert "Nothing was recorded for 17 days" in page.inner_text("#old")
        page.clock.set_fixed_time("2026-10-20T00:00:00Z")
        page.goto(files + "images.html")
        assert "lies in the future" in page.inner_text("#old")
