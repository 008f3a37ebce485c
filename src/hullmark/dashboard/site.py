"""The whole site as bytes: a function of a fleet, of its check and of the weekly summary.

Rules (each has a test with the same words):
- the same history gives the same bytes;
- what pages load is written twice, as JSON and as a script, and both say the same;
- a number on a page links to exactly that list, and the list has that length;
- sample data is marked on every page;
- missing, outdated and retired images are shown as such, never as zero;
- what is found in the repository's own files has a page of its own, and is in no number of vulnerabilities.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from hullmark.dashboard import cells, gatepage, tables
from hullmark.dashboard.age import ages, freshness
from hullmark.dashboard.charts import SHOWN
from hullmark.dashboard.checkspage import checks_values, kind_parts
from hullmark.dashboard.columns import as_script, cve_document, encode, image_document, join
from hullmark.dashboard.imagepage import image_values
from hullmark.dashboard.links import image_page
from hullmark.dashboard.proof import RHYTHM, Proof, find_pauses, tell_proof
from hullmark.dashboard.render import render
from hullmark.dashboard.trendlinks import TrendLinks
from hullmark.dashboard.words import tell_fleet
from hullmark.deadline import Band

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from hullmark.dashboard.columns import FindingsDocument
    from hullmark.dashboard.contents import Contents
    from hullmark.dashboard.trendpage import Trend
    from hullmark.fleet import Fleet, Member
    from hullmark.verification import HistoryCheck

PAGES = (
    ("today", "Today", "index.html"),
    ("images", "Images", "images.html"),
    ("findings", "Findings", "findings.html"),
    ("cve", "CVE", "cve.html"),
    ("checks", "Checks", "checks.html"),
    ("gate", "Gate", "gate.html"),
    ("evidence", "Evidence", "evidence.html"),
    ("trends", "Trends", "trends.html"),
)
SHOWN_IMAGES = 12
"""Images on the first page, the most urgent ones; the page Images has all."""
PLAIN_ROWS = 2_000
"""Findings that a page without JavaScript lists; the pages of the images list all."""

ASSETS = {
    "assets/style.css": "assets/style.css",
    "assets/app.js": "assets/app.js",
    "assets/icon.svg": "assets/icon.svg",
    "assets/inter.woff2": "vendor/inter/inter-latin-wght-normal.woff2",
    "assets/inter-LICENSE.txt": "vendor/inter/LICENSE.txt",
    "assets/chart.js/chart.umd.min.js": "vendor/chart.js/chart.umd.min.js",
    "assets/chart.js/LICENSE.md": "vendor/chart.js/LICENSE.md",
    "assets/chart.js/README.md": "vendor/chart.js/README.md",
}

_FILES = {key: file for key, _, file in PAGES}
_DESCRIPTIONS = {
    "images": "Every image with its state, its open findings and the newest decision about it.",
    "findings": "All findings of all images: search, filter, sort; the address holds the filters.",
    "cve": "Which images have or had a vulnerability, since when and until when.",
    "checks": "Secrets, misconfigurations, licences and code of this repository, and who looked for them.",
    "gate": "Every decision of the gate with its reasons, and every accepted risk with owner and end.",
    "evidence": "What the numbers rest on, and how to check it yourself.",
    "trends": "Critical, high and medium findings on the day of each weekly summary.",
}


def build_site(
    fleet: Fleet, check: HistoryCheck, contents: Mapping[str, Contents], trend: Trend | None = None
) -> dict[str, bytes]:
    """Every file of the site by its path below it. `contents` are those of every image that was scanned."""
    return _Site(fleet, tell_proof(check), contents, trend).files()


@cache
def _asset(path: str) -> bytes:
    return files("hullmark.dashboard").joinpath(path).read_bytes()


class _Site:
    def __init__(
        self, fleet: Fleet, proof: Proof, contents: Mapping[str, Contents], trend: Trend | None
    ) -> None:
        self.fleet = fleet
        self.proof = proof
        self.contents = contents
        self.trend = trend
        self.rows = {member.name: tables.image_row(fleet, member) for member in fleet.members}
        self.documents = {member.name: self._document(member) for member in fleet.members}
        self.findings = join(fleet, tuple(self.documents.values()))
        self.cves = cve_document(self.findings)
        self.retired = [member for member in fleet.members if not member.is_expected]

    def _document(self, member: Member) -> FindingsDocument:
        contents = self.contents.get(member.name)
        return image_document(self.fleet, member, contents.layers if contents else {})

    def files(self) -> dict[str, bytes]:
        found = {path: _asset(source) for path, source in ASSETS.items()}
        found[".nojekyll"] = b""
        found["index.html"] = self._today()
        found["images.html"] = self._images()
        found["findings.html"] = self._findings()
        found["cve.html"] = self._cve()
        found["checks.html"] = self._page("checks", "Checks", **checks_values(self.fleet))
        found["gate.html"] = self._page("gate", "Gate", **gatepage.gate_values(self.fleet))
        found["evidence.html"] = self._evidence()
        found["trends.html"] = self._trends()
        for member in self.fleet.members:
            found[f"images/{member.name}.html"] = self._image(member)
        return found | self._data()

    def _data(self) -> dict[str, bytes]:
        findings = encode(self.findings)
        cves = encode(self.cves)
        found = {
            "data/findings.json": findings,
            "data/findings.js": as_script("findings", findings),
            "data/cves.json": cves,
            "data/cves.js": as_script("cves", cves),
        }
        checked = {member.name: self._document(member) for member in self.fleet.repository}
        for name, document in (self.documents | checked).items():
            found[f"data/findings/{name}.json"] = encode(document)
        for name, contents in self.contents.items():
            found[f"data/sbom/{name}.cdx.json"] = contents.sbom
        if self.trend:
            found["data/security-summary.js"] = as_script("summary", self.trend.document)
        return found

    def _page(self, page: str, title: str, *, template: str = "", root: str = "", **values: Any) -> bytes:  # noqa: ANN401
        return render(
            template or f"{_FILES[page]}",
            page=page,
            parent=values.pop("parent", ""),
            root=root,
            title=title,
            description=values.pop("description", "") or _DESCRIPTIONS[page],
            pages=PAGES,
            fleet=self.fleet,
            proof=self.proof,
            retired=self.retired,
            **values,
        )

    def _today(self) -> bytes:
        fleet = self.fleet
        verdict = tell_fleet(fleet)
        expected = tables.urgent_first(fleet.expected)
        return self._page(
            "today",
            verdict.title.rstrip("."),
            description=f"{verdict.title} {verdict.text}"[:300],
            template="today.html",
            verdict=verdict,
            states=tables.by_state(fleet),
            freshness=freshness(fleet, self.proof),
            parts=kind_parts(fleet),
            weeks=fleet.weeks,
            last=fleet.weeks[-1] if fleet.weeks else None,
            series=tables.series(fleet.weeks),
            fixable=tables.sum_fixable(fleet.expected),
            bands=tuple(Band),
            ages=tables.ages(fleet),
            overdue=sum(len(member.overdue) for member in fleet.expected),
            median=tables.median_days(fleet),
            rows=[self.rows[member.name] for member in expected[:SHOWN_IMAGES]],
            more_images=max(0, len(expected) - SHOWN_IMAGES),
            pauses=find_pauses(fleet.scan_runs),
            rhythm=RHYTHM,
            covered=[member for member in fleet.expected if member.is_covered],
            **_helpers(fleet),
        )

    def _images(self) -> bytes:
        groups = [
            (state, [self.rows[member.name] for member in tables.urgent_first(members)])
            for state, members in tables.by_state(self.fleet)
        ]
        return self._page("images", "Images", groups=groups)

    def _findings(self) -> bytes:
        found = list(self.fleet.findings)
        plain = sorted(found, key=lambda pair: (-pair[1].severity.rank, pair[1].finding.id, pair[0].name))
        return self._page("findings", "Findings", plain_rows=plain if len(plain) <= PLAIN_ROWS else None)

    def _cve(self) -> bytes:
        return self._page("cve", "Are we affected?", document=self.cves, limit=PLAIN_ROWS)

    def _trends(self) -> bytes:
        links = TrendLinks(self.fleet.members, self.trend)
        return self._page(
            "trends",
            "Trends",
            summary=self.trend,
            shown=SHOWN,
            then=links.then,
            now=links.now,
            gap_before=tables.gap_before,
        )

    def _evidence(self) -> bytes:
        return self._page(
            "evidence",
            "Evidence",
            ages=ages(self.fleet),
            exploited=sum(each.exploited for _, each in self.fleet.findings),
            pauses=find_pauses(self.fleet.scan_runs),
            rhythm=RHYTHM,
            covered=[member for member in self.fleet.expected if member.is_covered],
            trend=self.trend,
        )

    def _image(self, member: Member) -> bytes:
        return self._page(
            "image",
            member.name,
            template="image.html",
            root="../",
            parent="images",
            member=member,
            row=self.rows[member.name],
            address=image_page(member.name),
            **image_values(self.fleet, member, self.contents.get(member.name)),
            **_helpers(self.fleet),
        )


def _helpers(fleet: Fleet) -> dict[str, Any]:
    return {
        "change": cells.change,
        "judgement_title": gatepage.judgement_title,
        "judgement_reason": gatepage.judgement_reason,
        **gatepage.exemption_words(fleet),
    }
