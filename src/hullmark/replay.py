"""Make a recorded decision again from its evidence, and match its SBOMs again where the database is held.

Rules (each has a test with the same words):
- under the version that decided, the same inputs give the same bytes;
- under another version verdict and reasons are compared, and the difference is named;
- when inputs are gone it says which, and nothing is concluded;
- what is matched again needs the very database of the decision; without it nothing is claimed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from hullmark import __version__
from hullmark.decision import (
    Decision,
    Missing,
    Seen,
    decide,
    format_decision,
    named_evidence,
    parse_decision,
    restore,
)
from hullmark.errors import HullmarkError, RepositoryError
from hullmark.finding import Finding, merge_same_identity
from hullmark.image import Digest, parse_platform
from hullmark.policy import Verdict
from hullmark.scanners.trivy.scan import match_sbom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hullmark.decision import Reason
    from hullmark.decision.record import RecordedSide
    from hullmark.scanners.trivy.scanner import Trivy

    Load = Callable[[Digest], bytes]


class Agreement(StrEnum):
    """How the decision of today compares with the recorded one."""

    SAME_BYTES = "same-bytes"
    SAME_VERDICT = "same-verdict-and-reasons"
    """Made by another version: the verdict and every reason are the same."""
    DIFFERENT = "different"
    INPUTS_GONE = "inputs-gone"


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a decision when it was made again."""

    decision: Digest
    verdict: Verdict
    """As recorded."""
    recorded_by: str
    """The version that decided."""
    replayed_by: str
    agreement: Agreement
    differences: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    """Evidence that is missing or damaged, in words."""

    @property
    def is_same_version(self) -> bool:
        """Whether equal bytes are to be expected."""
        return self.recorded_by == self.replayed_by


class Rematch(msgspec.Struct, frozen=True, kw_only=True):
    """One SBOM of a decision, matched again with the database of then."""

    side: str
    """`base of app linux/amd64`."""
    findings: int
    """As recorded."""
    appeared: tuple[str, ...] = ()
    """Ids with their packages that are found now, and were not recorded so."""
    vanished: tuple[str, ...] = ()


def replay(digest: Digest, load: Load) -> Replay:
    """Make the decision `digest` again. `load` gives evidence, checked against its digest."""
    content = load(digest)
    try:
        recorded = parse_decision(content)
    except msgspec.DecodeError as error:
        raise RepositoryError(
            f"evidence {digest} is no decision that this version reads: {error}",
            hint="It was written by another version, or is evidence of another kind.",
        ) from error
    gone = tuple(_gone(recorded, load))
    if gone:
        return _result(digest, recorded, Agreement.INPUTS_GONE, gone=gone)
    again = decide(restore(recorded.inputs, load))
    if format_decision(again) == content:
        return _result(digest, recorded, Agreement.SAME_BYTES)
    differences = tuple(_differences(recorded, again))
    if recorded.hullmark != __version__ and not differences:
        return _result(digest, recorded, Agreement.SAME_VERDICT)
    unseen = "the same verdict and reasons, but other bytes: the recorded decision is not what was decided"
    return _result(digest, recorded, Agreement.DIFFERENT, differences=differences or (unseen,))


def _result(
    digest: Digest,
    recorded: Decision,
    agreement: Agreement,
    *,
    differences: tuple[str, ...] = (),
    gone: tuple[str, ...] = (),
) -> Replay:
    return Replay(
        decision=digest,
        verdict=recorded.verdict,
        recorded_by=recorded.hullmark,
        replayed_by=__version__,
        agreement=agreement,
        differences=differences,
        gone=gone,
    )


def _gone(recorded: Decision, load: Load) -> Iterator[str]:
    for digest, what in named_evidence(recorded.inputs).items():
        try:
            load(digest)
        except HullmarkError as error:
            yield f"{what}: {error.message}"


def _differences(recorded: Decision, again: Decision) -> Iterator[str]:
    if recorded.verdict is not again.verdict:
        yield f"the verdict was {recorded.verdict.value}, and is {again.verdict.value}"
    before, after = (_by_place(decision) for decision in (recorded, again))
    for place in sorted(before.keys() | after.keys()):
        rule, where = place
        if place not in after:
            yield f"`{rule}` was a reason{where}, and is none"
        elif place not in before:
            yield f"`{rule}` is a reason{where}, and was none"
        elif before[place] != after[place]:
            yield f"`{rule}` is a reason{where} for other vulnerabilities or with another verdict"


def _by_place(decision: Decision) -> dict[tuple[str, str], Reason]:
    """Reasons by rule and place, without what is only worded otherwise."""
    return {
        (reason.rule, f" for {reason.image} {reason.platform}" if reason.image else ""): reason
        for reason in decision.reasons
    }


def rematch(decision: Decision, load: Load, trivy: Trivy) -> tuple[Rematch, ...]:
    """Match every SBOM of `decision` again with `trivy`, whose database must be that of the decision."""
    inputs = restore(decision.inputs, load)
    found: list[Rematch] = []
    for image, kept in zip(inputs.images, decision.inputs.images, strict=True):
        for word, side, recorded in (("base", image.base, kept.base), ("head", image.head, kept.head)):
            if isinstance(side, Missing) or isinstance(recorded, Missing) or side.seen is Seen.TREE:
                continue  # a tree of files has no packages to match
            now = _match(trivy, load(_sbom(recorded)), image.image, image.platform)
            found.append(_compare(f"{word} of {image.image} {image.platform}", side.findings, now))
    return tuple(found)


def _sbom(side: RecordedSide) -> Digest:
    return side.sbom


def _match(trivy: Trivy, sbom: bytes, image: str, platform: str) -> tuple[Finding, ...]:
    scan = match_sbom(trivy, sbom, image=image, platform=parse_platform(platform))
    return merge_same_identity(scan.findings)


def _compare(side: str, before: tuple[Finding, ...], after: tuple[Finding, ...]) -> Rematch:
    then, now = set(before), set(after)
    return Rematch(
        side=side,
        findings=len(before),
        appeared=tuple(f"{one.id} in {one.package}" for one in after if one not in then),
        vanished=tuple(f"{one.id} in {one.package}" for one in before if one not in now),
    )
