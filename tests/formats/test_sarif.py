"""SARIF: lasting fingerprints, a place in the repository, the worst first, nothing hidden."""
# ruff: noqa: ANN401 - fields of the value that is made, and JSON

from __future__ import annotations

import json
from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullmark.decision import key_of
from hullmark.finding import Finding, Severity
from hullmark.formats.sarif import FINGERPRINT, MAX_RESULTS, Subject, plain, render_sarif
from hullmark.policy import State
from hullmark.text import escape_terminal
from tests.gates import exemption, finding, npm

change = msgspec.structs.replace


def subject(*findings: Finding, **fields: Any) -> Subject:
    values = {
        "image": "app",
        "platform": "linux/amd64",
        "place": "images/app/Dockerfile",
        "findings": findings,
        **fields,
    }
    return Subject(**values)


def run_of(*subjects: Subject) -> Any:
    document = json.loads(render_sarif(subjects))
    assert (document["version"], len(document["runs"])) == ("2.1.0", 1)
    return document["runs"][0]


def fingerprints(*subjects: Subject) -> list[str]:
    return [result["partialFingerprints"][FINGERPRINT] for result in run_of(*subjects)["results"]]


@pytest.mark.parametrize(
    "other",
    [
        {"versions": ("2.0",)},
        {"severity": Severity.LOW},
        {"fixed": "3.0"},
        {"title": "Another title"},
        {"status": "fixed"},
    ],
)
def test_a_fingerprint_is_made_of_identity_and_image_never_of_what_a_run_brings(
    other: dict[str, Any],
) -> None:
    one = finding()

    assert fingerprints(subject(one)) == fingerprints(subject(change(one, **other), place="Dockerfile"))


def test_two_findings_never_share_a_fingerprint() -> None:
    one, two = npm("CVE-1", Severity.HIGH, "app/tar"), npm("CVE-1", Severity.HIGH, "usr/tar")
    found = fingerprints(
        subject(one, two, finding()), subject(one, image="web"), subject(one, platform="x/y")
    )

    assert len(set(found)) == len(found) == 5


def test_a_result_stands_at_the_file_that_the_image_is_made_from_and_says_how_bad_it_is() -> None:
    worst = finding("CVE-9", Severity.CRITICAL, title="A title", url="https://example.org/CVE-9", fixed="2")
    run = run_of(subject(finding("CVE-1", Severity.UNKNOWN), worst))

    first, second = run["results"]
    place = first["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "images/app/Dockerfile", "uriBaseId": "%SRCROOT%"}
    assert (first["ruleId"], first["level"], second["level"]) == ("CVE-9", "error", "note")
    assert first["message"]["text"] == (
        "CVE-9 (CRITICAL) in libxml2 1.0 of app (linux/amd64); fixed in 2. A title"
    )
    rules = run["tool"]["driver"]["rules"]
    assert [rules[one["ruleIndex"]]["id"] for one in run["results"]] == ["CVE-9", "CVE-1"]
    assert rules[first["ruleIndex"]]["properties"]["security-severity"] == "9.5"
    assert "security-severity" not in rules[second["ruleIndex"]]["properties"]


def test_what_the_change_did_and_what_is_exempted_is_said() -> None:
    new, old = finding("CVE-1"), finding("CVE-2")
    accepted = exemption("CVE-2", owner="@team", reason="Never parsed.", expires=date(2027, 1, 1))
    states = {key_of(new): State.INTRODUCED, key_of(old): State.PERSISTING}
    run = run_of(subject(new, old, states=states, exemptions={key_of(old): accepted}))

    assert [one["baselineState"] for one in run["results"]] == ["new", "unchanged"]
    assert "suppressions" not in run["results"][0]
    assert run["results"][1]["suppressions"] == [
        {
            "kind": "external",
            "status": "accepted",
            "justification": "@team, until 2027-01-01: Never parsed.",
        }
    ]


def test_of_more_results_than_code_scanning_takes_the_worst_are_kept_and_the_rest_is_said() -> None:
    many = [finding(f"CVE-{n}", Severity.LOW) for n in range(MAX_RESULTS)]
    run = run_of(subject(*many, finding("CVE-LAST", Severity.HIGH), finding("CVE-X", Severity.UNKNOWN)))

    assert len(run["results"]) == MAX_RESULTS
    assert run["results"][0]["ruleId"] == "CVE-LAST"
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"].startswith("2 findings are left out here")
    assert run["properties"] == {"findings": MAX_RESULTS + 2, "results": MAX_RESULTS}


def test_the_order_of_findings_and_images_never_changes_a_byte() -> None:
    one, two = subject(finding("CVE-1"), finding("CVE-2")), subject(finding("CVE-1"), image="web")

    assert render_sarif([one, two]) == render_sarif([two, change(one, findings=one.findings[::-1])])


@given(st.text(max_size=60))
def test_text_from_outside_forms_no_link_and_no_placeholder(text: str) -> None:
    safe = plain(f"[click]({text}) {{0}}")

    assert safe == escape_terminal(safe)
    assert "[click" not in safe.replace("\\[", "")
    assert "{0}" not in safe.replace("{{", "").replace("}}", "")


def test_nothing_found_is_a_run_without_results() -> None:
    run = run_of(subject())

    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])
