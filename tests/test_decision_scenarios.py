"""What happened to the original's images, and would happen to ours, judged by the strict policy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from hullmark.decision import (
    Age,
    Decision,
    Expected,
    SmokeResult,
    Touch,
    Touched,
    decide,
    explain,
    key_of,
)
from hullmark.decision.inputs import Kev, KevState
from hullmark.decision.packages import Move
from hullmark.finding import Cause, Finding, Package, Severity
from hullmark.policy import Preset, State, Verdict, parse_policy, preset
from hullmark.scan import Gap, GapReason
from tests.gates import (
    DEBIAN,
    NEVER,
    TODAY,
    exemption,
    finding,
    gate,
    image,
    judge,
    npm,
    package_of,
    rules,
    side,
)

GOLDEN = Path(__file__).parent / "golden"
change = msgspec.structs.replace


def debian(name: str, version: str = "1.0", source: str = "") -> Package:
    return Package(type="debian", name=name, version=version, source=source or name)


def test_an_update_that_deletes_the_product_is_blocked_however_many_findings_it_removes() -> None:
    """The original's postgres image very probably lost its server that way."""
    server = [finding(f"CVE-{n}", Severity.CRITICAL, "postgresql-18") for n in range(9)]
    one = image(
        side(*server, packages=[debian(f"p{n}") for n in range(9)]),
        side(packages=[debian(f"p{n}") for n in range(9)]),
        smoke=SmokeResult.FAILED,
        smoke_detail="postgres: not found",
    )
    decision = decide(gate(one))

    assert (decision.verdict, rules(decision)) == (Verdict.BLOCK, ["smoke-failed"])
    assert decision.deciding[0].details == ("postgres: not found",)


def test_deleting_the_records_of_all_packages_fixes_nothing() -> None:
    base = side(finding(), npm("CVE-2", Severity.LOW, "app/node_modules/tar"))
    head = change(
        side(unowned_elf=212),
        packages=tuple(package for package in base.packages if package.type == "node-pkg"),
    )

    assert rules(decide(gate(image(base, head)))) == ["coverage-shrank"]


def test_deleting_the_record_of_one_package_is_seen_by_its_programs() -> None:
    base = side(finding(), packages=[debian("zlib1g")])
    head = side(packages=[debian("zlib1g")], unowned_elf=3)
    decision = decide(gate(image(base, head)))

    assert (decision.verdict, rules(decision)) == (Verdict.REVIEW, ["unowned-rose"])
    assert decision.deciding[0].details == ("debian libxml2",)


def test_one_npm_copy_of_two_fixed_is_for_a_person_and_names_the_other_path() -> None:
    one, two = (npm("CVE-2026-7", Severity.HIGH, f"{place}/node_modules/tar") for place in ("app", "usr/lib"))
    fixed = Package(type="node-pkg", name="tar", version="7.5.3", path=one.path)
    decision = decide(gate(image(side(one, two), side(two, packages=[fixed]))))

    assert (decision.verdict, rules(decision)) == (Verdict.REVIEW, ["findings-differ"])
    (concern,) = decision.deciding[0].concerns
    assert concern.state is State.PERSISTING
    assert [(place.path, place.is_affected, place.head) for place in concern.places] == [
        ("app/node_modules/tar", False, ("7.5.3",)),
        ("usr/lib/node_modules/tar", True, ("6.2.1",)),
    ]


def test_a_second_binary_of_a_source_adds_no_vulnerability() -> None:
    first = finding("CVE-1", Severity.CRITICAL, "libssl3", source="openssl")
    decision = judge([first], [first, change(first, package="openssl")])

    assert (decision.verdict, rules(decision)) == (Verdict.REVIEW, ["critical-persists", "findings-differ"])


def test_a_split_package_is_carried_over() -> None:
    before = finding("CVE-1", Severity.HIGH, "libssl3", source="openssl")
    after = [change(before, package=name) for name in ("libssl3t64", "openssl-provider-legacy")]
    decision = judge([before], after)

    assert (decision.verdict, rules(decision)) == (Verdict.REVIEW, ["findings-differ"])


def test_a_ghsa_that_goes_on_as_a_cve_is_the_same_vulnerability() -> None:
    before = npm("GHSA-73rr-hh4g-fpgx", Severity.HIGH, "app/node_modules/diff")
    decision = judge([before], [change(before, id="CVE-2026-24001")])

    assert (decision.verdict, rules(decision)) == (Verdict.REVIEW, ["findings-differ"])
    assert decision.deciding[0].concerns[0].renamed_from == "GHSA-73rr-hh4g-fpgx"


def test_another_cve_of_the_same_package_is_another_vulnerability() -> None:
    before = npm("CVE-2026-1", Severity.HIGH, "app/node_modules/diff")

    assert rules(judge([before], [change(before, id="CVE-2026-24001")])) == ["introduces-high"]
    worse = change(before, id="GHSA-73rr-hh4g-fpgx", severity=Severity.CRITICAL)
    assert rules(judge([before], [worse])) == ["introduces-critical"]


def test_a_moved_package_is_the_same_vulnerability() -> None:
    before = npm("CVE-2026-1", Severity.HIGH, "app/node_modules/tar")
    decision = judge([before], [change(before, path="srv/node_modules/tar")])

    assert (decision.verdict, rules(decision)) == (Verdict.REVIEW, ["findings-differ"])


def test_kernel_headers_up_are_allowed_and_down_are_blocked() -> None:
    headers = [finding(f"CVE-{n}", Severity.MEDIUM, "linux-libc-dev", source="linux") for n in range(226)]
    old, new = (debian("linux-libc-dev", version, "linux") for version in ("6.12.1", "6.12.48"))
    base = change(side(*headers), packages=(debian("libc6"), old))
    head = change(side(*headers[:3]), packages=(debian("libc6"), new))

    assert rules(decide(gate(image(base, head)))) == ["relevant-fall"]
    down = decide(gate(image(head, base)))
    assert rules(down) == ["relevant-rise"]
    assert len(down.deciding[0].concerns) == 223
    assert down.deciding[0].concerns[0].places[0].base == ("6.12.48",)


def test_what_the_database_learned_since_is_told_and_never_blocks() -> None:
    known, disclosed = finding("CVE-1", Severity.MEDIUM), finding("CVE-2", Severity.CRITICAL)
    rated = change(known, severity=Severity.LOW)
    same = side(known, disclosed)
    decision = decide(gate(image(same, same, recorded=(rated,))))

    assert (decision.verdict, rules(decision)) == (Verdict.REVIEW, ["critical-persists"])
    assert [(one.id, one.disclosed) for one in decision.outcomes[0].disclosed] == [
        ("CVE-2", Cause.DATABASE),
        ("CVE-1", Cause.RATING),
    ]


def test_a_fix_that_became_known_is_told_and_never_judged() -> None:
    """So is one that head's release has and base's has not; what was fixable all the time is not news."""
    old, new = finding("CVE-1"), finding("CVE-2", fixed="2")
    same = side(change(old, fixed="1.1"), new)
    decision = decide(gate(image(same, same, recorded=(old, new))))

    assert rules(decision) == ["nothing-changed"]
    assert [one.id for one in decision.outcomes[0].now_fixable] == ["CVE-1"]
    assert "app (linux/amd64): in base too, and a fix is known now: CVE-1." in explain(decision)
    (moved,) = judge([old, new], [change(old, fixed="1.1"), new]).outcomes
    assert [one.id for one in moved.now_fixable] == ["CVE-1"]
    assert decide(gate(image(same, same, recorded=()))).outcomes[0].now_fixable == ()


def test_what_a_rebuild_of_base_brought_is_of_cause_rebuild_and_not_judged() -> None:
    """The same inputs, another package: neither the change nor the database brought it."""
    stays, brought = finding("CVE-1", Severity.MEDIUM), finding("CVE-2", Severity.CRITICAL, "libxslt")
    learned = finding("CVE-3", Severity.MEDIUM)
    base = side(stays, brought, learned)
    then = (*(package for package in base.packages if package.name != "libxslt"), debian("libxslt", "0.9"))
    decision = decide(gate(image(base, base, recorded=(stays,), recorded_packages=then)))

    assert (decision.verdict, rules(decision)) == (Verdict.REVIEW, ["critical-persists"])
    (outcome,) = decision.outcomes
    assert [(one.id, one.disclosed) for one in outcome.disclosed] == [
        ("CVE-2", Cause.REBUILD),
        ("CVE-3", Cause.DATABASE),
    ]
    (drift,) = outcome.drift
    assert (drift.name, drift.move, drift.introduces) == ("libxslt", Move.UP, ("CVE-2",))
    text = "\n".join(explain(decision))
    assert "not of this change, but of the rebuild of base: CVE-2." in text
    assert "(cause `rebuild`, not judged): libxslt 0.9 -> 1.0 (newer): introduces CVE-2." in text
    assert "brought by the rebuild of base, not by this change" in text


def test_database_drift_alone_is_nothing_changed() -> None:
    same = side(finding("CVE-2", Severity.HIGH))
    decision = decide(gate(image(same, same, recorded=())))

    assert (decision.verdict, rules(decision)) == (Verdict.REVIEW, ["nothing-changed"])


def test_a_rule_may_ask_a_person_about_what_was_disclosed_or_rated_higher() -> None:
    policy = parse_policy(
        b"""preset = "ratchet"
        [[rules]]
        name = "disclosed-critical"
        verdict = "review"
        when.some = { state = "introduced", cause = "database", severity = ["CRITICAL"] }
        """,
        file="policy.toml",
    )
    same = side(finding("CVE-2", Severity.CRITICAL))

    assert rules(decide(gate(image(same, same, recorded=()), policy=policy))) == ["disclosed-critical"]
    assert rules(decide(gate(image(same, same, recorded=same.findings), policy=policy))) == ["never-worse"]


def test_a_rating_that_rises_by_the_change_counts_as_introduced() -> None:
    """Another release rates the same vulnerability of the same source otherwise."""
    before = finding("CVE-1", Severity.MEDIUM)

    assert rules(judge([before], [change(before, severity=Severity.CRITICAL)])) == ["introduces-critical"]
    assert rules(judge([before], [change(before, severity=Severity.HIGH)])) == ["introduces-high"]


def test_a_point_release_is_allowed_when_relevant_vulnerabilities_fall() -> None:
    old = [finding(f"CVE-{n}", Severity.HIGH, f"lib{n}") for n in range(12)]
    new = [change(one, versions=("1.0+deb13u1",)) for one in old[6:]]
    packages = [debian(f"lib{n}", "1.0+deb13u1") for n in range(12)]

    assert rules(decide(gate(image(side(*old), side(*new, packages=packages))))) == ["relevant-fall"]


def test_a_better_update_passes_beside_an_old_critical_only_by_a_person() -> None:
    """P3: the original blocked the very update that would have improved the image."""
    old, fixed = finding("CVE-2025-68121", Severity.CRITICAL, "stdlib"), finding("CVE-1", Severity.HIGH)
    decision = judge([old, fixed], [old])

    assert (decision.verdict, rules(decision)) == (Verdict.REVIEW, ["critical-persists"])
    assert judge([old, fixed], [old], policy=preset(Preset.RATCHET)).verdict is Verdict.ALLOW


def test_images_that_join_and_leave_are_for_a_person() -> None:
    joins = image(NEVER, side(finding()), "new", expected=Expected.HEAD_ONLY)
    leaves = image(side(finding()), NEVER, "old", expected=Expected.BASE_ONLY)
    decision = decide(gate(joins, leaves, expected=()))

    assert (decision.verdict, rules(decision)) == (Verdict.REVIEW, ["no-base", "retired"])
    assert [reason.image for reason in decision.deciding] == ["new", "old"]


def test_a_change_cannot_weaken_its_own_gate() -> None:
    """P8: base judges; head's policy, exemptions and records are only seen to have changed."""
    bad = image(side(packages=[package_of(finding())]), side(finding()))
    touched = (Touch(Touched.POLICY, "hullmark.toml"), Touch(Touched.WORKFLOWS, ".github/workflows/x.yml"))

    assert decide(gate(bad, touched=touched)).verdict is Verdict.BLOCK
    partly = gate(bad, touched=touched, added_exemptions=(exemption("CVE-OTHER"),))
    assert decide(partly).verdict is Verdict.BLOCK


def test_a_grace_period_counts_from_the_day_on_which_a_fix_was_known() -> None:
    policy = parse_policy(
        b"""preset = "strict"
        [[rules]]
        name = "fixable-for-a-month"
        verdict = "block"
        when.some = { state = "present", at_least = "HIGH", fix = true, fix_age = 30 }
        """,
        file="policy.toml",
    )
    gone, kept = finding("CVE-1", Severity.MEDIUM), finding("CVE-2", Severity.HIGH, fixed="2.0")

    def after(days: int) -> list[str]:
        since = TODAY.fromordinal(TODAY.toordinal() - days)
        age = Age(key=key_of(kept), first_seen=since, fix_since=since)
        packages = (package_of(gone), package_of(kept))
        one = image(side(gone, kept), side(kept, packages=packages), ages=(age,))
        return rules(decide(gate(one, policy=policy)))

    assert after(29) == ["relevant-fall"]
    assert after(30) == ["fixable-for-a-month"]


def told(decision: Decision) -> str:
    return "\n".join(explain(decision)) + "\n"


def compare_with_golden(name: str, text: str) -> None:
    """Compare with a file that is written anew with REWRITE_GOLDEN=1, and read in review."""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("REWRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text


def test_a_decision_is_told_so_that_a_newcomer_understands_it() -> None:
    worse = finding("CVE-2026-40", Severity.CRITICAL, "libssl3t64", source="openssl", versions=("3.5.1",))
    fixable = change(worse, fixed="3.5.2")
    kept = debian("libssl3t64", "3.5.2", "openssl")
    copies = [npm("CVE-2026-7", Severity.HIGH, f"{place}/node_modules/tar") for place in ("app", "usr")]
    accepted = exemption("CVE-2026-9", expires=TODAY.replace(year=2027), images=("*",))
    before = [finding("CVE-2026-9"), finding("CVE-2026-3", Severity.MEDIUM, "zlib1g")]
    fixed = Package(type="node-pkg", name="tar", version="7.5.3", path=copies[0].path)
    decision = decide(
        gate(
            image(
                change(side(*before), packages=(*side(*before).packages, kept)),
                side(before[0], fixable),
                "postgres-secured",
                recorded=(before[1],),
            ),
            image(side(*copies), side(copies[1], packages=[fixed]), "web"),
            image(side(), side(), "worker", unchanged=True),
            image(
                side(),
                side(coverage=change(DEBIAN, gaps=(Gap(GapReason.NO_JAVA_DATABASE),))),
                "jobs",
            ),
            exemptions=(accepted, exemption("CVE-2026-3", package="", images=("post*",), expires=TODAY)),
            touched=(Touch(Touched.SMOKE_TESTS, "images/web/smoke.sh"),),
            kev=Kev(state=KevState.FRESH, ids=("CVE-2026-7",)),
        )
    )

    compare_with_golden("decision-block", told(decision))


def test_an_allowed_change_is_told_with_what_it_resolves() -> None:
    gone = finding("CVE-2026-3", Severity.MEDIUM, "zlib1g", versions=("1.2",))
    one: Any = image(side(gone), side(packages=[debian("zlib1g", "1.3")]))

    compare_with_golden("decision-allow", told(decide(gate(one))))


def test_every_rule_that_hullmark_brings_is_told_in_a_sentence_of_its_own() -> None:
    every = [rule for name in Preset for rule in (*preset(name).ground, *preset(name).rules)]

    assert all(rule.means.endswith(".") and len(rule.means) < 110 for rule in every)


def test_one_finding_more_or_less_is_never_lost() -> None:
    """Every vulnerability of either side is among the concerns of the comparison exactly once."""
    base: list[Finding] = [finding(f"CVE-{n}", Severity.LOW) for n in range(4)]
    decision = judge(base, base[2:])

    assert [concern.id for concern in decision.deciding[0].concerns] == ["CVE-0", "CVE-1"]
