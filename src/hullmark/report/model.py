"""What a report says, as data: made from timelines, evidence and recorded decisions, and from nothing else.

Rules (each has a test with the same words):
- what is open at the end of the period is what the last scan in or before it showed, with the day it was
  first seen;
- open before + introduced - resolved ± re-rated ± scope = open at the end, for each severity;
- an image that was retired by the end is listed, and counts in nothing that is open;
- an image that was not scanned in the period, or not completely, is said to be so, and never counts as clean;
- an exempted finding stays in the counts and is listed as exempted;
- the order of images, findings and decisions never changes a byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from hullmark.deadline import Deadlines
from hullmark.decision import Decision
from hullmark.event import Change, Decided, SmokeTested
from hullmark.exemptions import Exemption
from hullmark.finding import Counts, Finding, Kind, count_findings, count_vulnerabilities
from hullmark.fleet import OpenFinding, Today, Week, follow, open_findings, why_uncovered
from hullmark.history import ScanRecord, Timeline
from hullmark.image import REPOSITORY
from hullmark.ledger import Head
from hullmark.report.period import Period

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hullmark.image import Digest


class ReportedChange(msgspec.Struct, frozen=True, kw_only=True):
    """Something that came or went in the period."""

    at: str
    introduced: bool
    change: Change


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
    history: Timeline | None
    """None when it was never scanned."""
    retired_at: str
    """When it was found to be no longer expected; empty while it is, or was, at the end of the period."""
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
    def current(self) -> tuple[ImageReport, ...]:
        """All but what was retired: the images, and the repository's own files."""
        return tuple(image for image in self.images if not image.retired_at)

    @property
    def expected(self) -> tuple[ImageReport, ...]:
        """The images that count. The repository's own files are none."""
        return tuple(image for image in self.current if image.image != REPOSITORY)

    @property
    def counts(self) -> Counts:
        """Findings of vulnerabilities over all images."""
        return sum((image.counts for image in self.expected), Counts())

    @property
    def distinct(self) -> Counts:
        """Vulnerabilities of each image, added up."""
        return sum((image.distinct for image in self.expected), Counts())

    @property
    def uncovered(self) -> tuple[ImageReport, ...]:
        """Images of which nothing may be read as clean."""
        return tuple(image for image in self.expected if image.missing)

    @property
    def flow(self) -> Week:
        """How the number of open findings came about."""
        histories = [(image.history, image.retired_at) for image in self.images if image.history]
        return follow(histories, (self.period.before, self.period.last))[0]


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """What a report is made from."""

    timelines: tuple[Timeline, ...]
    """As they stood at the end of the period."""
    expected: tuple[str, ...]
    """Each `image platform` that the configuration has."""
    retired: Mapping[str, str] = {}
    """For each `image platform` that it no longer has: when that was found."""
    smoke_tests: Mapping[str, tuple[tuple[str, SmokeTested], ...]]
    """Recorded smoke tests of each image, with their time, oldest first."""
    decisions: tuple[DecisionEntry, ...]
    exemptions: tuple[Exemption, ...]
    deadlines: Deadlines = Deadlines()
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
    retired_at = sources.retired.get(label, "")
    retired_at = "" if retired_at > period.last else retired_at
    today = Today(day=period.end, deadlines=sources.deadlines, exemptions=sources.exemptions)
    return ImageReport(
        image=name,
        platform=platform,
        scan=scan,
        missing=_missing(timeline, period, retired=bool(retired_at)),
        findings=open_findings(timeline, load_findings(timeline.latest.findings), today) if timeline else (),
        history=timeline,
        retired_at=retired_at,
        changes=_changes(in_period),
        scans=len(in_period),
        packages=sum(scan.coverage.package_types.values()) if scan else 0,
        smoke=smoke[-1] if smoke else None,
    )


def _missing(timeline: Timeline | None, period: Period, *, retired: bool) -> str:
    if retired:
        return "it is no longer among the images that are looked after"
    return why_uncovered(timeline, str(period.start))[1]


def _changes(scans: Iterable[ScanRecord]) -> tuple[ReportedChange, ...]:
    return tuple(
        ReportedChange(at=scan.at, introduced=introduced, change=change)
        for scan in scans
        for introduced, changes in ((True, scan.event.introduced), (False, scan.event.resolved))
        for change in changes
    )
