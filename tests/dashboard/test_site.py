"""The site as bytes: what it says, what it links to, and what it can never do."""

from __future__ import annotations

import gzip
import os
import re
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hullmark.cli import run
from hullmark.dashboard import build_site, read_contents, read_summary, write_site
from hullmark.dashboard.links import https_only
from hullmark.dashboard.render import POLICY, render
from hullmark.dashboard.trendpage import parse_trend
from hullmark.errors import Exit, InputError, UsageError
from hullmark.fleet import read_fleet
from hullmark.journal import Journal
from hullmark.verification import verify_history
from tests.dashboard import world

if TYPE_CHECKING:
    from hullmark.fleet import Fleet

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden"


class Page(HTMLParser):
    """Every start tag of a page, its ids, and its visible text."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(data.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag == name]

    @property
    def ids(self) -> set[str]:
        return {attributes["id"] for _, attributes in self.tags if "id" in attributes}


def pages_of(site: dict[str, bytes]) -> dict[str, Page]:
    return {path: Page(data) for path, data in site.items() if path.endswith(".html")}


@pytest.fixture(scope="session")
def pages(site: dict[str, bytes]) -> dict[str, Page]:
    return pages_of(site)


def test_the_same_history_gives_the_same_bytes(home: Path, site: dict[str, bytes]) -> None:
    trend = read_summary(home, now=world.START + 30 * world.WEEK, sample=True)
    journal = Journal(home / "audit-logs")
    fleet = world.fleet_of(journal)

    assert build_site(fleet, verify_history(journal), read_contents(journal, fleet), trend) == site
    assert fleet.sample


def test_what_pages_load_is_written_twice_and_both_say_the_same(site: dict[str, bytes]) -> None:
    for name, path in (("findings", "data/findings"), ("cves", "data/cves")):
        begin, _, rest = site[f"{path}.js"].partition(b" =\n")
        assert begin == f'(window.hullmark = window.hullmark || {{}})["{name}"]'.encode()
        assert rest == site[f"{path}.json"].strip() + b";\n"
    script = site["data/security-summary.js"].partition(b" =\n")[2]
    assert msgspec.json.decode(script.rstrip(b";\n"))["version"] == 3


@pytest.mark.parametrize("name", ["findings", "cves"])
def test_data_fits_its_schema(site: dict[str, bytes], name: str) -> None:
    schema = msgspec.json.decode((ROOT / f"schema/site-{name}/1.json").read_bytes())
    document = msgspec.json.decode(site[f"data/{name}.json"])

    jsonschema.validate(document, schema)
    assert {len(column) for column in document["columns"].values()} == {document["rows"]}


def test_findings_of_the_images_add_up_to_all_findings(site: dict[str, bytes]) -> None:
    parts = [
        msgspec.json.decode(data)
        for path, data in site.items()
        if path.startswith("data/findings/") and not path.endswith("/repository.json")
    ]

    assert len(parts) == len(world.LATER) + 1
    assert sum(part["rows"] for part in parts) == msgspec.json.decode(site["data/findings.json"])["rows"]


def test_sample_data_is_marked_on_every_page(pages: dict[str, Page]) -> None:
    assert len(pages) == 8 + len(world.LATER) + 1
    for page in pages.values():
        assert "Sample data" in page.text
        assert "Sample:" in page.text


def test_missing_and_retired_images_are_shown_as_such_and_never_as_zero(pages: dict[str, Page]) -> None:
    text = " ".join(pages["images.html"].text.split())

    assert "Not known: 2" in text
    assert "It was never scanned." in text
    assert "Retired: 1" in text
    assert "Not expected since 26 October 2026" in text
    assert "2 of 5 images are not covered." in pages["index.html"].text
    row = pages["images.html"].text.split("never\n")[1].split("not judged yet")[0]
    assert row.count("?") == 6


def test_every_page_has_a_strict_policy_and_nothing_inline(
    site: dict[str, bytes], pages: dict[str, Page]
) -> None:
    for path, page in pages.items():
        policies = [each for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
        assert [each["content"] for each in policies] == [POLICY]
        assert page.all("style") == []
        for tag, attributes in page.tags:
            assert "style" not in attributes, f"{path}: {tag}"
            assert not [name for name in attributes if name.startswith("on")], f"{path}: {tag}"
        assert all(each["src"] for each in page.all("script"))
        # Quoted throughout: an unquoted attribute swallows the slash that ends an element of SVG.
        assert re.search(rb"<[a-z][^>\"]*=[^\"\s>]", site[path]) is None, path
    assert "'unsafe" not in POLICY
    assert "http" not in POLICY


def test_no_page_asks_another_host_for_anything(site: dict[str, bytes], pages: dict[str, Page]) -> None:
    for path, page in pages.items():
        for tag, attributes in page.tags:
            for name in ("src", "href", "data", "action", "srcset", "poster"):
                address = attributes.get(name, "")
                if tag == "a":
                    assert not address.startswith(("javascript:", "data:", "//")), path
                else:
                    assert "//" not in address, f"{path}: {tag} {address}"
    assert b"url(" not in site["assets/style.css"].replace(b'url("inter.woff2")', b"")
    assert b"//" not in site["assets/style.css"]


def test_every_link_leads_somewhere(site: dict[str, bytes], pages: dict[str, Page]) -> None:
    for path, page in pages.items():
        for tag, attributes in page.tags:
            for name in ("href", "src"):
                address = attributes.get(name, "")
                if not address or address.startswith("https://"):
                    continue
                parts = urlsplit(address)
                target = str(
                    PurePosixPath(os.path.normpath(PurePosixPath(path).parent / unquote(parts.path)))
                )
                target = path if not parts.path else target
                known = target in site or target == "data/security-summary.json"
                assert known, f"{path}: {tag} {address}"
                is_anchor = target in pages and target not in ("findings.html", "cve.html")
                if parts.fragment and is_anchor:
                    assert parts.fragment in pages[target].ids, f"{path}: {address}"


def test_ids_are_unique_and_pages_are_titled(pages: dict[str, Page]) -> None:
    titles = set()
    for path, page in pages.items():
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids)), path
        assert len(page.all("h1")) == 1, path
        assert [each for each in page.all("meta") if each.get("name") == "description" and each["content"]]
        titles.add(re.findall(r"Sample: (.*) · Hullmark", page.text)[0])
    assert len(titles) == len(pages)


def test_a_number_of_images_is_that_of_the_rows_below_it(
    pages: dict[str, Page], site: dict[str, bytes]
) -> None:
    sections = site["images.html"].decode().split("<section ")[1:]
    for section in sections:
        told = re.findall(r"<h2[^>]*>[^:<]*: (\d+)</h2>", section)
        assert [int(told[0])] == [section.count('<th scope="row">')]
    tally = pages["index.html"].text
    assert sum(int(number) for number in re.findall(r"^(\d+)\s", tally.split("Last run")[0], re.MULTILINE))


def test_a_page_of_today_is_small(site: dict[str, bytes]) -> None:
    parts = (site["index.html"], site["assets/style.css"], site["assets/app.js"])

    assert sum(len(gzip.compress(part, mtime=0)) for part in parts) <= 30 * 1024
    assert len(gzip.compress(site["assets/app.js"], mtime=0)) <= 15 * 1024


def test_the_chart_library_is_loaded_on_trends_only(site: dict[str, bytes]) -> None:
    loading = {path for path, data in site.items() if path.endswith(".html") and b"chart.umd" in data}

    assert loading == {"trends.html"}


@pytest.mark.parametrize("folder", ["chart.js", "inter"])
def test_what_is_vendored_has_the_hash_that_it_is_said_to_have(folder: str) -> None:
    from hashlib import sha256

    place = ROOT / "src/hullmark/dashboard/vendor" / folder
    told = re.findall(r"sha256 ([0-9a-f]{64})", (place / "README.md").read_text())
    files = [path for path in place.iterdir() if path.suffix in (".js", ".woff2")]
    assert [sha256(path.read_bytes()).hexdigest() for path in files] == told


# ---- Text from outside


def test_markup_of_an_advisory_is_text_on_every_page(site: dict[str, bytes], pages: dict[str, Page]) -> None:
    for path, page in pages.items():
        assert [each for each in page.all("script") if "src" not in each] == [], path
        assert page.all("img") == [], path
        assert "\u202e" not in site[path].decode(), path
    assert world.SCRIPT in pages["images/app.html"].text
    assert "\\u202e" in pages["images/app.html"].text


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "http://example.org",
        "//example.org",
        "https://a b",
        "",
        "https://\u202e",
    ],
)
def test_only_a_plain_https_address_becomes_a_link(address: str) -> None:
    assert https_only(address) == ""
    assert https_only("https://example.org/a?b=c#d") == "https://example.org/a?b=c#d"


hostile = st.text(
    st.sampled_from("<>\"'&`=/ \\\n\t\u202e\u2066\u200b{}%#:;()ab1") | st.characters(), max_size=40
) | st.sampled_from([world.SCRIPT, "{{ 7*7 }}", "javascript:alert(1)", "</script>", "--><b>", "' onload='x"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=hostile, other=hostile)
def test_whatever_a_template_prints_is_escaped(text: str, other: str) -> None:
    from jinja2 import DictLoader

    from hullmark.dashboard import render as module

    environment = module._environment().overlay(loader=DictLoader({"t": '<p title="{{ a }}">{{ b }}</p>'}))
    page = Page(environment.get_template("t").render(a=text, b=other).encode())

    assert [tag for tag, _ in page.tags] == ["p"]
    assert set(page.tags[0][1]) == {"title"}
    assert not set("\u202e\u2066\u200b") & set(page.text + page.tags[0][1]["title"])


@given(text=hostile | st.text("`a<&", max_size=12))
def test_code_between_backticks_is_text_too(text: str) -> None:
    from hullmark.dashboard.cells import coded

    page = Page(str(coded(text)).encode())

    assert {tag for tag, _ in page.tags} <= {"code"}
    assert coded("run `a<b` now") == "run <code>a&lt;b</code> now"
    assert coded("a ` alone") == "a ` alone"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=hostile.filter(lambda text: text.strip() and "\x00" not in text))
def test_no_text_of_a_finding_makes_an_element(fleet: Fleet, text: str) -> None:
    from hullmark.dashboard.imagepage import image_values

    app = fleet.member("app")
    assert app is not None
    changed = tuple(
        msgspec.structs.replace(
            each,
            finding=msgspec.structs.replace(
                each.finding, title=text, versions=(text,), source=text, status=text, url=text
            ),
        )
        for each in app.findings
    )
    member = msgspec.structs.replace(app, findings=changed)
    plain = msgspec.structs.replace(
        app,
        findings=tuple(
            msgspec.structs.replace(
                each,
                finding=msgspec.structs.replace(
                    each.finding, title="a", versions=("a",), source="a", status="a", url="a"
                ),
            )
            for each in app.findings
        ),
    )
    assert _tags(fleet, member, image_values) == _tags(fleet, plain, image_values)


def _tags(fleet: Fleet, member: Any, values: Any) -> list[tuple[str, tuple[str, ...]]]:  # noqa: ANN401
    from hullmark.dashboard.gatepage import exemption_words, judgement_reason, judgement_title
    from hullmark.dashboard.site import PAGES

    data = render(
        "image.html",
        page="image",
        parent="images",
        root="../",
        title=member.name,
        pages=PAGES,
        fleet=fleet,
        member=member,
        judgement_title=judgement_title,
        judgement_reason=judgement_reason,
        **exemption_words(fleet),
        **values(fleet, member, None),
    )
    return [(tag, tuple(sorted(attributes))) for tag, attributes in Page(data).tags]


# ---- Writing


def test_files_that_are_not_the_sites_own_are_never_touched(tmp_path: Path, site: dict[str, bytes]) -> None:
    guide = tmp_path / "docs/guide/mine.md"
    guide.parent.mkdir(parents=True)
    guide.write_text("by hand")
    (tmp_path / "docs/index.html").write_text("my own page")

    with pytest.raises(InputError, match="was not written by Hullmark"):
        write_site(tmp_path, site)
    (tmp_path / "docs/index.html").unlink()
    write_site(tmp_path, site)

    assert guide.read_text() == "by hand"
    assert write_site(tmp_path, site) == ()


def test_a_page_of_an_image_that_is_gone_is_removed(tmp_path: Path, site: dict[str, bytes]) -> None:
    write_site(tmp_path, site)
    (tmp_path / "docs/images/notes.html").write_text("by hand")
    fewer = {path: data for path, data in site.items() if "legacy" not in path}

    assert set(write_site(tmp_path, fewer)) == {
        "docs/images/legacy.html",
        "docs/data/findings/legacy.json",
        "docs/data/sbom/legacy.cdx.json",
    }
    assert not (tmp_path / "docs/images/legacy.html").exists()
    assert (tmp_path / "docs/images/notes.html").exists()


@pytest.mark.parametrize("out", ["..", "/elsewhere", ".", "a/../../b"])
def test_a_folder_outside_is_refused(tmp_path: Path, site: dict[str, bytes], out: str) -> None:
    with pytest.raises(UsageError, match="is no folder below this one"):
        write_site(tmp_path, site, out=out)


# ---- Bad input


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"version": 1, "generatedAt": "2026-01-01", "images": [], "trend": []}', "version"),
        (b'{"version": 2, "generatedAt": "2026-01-01", "images": [], "trend": []}', "version"),
        (b"not json", "is not JSON"),
        (b'{"version": 3, "images": [], "trend": []}', "generatedAt"),
        (
            b'{"version": 3, "generatedAt": "2030-01-01T00:00:00Z", "images": [], "trend": []}',
            "lies in the future",
        ),
    ],
)
def test_a_summary_that_cannot_be_shown_is_refused_with_its_place(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_trend(data, file="docs/data/security-summary.json", now=world.START)

    assert "docs/data/security-summary.json" in caught.value.message
    assert message in caught.value.message


def test_a_summary_of_the_original_is_shown() -> None:
    data = (
        b'{"generatedAt":"2026-02-02T05:00:00Z","images":[{"name":"postgres","critical":1,"high":2,"medium":3}],'
        b'"trend":[{"date":"2026-01-26","critical":2,"high":2,"medium":3},'
        b'{"date":"2026-02-02","critical":1,"high":2,"medium":3}],"riskIndex":9,"version":3}'
    )
    trend = parse_trend(data, file="summary.json", now=world.START)

    assert (trend.risk_index, len(trend.trend), trend.images[0].name) == (9, 2, "postgres")


def test_an_empty_repository_gets_a_helpful_first_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hullmark.toml").write_text("version = 1\n[images.app]\n")

    assert run(["-C", str(tmp_path), "dashboard"]) == Exit.DONE
    assert "wrote 9 pages into docs" in capsys.readouterr().out
    page = Page((tmp_path / "docs/index.html").read_bytes())
    assert "Nothing has been recorded yet." in page.text
    assert "hullmark run --record" in page.text


def test_the_command_writes_what_the_library_makes(home: Path, site: dict[str, bytes]) -> None:
    assert run(["-C", str(home), "dashboard", "--out", "site"]) == Exit.DONE

    written = {
        str(path.relative_to(home / "site")): path.read_bytes()
        for path in (home / "site").rglob("*")
        if path.is_file()
    }
    assert {path: written[path] for path in site} == site
    assert set(written) - set(site) == {"data/security-summary.json"}


def test_many_findings_in_one_image_stay_one_page(tmp_path: Path) -> None:
    many = {world.finding(number, package=f"p{number}", source=f"s{number}") for number in range(5_000)}
    journal = Journal(tmp_path / "audit-logs")
    world.record(journal, {"app": many}, world.START)
    fleet = read_fleet(journal, world.EXPECTED[:1])
    site = build_site(fleet, verify_history(journal), read_contents(journal, fleet))

    assert b"5,000" in site["index.html"]
    assert b"more than one page without JavaScript can hold" in site["findings.html"]
    assert len(site["images/app.html"]) < 6_000_000


@pytest.mark.parametrize("name", ["index", "images", "checks"])
def test_a_page_is_as_it_was_read_in_review(site: dict[str, bytes], name: str) -> None:
    """REWRITE_GOLDEN=1 writes the pages anew."""
    golden = GOLDEN / f"site-{name}.html"
    if os.environ.get("REWRITE_GOLDEN"):
        golden.write_bytes(site[f"{name}.html"])
    assert site[f"{name}.html"] == golden.read_bytes()
