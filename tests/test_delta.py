"""Comparison of two sets of findings, and the causes of their differences."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullmark.delta import Pairing, compare, name_causes
from hullmark.finding import Cause, Finding, Severity
from tests.strategies import finding_sets
from tests.values import HIGH as OPENSSL

TAR = Finding(
    id="CVE-2026-2",
    package_type="node-pkg",
    package="tar",
    path="app/a",
    severity=Severity.MEDIUM,
    versions=("6.2.1",),
)
change = msgspec.structs.replace


def test_an_image_compared_with_itself_has_only_persisting_findings() -> None:
    delta = compare([OPENSSL, TAR], [TAR, OPENSSL])

    assert (delta.introduced, delta.resolved, len(delta.pairs)) == ((), (), 2)
    assert {pair.how for pair in delta.pairs} == {Pairing.SAME}


def test_another_installed_version_is_the_same_finding() -> None:
    delta = compare([OPENSSL], [change(OPENSSL, versions=("3.5.2",))])

    assert [pair.how for pair in delta.pairs] == [Pairing.SAME]


def test_the_same_version_at_another_path_has_moved() -> None:
    delta = compare([TAR], [change(TAR, path="app/b")])

    assert [pair.how for pair in delta.pairs] == [Pairing.MOVED]


def test_another_version_at_another_path_is_another_finding() -> None:
    delta = compare([TAR], [change(TAR, path="app/b", versions=("6.2.2",))])

    assert (len(delta.introduced), len(delta.resolved)) == (1, 1)


def test_a_ghsa_that_becomes_a_cve_is_renamed() -> None:
    delta = compare([change(TAR, id="GHSA-aaaa")], [TAR])

    assert [pair.how for pair in delta.pairs] == [Pairing.RENAMED]


def test_two_cves_of_one_package_are_never_a_rename() -> None:
    delta = compare([TAR], [change(TAR, id="CVE-2026-3")])

    assert delta.pairs == ()


def test_a_rename_is_found_behind_a_candidate_of_the_wrong_scheme() -> None:
    gone = [TAR, change(TAR, id="GHSA-aaaa")]
    delta = compare(gone, [change(TAR, id="CVE-2026-3")])

    assert [(pair.base.id, pair.head.id) for pair in delta.pairs] == [("GHSA-aaaa", "CVE-2026-3")]


def test_a_binary_package_of_the_same_source_carries_a_finding_over() -> None:
    delta = compare([OPENSSL], [change(OPENSSL, package="libssl3", severity=Severity.LOW)])

    assert [pair.how for pair in delta.pairs] == [Pairing.CARRIED_OVER]
    assert len(delta.rerated) == 1


def test_a_second_binary_of_a_known_vulnerability_is_not_paired_twice() -> None:
    delta = compare([OPENSSL], [change(OPENSSL, package="a"), change(OPENSSL, package="b")])

    assert (len(delta.pairs), len(delta.introduced)) == (1, 1)


def test_a_fix_that_appears_is_now_fixable() -> None:
    assert len(compare([TAR], [change(TAR, fixed="6.2.2")]).now_fixable) == 1


@given(finding_sets, finding_sets)
def test_every_finding_of_either_side_is_in_exactly_one_part(
    base: tuple[Finding, ...], head: tuple[Finding, ...]
) -> None:
    delta = compare(base, head)

    assert sorted(f.identity for f in [*delta.resolved, *(pair.base for pair in delta.pairs)]) == sorted(
        f.identity for f in base
    )
    assert sorted(f.identity for f in [*delta.introduced, *(pair.head for pair in delta.pairs)]) == sorted(
        f.identity for f in head
    )


@given(finding_sets, finding_sets, st.randoms())
def test_order_of_findings_never_changes_the_delta(
    base: tuple[Finding, ...], head: tuple[Finding, ...], random: object
) -> None:
    """Law 8: order of findings, reports and images never changes an output byte."""
    shuffled_base, shuffled_head = list(base), list(head)
    random.shuffle(shuffled_base)  # type: ignore[attr-defined]
    random.shuffle(shuffled_head)  # type: ignore[attr-defined]

    assert compare(shuffled_base, shuffled_head) == compare(base, head)


def test_what_the_old_base_shows_today_was_disclosed_and_the_rest_came_with_the_image() -> None:
    disclosed = change(OPENSSL, id="CVE-2026-9")
    added = change(OPENSSL, id="CVE-2026-8", package="new", source="new")
    delta = compare([OPENSSL], [OPENSSL, disclosed, added])

    causes = name_causes(delta, [OPENSSL, disclosed])

    assert causes.introduced == {disclosed.identity: Cause.DATABASE, added.identity: Cause.IMAGE}


def test_what_the_old_base_no_longer_shows_was_withdrawn() -> None:
    delta = compare([OPENSSL, TAR], [])

    causes = name_causes(delta, [TAR])

    assert causes.resolved == {OPENSSL.identity: Cause.DATABASE, TAR.identity: Cause.IMAGE}


def test_what_appears_where_coverage_widened_was_not_introduced_by_anybody() -> None:
    delta = compare([], [OPENSSL])

    assert set(name_causes(delta, [], widened=True).introduced.values()) == {Cause.SCOPE}


@pytest.mark.parametrize(
    ("knowledge", "base_today", "cause"),
    [
        (Cause.DATABASE, Severity.CRITICAL, Cause.RATING),
        (Cause.SCANNER, Severity.CRITICAL, Cause.SCANNER),
        (Cause.DATABASE, Severity.HIGH, Cause.IMAGE),
    ],
)
def test_a_rerating_is_of_the_database_unless_the_base_keeps_its_severity(
    knowledge: Cause, base_today: Severity, cause: Cause
) -> None:
    head = change(OPENSSL, severity=Severity.CRITICAL)
    delta = compare([OPENSSL], [head])

    causes = name_causes(delta, [change(OPENSSL, severity=base_today)], knowledge=knowledge)

    assert causes.rerated == {head.identity: cause}
