"""The strict table of the gate, row by row and in combination."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hullmark.decision import (
    CanaryResult,
    Expected,
    GateInputs,
    ImageInputs,
    Kev,
    KevState,
    Missing,
    Seen,
    Side,
    Silence,
    SmokeResult,
    Touch,
    Touched,
    Unusable,
    decide,
)
from hullmark.decision.inputs import Absence
from hullmark.errors import UsageError
from hullmark.finding import Finding, Kind, Package, Severity, merge_same_identity
from hullmark.policy import Preset, Remedy, State, Verdict, preset
from hullmark.scan import Coverage, Gap, GapReason, Note, NoteReason, System
from hullmark.vex import Status
from tests.gates import (
    DATABASE,
    DEBIAN,
    LIBC,
    NEVER,
    NOT_BUILT,
    NOW,
    TODAY,
    exemption,
    finding,
    gate,
    image,
    judge,
    package_of,
    rules,
    side,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

CRITICAL, HIGH, MEDIUM, LOW, UNKNOWN = (finding(f"CVE-{severity.value}", severity) for severity in Severity)
MORE_MEDIUM = finding("CVE-MEDIUM-2", Severity.MEDIUM)
EVEN_MORE = finding("CVE-MEDIUM-3", Severity.MEDIUM)
NO_JAVA = Gap(GapReason.NO_JAVA_DATABASE)
change = msgspec.structs.replace


def better(**fields: Any) -> ImageInputs:  # noqa: ANN401 - fields of the image
    """An image that would be allowed."""
    sides = {"base": side(MEDIUM), "head": side(packages=[package_of(MEDIUM)])}
    return image(**(sides | fields))


def verdict_and_rules(inputs: GateInputs) -> tuple[str, list[str]]:
    decision = decide(inputs)
    return decision.verdict.value, rules(decision)


def test_a_change_that_only_removes_a_relevant_vulnerability_is_allowed() -> None:
    assert verdict_and_rules(gate(better())) == ("allow", ["relevant-fall"])


@pytest.mark.parametrize(
    ("one", "rule"),
    [
        (better(head=NOT_BUILT), "not-built"),
        (better(head=Missing(reason=Absence.NOT_SCANNED)), "not-scanned"),
        (better(smoke=SmokeResult.FAILED, smoke_detail="no answer on 5432"), "smoke-failed"),
        (better(smoke=SmokeResult.NOT_RUN), "smoke-not-run"),
        (better(base=NEVER, smoke=SmokeResult.FAILED), "smoke-failed"),
        (
            better(head=side(packages=[package_of(MEDIUM)], coverage=change(DEBIAN, gaps=(NO_JAVA,)))),
            "coverage-shrank",
        ),
    ],
)
def test_what_base_and_head_expect_must_be_built_scanned_and_work(one: ImageInputs, rule: str) -> None:
    assert verdict_and_rules(gate(one)) == ("block", [rule])


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"canary": CanaryResult.WRONG}, "canary-wrong"),
        ({"policy": Unusable("hullmark.toml", "policy.rules: a policy without rules")}, "policy-unusable"),
        ({"unusable": (Unusable("exemptions.toml", "not TOML"),)}, "policy-unusable"),
        ({"touched": (Touch(Touched.RECORDS, "audit-logs/app.md"),)}, "records-changed"),
        ({"expected": ("app linux/amd64", "app linux/arm64")}, "not-scanned"),
    ],
)
def test_what_is_wrong_with_the_whole_change_blocks_whatever_the_images_say(
    fields: dict[str, Any], rule: str
) -> None:
    for one in (better(), better(unchanged=True), image(side(), side())):
        assert verdict_and_rules(gate(one, **fields)) == ("block", [rule])


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (image(NEVER, side(CRITICAL)), ["no-base"]),
        (image(Missing(reason=Absence.NO_CONFIGURATION), side(CRITICAL)), ["no-base"]),
        (image(side(), side(CRITICAL), expected=Expected.HEAD_ONLY), ["no-base"]),
        (image(NEVER, NOT_BUILT, expected=Expected.HEAD_ONLY), ["no-base", "new-image-unproved"]),
        (
            image(NEVER, side(), expected=Expected.HEAD_ONLY, smoke=SmokeResult.FAILED),
            ["no-base", "new-image-unproved"],
        ),
    ],
)
def test_a_first_scan_is_for_a_person(one: ImageInputs, expected: list[str]) -> None:
    assert verdict_and_rules(gate(one)) == ("review", expected)


@pytest.mark.parametrize(
    ("base", "head", "verdict", "expected"),
    [
        ([], [CRITICAL], "block", ["introduces-critical", "relevant-rise"]),
        ([MEDIUM, MORE_MEDIUM, HIGH], [CRITICAL], "block", ["introduces-critical"]),
        ([change(CRITICAL, severity=Severity.HIGH)], [CRITICAL], "block", ["introduces-critical"]),
        ([], [MEDIUM], "block", ["relevant-rise"]),
        ([], [HIGH], "block", ["relevant-rise", "introduces-high"]),
        ([MEDIUM], [HIGH], "block", ["introduces-high"]),
        ([change(HIGH, severity=Severity.MEDIUM)], [HIGH], "block", ["introduces-high"]),
        ([change(HIGH, severity=Severity.UNKNOWN)], [HIGH], "block", ["relevant-rise", "introduces-high"]),
        ([CRITICAL, MEDIUM], [CRITICAL], "review", ["critical-persists"]),
        ([CRITICAL], [CRITICAL], "review", ["critical-persists"]),
        ([CRITICAL, MEDIUM], [CRITICAL, LOW], "review", ["critical-persists"]),
        ([MEDIUM, MORE_MEDIUM], [HIGH], "review", ["introduces-high-while-falling"]),
        (
            [CRITICAL, MEDIUM],
            [CRITICAL, HIGH, UNKNOWN],
            "block",
            ["introduces-high"],
        ),
        (
            [CRITICAL, MEDIUM, MORE_MEDIUM, EVEN_MORE],
            [CRITICAL, HIGH, UNKNOWN],
            "review",
            ["critical-persists", "introduces-high-while-falling", "introduces-unknown"],
        ),
        ([MEDIUM], [UNKNOWN], "review", ["introduces-unknown"]),
        ([], [UNKNOWN], "review", ["introduces-unknown", "findings-differ"]),
        ([MEDIUM], [], "allow", ["relevant-fall"]),
        ([MEDIUM, UNKNOWN], [UNKNOWN], "allow", ["relevant-fall"]),
        ([HIGH], [change(HIGH, severity=Severity.LOW)], "allow", ["relevant-fall"]),
        ([CRITICAL], [change(CRITICAL, severity=Severity.HIGH)], "review", ["findings-differ"]),
        ([MEDIUM], [LOW], "allow", ["relevant-fall"]),
        ([], [LOW], "review", ["findings-differ"]),
        ([LOW], [], "review", ["findings-differ"]),
        ([MEDIUM], [MORE_MEDIUM], "review", ["findings-differ"]),
        ([], [], "review", ["nothing-changed"]),
        ([HIGH, UNKNOWN], [HIGH, UNKNOWN], "review", ["nothing-changed"]),
    ],
)
def test_the_first_matching_row_gives_the_verdict_and_every_row_of_it_is_a_reason(
    base: list[Finding], head: list[Finding], verdict: str, expected: list[str]
) -> None:
    decision = judge(base, head)

    assert (decision.verdict.value, rules(decision)) == (verdict, expected)


@pytest.mark.parametrize("touched", [what for what in Touched if what is not Touched.RECORDS])
def test_what_changes_what_judges_is_for_a_person(touched: Touched) -> None:
    inputs = gate(better(), touched=(Touch(touched, "some/file"),))
    decision = decide(inputs)

    assert (decision.verdict, rules(decision)) == (Verdict.REVIEW, [f"{touched.value}-changed"])
    assert decision.deciding[0].details == ("some/file",)
    assert [reason.rule for reason in decision.reasons_of(decision.outcomes[0])] == ["relevant-fall"]


def test_a_retired_image_is_for_a_person() -> None:
    assert verdict_and_rules(gate(better(expected=Expected.BASE_ONLY))) == ("review", ["retired"])


def test_declared_gaps_narrow_coverage_and_are_for_a_person() -> None:
    head = side(packages=[package_of(MEDIUM)], coverage=change(DEBIAN, gaps=(NO_JAVA,)))
    one = image(side(MEDIUM), head, declared=(NO_JAVA,))

    assert verdict_and_rules(gate(one)) == ("review", ["coverage-narrowed"])


@pytest.mark.parametrize(
    ("updated", "old"),
    [
        (NOW - timedelta(days=7), False),
        (NOW - timedelta(days=7, seconds=1), True),
        (NOW + timedelta(days=1), False),
    ],
)
def test_an_old_database_is_for_a_person_unless_it_is_a_sample(updated: datetime, *, old: bool) -> None:
    text = updated.astimezone(UTC).isoformat()
    database = change(DATABASE, updated_at=text)

    assert rules(decide(gate(better(), database=database))) == (
        ["database-old"] if old else ["relevant-fall"]
    )
    assert rules(decide(gate(better(), database=change(database, sample=True)))) == ["relevant-fall"]


def test_a_database_without_a_date_is_old() -> None:
    assert rules(decide(gate(better(), database=change(DATABASE, updated_at="")))) == ["database-old"]


@pytest.mark.parametrize(
    ("kev", "head", "expected"),
    [
        (Kev(), [LOW], ["relevant-fall"]),
        (Kev(state=KevState.FRESH, ids=(LOW.id,)), [LOW], ["known-exploited"]),
        (Kev(state=KevState.FRESH, ids=(MEDIUM.id,)), [LOW], ["relevant-fall"]),
        (Kev(state=KevState.STALE, ids=(LOW.id,)), [LOW], ["kev-unknown", "known-exploited"]),
        (Kev(state=KevState.STALE), [LOW], ["kev-unknown"]),
    ],
)
def test_known_exploited_vulnerabilities_are_for_a_person(
    kev: Kev, head: list[Finding], expected: list[str]
) -> None:
    assert rules(judge([MEDIUM, LOW], head, kev=kev)) == expected


class TestExemptions:
    """Accepted risks at the gate."""

    def test_one_in_force_covers_a_finding_on_both_sides(self) -> None:
        accepted = (exemption(CRITICAL.id),)
        decision = judge([CRITICAL, MEDIUM], [CRITICAL], exemptions=accepted)

        assert (decision.verdict, rules(decision)) == (Verdict.ALLOW, ["relevant-fall"])
        (applied,) = decision.outcomes[0].exempted
        assert (applied.exemption, applied.base, applied.head) == (accepted[0], 1, 1)
        assert judge([MEDIUM, CRITICAL], [MEDIUM], exemptions=accepted).verdict is Verdict.REVIEW

    def test_one_that_expired_stops_applying_the_same_day_and_is_named(self) -> None:
        entry = exemption(CRITICAL.id, expires=TODAY)
        decision = judge([CRITICAL, MEDIUM], [CRITICAL], exemptions=(entry,))

        assert rules(decision) == ["critical-persists"]
        assert decision.outcomes[0].expired == (entry,)

    def test_days_are_those_of_utc(self) -> None:
        entry = exemption(CRITICAL.id, expires=date(2026, 11, 25))
        late = datetime.fromisoformat("2026-11-24T22:00:00-05:00")

        assert judge([], [CRITICAL], exemptions=(entry,)).verdict is not Verdict.BLOCK
        assert judge([], [CRITICAL], exemptions=(entry,), now=late).verdict is Verdict.BLOCK

    def test_one_for_one_binary_leaves_the_others(self) -> None:
        two = [HIGH, change(HIGH, package="libxml2-utils")]

        assert (
            judge([], two, exemptions=(exemption(HIGH.id, package="libxml2-utils"),)).verdict is Verdict.BLOCK
        )
        assert judge([], two, exemptions=(exemption(HIGH.id, package="libxml2*"),)).verdict is Verdict.REVIEW

    def test_those_added_by_the_change_turn_a_block_into_a_review_when_they_cover_every_cause(self) -> None:
        entries = (exemption(CRITICAL.id), exemption(HIGH.id))
        decision = judge([], [CRITICAL, HIGH], added_exemptions=entries)

        assert (decision.verdict, rules(decision)) == (
            Verdict.REVIEW,
            ["exempted-by-change", "findings-differ"],
        )
        assert decision.deciding[0].details == (CRITICAL.id, HIGH.id)

    @pytest.mark.parametrize(
        "entries",
        [
            (exemption(CRITICAL.id),),
            (exemption(CRITICAL.id), exemption(HIGH.id, expires=TODAY)),
            (exemption(CRITICAL.id), exemption(HIGH.id, images=("other",))),
            (exemption(CRITICAL.id), exemption(HIGH.id, images=("*",), package="")),
            (exemption(CRITICAL.id), exemption(HIGH.id, status=Status.UNDER_INVESTIGATION)),
        ],
    )
    def test_those_that_leave_a_cause_uncovered_or_are_not_complete_change_nothing(
        self, entries: tuple[Any, ...]
    ) -> None:
        assert judge([], [CRITICAL, HIGH], added_exemptions=entries).verdict is Verdict.BLOCK

    def test_they_excuse_no_failing_smoke_test(self) -> None:
        one = image(side(packages=[package_of(HIGH)]), side(HIGH), smoke=SmokeResult.FAILED)

        assert rules(decide(gate(one, added_exemptions=(exemption(HIGH.id),)))) == ["smoke-failed"]


class TestBlindness:
    """Findings that vanish because nobody can see them any more."""

    def blind(self, **head: Any) -> list[str]:  # noqa: ANN401 - fields of the side
        base = side(MEDIUM, packages=[Package(type="debian", name=f"p{n}", version="1") for n in range(3)])
        values = {"packages": base.packages[1:-1], **head}
        return rules(decide(gate(image(base, side(**values)))))

    def test_a_package_that_goes_with_its_files_is_fixed(self) -> None:
        assert self.blind() == ["relevant-fall"]

    def test_a_package_that_goes_while_its_programs_stay_is_for_a_person(self) -> None:
        assert self.blind(unowned_elf=1) == ["unowned-rose"]

    def test_packages_that_collapse_are_for_a_person(self) -> None:
        assert self.blind(packages=()) == ["packages-collapsed"]

    def test_a_release_that_gets_no_more_advisories_is_for_a_person(self) -> None:
        ended = change(DEBIAN, notes=(Note(NoteReason.END_OF_LIFE),))

        assert self.blind(coverage=ended) == ["end-of-life"]

    def test_an_operating_system_that_vanishes_from_the_records_blocks(self) -> None:
        assert self.blind(coverage=Coverage()) == ["coverage-shrank"]

    def test_all_packages_of_the_operating_system_gone_block(self) -> None:
        """The image lost `/var/lib/dpkg`; another kind of package is still seen."""
        base = side(MEDIUM, CRITICAL)
        head = change(side(unowned_elf=40), packages=(Package(type="node-pkg", name="tar", version="7"),))

        decision = decide(gate(image(base, head)))
        assert rules(decision) == ["coverage-shrank"]
        assert decision.deciding[0].details == ("missing-type: debian",)
        declared = image(base, head, declared=(Gap(GapReason.MISSING_TYPE, "debian"),))
        assert rules(decide(gate(declared))) == ["coverage-narrowed", "unowned-rose", "type-vanished"]

    def test_no_packages_at_all_block_although_the_scan_says_nothing(self) -> None:
        head = change(side(), packages=())

        assert rules(decide(gate(image(side(MEDIUM), head)))) == ["coverage-shrank"]

    def test_another_package_type_that_vanishes_is_for_a_person(self) -> None:
        base = side(MEDIUM, packages=[Package(type="node-pkg", name="tar", version="6")])

        assert rules(decide(gate(image(base, side(packages=[package_of(MEDIUM)]))))) == ["type-vanished"]

    def test_another_distribution_is_for_a_person(self) -> None:
        alpine = Coverage(system=System("alpine", "3.22"))
        head = change(side(coverage=alpine), packages=(Package(type="alpine", name="musl", version="1"),))

        assert rules(decide(gate(image(side(MEDIUM), head)))) == ["type-vanished"]


class TestCoverageThatWidens:
    """Base could not look at something that head can."""

    jar = finding("CVE-JAR", Severity.CRITICAL, "log4j", package_type="jar", source="")
    blind = change(DEBIAN, gaps=(NO_JAVA,))

    def test_what_appears_is_of_cause_scope_and_neither_blocks_nor_counts(self) -> None:
        base = side(MEDIUM, coverage=self.blind)
        decision = decide(gate(image(base, side(self.jar, packages=[package_of(MEDIUM)]))))

        assert (decision.verdict, rules(decision)) == (Verdict.REVIEW, ["coverage-incomplete"])

    def test_what_base_could_see_is_still_judged(self) -> None:
        decision = decide(gate(image(side(coverage=self.blind), side(self.jar, HIGH))))

        assert rules(decision) == ["relevant-rise", "introduces-high"]
        assert {concern.id for reason in decision.deciding for concern in reason.concerns} == {HIGH.id}


@pytest.mark.parametrize("seen", [Seen.SBOM, Seen.REPORT])
def test_where_files_were_not_seen_the_best_verdict_is_review(seen: Seen) -> None:
    head = side(packages=[package_of(MEDIUM)], seen=seen, unowned_elf=None)
    decision = decide(gate(image(side(MEDIUM), head, smoke=SmokeResult.NOT_RUN)))

    assert (decision.verdict, rules(decision)) == (Verdict.REVIEW, ["files-not-seen"])
    assert [note.value for note in decision.outcomes[0].notes] == ["files-not-seen"]


def test_where_only_base_is_an_sbom_head_is_asked_for_files_as_usual() -> None:
    base = side(MEDIUM, seen=Seen.SBOM, unowned_elf=None)

    assert decide(gate(image(base, side(packages=[package_of(MEDIUM)])))).verdict is Verdict.ALLOW
    assert rules(decide(gate(image(base, side(unowned_elf=1))))) == ["unowned-rose"]
    failed = image(base, side(packages=[package_of(MEDIUM)]), smoke=SmokeResult.FAILED)
    assert rules(decide(gate(failed))) == ["smoke-failed"]


class TestSeveralImages:
    """Every image and platform votes for itself."""

    def test_the_worst_vote_wins_and_the_others_are_told(self) -> None:
        worse = image(side(packages=[package_of(HIGH)]), side(HIGH), "worse")
        decision = decide(
            gate(better(), worse, image(side(), side(), "same"), better(name="un", unchanged=True))
        )

        assert decision.verdict is Verdict.BLOCK
        assert {reason.image for reason in decision.deciding} == {"worse"}
        assert [(o.image, o.verdict, o.silence) for o in decision.outcomes] == [
            ("app", Verdict.ALLOW, None),
            ("same", None, Silence.NOTHING_DIFFERS),
            ("un", None, Silence.INPUTS_UNCHANGED),
            ("worse", Verdict.BLOCK, None),
        ]

    def test_an_image_that_does_not_vote_keeps_no_other_from_being_allowed(self) -> None:
        assert decide(gate(better(), image(side(HIGH), side(HIGH), "same"))).verdict is Verdict.ALLOW

    def test_where_nobody_votes_a_person_looks(self) -> None:
        unchanged = image(side(), side(CRITICAL), unchanged=True)

        assert verdict_and_rules(gate(unchanged)) == ("review", ["nothing-changed"])
        assert verdict_and_rules(gate()) == ("review", ["nothing-changed"])

    def test_one_given_twice_is_refused(self) -> None:
        with pytest.raises(UsageError, match="twice"):
            decide(gate(better(), better()))


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(UsageError, match="time zone"):
        decide(gate(better(), now=datetime(2026, 1, 1)))  # noqa: DTZ001 - that is the point


def test_secrets_are_counted_one_by_one() -> None:
    first = finding("aws-key", Severity.HIGH, "", kind=Kind.SECRET, source="", path="a", discriminator="1")
    second = change(first, discriminator="2")
    decision = judge([first], [first, second])

    assert rules(decision) == ["introduces-secret"]
    assert decision.deciding[0].concerns[0].discriminator == "2"


def test_a_reason_names_the_vulnerability_its_packages_the_cause_and_what_would_satisfy_it() -> None:
    old = Package(type="debian", name="libxml2", version="0.9", source="libxml2")
    fixable = change(HIGH, fixed="1.1")
    base = change(side(), packages=(LIBC, old))
    decision = decide(gate(image(base, side(fixable))))

    reason = decision.deciding[0]
    (concern,) = reason.concerns
    (place,) = concern.places
    assert (reason.rule, reason.image, reason.platform) == ("relevant-rise", "app", "linux/amd64")
    assert (concern.id, concern.source, concern.state, concern.fixed) == (
        HIGH.id,
        "libxml2",
        State.INTRODUCED,
        ("1.1",),
    )
    assert concern.cause is not None
    assert concern.cause.value == "image"
    assert (place.package, place.base, place.head, place.was_affected) == (
        "libxml2",
        ("0.9",),
        ("1.0",),
        False,
    )
    assert reason.remedies == (
        Remedy.UPGRADE,
        Remedy.KEEP_BASE_VERSION,
        Remedy.REMOVE_PACKAGE,
        Remedy.EXEMPT,
    )


class World(NamedTuple):
    """What the reference below is asked."""

    base: tuple[Finding, ...]
    head: tuple[Finding, ...]
    expected: Expected
    unchanged: bool
    has_base: bool
    is_built: bool
    smoke: SmokeResult
    touched: frozenset[Touched]
    accepted: frozenset[str]
    added: frozenset[str]
    exploited: frozenset[str]


_IDS = ["CVE-1", "CVE-2", "CVE-3", "CVE-4"]
_finding = st.builds(
    finding,
    st.sampled_from(_IDS),
    st.sampled_from(list(Severity)),
    st.sampled_from(["a", "b"]),
    source=st.just("s"),
)
_findings = st.lists(_finding, max_size=6).map(merge_same_identity)
_ids = st.frozensets(st.sampled_from(_IDS), max_size=3)
_mostly = st.integers(0, 5).map(bool)
worlds = st.builds(
    World,
    base=_findings,
    head=_findings,
    expected=st.sampled_from([*Expected, Expected.BOTH, Expected.BOTH, Expected.BOTH]),
    unchanged=_mostly.map(lambda mostly: not mostly),
    has_base=_mostly,
    is_built=_mostly,
    smoke=st.sampled_from([SmokeResult.PASSED, *SmokeResult, SmokeResult.PASSED]),
    touched=st.just(frozenset()) | st.frozensets(st.sampled_from(list(Touched)), max_size=2),
    accepted=st.just(frozenset()) | _ids,
    added=_ids,
    exploited=st.just(frozenset()) | _ids,
)


def reference(world: World) -> tuple[Verdict, set[str]]:  # noqa: PLR0911 - one for each row
    """DESIGN §5's table, written down once more and as plainly as it can be."""
    failed = world.smoke in (SmokeResult.FAILED, SmokeResult.NOT_RUN)
    is_expected = world.expected is Expected.BOTH and not world.unchanged
    if Touched.RECORDS in world.touched or (is_expected and (not world.is_built or failed)):
        return Verdict.BLOCK, set()
    review = bool(world.touched) or world.expected is Expected.BASE_ONLY
    if world.expected is Expected.BASE_ONLY or world.unchanged:
        return Verdict.REVIEW, set()
    if not world.has_base or world.expected is Expected.HEAD_ONLY:
        return Verdict.REVIEW, {"no-base"}
    base, head = ranks(world.base, world.accepted), ranks(world.head, world.accepted)
    rise = sum(rank > 1 for rank in head.values()) - sum(rank > 1 for rank in base.values())
    new = {id_: rank for id_, rank in head.items() if rank > base.get(id_, -1)}
    critical = {id_ for id_, rank in new.items() if rank == 4}
    high = {id_ for id_, rank in new.items() if rank == 3}
    relevant = {id_ for id_, rank in new.items() if rank > 1}
    culprits = critical | (relevant if rise > 0 else set()) | (high if rise >= 0 else set())
    if culprits:
        return (Verdict.REVIEW if culprits <= world.added else Verdict.BLOCK), set()
    if review:
        return Verdict.REVIEW, set()
    if any(rank == 4 == base.get(id_) for id_, rank in head.items()) or high or 0 in new.values():
        return Verdict.REVIEW, set()
    if world.exploited & head.keys():
        return Verdict.REVIEW, {"known-exploited"}
    return (Verdict.ALLOW, {"relevant-fall"}) if rise < 0 else (Verdict.REVIEW, set())


def ranks(findings: Iterable[Finding], accepted: frozenset[str]) -> dict[str, int]:
    worst: dict[str, int] = {}
    for one in findings:
        if one.id not in accepted:
            worst[one.id] = max(worst.get(one.id, 0), one.severity.rank)
    return worst


def inputs_of(world: World) -> GateInputs:
    packages = tuple(map(package_of, (*world.base, *world.head)))
    base: Side | Missing = side(*world.base, packages=packages) if world.has_base else NEVER
    head: Side | Missing = side(*world.head, packages=packages) if world.is_built else NOT_BUILT
    one = image(base, head, expected=world.expected, unchanged=world.unchanged, smoke=world.smoke)
    return gate(
        one,
        touched=tuple(map(Touch, world.touched)),
        exemptions=tuple(exemption(id_, package="s") for id_ in world.accepted),
        added_exemptions=tuple(exemption(id_, package="s") for id_ in world.added),
        kev=Kev(state=KevState.FRESH, ids=tuple(world.exploited)),
    )


@settings(max_examples=400)
@given(worlds)
def test_the_rows_in_any_combination_give_what_the_table_says(world: World) -> None:
    verdict, among = reference(world)
    decision = decide(inputs_of(world))

    assert decision.verdict is verdict
    assert among <= set(rules(decision))
    assert all(reason.verdict.rank <= verdict.rank for reason in decision.reasons)


def test_ratchet_allows_an_equal_set_and_blocks_every_vulnerability_that_is_new_or_worse() -> None:
    policy = preset(Preset.RATCHET)

    def verdict(base: list[Finding], head: list[Finding]) -> str:
        return judge(base, head, policy=policy).verdict.value

    assert verdict([CRITICAL], [CRITICAL]) == "allow"
    assert verdict([CRITICAL, HIGH], [CRITICAL]) == "allow"
    assert verdict([CRITICAL, HIGH], [CRITICAL, LOW]) == "block"
    assert verdict([change(HIGH, severity=Severity.MEDIUM)], [HIGH]) == "block"
    assert verdict([HIGH], [change(HIGH, severity=Severity.MEDIUM)]) == "allow"
    assert verdict([HIGH], [UNKNOWN]) == "review"
