"""Which packages changed, and which vulnerabilities that brought or took away."""

from __future__ import annotations

import pytest

from hullmark.decision import Move, PackageChange, Side, decide, group_packages, tell_packages
from hullmark.decision.packages import compare_packages
from hullmark.finding import Package, Severity
from tests.gates import finding, gate, image, npm, package_of, side


def package(name: str, version: str, type_: str = "debian", path: str = "", source: str = "") -> Package:
    return Package(type=type_, name=name, version=version, path=path, source=source)


def changes(base: list[Package], head: list[Package]) -> list[tuple[str, str]]:
    return [(one.name, one.move.value) for one in compare_packages(base, head, ())]


@pytest.mark.parametrize(
    ("type_", "before", "after", "move"),
    [
        ("debian", "1.0", "1.0+deb13u1", Move.UP),
        ("debian", "2:1.0", "1:9.0", Move.DOWN),
        ("debian", "1.0~rc1", "1.0", Move.UP),
        ("ubuntu", "1.10", "1.9", Move.DOWN),
        ("debian", "not a version", "1.0", Move.CHANGED),
        ("node-pkg", "6.2.1", "7.5.3", Move.UP),
        ("node-pkg", "1.10.0", "1.9.9", Move.DOWN),
        ("gobinary", "v1.24.1", "v1.25.0", Move.UP),
        ("python-pkg", "1.0rc1", "1.0", Move.CHANGED),
        ("python-pkg", "unknown", "1.0", Move.CHANGED),
    ],
)
def test_where_nobody_can_say_which_of_two_versions_is_newer_the_change_has_no_direction(
    type_: str, before: str, after: str, move: Move
) -> None:
    assert changes([package("p", before, type_)], [package("p", after, type_)]) == [("p", move.value)]


def test_a_package_is_what_it_is_called_where_it_lies() -> None:
    app, usr = (package("tar", "1", "node-pkg", path) for path in ("app/tar", "usr/tar"))

    assert changes([app], [usr]) == [("tar", "removed"), ("tar", "added")]
    assert changes([app, usr], [usr, app]) == []
    assert changes([app], [app, package("tar", "1")]) == [("tar", "added")]
    two = [app, package("tar", "2", "node-pkg", "app/tar")]
    assert changes([app], two) == [("tar", "changed")]


def test_what_a_package_brings_or_takes_away_is_what_the_comparison_calls_introduced_or_resolved_there() -> (
    None
):
    gone = finding("CVE-1", Severity.LOW, "libssl3", source="openssl")
    second = finding("CVE-2", Severity.LOW, "libssl3", source="openssl")
    new = finding("CVE-3", Severity.LOW, "zlib1g", versions=("2.0",))
    kept = [package("zlib1g", "1.0", source="zlib1g"), package("libssl3", "1.0", source="openssl")]
    base = side(gone, second, packages=kept)
    head = side(second, new, packages=[package("openssl-extra", "1.0", source="openssl")])
    (outcome,) = decide(gate(image(base, head))).outcomes

    told = {one.name: (one.move, one.introduces, one.resolves) for one in outcome.packages}
    assert told == {
        "openssl-extra": (Move.ADDED, (), ()),
        "zlib1g": (Move.UP, ("CVE-3",), ()),
    }


def test_what_it_only_carries_too_or_no_longer_carries_though_another_does_is_told_apart() -> None:
    one = npm("CVE-1", Severity.HIGH, "app/tar", "6.2.1")
    two = npm("CVE-1", Severity.HIGH, "usr/tar", "6.2.1")
    fixed = package("tar", "7.5.3", "node-pkg", "app/tar")

    def told(base: Side, head: Side) -> list[str]:
        return [
            tell_packages(group)
            for outcome in decide(gate(image(base, head))).outcomes
            for group in group_packages(outcome.packages)
        ]

    assert told(side(one, two), side(two, packages=[fixed])) == [
        "tar at app/tar 6.2.1 -> 7.5.3 (newer): no longer carries CVE-1, which another package still does"
    ]
    assert told(side(two), side(one, two)) == [
        "tar at app/tar 6.2.1 added: carries CVE-1 too, as another package of base did"
    ]


def test_packages_of_one_source_that_changed_together_are_one_change() -> None:
    def change(name: str, resolves: tuple[str, ...]) -> PackageChange:
        return PackageChange(
            type="debian",
            name=name,
            source="openssl",
            move=Move.UP,
            base=("1",),
            head=("2",),
            resolves=resolves,
        )

    ids = tuple(f"CVE-{n}" for n in range(7))
    (group,) = group_packages([change("openssl", ids[:2]), change("libssl3", ids)])

    assert (group.packages, group.resolves) == (("libssl3", "openssl"), ids)
    assert tell_packages(group) == (
        "openssl (libssl3, openssl) 1 -> 2 (newer): resolves CVE-0, CVE-1, CVE-2, CVE-3, CVE-4 and 2 more"
    )


def test_a_distribution_upgrade_is_explained_by_its_packages() -> None:
    old = [finding(f"CVE-{n}", Severity.HIGH, f"lib{n}", versions=("1",), source=f"lib{n}") for n in range(9)]
    new = [package(f"lib{n}", "2", source=f"lib{n}") for n in range(9)]
    decision = decide(gate(image(side(*old), side(packages=new))))

    resolved = {id_ for one in decision.outcomes[0].packages for id_ in one.resolves}
    assert resolved == {one.id for one in old}
    assert package_of(old[0]).version == "1"
