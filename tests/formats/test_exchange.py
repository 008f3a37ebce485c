"""CycloneDX, CSAF and in-toto documents, checked by their official schemas and tests."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from csaf_lib.verification import VerificationStatus, Verifier
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from hullmark.errors import InputError
from hullmark.exemptions import Exemption
from hullmark.finding import Finding, Severity
from hullmark.formats.exchange import render_csaf, render_cyclonedx, render_vulns
from hullmark.vex import Justification, Status
from tests.ledgers import Ledger
from tests.report.reports import report_of
from tests.values import HIGH

if TYPE_CHECKING:
    from hullmark.report import Report

REF = "pkg:deb/debian/libssl3t64@3.5.1?arch=amd64"
SBOM = json.dumps(
    {
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "version": 1,
        "metadata": {"component": {"bom-ref": "image", "type": "container", "name": "app"}},
        "components": [
            {"bom-ref": REF, "type": "library", "name": "libssl3t64", "version": "3.5.1", "purl": REF}
        ],
    }
).encode()
REFERENCES = {("debian", "libssl3t64", ""): (REF,)}
FULL = msgspec.structs.replace(
    HIGH,
    id="CVE-2026-1234",
    title="An overflow in <b>openssl</b>",
    url="https://example.com/CVE-2026-1",
    fixed="3.5.4",
    published="2026-01-02T03:04:05Z",
    severity_source="nvd",
)
GHSA = msgspec.structs.replace(
    HIGH, id="GHSA-aaaa-bbbb-cccc", severity=Severity.UNKNOWN, status="will_not_fix"
)


def accepted(status: Status, justification: Justification | None = None) -> Exemption:
    return Exemption(
        id=FULL.id,
        images=("app",),
        owner="@team",
        reason="It is not reached.",
        expires=date(2026, 3, 1),
        status=status,
        justification=justification,
    )


STATEMENTS = [
    (),
    (accepted(Status.AFFECTED),),
    (accepted(Status.FIXED),),
    (accepted(Status.UNDER_INVESTIGATION),),
    *((accepted(Status.NOT_AFFECTED, justification),) for justification in Justification),
]


def report(*findings: Finding, exemptions: tuple[Exemption, ...] = ()) -> Report:
    ledger = Ledger()
    ledger.scan(*(findings or (FULL, GHSA)))
    return report_of(ledger, exemptions=exemptions)


def csaf(given: Report) -> Any:  # noqa: ANN401 - JSON
    return json.loads(render_csaf(given, publisher="Example GmbH", namespace="https://example.com"))


@pytest.mark.parametrize("exemptions", STATEMENTS)
def test_cyclonedx_fits_its_official_schema(exemptions: tuple[Exemption, ...]) -> None:
    data = render_cyclonedx(report(exemptions=exemptions).images[0], SBOM, REFERENCES)

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode()) is None


@pytest.mark.parametrize("exemptions", STATEMENTS)
def test_csaf_passes_the_schema_and_the_mandatory_tests(exemptions: tuple[Exemption, ...]) -> None:
    found = Verifier(csaf(report(exemptions=exemptions))).run_all()

    assert [each for each in found.results if each.status is VerificationStatus.FAIL] == []
    assert sum(each.status is VerificationStatus.PASS for each in found.results) >= 20


def test_an_accepted_risk_is_stated_in_the_words_of_each_format() -> None:
    given = report(exemptions=(accepted(Status.NOT_AFFECTED, Justification.CODE_NOT_REACHED),))

    analysis = json.loads(render_cyclonedx(given.images[0], SBOM, REFERENCES))["vulnerabilities"][0][
        "analysis"
    ]
    assert (analysis["state"], analysis["justification"]) == ("not_affected", "code_not_reachable")
    assert analysis["detail"] == "It is not reached. Accepted by @team until 2026-03-01."
    entry = csaf(given)["vulnerabilities"][0]
    assert entry["product_status"] == {"known_not_affected": ["app@linux/amd64"]}
    assert entry["flags"][0]["label"] == "vulnerable_code_not_in_execute_path"
    result = json.loads(render_vulns(given.images[0]))["predicate"]["scanner"]["result"][0]
    assert {"accepted": analysis["detail"]} in result["annotations"]


def test_without_an_accepted_risk_affected_is_affected_with_what_to_do() -> None:
    first, second = csaf(report())["vulnerabilities"]

    assert first["product_status"] == {"known_affected": ["app@linux/amd64"]}
    assert first["remediations"][0]["category"] == "vendor_fix"
    assert "openssl 3.5.4" in first["remediations"][0]["details"]
    assert second["ids"] == [{"system_name": "advisory", "text": GHSA.id}]
    assert second["remediations"][0]["category"] == "no_fix_planned"


def test_a_risk_that_is_accepted_for_one_package_of_two_stays_affected() -> None:
    other = msgspec.structs.replace(FULL, package="openssl")
    narrow = msgspec.structs.replace(accepted(Status.FIXED), package="openssl-*")

    entry = csaf(report(FULL, other, exemptions=(msgspec.structs.replace(narrow, package="libssl3t64"),)))

    assert list(entry["vulnerabilities"][0]["product_status"]) == ["known_affected"]


def test_in_toto_vulns_names_subject_scanner_database_and_every_vulnerability() -> None:
    statement = json.loads(render_vulns(report().images[0]))

    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://in-toto.io/attestation/vulns/v0.2"
    assert len(statement["subject"][0]["digest"]["sha256"]) == 64
    scanner = statement["predicate"]["scanner"]
    assert scanner["db"]["lastUpdate"] == "2026-01-01T00:00:00Z"
    assert [(each["id"], each["severity"]) for each in scanner["result"]] == [
        ("CVE-2026-1234", [{"method": "nvd", "score": "high"}]),
        ("GHSA-aaaa-bbbb-cccc", [{"method": "trivy", "score": "unknown"}]),
    ]


def test_the_same_report_gives_the_same_bytes_and_another_one_others() -> None:
    first, again, other = (
        render_cyclonedx(given.images[0], SBOM, REFERENCES) for given in (report(), report(), report(FULL))
    )

    assert first == again
    assert json.loads(first)["serialNumber"] != json.loads(other)["serialNumber"]


def test_csaf_of_nothing_is_refused_with_the_reason() -> None:
    ledger = Ledger()
    ledger.scan()

    with pytest.raises(InputError, match="no vulnerability to state"):
        csaf(report_of(ledger))


@pytest.mark.parametrize("published", ["", "yesterday", "2026-01-02", "2026-13-01T00:00:00Z"])
def test_a_date_that_is_none_is_left_out(published: str) -> None:
    finding = msgspec.structs.replace(FULL, published=published)

    data = render_cyclonedx(report(finding).images[0], SBOM, REFERENCES)

    assert "published" not in json.loads(data)["vulnerabilities"][0]
