"""Accepted risks as OpenVEX."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hullmark.exemptions import Exemption, covers
from hullmark.formats.openvex import Statements, render_openvex
from hullmark.vex import Justification, Status
from tests.strategies import finding_sets
from tests.values import HIGH

if TYPE_CHECKING:
    from hullmark.finding import Finding

NOW = datetime(2026, 2, 1, 9, tzinfo=UTC)
ENTRY = Exemption(
    id="CVE-2026-1",
    images=("app",),
    owner="@team",
    reason="Never loaded.",
    expires=date(2026, 8, 1),
    status=Status.NOT_AFFECTED,
    justification=Justification.CODE_NOT_REACHED,
)
PURL = "pkg:deb/debian/libssl3t64@3.5.1?arch=amd64"
PURLS = {("debian", "libssl3t64"): (PURL,), ("debian", "openssl"): ("pkg:deb/debian/openssl@3.5.1",)}

change = msgspec.structs.replace


def render(*entries: Exemption, findings: tuple[Finding, ...] = (HIGH,)) -> Statements:
    return render_openvex(entries, image="app", findings=findings, purls=PURLS, now=NOW)


def document(*entries: Exemption) -> Any:  # noqa: ANN401 - OpenVEX
    return json.loads(render(*entries).document)


def test_a_statement_names_the_packages_of_one_image_exactly_with_their_versions() -> None:
    (statement,) = document(ENTRY)["statements"]

    assert statement["products"] == [{"@id": PURL, "identifiers": {"purl": PURL}}]
    assert statement["vulnerability"] == {"name": "CVE-2026-1"}
    assert statement["status"] == "not_affected"
    assert statement["justification"] == "vulnerable_code_not_in_execute_path"


def test_only_entries_in_force_are_stated() -> None:
    expired, elsewhere = change(ENTRY, expires=date(2026, 2, 1)), change(ENTRY, images=("web",))

    assert document(expired, elsewhere)["statements"] == []
    assert render(expired, elsewhere).unmatched == ()


def test_an_entry_that_names_nothing_in_the_image_is_left_out_and_reported() -> None:
    other, package = change(ENTRY, id="CVE-2026-9"), change(ENTRY, package="zlib")

    found = render(other, package, ENTRY)

    assert (found.stated, set(found.unmatched)) == ((ENTRY,), {other, package})


def test_an_accepted_risk_is_stated_as_affected_with_what_was_decided() -> None:
    (statement,) = document(change(ENTRY, status=Status.AFFECTED, justification=None))["statements"]

    assert statement["status"] == "affected"
    assert statement["action_statement"] == "Accepted until 2026-08-01: Never loaded."
    assert "justification" not in statement


def test_of_two_entries_about_one_finding_the_one_that_excuses_stands_last() -> None:
    doubt = change(ENTRY, status=Status.UNDER_INVESTIGATION, justification=None)

    for order in ((ENTRY, doubt), (doubt, ENTRY)):
        assert [each["status"] for each in document(*order)["statements"]][-1] == "not_affected"


@given(st.permutations([ENTRY, change(ENTRY, package="openssl"), change(ENTRY, owner="@other")]))
def test_the_same_entries_give_the_same_bytes(entries: list[Exemption]) -> None:
    assert render(*entries).document == render(*sorted(entries, key=str)).document


@given(finding_sets)
def test_an_entry_is_stated_where_it_covers_a_package_and_nowhere_else(findings: tuple[Finding, ...]) -> None:
    purls = {(each.package_type, each.package): (f"pkg:{each.package}",) for each in findings}

    found = render_openvex([ENTRY], image="app", findings=findings, purls=purls, now=NOW)

    expected = {f"pkg:{each.package}" for each in findings if covers(ENTRY, "app", each, NOW.date())}
    statements = json.loads(found.document)["statements"]
    assert {product["@id"] for each in statements for product in each["products"]} == expected
