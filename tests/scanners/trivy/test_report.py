from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullmark.errors import InputError
from hullmark.finding import Counts, Severity
from hullmark.image import LINUX_AMD64
from hullmark.scan import Gap, GapReason, Note, NoteReason, System
from hullmark.scanners.trivy.report import Report, read_report
from hullmark.scanners.trivy.wire import MAX_REPORT

Json = Any

GOOD: Json = {
    "SchemaVersion": 2,
    "Trivy": {"Version": "0.76.0"},
    "ReportID": "01a20ad1",
    "CreatedAt": "2026-11-23T23:50:57.658287985Z",
    "ArtifactName": "/somewhere/app.tar",
    "ArtifactType": "container_image",
    "Metadata": {
        "Size": 30720,
        "OS": {"Family": "debian", "Name": "13.3"},
        "ImageID": "sha256:" + "a" * 64,
        "RepoTags": ["app:2", "app:1"],
        "RepoDigests": None,
        "ImageConfig": {"architecture": "amd64", "os": "linux", "history": [{"created_by": "x"}]},
    },
    "Results": [
        {
            "Target": "/somewhere/app.tar (debian 13.3)",
            "Class": "os-pkgs",
            "Type": "debian",
            "Packages": [
                {"Name": "gcc+x", "Version": "2.0+dfsg", "Release": "1", "Epoch": 1, "SrcName": "gcc+x"},
                {
                    "ID": "libssl3t64@3.5.1-1",
                    "Name": "libssl3t64",
                    "Version": "3.5.1",
                    "Release": "1",
                    "SrcName": "openssl",
                    "SrcVersion": "3.5.1",
                    "SrcRelease": "1",
                    "SrcEpoch": 0,
                },
            ],
            "Vulnerabilities": [
                {
                    "VulnerabilityID": "CVE-2026-1",
                    "PkgID": "libssl3t64@3.5.1-1",
                    "PkgName": "libssl3t64",
                    "PkgIdentifier": {"PURL": "pkg:deb/debian/libssl3t64@3.5.1-1", "UID": "f86ac9491bf534f"},
                    "InstalledVersion": "3.5.1-1",
                    "FixedVersion": "3.5.4-1",
                    "Status": "fixed",
                    "SeveritySource": "nvd",
                    "PrimaryURL": "https://avd.aquasec.com/nvd/cve-2026-1",
                    "Title": "a title",
                    "Description": "words",
                    "Severity": "HIGH",
                    "VendorSeverity": {"nvd": 3},
                    "CVSS": {"nvd": {"V3Score": 7.5}},
                    "References": ["https://example.invalid"],
                    "PublishedDate": "2026-01-01T00:00:00Z",
                },
                {"VulnerabilityID": "TEMP-1-A", "PkgName": "gcc+x", "InstalledVersion": "1:2.0+dfsg-1"},
            ],
            "ExperimentalModifiedFindings": [
                {
                    "Type": "vulnerability",
                    "Status": "ignored",
                    "Finding": {"VulnerabilityID": "CVE-2026-2", "PkgName": "libssl3t64", "Severity": "LOW"},
                },
                {"Type": "secret", "Status": "ignored", "Finding": {"RuleID": "x", "Severity": "HIGH"}},
            ],
        },
        {
            "Target": "Node.js",
            "Class": "lang-pkgs",
            "Type": "node-pkg",
            "Packages": [
                {"Name": "tar", "Version": "6.2.1", "FilePath": "app/node_modules/tar/package.json"},
                {"Name": "tar", "Version": "6.2.0", "FilePath": "app/node_modules/tar/package.json"},
            ],
            "Vulnerabilities": [
                {
                    "VulnerabilityID": "CVE-2026-3",
                    "PkgName": "tar",
                    "PkgPath": "app/node_modules/tar/package.json",
                    "InstalledVersion": version,
                    "FixedVersion": fixed,
                    "Severity": severity,
                }
                for version, fixed, severity in (
                    ("6.2.1", "7.0.0", "LOW"),
                    ("6.2.0", "6.3.0", "HIGH"),
                    ("6.1.0", "6.1.9", "HIGH"),
                )
            ],
        },
        {
            "Target": "usr/bin/tool",
            "Class": "lang-pkgs",
            "Type": "gobinary",
            "Packages": [{"Name": "stdlib", "Version": "v1.24.1"}],
            "Vulnerabilities": [
                {"VulnerabilityID": "CVE-2026-4", "PkgName": "stdlib", "Severity": "UNKNOWN"}
            ],
        },
        {"Target": "usr/bin/tool", "Class": "secret", "Secrets": [{"RuleID": "x"}]},
    ],
}


def read(report: Json) -> Report:
    return read_report(json.dumps(report).encode(), file="report.json")


def changed(**values: Json) -> Json:
    return {**copy.deepcopy(GOOD), **values}


def one(**row: Json) -> Json:
    """A report with one row of an operating system."""
    result = {
        "Target": "app (debian 13.3)",
        "Class": "os-pkgs",
        "Type": "debian",
        "Packages": [{"Name": "openssl", "Version": "3"}],
        "Vulnerabilities": [{"VulnerabilityID": "CVE-2026-1", "PkgName": "openssl", **row}],
    }
    return changed(Results=[result])


def test_reads_what_the_image_is() -> None:
    report = read(GOOD)
    assert report.artifact == "/somewhere/app.tar"
    assert report.created_at == "2026-11-23T23:50:57.658287985Z"
    assert report.image_id == "sha256:" + "a" * 64
    assert report.repo_tags == ("app:1", "app:2")
    assert report.repo_digests == ()
    assert report.platform == LINUX_AMD64
    assert report.system == System("debian", "13.3")
    assert report.scanner_version == "0.76.0"
    assert report.coverage.package_types == {"debian": 2, "gobinary": 1, "node-pkg": 2}
    assert report.coverage.is_complete


def test_versions_are_put_together_as_the_package_manager_writes_them() -> None:
    packages = {package.name: package for package in read(GOOD).packages}
    assert packages["gcc+x"].version == "1:2.0+dfsg-1"
    assert (packages["libssl3t64"].source, packages["libssl3t64"].source_version) == ("openssl", "3.5.1-1")


def test_the_path_is_of_the_package_or_of_the_one_file_never_a_heading() -> None:
    paths = {(finding.id, finding.path) for finding in read(GOOD).findings}
    assert paths == {
        ("CVE-2026-1", ""),
        ("CVE-2026-2", ""),
        ("CVE-2026-3", "app/node_modules/tar/package.json"),
        ("CVE-2026-4", "usr/bin/tool"),
        ("TEMP-1-A", ""),
    }
    report = changed()
    for row in report["Results"][1]["Vulnerabilities"]:
        del row["PkgPath"]
    assert "" in {finding.path for finding in read(report).findings if finding.id == "CVE-2026-3"}


def test_several_versions_at_one_place_are_one_finding_with_the_worst_severity() -> None:
    [finding] = [finding for finding in read(GOOD).findings if finding.id == "CVE-2026-3"]
    assert finding.versions == ("6.1.0", "6.2.0", "6.2.1")
    assert finding.severity is Severity.HIGH


def test_rows_are_counted_as_trivy_counts_them() -> None:
    assert read(GOOD).rows == Counts(high=3, low=1, unknown=2)


def test_what_a_filter_of_trivy_took_away_is_a_finding() -> None:
    assert "CVE-2026-2" in {finding.id for finding in read(GOOD).findings}


@pytest.mark.parametrize("severity", ["", "NEGLIGIBLE", "7.5", "HIGH\x00"])
def test_a_severity_that_is_none_of_the_five_is_unknown(severity: str) -> None:
    assert read(one(Severity=severity)).findings[0].severity is Severity.UNKNOWN


@pytest.mark.parametrize("severity", ["high", " High ", "HIGH"])
def test_a_severity_may_be_written_small(severity: str) -> None:
    assert read(one(Severity=severity)).findings[0].severity is Severity.HIGH


@given(text=st.text())
def test_law_10_scanner_text_is_data(text: str) -> None:
    """Law 10: no scanner text is interpreted or changed; control characters survive only as data."""
    [finding] = read(one(Title=text, PrimaryURL=text, FixedVersion=text)).findings
    assert (finding.title, finding.url, finding.fixed) == (text, text, text)


def test_the_list_form_up_to_0_19_is_read() -> None:
    rows = [{"VulnerabilityID": "CVE-1", "PkgName": "musl", "InstalledVersion": "1", "Severity": "HIGH"}]
    report = read(
        [
            {"Target": "app (alpine 3.10.2)", "Type": "alpine", "Vulnerabilities": rows},
            {"Target": "app/Gemfile.lock", "Type": "bundler", "Vulnerabilities": rows},
            {"Target": "node-app/package-lock.json", "Type": "npm", "Vulnerabilities": None},
        ]
    )
    assert [(finding.package_type, finding.path) for finding in report.findings] == [
        ("alpine", ""),
        ("bundler", "app/Gemfile.lock"),
    ]
    assert report.system is None
    assert report.platform is None
    assert report.coverage.gaps == (Gap(GapReason.NO_PACKAGES),)


@pytest.mark.parametrize("results", [None, []])
def test_a_report_without_results_looked_at_nothing(results: Json) -> None:
    assert read(changed(Results=results)).coverage.gaps == (Gap(GapReason.EMPTY_RESULTS),)
    report = changed()
    del report["Results"]
    assert read(report).coverage.gaps == (Gap(GapReason.EMPTY_RESULTS),)
    assert read([]).coverage.gaps == (Gap(GapReason.EMPTY_RESULTS),)


def test_missing_packages_are_a_gap() -> None:
    report = changed()
    del report["Results"][1]["Packages"]
    assert read(report).coverage.gaps == (Gap(GapReason.NO_PACKAGES, "node-pkg"),)
    for result in report["Results"]:
        result.pop("Packages", None)
    assert read(report).coverage.gaps == (Gap(GapReason.NO_PACKAGES),)


def test_a_release_at_its_end_of_life_is_a_note() -> None:
    report = changed()
    report["Metadata"]["OS"]["EOSL"] = True
    assert read(report).coverage.notes == (Note(NoteReason.END_OF_LIFE, "debian 13.3"),)


def test_nulls_where_trivy_leaves_out_are_absences() -> None:
    report = changed(Trivy=None, Metadata=None)
    report["Results"][0] |= {"Packages": None, "ExperimentalModifiedFindings": None}
    assert read(report).system is None


def test_a_byte_order_mark_is_accepted() -> None:
    data = json.dumps(GOOD).encode()
    assert read_report(b"\xef\xbb\xbf" + data, file="x") == read_report(data, file="x")


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("Results", 1, "Vulnerabilities", 2, "Severity"), 5, "Results[1].Vulnerabilities[2].Severity"),
        (("Results", 1, "Vulnerabilities", 2), "x", "Results[1].Vulnerabilities[2]"),
        (("Results", 0, "Packages", 1, "SrcEpoch"), "1", "Results[0].Packages[1].SrcEpoch"),
        (("Results", 3, "Target"), None, "Results[3].Target"),
        (("Results",), {}, "Results"),
        (("Metadata", "RepoTags", 0), [], "Metadata.RepoTags[0]"),
        (("Metadata", "OS", "EOSL"), "yes", "Metadata.OS.EOSL"),
        (("Results", 0, "Vulnerabilities", 1, "PkgName"), "", "Results[0].Vulnerabilities[1].PkgName"),
        (
            ("Results", 0, "Vulnerabilities", 1, "VulnerabilityID"),
            "",
            "Results[0].Vulnerabilities[1].VulnerabilityID",
        ),
        (
            ("Results", 0, "ExperimentalModifiedFindings", 0, "Finding", "PkgName"),
            "",
            "Results[0].ExperimentalModifiedFindings[0].Finding.PkgName",
        ),
        (("SchemaVersion",), 3, "SchemaVersion"),
        (("SchemaVersion",), 1 << 70, "SchemaVersion"),
    ],
)
def test_a_wrong_value_is_an_error_with_file_and_key_path(
    path: tuple[str | int, ...], value: Json, place: str
) -> None:
    report = changed()
    target = report
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    with pytest.raises(InputError) as caught:
        read(report)
    assert (caught.value.file, caught.value.key) == ("report.json", place)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (json.dumps(GOOD).encode()[:-100], "not valid JSON"),
        (json.dumps(GOOD).encode("utf-16"), "not UTF-8"),
        (json.dumps(GOOD).encode("utf-16-be"), "not UTF-8"),
        (json.dumps(one(Title="é"), ensure_ascii=False).encode("latin-1"), "not valid JSON"),
        (b"\x7fELF\x02\x01\x01\x00", "not UTF-8"),
        (b"\x89PNG\r\n", "not valid JSON"),
        (b'{"Results":' + b"[" * 100_000, r"Results\[0\]: expected object, got array"),
        (b'{"SchemaVersion": 2, "x":' + b"[" * 100_000, "nested too deeply"),
        (b'{"x":' + b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 100_000, "expected object, got array"),
        (b"null", "expected object, got null"),
        (b"3", "expected object, got int"),
        (b'"text"', "expected object, got str"),
        (b"{}", "not a Trivy report"),
        (b'{"SchemaVersion": 2} {"SchemaVersion": 2}', "not valid JSON"),
        (b'{"Results": []}', "no SchemaVersion"),
        (b'{"SchemaVersion": 1, "Results": []}', "schema version 1"),
        (b'{"ClusterName": "x", "Findings": []}', "a Kubernetes report"),
        (b'{"SchemaVersion": 2, "Findings": []}', "a Kubernetes report"),
        (b'{"bomFormat": "CycloneDX"}', "a CycloneDX SBOM"),
        (b'{"spdxVersion": "SPDX-2.3"}', "an SPDX SBOM"),
        (b'{"version": "2.1.0", "runs": []}', "a SARIF file"),
        (b'{"matches": []}', "a Grype report"),
        (b'{"schemaVersion": 2, "manifests": []}', "an image manifest"),
        (b" " * (MAX_REPORT + 1), "larger than 128 MiB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_is_not_a_report_is_refused_with_the_file(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_report(data, file="the/report.json")
    assert str(caught.value).startswith("the/report.json: ")


def _shuffled(draw: st.DrawFn, value: Json) -> Json:
    """`value` with every list and every object in another order."""
    if isinstance(value, list):
        return [_shuffled(draw, item) for item in draw(st.permutations(value))]
    if isinstance(value, dict):
        return {key: _shuffled(draw, value[key]) for key in draw(st.permutations(list(value)))}
    return value


@given(data=st.data())
def test_law_8_order_of_findings_reports_and_images_never_changes_an_output_byte(data: st.DataObject) -> None:
    """Law 8: order of findings, reports and images never changes an output byte."""
    shuffled = data.draw(st.composite(lambda draw: _shuffled(draw, GOOD))())
    assert msgspec.json.encode(read(shuffled)) == msgspec.json.encode(read(GOOD))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def _places(value: Json) -> list[tuple[Json, Json]]:
    """Every container with each of its keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, below in items for place in ((value, key), *_places(below))]


@given(data=st.data())
def test_no_mutation_of_a_report_raises_anything_but_an_input_error(data: st.DataObject) -> None:
    report = copy.deepcopy(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        places = _places(report)
        container, key = places[data.draw(st.integers(0, len(places) - 1))]
        if data.draw(st.booleans()):
            container[key] = data.draw(VALUES)
        else:
            del container[key]
    _read_or_refuse(json.dumps(report).encode())


@given(data=st.data())
def test_no_mutation_of_the_bytes_raises_anything_but_an_input_error(data: st.DataObject) -> None:
    text = bytearray(json.dumps(GOOD).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.sampled_from([0, 1, 2, 40, 5000]))
        text[start : start + length] = data.draw(
            st.binary(max_size=6) | st.sampled_from([b'"', b"[", b"\\u"])
        )
    _read_or_refuse(bytes(text))


def _read_or_refuse(text: bytes) -> None:
    try:
        report = read_report(text, file="report.json")
    except InputError as error:
        assert str(error).startswith("report.json: ")  # noqa: PT017 - any of the two outcomes is right
    else:
        assert list(report.findings) == sorted(report.findings, key=lambda finding: finding.identity)
