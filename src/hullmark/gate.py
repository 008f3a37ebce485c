"""Judge a change: match both sides of every image with one scanner and one database, and decide.

Rules (each has a test with the same words):
- both sides are matched by the same scanner with the same database, whatever each was given as;
- what cannot be compared is refused with the reason, never left out;
- a head that could not be scanned blocks; a base that could not be scanned is an error, never `no base`;
- a wrong answer to a known question blocks, and is recorded;
- base's findings as they were recorded tell what the database has learned since, beside the verdict.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from hullmark.decision import (
    Absence,
    Age,
    CanaryResult,
    Decision,
    GateInputs,
    ImageInputs,
    Kev,
    Missing,
    Side,
    SmokeResult,
    Touch,
    Unusable,
    decide_with_evidence,
    format_decision,
)
from hullmark.decision.inputs import ImageContext
from hullmark.errors import IncompleteError, InputError, UsageError
from hullmark.event import Decided
from hullmark.exemptions import Exemption
from hullmark.finding import Finding  # noqa: TC001 - msgspec resolves field types at run time
from hullmark.image import Digest
from hullmark.ledger.entry import format_time
from hullmark.lifecycle import find_ages
from hullmark.outbox import pack_decision
from hullmark.pipeline import Missing as NotScanned
from hullmark.pipeline import Source, scan_each, test_canary, with_notes
from hullmark.policy import Policy
from hullmark.scanners.trivy.scan import ScanResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Executor
    from datetime import datetime

    from hullmark.history import Timeline
    from hullmark.journal import Journal
    from hullmark.outbox import Outbox
    from hullmark.pipeline import Toolchain
    from hullmark.scan import Note

MIN_COMPARED = 5
"""Packages that base and head must each have, before having none in common says that they are two images."""


class Trial(ImageContext, frozen=True, kw_only=True):
    """One image and platform to judge: each side as something to scan, as scanned already, or missing."""

    base: Source | Side | Missing
    head: Source | Side | Missing
    base_unowned: int | None = None
    """Programs and libraries that no package owns; None where nobody looked at the files."""
    head_unowned: int | None = None
    recorded: tuple[Finding, ...] | None = None
    """Base's findings as recorded; None: looked for in the journal."""
    ages: tuple[Age, ...] = ()
    """Since when base's vulnerabilities are known; without any, the journal is asked."""
    smoke_of: tuple[Digest, ...] = ()
    """The digests of the image that the smoke test was made of."""

    @property
    def label(self) -> str:
        """`image platform`, as decisions name what they expect."""
        return f"{self.image} {self.platform}"


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A change: its images, and everything that judges it."""

    trials: tuple[Trial, ...]
    expected: tuple[str, ...]
    """Each `image platform` that base and head expect: one without a trial blocks."""
    policy: Policy | Unusable
    max_age: int
    """Days after which a database is old."""
    exemptions: tuple[Exemption, ...] = ()
    added_exemptions: tuple[Exemption, ...] = ()
    kev: Kev = Kev()
    touched: tuple[Touch, ...] = ()
    unusable: tuple[Unusable, ...] = ()
    evidence: dict[Digest, bytes] = {}
    """What sides that were scanned already name as their SBOM."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, and the evidence of everything that it was made from."""

    decision: Decision
    evidence: dict[Digest, bytes]
    """What the decision names, its SBOMs included."""

    @property
    def content(self) -> bytes:
        """The decision's bytes."""
        return format_decision(self.decision)

    @property
    def digest(self) -> Digest:
        """What names the decision."""
        return Digest(f"sha256:{sha256(self.content).hexdigest()}")


def judge(
    tools: Toolchain,
    proposal: Proposal,
    executor: Executor,
    *,
    now: datetime,
    tell: Callable[[str], None],
    journal: Journal | None = None,
) -> Judgement:
    """Scan what is to be scanned, all sides side by side, and decide. Nothing is recorded.

    `journal` is asked for what was known of a base when it was recorded.
    """
    sources = [
        side for trial in proposal.trials for side in (trial.base, trial.head) if isinstance(side, Source)
    ]
    results = [_unless_refused(answer) for answer in scan_each(tools, sources, executor, tell=tell)]
    result_known, detail, notes = _ask_known(tools, results)
    sboms = dict(proposal.evidence)
    waiting = iter(results)
    images = []
    for trial in proposal.trials:
        base = _side(trial.base, waiting, trial.base_unowned, (*tools.notes, *notes), sboms)
        head = _side(trial.head, waiting, trial.head_unowned, (*tools.notes, *notes), sboms)
        images.append(_image(trial, base, head, journal))
    provenance = tools.trivy.provenance
    decision, evidence = decide_with_evidence(
        GateInputs(
            images=tuple(images),
            expected=proposal.expected,
            scanner=provenance.scanner,
            database=provenance.database,
            max_age=proposal.max_age,
            now=now,
            canary=result_known,
            canary_detail=detail,
            touched=proposal.touched,
            unusable=proposal.unusable,
            policy=proposal.policy,
            exemptions=proposal.exemptions,
            added_exemptions=proposal.added_exemptions,
            kev=proposal.kev,
        )
    )
    return Judgement(decision=decision, evidence={**sboms, **evidence})


def _unless_refused(answer: ScanResult | NotScanned) -> ScanResult | NotScanned:
    if isinstance(answer, NotScanned) and isinstance(answer.error, InputError | UsageError):
        raise answer.error
    return answer


def _ask_known(
    tools: Toolchain, results: Iterable[ScanResult | NotScanned]
) -> tuple[CanaryResult, str, tuple[Note, ...]]:
    """What scanner and database answered to known questions, in words where it was wrong, and its notes."""
    scanned = [result for result in results if isinstance(result, ScanResult)]
    try:
        found = test_canary(tools, scanned)
    except IncompleteError as error:
        return CanaryResult.WRONG, error.message, ()
    if tools.skip_canary:
        return CanaryResult.SKIPPED, "", found.notes
    return (CanaryResult.RIGHT if found.checked else CanaryResult.NOT_HELD), "", found.notes


def _side(
    given: Source | Side | Missing,
    results: Iterator[ScanResult | NotScanned],
    unowned: int | None,
    notes: Sequence[Note],
    sboms: dict[Digest, bytes],
) -> Side | NotScanned | Missing:
    """The side that `given` turned out to be; the SBOM it was matched from goes into `sboms`."""
    if not isinstance(given, Source):
        return given
    result = next(results)
    if isinstance(result, NotScanned):
        return result
    scan = with_notes(result, notes).scan
    sbom = Digest(f"sha256:{sha256(result.sbom).hexdigest()}")
    sboms[sbom] = result.sbom
    return Side(
        seen=given.seen,
        digest=scan.digest,
        sbom=sbom,
        coverage=scan.coverage,
        unowned_elf=result.unowned if unowned is None else unowned,
        packages=scan.packages,
        findings=scan.findings,
    )


def _image(
    trial: Trial,
    base: Side | NotScanned | Missing,
    head: Side | NotScanned | Missing,
    journal: Journal | None,
) -> ImageInputs:
    if isinstance(base, NotScanned):
        raise base.error
    if isinstance(head, NotScanned):
        head = Missing(reason=Absence.NOT_SCANNED, detail=head.reason)
    _refuse_strangers(trial, base, head)
    recorded, ages = trial.recorded, trial.ages
    if journal is not None and isinstance(base, Side):
        timeline = journal.timelines(trial.image).get(trial.platform)
        if timeline is not None:
            recorded = find_recorded(journal, timeline, base.sbom) if recorded is None else recorded
            ages = ages or find_ages(timeline)
    context = {name: getattr(trial, name) for name in ImageContext.__struct_fields__}
    if trial.smoke_of and isinstance(head, Side) and head.digest not in trial.smoke_of:
        context |= {"smoke": SmokeResult.NOT_RUN, "smoke_detail": "the report is of another image"}
    return ImageInputs(**context, base=base, head=head, recorded=recorded, ages=ages)


def _refuse_strangers(trial: Trial, base: Side | Missing, head: Side | Missing) -> None:
    """Refuse two sides that have nothing in common: whoever compares them took one from another image."""
    if isinstance(base, Missing) or isinstance(head, Missing):
        return
    before, after = ({(p.type, p.name) for p in side.packages} for side in (base, head))
    if min(len(before), len(after)) >= MIN_COMPARED and before.isdisjoint(after):
        raise InputError(
            f"base and head of {trial.label} have no package in common: base is of another image",
            file=str(trial.base.path if isinstance(trial.base, Source) else base.digest),
            hint="Give the base of this image. Where there is none, give head alone: a person decides then.",
        )


def find_recorded(journal: Journal, timeline: Timeline, sbom: Digest) -> tuple[Finding, ...] | None:
    """What the newest recorded scan of `sbom` found, with the database of then; None where there is none."""
    for scan in reversed(timeline.scans):
        if scan.sbom == sbom:
            return journal.findings(scan.findings)
    return None


def record_decision(
    journal: Journal,
    judgement: Judgement,
    *,
    now: datetime,
    base: str = "",
    head: str = "",
    pull_request: int = 0,
    clock_overridden: bool = False,
    outbox: Outbox | None = None,
) -> Decided:
    """Store the evidence of a decision, each content once, and record that it was made.

    With an `outbox` the same facts are packed for publishing.
    """
    decision = judgement.decision
    event = Decided(
        decision=judgement.digest,
        verdict=decision.verdict,
        images={
            f"{outcome.image} {outcome.platform}": str(outcome.verdict or outcome.silence)
            for outcome in decision.outcomes
        },
        base=base,
        head=head,
        pull_request=pull_request,
    )
    sample = decision.inputs.database.sample
    with journal.deciding(sample=sample, now=now, clock_overridden=clock_overridden) as deciding:
        evidence = [judgement.content, *judgement.evidence.values()]
        if outbox is not None:
            pack_decision(outbox, at=format_time(now), event=event, evidence=evidence, sample=sample)
        deciding.record(event, evidence)
    return event
