from __future__ import annotations

import datetime as dt
import re
import runpy
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hullmark.errors import InputError, UsageError
from hullmark.finding import Severity, count_findings
from hullmark.scan import System
from hullmark.scanners import advisory, bolt, canary, sample, specimen
from hullmark.scanners.advisory import Advisory
from hullmark.scanners.specimen import Installed
from hullmark.scanners.trivy.report import read_report
from hullmark.scanners.trivy.sbom import normalise
from hullmark.scanners.trivy.sbom import packages as packages_of
from tests.scanners.support import DATE, OPENSSL, ROOT, rows, run_trivy

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.finding import Finding

DEBIAN = System("debian", "13.2")
FILE = ROOT / "samples" / "advisories.toml"

EVERY_FORM = (
    Advisory(id="CVE-A", package="openssl", fixed="2", severity=Severity.CRITICAL, score=9.8),
    Advisory(id="CVE-B", package="openssl", severity=Severity.LOW, rated_by="debian", status="will_not_fix"),
    Advisory(id="CVE-C", package="openssl", fixed="2"),
    Advisory(id="CVE-D", package="openssl", severity=Severity.HIGH, rated_by="nvd", title="A title"),
    Advisory(id="CVE-E", package="openssl", fixed="1", severity=Severity.HIGH),
    Advisory(
        id="CVE-F", system="npm", package="lodash", fixed="4.17.21", severity=Severity.HIGH, rated_by="ghsa"
    ),
    Advisory(id="CVE-G", system="pip", package="requests", vulnerable=">=1, <=3", severity=Severity.MEDIUM),
    Advisory(id="CVE-H", system="debian 12", package="openssl", fixed="2", severity=Severity.HIGH),
)
INSTALLED = (
    Installed(name="libssl3t64", version="1-1", source="openssl"),
    Installed(name="unrelated", version="1-1", source="other"),
    Installed(type="node-pkg", name="lodash", version="4.17.20"),
    Installed(type="python-pkg", name="requests", version="2.0"),
)


def test_trivy_finds_exactly_what_a_sample_states(tmp_path: Path) -> None:
    folder = sample.build(EVERY_FORM, folder=tmp_path / "db", updated_at=DATE, canary=False)
    image = tmp_path / "image.tar"
    image.write_bytes(specimen.archive(INSTALLED, system=DEBIAN))
    found = {
        row["VulnerabilityID"]: (
            row["PkgName"],
            row["Severity"],
            row.get("SeveritySource"),
            row["Status"],
            row.get("FixedVersion"),
        )
        for row in rows(run_trivy(folder, "image", image))
    }
    assert found == {
        "CVE-A": ("libssl3t64", "CRITICAL", None, "fixed", "2"),
        "CVE-B": ("libssl3t64", "LOW", "debian", "will_not_fix", None),
        "CVE-C": ("libssl3t64", "UNKNOWN", None, "fixed", "2"),
        "CVE-D": ("libssl3t64", "HIGH", "nvd", "affected", None),
        "CVE-F": ("lodash", "HIGH", "ghsa", "fixed", "4.17.21"),
        "CVE-G": ("requests", "MEDIUM", None, "affected", None),
    }


def test_matching_the_specimens_sbom_gives_the_findings_of_its_image(tmp_path: Path) -> None:
    folder = sample.build(EVERY_FORM, folder=tmp_path / "db", updated_at=DATE)
    image, sbom = tmp_path / "image.tar", tmp_path / "image.cdx.json"
    packages = (
        *INSTALLED,
        Installed(name="libz", version="1:1.3-1+b1", source="zlib", source_version="1:1.3-1"),
    )
    image.write_bytes(specimen.archive(packages, system=DEBIAN))
    sbom.write_bytes(specimen.sbom(packages, system=DEBIAN))
    scanned = read_report(run_trivy(folder, "image", image), file=image)
    matched = read_report(run_trivy(folder, "sbom", sbom), file=sbom)
    assert _plain(matched.findings) == _plain(scanned.findings) != []
    assert [(p.name, p.version, p.source, p.source_version) for p in matched.packages] == [
        (p.name, p.version, p.source, p.source_version) for p in scanned.packages
    ]


def _plain(findings: tuple[Finding, ...]) -> list[tuple[str, str, str, Severity]]:
    return [(f.id, f.package, f.source, f.severity) for f in findings]


NAMES = st.from_regex(r"[a-z][a-z0-9+.-]{1,8}", fullmatch=True)
ADVISORIES = st.lists(
    st.builds(
        Advisory,
        id=st.integers(1, 50).map("CVE-2026-{}".format),
        package=NAMES,
        severity=st.sampled_from(Severity),
        fixed=st.sampled_from(["", "2.0-1"]),
        rated_by=st.sampled_from(["", "debian", "nvd"]),
        score=st.none() | st.integers(0, 10).map(float),
        title=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20),
    ),
    max_size=8,
    unique_by=lambda one: one.id,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stated=ADVISORIES)
def test_every_advisory_of_a_list_is_found_with_its_severity(
    tmp_path_factory: pytest.TempPathFactory, stated: list[Advisory]
) -> None:
    folder = tmp_path_factory.mktemp("sample")
    sample.build(stated, folder=folder, updated_at=DATE, canary=False)
    sbom = folder / "sbom.cdx.json"
    names = {one.package for one in stated}
    packages = [Installed(name=f"bin-{name}", version="1.0-1", source=name) for name in sorted(names)]
    sbom.write_bytes(specimen.sbom(packages, system=DEBIAN))
    found = read_report(run_trivy(folder, "sbom", sbom), file=sbom).findings
    assert {(f.id, f.source, f.severity, f.fixed) for f in found} == {
        (one.id, one.package, one.severity, one.fixed) for one in stated
    }


@given(stated=ADVISORIES.flatmap(lambda stated: st.tuples(st.just(stated), st.permutations(stated))))
def test_the_same_advisories_give_the_same_bytes_in_any_order(
    stated: tuple[list[Advisory], list[Advisory]],
) -> None:
    one, other = (
        bolt.encode(sample.contents(sample.select(some, until=None, canary=True))) for some in stated
    )
    assert one == other


def test_integers_are_json_integers(tmp_path: Path) -> None:
    folder = sample.build(EVERY_FORM, folder=tmp_path, updated_at=DATE)
    tree = bolt.read(folder / "db" / "trivy.db")
    assert tree["debian 13"]["openssl"]["CVE-B"] == b'{"Status":5,"Severity":1}'  # type: ignore[call-overload]
    assert msgspec.json.decode(tree["vulnerability"]["CVE-D"])["VendorSeverity"] == {"nvd": 3}  # type: ignore[call-overload,arg-type]


def test_an_earlier_sample_lacks_what_was_not_known_then() -> None:
    stated = (
        Advisory(id="CVE-1", package="a", known=dt.date(2026, 1, 1)),
        Advisory(id="CVE-2", package="a", known=dt.date(2026, 1, 2)),
        Advisory(id="CVE-3", package="a"),
    )
    chosen = sample.select(stated, until=dt.date(2026, 1, 1), canary=False)
    assert [one.id for one in chosen] == ["CVE-1", "CVE-3"]
    assert sample.date_of(stated) == dt.date(2026, 1, 2)
    with pytest.raises(UsageError, match="since when"):
        sample.date_of(stated[2:])


def test_a_sample_holds_the_advisories_of_the_canary(tmp_path: Path) -> None:
    folder = sample.build([], folder=tmp_path, updated_at=DATE, until=dt.date(2000, 1, 1))
    tree = bolt.read(folder / "db" / "trivy.db")
    assert {fact.id for fact in canary.held()} == set(tree["vulnerability"])


def test_a_sample_never_overwrites_a_real_database(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    real = tmp_path / "db" / "trivy.db"
    bolt.write(real, {"vulnerability": {}, "debian 13": {}})
    before = real.read_bytes()
    with pytest.raises(UsageError, match="real vulnerability database"):
        sample.build([OPENSSL], folder=tmp_path, updated_at=DATE)
    assert real.read_bytes() == before


def test_a_sample_overwrites_a_sample_and_a_damaged_file(tmp_path: Path) -> None:
    sample.build([], folder=tmp_path, updated_at=DATE)
    sample.build([OPENSSL], folder=tmp_path, updated_at=DATE)
    (tmp_path / "db" / "trivy.db").write_bytes(b"cut")
    sample.build([OPENSSL], folder=tmp_path, updated_at=DATE)
    assert "openssl" in bolt.read(tmp_path / "db" / "trivy.db")["debian 13"]


@pytest.mark.parametrize("system", ["debian", "haiku 1", "npm 3", "debian 13; x", ""])
def test_a_system_that_a_sample_cannot_hold_is_refused(tmp_path: Path, system: str) -> None:
    with pytest.raises(UsageError, match="cannot hold"):
        sample.build([Advisory(id="C", system=system, package="p")], folder=tmp_path, updated_at=DATE)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('fixd = "1"', r"advisory\[0\]\.fixd: unknown key; nearest is `fixed`"),
        ("package = 3", r"advisory\[0\]\.package: expected `str`, got `int`"),
        ('severity = "BAD"', r"advisory\[0\]\.severity: invalid enum value"),
        ("score = 11", r"advisory\[0\]\.score: expected `float` <= 10"),
        ('known = "soon"', r"advisory\[0\]\.known: "),
        ('id = ""', r"advisory\[0\]\.id: expected `str` of length >= 1"),
        ('status = "fixed"', r"advisory\[0\]\.status: invalid enum value"),
    ],
)
def test_a_wrong_advisory_is_named_by_file_and_key(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "advisories.toml"
    fields = {"id": 'id = "CVE-1"', "package": 'package = "p"', line.partition(" ")[0]: line}
    path.write_text("version = 1\n[[advisory]]\n" + "\n".join(fields.values()) + "\n")
    with pytest.raises(InputError, match=re.escape(str(path)) + ": " + said):
        advisory.load(path)


def test_a_second_statement_about_the_same_package_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "advisories.toml"
    path.write_text("version = 1\n" + '[[advisory]]\nid = "CVE-1"\npackage = "p"\n' * 2)
    with pytest.raises(InputError, match=r"advisory\[1\]: a second advisory CVE-1"):
        advisory.load(path)


def test_the_samples_calendar_follows_the_rule_that_its_comment_states() -> None:
    for one in advisory.load(FILE):
        year = int(one.id.split("-")[1])
        rated = one.severity is not Severity.UNKNOWN
        late = dt.date(2026, 3, 2) if rated else dt.date(2026, 11, 21)
        assert one.known == (dt.date(year + 1, 1, 1) if year < 2026 else late), one.id


def test_the_older_sboms_are_those_that_the_script_makes() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "make_samples.py"))
    for name in script["IMAGES"]:
        sbom = (ROOT / "samples" / f"{name}.cdx.json").read_bytes()
        assert normalise(sbom, name=name) == sbom
        assert [(p.name, p.version, p.source, p.source_version) for p in packages_of(sbom)] == [
            (p.name, p.version, p.source, p.source_version) for p in script["packages"](name)
        ]


def test_the_older_sboms_have_findings_then_and_more_with_what_became_known(tmp_path: Path) -> None:
    stated = advisory.load(FILE)
    then = sample.build(stated, folder=tmp_path / "then", updated_at=DATE, until=dt.date(2026, 2, 1))
    now = sample.build(stated, folder=tmp_path / "now", updated_at=DATE)
    for name in ("postgres-secured", "php-mysql-secured"):
        path = ROOT / "samples" / f"{name}.cdx.json"
        before, after = (read_report(run_trivy(db, "sbom", path), file=path) for db in (then, now))
        assert count_findings(before.findings).critical > 0
        assert {f.identity for f in before.findings} < {f.identity for f in after.findings}
        assert all(package.source for package in before.packages)
        assert before.coverage.is_complete
