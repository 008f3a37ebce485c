"""What a report says, as data: made from timelines, evidence and recorded decisions, and from nothing else.

Rules (each has a test with the same words):
- what is open at the end of the period is what the last scan in or before it showed, with the day it was
  first seen;
- open before + introduced - resolved ± re-rated = open at the end, for each severity;
- an image that was not scanned in the period, or not completely, is said to be so, and never counts as clean;
- an exempted finding stays in the counts and is listed as exempted;
- the order of images, findings and decisions never changes a byte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

import msgspec

from hullmark.decision import Decision
from hullmark.event import Change, Decided, SmokeTested
from hullmark.exemptions import Exemption, covers
from hullmark.finding import (
    Cause,
    Counts,
    Finding,
    Kind,
    Severity,
    count_by_severity,
    count_findings,
    count_vulnerabilities,
)
from hullmark.history import Interval, ScanRecord, Timeline
from hullmark.ledger import Head
from hullmark.report.period import Period

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hullmark.image import Digest


class OpenFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that was there at the end of the period."""

    finding: Finding
    first_seen: str
    """Day on which it was first seen, without a break since."""
    cause: Cause
    age: int
    """Days from then to the end of the period."""
    exemption: Exemption | None = None
    """The accepted risk that covers it at the end of the period."""

    @property
    def is_fixable(self) -> bool:
        """Whether a version that fixes it is known."""
        return bool(self.finding.fixed)


class ReportedChange(msgspec.Struct, frozen=True, kw_only=True):
    """Something that came or went in the period."""

    at: str
    introduced: bool
    change: Change


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """How the number of open findings came about: before + introduced - resolved + rerated = after."""

    before: Counts
    introduced: Counts
    resolved: Counts
    rerated: Counts
    """What re-rating added to each severity; negative where it took away."""
    after: Counts


class ImageReport(msgspec.Struct, frozen=True, kw_only=True):
    """One image and platform in the period."""

    image: str
    platform: str
    scan: ScanRecord | None
    """The last scan in or before the period; None when there was none."""
    missing: str
    """Why the image counts as not covered; empty when it was covered."""
    findings: tuple[OpenFinding, ...]
    """Vulnerabilities first, worst first."""
    balance: Balance
    changes: tuple[ReportedChange, ...]
    """By time; what was introduced before what was resolved."""
    scans: int
    """Number of scans in the period."""
    packages: int
    smoke: SmokeTested | None
    """The last smoke test in or before the period."""

    @property
    def vulnerabilities(self) -> tuple[Finding, ...]:
        """The open findings that are vulnerabilities."""
        return tuple(each.finding for each in self.findings if each.finding.kind is Kind.VULNERABILITY)

    @property
    def counts(self) -> Counts:
        """Findings of vulnerabilities, one for each affected package: what the weekly summary counts."""
        return count_findings(self.vulnerabilities)

    @property
    def distinct(self) -> Counts:
        """Vulnerabilities, each once however many packages carry it."""
        return count_vulnerabilities(self.vulnerabilities)

    @property
    def others(self) -> tuple[OpenFinding, ...]:
        """Open findings of other kinds: misconfigurations, secrets, licences, code."""
        return tuple(each for each in self.findings if each.finding.kind is not Kind.VULNERABILITY)

    @property
    def exempted(self) -> tuple[OpenFinding, ...]:
        """Open findings whose risk is accepted."""
        return tuple(each for each in self.findings if each.exemption is not None)


class DecisionEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A decision of the period."""

    at: str
    event: Decided
    decision: Decision | None
    """None when its evidence is gone."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a report says."""

    period: Period
    sample: bool
    images: tuple[ImageReport, ...]
    decisions: tuple[DecisionEntry, ...]
    exemptions: tuple[Exemption, ...]
    """In force on the last day, or expired within the period."""
    heads: Mapping[str, Head]
    """How far the ledgers went when the report was made."""
    made_from: str
    """Time of the newest recorded scan that it rests on; empty when there is none."""

    @property
    def counts(self) -> Counts:
        """Findings of vulnerabilities over all images."""
        return sum((image.counts for image in self.images), Counts())

    @property
    def distinct(self) -> Counts:
        """Vulnerabilities of each image, added up."""
        return sum((image.distinct for image in self.images), Counts())

    @property
    def uncovered(self) -> tuple[ImageReport, ...]:
        """Images of which nothing may be read as clean."""
        return tuple(image for image in self.images if image.missing)

    @property
    def balance(self) -> Balance:
        """The balances of all images, added up."""
        return Balance(
            **{
                name: sum((getattr(image.balance, name) for image in self.images), Counts())
                for name in Balance.__struct_fields__
            }
        )


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """What a report is made from."""

    timelines: tuple[Timeline, ...]
    """As they stood at the end of the period."""
    expected: tuple[str, ...]
    """Each `image platform` that the configuration has."""
    smoke_tests: Mapping[str, tuple[tuple[str, SmokeTested], ...]]
    """Recorded smoke tests of each image, with their time, oldest first."""
    decisions: tuple[DecisionEntry, ...]
    exemptions: tuple[Exemption, ...]
    heads: Mapping[str, Head]


def make_report(
    sources: Sources, period: Period, load_findings: Callable[[Digest], tuple[Finding, ...]]
) -> Report:
    """The report about `period`. `load_findings` returns findings that were stored as evidence."""
    timelines = {f"{each.image} {each.platform}": each for each in sources.timelines}
    labels = sorted({*sources.expected, *timelines})
    images = tuple(_image(label, timelines.get(label), sources, period, load_findings) for label in labels)
    return Report(
        period=period,
        sample=any(timeline.sample for timeline in sources.timelines),
        images=images,
        decisions=tuple(each for each in sources.decisions if period.holds(each.at)),
        exemptions=tuple(each for each in sources.exemptions if each.expires >= period.start),
        heads=sources.heads,
        made_from=max((image.scan.at for image in images if image.scan), default=""),
    )


def _image(
    label: str,
    timeline: Timeline | None,
    sources: Sources,
    period: Period,
    load_findings: Callable[[Digest], tuple[Finding, ...]],
) -> ImageReport:
    name, _, platform = label.partition(" ")
    smoke = [test for at, test in sources.smoke_tests.get(name, ()) if at <= period.last]
    smoke = [test for test in smoke if test.platform == platform]
    scan = timeline.latest if timeline else None
    in_period = [each for each in timeline.scans if period.holds(each.at)] if timeline else []
    findings = load_findings(scan.findings) if scan else ()
    missing = _missing(scan, in_period, retired=label not in sources.expected)
    return ImageReport(
        image=name,
        platform=platform,
        scan=scan,
        missing=missing,
        findings=_open(findings, timeline, name, sources.exemptions, period.end) if timeline else (),
        balance=_balance(timeline.intervals if timeline else (), period),
        changes=_changes(in_period),
        scans=len(in_period),
        packages=sum(scan.coverage.package_types.values()) if scan else 0,
        smoke=smoke[-1] if smoke else None,
    )


def _missing(scan: ScanRecord | None, in_period: list[ScanRecord], *, retired: bool) -> str:
    if scan is None:
        return "it was never scanned"
    if retired:
        return "it is no longer among the images that are looked after"
    if not in_period:
        return f"it was not scanned in this period; the last scan is of {scan.at[:10]}"
    if not scan.coverage.is_complete:
        return f"its scan was not complete: {'; '.join(str(gap) for gap in scan.coverage.gaps)}"
    return ""


def _open(
    findings: Iterable[Finding],
    timeline: Timeline,
    image: str,
    exemptions: tuple[Exemption, ...],
    today: date,
) -> tuple[OpenFinding, ...]:
    lives = {each.identity: each for each in timeline.intervals if each.is_open}
    found = [
        _open_finding(finding, lives[finding.identity], image, exemptions, today)
        for finding in findings
        if finding.identity in lives
    ]
    return tuple(sorted(found, key=_worst_first))


def _open_finding(
    finding: Finding, life: Interval, image: str, exemptions: tuple[Exemption, ...], today: date
) -> OpenFinding:
    first = life.first_seen[:10]
    return OpenFinding(
        finding=finding,
        first_seen=first,
        cause=life.cause,
        age=(today - date.fromisoformat(first)).days,
        exemption=next((each for each in exemptions if covers(each, image, finding, today)), None),
    )


def _worst_first(each: OpenFinding) -> tuple[object, ...]:
    finding = each.finding
    is_other = finding.kind is not Kind.VULNERABILITY
    return is_other, finding.kind.value, -finding.severity.rank, finding.id, finding.identity


def _changes(scans: Iterable[ScanRecord]) -> tuple[ReportedChange, ...]:
    return tuple(
        ReportedChange(at=scan.at, introduced=introduced, change=change)
        for scan in scans
        for introduced, changes in ((True, scan.event.introduced), (False, scan.event.resolved))
        for change in changes
    )


def _balance(intervals: Iterable[Interval], period: Period) -> Balance:
    before: Counter[Severity] = Counter()
    after: Counter[Severity] = Counter()
    introduced: Counter[Severity] = Counter()
    resolved: Counter[Severity] = Counter()
    for life in intervals:
        if life.identity.kind is not Kind.VULNERABILITY:
            continue
        was_open = life.first_seen <= period.before and not (
            life.resolved_at and life.resolved_at <= period.before
        )
        first = _severity_at(life, period.before) if was_open else life.severities[0][1]
        last = life.severities[-1][1]
        if was_open:
            before[first] += 1
        elif life.first_seen > period.before:
            introduced[first] += 1
        else:
            continue  # over before the period began
        if life.is_open:
            after[last] += 1
        else:
            resolved[last] += 1
    ends = [_counts(each) for each in (before, introduced, resolved, after)]
    rerated = ends[3] - (ends[0] + ends[1] - ends[2])
    return Balance(before=ends[0], introduced=ends[1], resolved=ends[2], rerated=rerated, after=ends[3])


def _severity_at(life: Interval, moment: str) -> Severity:
    return next(severity for at, severity in reversed(life.severities) if at <= moment)


def _counts(numbers: Counter[Severity]) -> Counts:
    return count_by_severity(numbers.elements())
