"""The weekly summary of a recorded history: made from the ledger, recorded in it, and written.

Rules (each has a test with the same words):
- an image that was expected and has no complete scan repeats its last known counts, and says why;
- so does an image that was not scanned in the period: an old scan says nothing about this week;
- an accepted risk in force is listed with what it covers, which is counted all the same;
- a summary that somebody made from reports is never overwritten silently.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import msgspec

from hullmark.baseline import file_stem
from hullmark.errors import InputError
from hullmark.exemptions import covers, is_in_force
from hullmark.files import read_bounded
from hullmark.finding import count_findings, count_vulnerabilities
from hullmark.fleet import why_uncovered
from hullmark.formats.markdown import render_summary
from hullmark.projection import write_generated
from hullmark.recording import begin_summary
from hullmark.summary import PERIOD, ImageReading, remember, replay, summarise, to_event
from hullmark.summary_document import MAX_SUMMARY, ExemptedEntry, LedgerHead, Origin, Summary, format_summary

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from hullmark.exemptions import Exemption
    from hullmark.history import ScanRecord, Timeline
    from hullmark.image import Platform
    from hullmark.journal import Journal
    from hullmark.recording import Summarising

SUMMARY = "docs/data/security-summary.json"
SUMMARY_TEXT = "SECURITY_SUMMARY.md"
REPORTS = "reports/trivy"

_FOREIGN = "Move it away, or overwrite it with `hullmark summary --replace`."


class _Origin(msgspec.Struct):
    origin: str = ""


def make_summary(
    journal: Journal,
    expected: Iterable[tuple[str, Platform]],
    *,
    home: Path,
    now: datetime,
    history_limit: int,
    exemptions: Iterable[Exemption] = (),
    clock_overridden: bool = False,
    replace: bool = False,
) -> Summary:
    """Make the summary of what `journal` holds of `expected`, record it, and write its files below `home`.

    `exemptions` in force are listed with what they cover. `replace` allows to overwrite a summary that was
    made from reports.
    """
    if not replace:
        refuse_foreign(home)
    with begin_summary(journal, now=now, clock_overridden=clock_overridden) as summarising:
        summary = _summarise(journal, tuple(expected), tuple(exemptions), summarising, history_limit)
        summarising.record(to_event(summary))
        heads = {
            name: LedgerHead(entries=head.entries, head=head.head) for name, head in journal.heads().items()
        }
        summary = msgspec.structs.replace(summary, ledger=heads)
        files = {SUMMARY: format_summary(summary), SUMMARY_TEXT: render_summary(summary).encode()}
        write_generated(home, files, folders=())
    return summary


def _summarise(
    journal: Journal,
    expected: tuple[tuple[str, Platform], ...],
    exemptions: tuple[Exemption, ...],
    summarising: Summarising,
    history_limit: int,
) -> Summary:
    readings = read_images(journal, expected, now=summarising.now)
    before = replay(journal.summaries(), sample=summarising.sample, history_limit=history_limit)
    return summarise(
        readings,
        now=summarising.now,
        origin=Origin.LEDGER,
        previous=remember(before) if before else None,
        sample=summarising.sample,
        retired={image.name for image in before.images} - {r.name for r in readings} if before else (),
        exempted=find_exempted(journal, expected, exemptions, today=summarising.now.date()),
        history_limit=history_limit,
    )


def find_exempted(
    journal: Journal,
    expected: Iterable[tuple[str, Platform]],
    exemptions: Iterable[Exemption],
    *,
    today: date,
) -> tuple[ExemptedEntry, ...]:
    """What each of `exemptions` in force covers in the newest scan of each expected image and platform."""
    in_force = [entry for entry in exemptions if is_in_force(entry, today)]
    found: list[ExemptedEntry] = []
    for image, platform in expected if in_force else ():
        timeline = journal.timelines(image).get(str(platform))
        findings = journal.findings(timeline.latest.findings) if timeline else ()
        name = file_stem(image, str(platform))
        found += [
            _exempted(name, entry, sum(covers(entry, image, finding, today) for finding in findings))
            for entry in in_force
        ]
    return tuple(entry for entry in found if entry.findings)


def _exempted(image: str, entry: Exemption, findings: int) -> ExemptedEntry:
    return ExemptedEntry(
        image=image,
        id=entry.id,
        package=entry.package,
        owner=entry.owner,
        reason=entry.reason,
        expires=entry.expires,
        status=entry.status.value,
        findings=findings,
    )


def read_images(
    journal: Journal, expected: Iterable[tuple[str, Platform]], *, now: datetime
) -> tuple[ImageReading, ...]:
    """What the ledger knows of each expected image and platform."""
    runs = journal.runs()
    since = str(now.date() - PERIOD)
    return tuple(
        _read(
            journal, file_stem(image, str(platform)), journal.timelines(image, runs).get(str(platform)), since
        )
        for image, platform in expected
    )


def _read(journal: Journal, name: str, timeline: Timeline | None, since: str) -> ImageReading:
    _, reason = why_uncovered(timeline, since)
    if timeline is None:
        return ImageReading(name=name, missing=reason)
    return _counted(journal, name, timeline.latest, missing=reason)


def _counted(journal: Journal, name: str, scan: ScanRecord, *, missing: str) -> ImageReading:
    findings = journal.findings(scan.findings)
    return ImageReading(
        name=name,
        counts=count_findings(findings),
        vulnerabilities=count_vulnerabilities(findings),
        as_of=date.fromisoformat(scan.at[:10]),
        source=f"{REPORTS}/{name}.json",
        missing=missing,
    )


def refuse_foreign(home: Path) -> None:
    """Raise InputError when the summary below `home` was not made from its ledger."""
    path = home / SUMMARY
    if not path.exists():
        return
    try:
        origin = msgspec.json.decode(read_bounded(path, MAX_SUMMARY), type=_Origin).origin
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"not a summary: {error}",
            file=path,
            hint=_FOREIGN,
        ) from error
    if origin != Origin.LEDGER:
        raise InputError(
            "was not made from this ledger",
            file=path,
            hint=_FOREIGN,
        )
