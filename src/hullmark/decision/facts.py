"""What is true of an image, or of the whole change, apart from its vulnerabilities.

Rules (each has a test with the same words):
- what base and head expect must be built, scanned, and pass base's smoke test where one is declared;
- head must see what base saw, unless head's configuration declares otherwise;
- an operating system, or all its packages, gone from the records are a gap, whether a scan says so or not;
- findings that vanish with a package's records are not fixed while unowned programs or libraries rise;
- an image with unchanged inputs has no facts: it was not built, and does not vote;
- an SBOM or report is not asked for a smoke test or files, and never allowed for that;
- the repository itself has no smoke test, and all its files were seen.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hullmark.decision.inputs import (
    Absence,
    CanaryResult,
    Expected,
    KevState,
    Missing,
    Seen,
    Side,
    SmokeResult,
    Touched,
    Unusable,
)
from hullmark.policy import Fact
from hullmark.scan import Gap, GapReason, NoteReason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hullmark.decision.inputs import GateInputs, ImageInputs

Facts = dict[Fact, tuple[str, ...]]
"""Each fact with its details."""

_TOUCHED = {
    Touched.POLICY: Fact.POLICY_CHANGED,
    Touched.EXEMPTIONS: Fact.EXEMPTIONS_CHANGED,
    Touched.CONFIGURATION: Fact.CONFIGURATION_CHANGED,
    Touched.SMOKE_TESTS: Fact.SMOKE_TESTS_CHANGED,
    Touched.WORKFLOWS: Fact.WORKFLOWS_CHANGED,
    Touched.RECORDS: Fact.RECORDS_CHANGED,
}
_SMOKE = {SmokeResult.FAILED: Fact.SMOKE_FAILED, SmokeResult.NOT_RUN: Fact.SMOKE_NOT_RUN}


def change_facts(inputs: GateInputs) -> Facts:
    """What is true of the change as a whole."""
    facts: Facts = {}
    given = {f"{image.image} {image.platform}" for image in inputs.images}
    if absent := tuple(name for name in inputs.expected if name not in given):
        facts[Fact.NOT_SCANNED] = absent
    if inputs.canary is CanaryResult.WRONG:
        facts[Fact.CANARY_WRONG] = _details(inputs.canary_detail)
    unusable = list(inputs.unusable)
    if isinstance(inputs.policy, Unusable):
        unusable.append(inputs.policy)
    if unusable:
        facts[Fact.POLICY_UNUSABLE] = tuple(f"{one.file}: {one.message}" for one in sorted(unusable))
    for touch in inputs.touched:
        fact = _TOUCHED[touch.what]
        facts[fact] = (*facts.get(fact, ()), *_details(touch.path))
    if _is_old(inputs):
        facts[Fact.DATABASE_OLD] = (inputs.database.updated_at,)
    if _lacks_kev(inputs):
        facts[Fact.KEV_UNKNOWN] = _details(inputs.kev.state.value, inputs.kev.date)
    return facts


def _is_old(inputs: GateInputs) -> bool:
    """Whether the database is older than it may be; a date that cannot be read is as bad as none."""
    if inputs.database.sample:
        return False
    try:
        updated = datetime.fromisoformat(inputs.database.updated_at)
    except ValueError:
        return True
    if updated.tzinfo is None:
        updated = updated.replace(tzinfo=UTC)
    return inputs.now - updated > timedelta(days=inputs.max_age)


def _lacks_kev(inputs: GateInputs) -> bool:
    """Whether the KEV list is stale, or one's own rules ask for a list that was never configured.

    A preset's rule about KEV waits until a list is configured.
    """
    if inputs.kev.state is not KevState.NOT_CONFIGURED or isinstance(inputs.policy, Unusable):
        return inputs.kev.state is KevState.STALE
    own = inputs.policy.extra or (inputs.policy.rules if inputs.policy.name == "own" else ())
    return any(selector.kev is not None for rule in own for selector in rule.when.selectors)


def image_facts(image: ImageInputs, canary: CanaryResult) -> Facts:
    """What is true of one image and platform."""
    if image.expected is Expected.BASE_ONLY:
        return {Fact.RETIRED: ()}
    if image.unchanged:
        return {}
    facts = _presence(image)
    if image.declared:
        facts[Fact.COVERAGE_NARROWED] = _named(image.declared)
    if isinstance(image.head, Missing):
        return facts
    if isinstance(image.base, Side):
        facts |= _blindness(image.base, image.head)
        lost = tuple(gap for gap in _lost(image.base, image.head) if not _is_declared(gap, image.declared))
        if lost:
            facts[Fact.COVERAGE_SHRANK] = _named(lost)
    return facts | _missing_evidence(image.base, image.head, canary)


def _presence(image: ImageInputs) -> Facts:
    """Whether the image is there, works, and has something to be compared with."""
    facts: Facts = {}
    is_new = image.expected is Expected.HEAD_ONLY
    if is_new or isinstance(image.base, Missing):
        facts[Fact.NO_BASE] = _absence(image.base)
    if isinstance(image.head, Missing):
        not_built = image.head.reason is Absence.NOT_BUILT
        fact = Fact.NOT_BUILT if not_built else Fact.NOT_SCANNED
        facts[Fact.NEW_IMAGE_UNPROVED if is_new else fact] = _absence(image.head)
    elif image.head.seen is Seen.IMAGE and image.smoke in _SMOKE:
        fact = Fact.NEW_IMAGE_UNPROVED if is_new else _SMOKE[image.smoke]
        facts[fact] = _details(image.smoke.value if is_new else "", image.smoke_detail)
    return facts


def _absence(side: Side | Missing) -> tuple[str, ...]:
    return _details(side.reason.value, side.detail) if isinstance(side, Missing) else ()


def _lost(base: Side, head: Side) -> tuple[Gap, ...]:
    """What head cannot look at, and base could."""
    gaps = set(head.gaps) - set(base.gaps)
    before, after = base.coverage.system, head.coverage.system
    if before and not after:
        gaps.add(Gap(GapReason.UNKNOWN_SYSTEM, f"{before} in base"))
    if before and after and before.family == after.family:
        types = [{package.type for package in side.packages} for side in (base, head)]
        if before.family in types[0] - types[1]:
            gaps.add(Gap(GapReason.MISSING_TYPE, before.family))
    return tuple(sorted(gaps))


def _is_declared(gap: Gap, declared: Iterable[Gap]) -> bool:
    return any(one.reason is gap.reason and one.detail in ("", gap.detail) for one in declared)


def _blindness(base: Side, head: Side) -> Facts:
    """Signs that findings vanish because nobody can see them any more."""
    facts: Facts = {}
    before = {(package.type, package.name) for package in base.packages}
    after = {(package.type, package.name) for package in head.packages}
    vanished = sorted(before - after)
    if vanished and head.unowned_elf is not None and head.unowned_elf > (base.unowned_elf or 0):
        facts[Fact.UNOWNED_ROSE] = tuple(f"{type_} {name}" for type_, name in vanished)
    if types := {type_ for type_, _ in before} - {type_ for type_, _ in after}:
        facts[Fact.TYPE_VANISHED] = tuple(sorted(types))
    if 2 * len(after) < len(before):
        facts[Fact.PACKAGES_COLLAPSED] = (str(len(before)), str(len(after)))
    if _is_ended(head) and not _is_ended(base):
        facts[Fact.END_OF_LIFE] = _details(str(head.coverage.system or ""))
    return facts


def _is_ended(side: Side) -> bool:
    return any(note.reason is NoteReason.END_OF_LIFE for note in side.coverage.notes)


def _missing_evidence(base: Side | Missing, head: Side, canary: CanaryResult) -> Facts:
    """What keeps a verdict from being `allow` (law 7)."""
    facts: Facts = {}
    if head.seen is not Seen.TREE and (head.seen is not Seen.IMAGE or head.unowned_elf is None):
        facts[Fact.FILES_NOT_SEEN] = (head.seen.value,)
    gaps = {*head.gaps, *(base.gaps if isinstance(base, Side) else ())}
    if gaps:
        facts[Fact.COVERAGE_INCOMPLETE] = _named(sorted(gaps))
    if canary is CanaryResult.SKIPPED:
        facts[Fact.CANARY_SKIPPED] = ()
    return facts


def _named(gaps: Iterable[Gap]) -> tuple[str, ...]:
    """`code` or `code: detail`."""
    return tuple(": ".join(_details(gap.reason.value, gap.detail)) for gap in gaps)


def _details(*parts: str) -> tuple[str, ...]:
    return tuple(part for part in parts if part)
