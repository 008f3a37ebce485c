"""Severity, identity and the two counts."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hullmark.finding import (
    Counts,
    Finding,
    Severity,
    count_findings,
    count_vulnerabilities,
    merge_same_identity,
)
from tests.strategies import findings

LIBSSL = Finding(
    id="CVE-2026-1", package_type="debian", package="libssl3t64", source="openssl", severity=Severity.HIGH
)
OPENSSL = msgspec.structs.replace(LIBSSL, package="openssl")


def test_unknown_has_no_rank_and_is_never_relevant() -> None:
    assert Severity.UNKNOWN.rank == 0
    assert [severity for severity in Severity if severity.is_relevant] == [
        Severity.CRITICAL,
        Severity.HIGH,
        Severity.MEDIUM,
    ]


def test_two_binaries_of_one_source_are_two_findings_and_one_vulnerability() -> None:
    assert count_findings([LIBSSL, OPENSSL]) == Counts(high=2)
    assert count_vulnerabilities([LIBSSL, OPENSSL]) == Counts(high=1)


def test_a_vulnerability_counts_at_its_worst_severity() -> None:
    worse = msgspec.structs.replace(OPENSSL, severity=Severity.CRITICAL)
    unrated = msgspec.structs.replace(OPENSSL, severity=Severity.UNKNOWN)

    assert count_vulnerabilities([LIBSSL, worse]) == Counts(critical=1)
    assert count_vulnerabilities([unrated, LIBSSL]) == Counts(high=1)


def test_two_installed_versions_are_one_finding_at_the_worst_severity() -> None:
    old = msgspec.structs.replace(LIBSSL, versions=("1",), fixed="3")
    new = msgspec.structs.replace(LIBSSL, versions=("2",), fixed="4", severity=Severity.CRITICAL)

    (merged,) = merge_same_identity([old, new])

    assert (merged.versions, merged.fixed, merged.severity) == (("1", "2"), "3, 4", Severity.CRITICAL)


@given(st.lists(findings(), max_size=10), st.randoms())
def test_order_of_findings_never_changes_the_merge(given_findings: list[Finding], random: object) -> None:
    """Law 8: order of findings, reports and images never changes an output byte."""
    shuffled = list(given_findings)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert merge_same_identity(shuffled) == merge_same_identity(given_findings)
