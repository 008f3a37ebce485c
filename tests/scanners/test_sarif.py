"""SARIF of any tool is read strictly: whatever does not fit is refused with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hullmark.errors import InputError
from hullmark.finding import Kind, Severity
from hullmark.scanners import sarif
from hullmark.scanners.sarif import Sarif, read_sarif

ROOT = "/repository"


def result(**changes: object) -> dict[str, Any]:
    return {"ruleId": "R1", "message": {"text": "found 'hunter2'"}, "locations": [at("src/a.py")]} | changes


def at(uri: str, **more: object) -> dict[str, Any]:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": uri} | more,
            "region": {"startLine": 3, "endLine": 4, "snippet": {"text": "hunter2"}},
        }
    }


def run(
    *results: dict[str, Any], rules: list[dict[str, Any]] | None = None, **more: object
) -> dict[str, Any]:
    driver = {"name": "Tool", "version": "1.2", "rules": rules or []}
    return {"tool": {"driver": driver}, "results": list(results)} | more


def read(
    *runs: object, version: object = "2.1.0", kind: Kind = Kind.CODE, speaks_for_the_rule: bool = False
) -> Sarif:
    data = json.dumps({"version": version, "runs": list(runs)}).encode()
    return read_sarif(data, file="x.sarif", root=ROOT, kind=kind, speaks_for_the_rule=speaks_for_the_rule)


def test_a_result_is_told_by_its_rule_and_its_place() -> None:
    rule = {"id": "R1", "shortDescription": {"text": "Bad."}, "helpUri": "https://tool.example/R1"}
    read_ = read(run(result(), rules=[rule]))
    [match] = read_.matches

    assert (read_.tool, read_.version) == ("Tool", "1.2")
    assert (match.rule, match.title, match.path, match.line, match.end) == ("R1", "Bad.", "src/a.py", 3, 4)
    assert (match.kind, match.url) == (Kind.CODE, "https://tool.example/R1")


def test_what_the_tool_says_about_a_place_is_not_kept_because_it_may_quote_a_secret() -> None:
    assert "hunter2" not in str(read(run(result())))
    # A tool of ours whose messages are the words of its rules.
    assert "hunter2" in str(read(run(result()), speaks_for_the_rule=True))


@pytest.mark.parametrize(
    ("changes", "rule", "severity"),
    [
        ({}, {}, Severity.MEDIUM),  # a rule without a severity is a warning, as the standard says
        ({"level": "error"}, {}, Severity.HIGH),
        ({"level": "note"}, {}, Severity.LOW),
        ({"level": "none"}, {}, Severity.LOW),
        ({"level": "fatal"}, {}, Severity.UNKNOWN),
        ({}, {"defaultConfiguration": {"level": "error"}}, Severity.HIGH),
        ({"level": "note"}, {"properties": {"security-severity": "9.8"}}, Severity.CRITICAL),
        ({"level": "error"}, {"properties": {"security-severity": 0.1}}, Severity.LOW),
        ({}, {"properties": {"security-severity": "bad"}}, Severity.UNKNOWN),
        ({}, {"properties": {"security-severity": "nan"}}, Severity.UNKNOWN),
        ({"properties": {"security-severity": "7.0"}}, {}, Severity.HIGH),
    ],
)
def test_a_severity_is_the_score_or_the_level(
    changes: dict[str, Any], rule: dict[str, Any], severity: Severity
) -> None:
    [match] = read(run(result(**changes), rules=[{"id": "R1"} | rule])).matches
    assert match.severity is severity


@pytest.mark.parametrize("state", [{"kind": "pass"}, {"kind": "notApplicable"}, {"baselineState": "absent"}])
def test_what_is_not_wrong_is_no_finding(state: dict[str, str]) -> None:
    assert read(run(result(**state))).matches == ()


def test_a_result_that_the_tool_itself_suppressed_counts() -> None:
    assert len(read(run(result(suppressions=[{"kind": "inSource"}]))).matches) == 1


@pytest.mark.parametrize(
    ("location", "bases", "path"),
    [
        (at("./src/../a%20b.py"), {}, "a b.py"),
        (at("file:///repository/src/a.py"), {}, "src/a.py"),
        (at("/repository/a.py"), {}, "a.py"),
        (at("a.py", uriBaseId="%SRCROOT%"), {}, "a.py"),
        (at("a.py", uriBaseId="SRC"), {"SRC": {"uri": "file:///repository/src/"}}, "src/a.py"),
        (at("a.py", uriBaseId="A"), {"A": {"uri": "a/", "uriBaseId": "B"}, "B": {"uri": "b/"}}, "b/a/a.py"),
        (at("a.py", uriBaseId="A"), {"A": {"uri": "a/", "uriBaseId": "A"}}, "a/a.py"),
        (at("", index=0), {}, "listed.py"),
        ({}, {}, ""),
    ],
)
def test_a_path_is_one_of_the_repository(location: dict[str, Any], bases: dict[str, Any], path: str) -> None:
    given = run(
        result(locations=[location]),
        originalUriBaseIds=bases,
        artifacts=[{"location": {"uri": "listed.py"}}],
    )
    assert [match.path for match in read(given).matches] == [path]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("../a.py", "outside of the repository"),
        ("src/../../a.py", "outside of the repository"),
        ("%2e%2e/a.py", "outside of the repository"),
        ("file:///etc/passwd", "outside of the repository"),
        ("/etc/passwd", "outside of the repository"),
        ("a\\..\\b.py", "outside of the repository"),
        ("a%00.py", "outside of the repository"),
        ("https://host/a.py", "no file of this repository"),
        ("git+ssh://host/a.py", "no file of this repository"),
        ("//host/share/a.py", "no file of this repository"),
        ("javascript:alert(1)", "no file of this repository"),
        ("http://[", "no URI"),
    ],
)
def test_a_path_outside_and_a_uri_of_another_scheme_are_refused_with_their_place(
    uri: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(run(result(), result(locations=[at(uri)])))
    assert caught.value.key == "runs[0].results[1].locations[0].physicalLocation.artifactLocation.uri"


@pytest.mark.parametrize(
    ("runs", "key"),
    [
        ([], "runs"),
        ([{"tool": {"driver": {"name": "T"}}}], "runs[0]"),
        ([run(result(ruleId=""))], "runs[0].results[0].ruleId"),
        ([run(result(ruleIndex=4))], "runs[0].results[0].ruleIndex"),
        (
            [run(result(rule={"index": 0, "toolComponent": {"index": 2}}))],
            "runs[0].results[0].rule.toolComponent",
        ),
        ([run(result(locations=5))], "runs[0].results[0].locations"),
        ([{"results": []}], "runs[0]"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(runs: list[Any], key: str) -> None:
    with pytest.raises(InputError) as caught:
        read(*runs)
    assert key in str(caught.value)


def test_rules_are_found_by_index_by_id_and_in_extensions() -> None:
    extension = {"name": "plugin", "rules": [{"id": "P1"}]}
    tool = {"driver": {"name": "T", "rules": [{"id": "R1"}, {"id": "R2"}]}, "extensions": [extension]}
    results = [
        result(ruleId="", ruleIndex=1),
        result(ruleId="", rule={"index": 0, "toolComponent": {"index": 0}}),
        result(ruleId="unlisted"),
    ]
    found = read({"tool": tool, "results": results}).matches
    assert [match.rule for match in found] == ["R2", "P1", "unlisted"]


@pytest.mark.parametrize("version", ["2.0.0", "", "3.0"])
def test_another_version_is_refused(version: str) -> None:
    with pytest.raises(InputError, match=r"expected 2\.1\.0"):
        read(run(), version=version)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"{", b'{"version": "2.1.0"}', b"\xff\xfe{\0"])
def test_what_is_not_sarif_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        read_sarif(data, file="x.sarif", root=ROOT)


def test_a_file_that_is_too_big_is_refused() -> None:
    with pytest.raises(InputError, match="larger than 100 MiB"):
        read_sarif(b" " * (sarif.MAX_SARIF + 1), file="x.sarif", root=ROOT)


def test_more_results_than_anybody_reads_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MAX_RESULTS", 2)
    with pytest.raises(InputError, match="more than 2 results"):
        read(run(result(), result(), result()))


def test_a_link_of_another_scheme_is_left_out() -> None:
    [match] = read(run(result(), rules=[{"id": "R1", "helpUri": "javascript:alert(1)"}])).matches
    assert match.url == ""
