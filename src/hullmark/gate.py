"""Judge a change: match both sides of every image with one scanner and one database, and decide.

Rules (each has a test with the same words):
- both sides are matched by the same scanner with the same database, whatever each was given as;
- what was recorded with that scanner and database is not matched again;
- what cannot be compared is refused with the reason, never left out;
- two sides that are of different images, by label, by record or by having nothing in common, are refused;
- a head that could not be scanned blocks; a base that could not be scanned is an error, never `no base`;
- a wrong answer to a known question blocks, and is recorded;
- base's findings as they were recorded tell what the database has learned since, beside the verdict.
"""

from __future__ import annotations

from functools import cached_property
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
    Seen,
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
from hullmark.recording import begin_decision
from hullmark.relation import Relative, refuse_strangers
from hullmark.scan import renew
from hullmark.scanners.trivy import sbom as cyclonedx
from hullmark.scanners.trivy.scan import ScanResult, recall_sbom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from datetime import datetime

    from hullmark.history import ScanRecord, Timeline
    from hullmark.journal import Journal
    from hullmark.outbox import Outbox
    from hullmark.pipeline import Toolchain
    from hullmark.scan import Note


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
    """Since when base's vulnerabilities are known; without any, the journal is asked where a rule asks."""
    former: Digest | None = None
    """The SBOM that was recorded of the same inputs as base, which was built again."""
    planned: bool = False
    """Whether a plan knows what both sides are built from."""
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
    records = Records(journal, (trial.image for trial in proposal.trials))
    known = [_recall(tools, source, records) for source in sources]
    asked = [source for source, found in zip(sources, known, strict=True) if found is None]
    answers = iter(scan_each(tools, asked, executor, tell=tell))
    results = [found or _unless_refused(next(answers)) for found in known]
    result_known, detail, notes = _ask_known(tools, results)
    sboms = dict(proposal.evidence)
    titles = {_digest_of(result.sbom): result.title for result in results if isinstance(result, ScanResult)}
    waiting = iter(results)
    asks_age = isinstance(proposal.policy, Policy) and proposal.policy.asks_age
    images = []
    for trial in proposal.trials:
        base = _side(trial.base, waiting, trial.base_unowned, (*tools.notes, *notes), sboms)
        head = _side(trial.head, waiting, trial.head_unowned, (*tools.notes, *notes), sboms)
        images.append(_image(trial, base, head, titles, records, asks_age=asks_age))
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


class Records:
    """What the ledger knows of the images of a change, read once."""

    def __init__(self, journal: Journal | None, images: Iterable[str]) -> None:
        self.journal = journal
        runs = journal.runs() if journal else {}
        self._timelines = {
            image: journal.timelines(image, runs) for image in sorted(set(images)) if journal is not None
        }

    def timeline(self, image: str, platform: str) -> Timeline | None:
        """The history of one platform of an image of the change."""
        return self._timelines.get(image, {}).get(platform)

    def names_of(self, digest: Digest) -> frozenset[str]:
        """The names under which the image `digest` was ever recorded."""
        return self._names.get(digest, frozenset())

    @cached_property
    def _names(self) -> dict[Digest, frozenset[str]]:
        found: dict[Digest, frozenset[str]] = {}
        for name in self.journal.images() if self.journal else ():
            for digest in self.journal.digests(name) if self.journal else ():
                found[digest] = found.get(digest, frozenset()) | {name}
        return found


def _recall(tools: Toolchain, source: Source, records: Records) -> ScanResult | None:
    """The match of a stored SBOM that was recorded with the scanner and database of `tools`, or None."""
    journal, timeline = records.journal, records.timeline(source.image, str(source.platform))
    if not source.sbom or journal is None or timeline is None:
        return None
    digest, ours = _digest_of(source.sbom), tools.trivy.provenance
    for scan in reversed(timeline.scans):
        same_tools = (scan.run.scanner, scan.run.database) == (ours.scanner, ours.database)
        # A scan that looked at less was recorded with findings that it did not show.
        if scan.sbom == digest and same_tools and scan.is_seeing:
            recalled = recall_sbom(
                tools.trivy,
                source.sbom,
                journal.findings(scan.findings),
                scan.coverage,
                image=source.image,
                platform=source.platform,
                expected_types=source.package_types,
            )
            return ScanResult(scan=recalled, sbom=source.sbom)
    return None


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


def _digest_of(content: bytes) -> Digest:
    return Digest(f"sha256:{sha256(content).hexdigest()}")


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
    sbom = _digest_of(result.sbom)
    sboms[sbom] = result.sbom
    return Side(
        seen=given.seen,
        digest=scan.digest,
        sbom=sbom,
        coverage=scan.coverage,
        unowned_elf=scan.coverage.unowned_elf if unowned is None else unowned,
        packages=scan.packages,
        findings=scan.findings,
    )


def _image(
    trial: Trial,
    base: Side | NotScanned | Missing,
    head: Side | NotScanned | Missing,
    titles: Mapping[Digest, str],
    records: Records,
    *,
    asks_age: bool,
) -> ImageInputs:
    if isinstance(base, NotScanned):
        raise base.error
    if isinstance(head, NotScanned):
        head = Missing(reason=Absence.NOT_SCANNED, detail=head.reason)
    _refuse_strangers(trial, base, head, titles, records)
    journal, timeline = records.journal, records.timeline(trial.image, trial.platform)
    recorded, packages, ages = trial.recorded, None, trial.ages
    if journal is not None and timeline is not None and isinstance(base, Side):
        ages = ages or (find_ages(timeline) if asks_age else ())
        known = find_recorded(timeline, base.sbom)
        former = find_recorded(timeline, trial.former) if trial.former and known is None else None
        if found := known or former:
            recorded = journal.findings(found.findings) if recorded is None else recorded
        if known is not None:
            base = _as_recorded(base, known)
        elif former is not None:
            packages = cyclonedx.packages(journal.evidence.get(former.sbom))
    context = {name: getattr(trial, name) for name in ImageContext.__struct_fields__}
    if trial.smoke_of and isinstance(head, Side) and head.digest not in trial.smoke_of:
        context |= {"smoke": SmokeResult.NOT_RUN, "smoke_detail": "the report is of another image"}
    return ImageInputs(
        **context, base=base, head=head, recorded=recorded, recorded_packages=packages, ages=ages
    )


def _refuse_strangers(
    trial: Trial, base: Side | Missing, head: Side | Missing, titles: Mapping[Digest, str], records: Records
) -> None:
    if isinstance(base, Missing) or isinstance(head, Missing):
        return
    named = not any(isinstance(side, Source) and not side.is_named for side in (trial.base, trial.head))
    one, other = (
        Relative(
            side, str(given.path if isinstance(given, Source) else side.digest), titles.get(side.sbom, "")
        )
        for side, given in ((base, trial.base), (head, trial.head))
    )
    image = trial.image if named else ""
    refuse_strangers(trial.label, image, one, other, records.names_of, planned=trial.planned)


def find_recorded(timeline: Timeline, sbom: Digest) -> ScanRecord | None:
    """The newest recorded scan of `sbom`; None where there is none."""
    return next((scan for scan in reversed(timeline.scans) if scan.sbom == sbom), None)


def _as_recorded(base: Side, known: ScanRecord) -> Side:
    """`base`, of which only an SBOM is left, with what was seen of the image when it was recorded."""
    if base.seen is Seen.IMAGE:
        return base
    coverage = renew(known.coverage, base.coverage)
    return msgspec.structs.replace(base, coverage=coverage, unowned_elf=coverage.unowned_elf)


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
    with begin_decision(journal, sample=sample, now=now, clock_overridden=clock_overridden) as deciding:
        evidence = [judgement.content, *judgement.evidence.values()]
        if outbox is not None:
            pack_decision(outbox, at=format_time(now), event=event, evidence=evidence, sample=sample)
        deciding.record(event, evidence)
    return event
