"""Read a fleet from a recorded history. What is expected, accepted and required is given."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import msgspec

from hullmark.baseline import file_stem
from hullmark.deadline import Deadlines
from hullmark.decision import Unusable, parse_decision
from hullmark.errors import RepositoryError
from hullmark.event import (
    LedgerStarted,
    RunFinished,
    RunStarted,
    SmokeTested,
    SummaryPublished,
    parse_event,
)
from hullmark.exemptions import ExemptionList, covers, lint
from hullmark.finding import count_findings, count_vulnerabilities
from hullmark.fleet.action import find_actions
from hullmark.fleet.flow import follow_weeks
from hullmark.fleet.member import Condition, Member, OpenFinding, worst_first
from hullmark.fleet.model import Fleet, RecordedDecision, RunRecord
from hullmark.journal import RUN_ID
from hullmark.ledger.entry import parse_entry
from hullmark.ledger.files import batches
from hullmark.ledger.layout import RUNS, month_files
from hullmark.policy import Policy
from hullmark.summary import PERIOD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hullmark.decision import Decision
    from hullmark.event import Decided
    from hullmark.exemptions import Exemption
    from hullmark.finding import Finding, Identity
    from hullmark.history import Interval, Timeline
    from hullmark.image import Digest, Platform
    from hullmark.journal import Journal

_SMOKE_TEST = f'"type":"{SmokeTested.__struct_config__.tag}"}}'.encode()
"""How the canonical line of a smoke test ends: no other line needs to be read again for it."""
_POLICY = msgspec.json.Decoder(Policy)


def why_uncovered(timeline: Timeline | None, since: str) -> tuple[Condition, str]:
    """Whether the newest scan is whole and not older than the day `since`, and if not, why."""
    if timeline is None:
        return Condition.NEVER_SCANNED, "it was never scanned"
    if timeline.latest.at[:10] < since:
        return Condition.OUTDATED, f"it was not scanned since {timeline.latest.at[:10]}"
    gaps = timeline.latest.coverage.gaps
    if gaps:
        reason = "; ".join(map(str, gaps))
        return Condition.INCOMPLETE, f"its scan was not complete: {reason}"
    return Condition.COVERED, ""


def read_fleet(
    journal: Journal,
    expected: Iterable[tuple[str, Platform]],
    *,
    exemptions: ExemptionList | None = None,
    deadlines: Deadlines | None = None,
) -> Fleet:
    """Everything that `journal` says of the images that are expected, and of those that once were."""
    last = [entry.at for name in journal.store.names() if (entry := journal.store.last(name))]
    as_of = max(last, default="")
    reader = _Reader(journal, as_of, exemptions or ExemptionList(file=""), deadlines or Deadlines())
    members = reader.members([(image, str(platform)) for image, platform in expected])
    entries = reader.exemptions.entries
    return Fleet(
        as_of=as_of,
        sample=reader.sample,
        members=members,
        deadlines=reader.deadlines,
        actions=find_actions(members),
        weeks=follow_weeks(members, until=as_of),
        judgements=reader.judgements(),
        exemptions=tuple(sorted(entries, key=lambda entry: (entry.expires, entry.id, entry.images))),
        lints=lint(reader.exemptions, reader.today, _current(members)),
        runs=tuple(reader.runs),
    )


def _current(members: Iterable[Member]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for member in members:
        if member.is_expected:
            found.setdefault(member.image, []).extend(each.finding for each in member.findings)
    return found


class _Reader:
    def __init__(self, journal: Journal, as_of: str, exemptions: ExemptionList, deadlines: Deadlines) -> None:
        self.journal = journal
        self.exemptions = exemptions
        self.deadlines = deadlines
        self.as_of = as_of
        self.today = date.fromisoformat(as_of[:10]) if as_of else date.min
        self.sample = False
        self.runs: list[RunRecord] = []
        self.missed: dict[str, str] = {}
        """For each `image platform` that the newest run which expected it did not scan: why."""
        self.summarised: list[tuple[str, frozenset[str]]] = []
        """Each summary's time, and the images in it."""
        self._read_runs()
        for run in self.runs:
            for label in run.scanned:
                self.missed.pop(label, None)
            self.missed |= run.missing

    def _read_runs(self) -> None:
        places: dict[str, int] = {}
        for entry, event in self.journal.events(RUNS):
            if isinstance(event, LedgerStarted):
                self.sample = event.sample
            elif isinstance(event, RunStarted):
                run = entry.hash[:RUN_ID]
                places[run] = len(self.runs)
                self.runs.append(RunRecord(id=run, at=entry.at, started=event))
            elif isinstance(event, RunFinished) and event.run in places:
                place = places[event.run]
                self.runs[place] = msgspec.structs.replace(
                    self.runs[place], ended_at=entry.at, scanned=event.scanned, missing=event.missing
                )
            elif isinstance(event, SummaryPublished):
                self.summarised.append((entry.at, frozenset(event.images)))

    def judgements(self) -> tuple[RecordedDecision, ...]:
        return tuple(self._judgement(at, event) for at, event in reversed(self.journal.decisions()))

    def _judgement(self, at: str, event: Decided) -> RecordedDecision:
        decision = self._decision(event.decision)
        used = decision.inputs.policy
        policy = None if isinstance(used, Unusable) else self._policy(used)
        return RecordedDecision(at=at, event=event, decision=decision, policy=policy)

    def _policy(self, digest: Digest) -> Policy:
        try:
            return _POLICY.decode(self.journal.evidence.get(digest))
        except msgspec.DecodeError as error:
            raise self._foreign(digest, "a policy", error) from error

    def _decision(self, digest: Digest) -> Decision:
        try:
            return parse_decision(self.journal.evidence.get(digest))
        except msgspec.DecodeError as error:
            raise self._foreign(digest, "a decision", error) from error

    def _foreign(self, digest: Digest, kind: str, error: Exception) -> RepositoryError:
        return RepositoryError(
            f"{self.journal.evidence.path(digest)}: not {kind}: {error}",
            hint="It was written by another version, or is evidence of another kind.",
        )

    def members(self, expected: list[tuple[str, str]]) -> tuple[Member, ...]:
        runs = {run.id: run.started for run in self.runs}
        found: dict[tuple[str, str], Member] = {}
        for image in self.journal.images():
            smoke = self._smoke(image)
            for platform, timeline in self.journal.timelines(image, runs).items():
                place = (image, platform)
                found[place] = self._member(
                    place, timeline, smoke.get(platform), is_expected=place in expected
                )
        for place in expected:
            found.setdefault(place, self._member(place, None, None, is_expected=True))
        return tuple(sorted(found.values(), key=lambda member: member.name))

    def _smoke(self, image: str) -> dict[str, SmokeTested]:
        """The newest smoke test of each platform."""
        newest: dict[str, SmokeTested] = {}
        for file in month_files(self.journal.root, image):
            for lines, _ in batches(f"{self.journal.root}/{file}"):
                for raw in lines:
                    if raw.endswith(_SMOKE_TEST):
                        entry = parse_entry(raw, ledger=image, file=file)
                        event = parse_event(entry.type, entry.data, place=f"{self.journal.root}/{file}")
                        if isinstance(event, SmokeTested):
                            newest[event.platform] = event
        return newest

    def _member(
        self,
        place: tuple[str, str],
        timeline: Timeline | None,
        smoke: SmokeTested | None,
        *,
        is_expected: bool,
    ) -> Member:
        image, platform = place
        name = file_stem(image, platform)
        since = str(self.today - PERIOD) if self.as_of else ""
        condition, reason = why_uncovered(timeline, since)
        retired_at = ""
        if not is_expected:
            condition, reason = Condition.RETIRED, "it is no longer expected"
            retired_at = self._retired_at(name, timeline)
        found = self.journal.findings(timeline.latest.findings) if timeline else ()
        return Member(
            name=name,
            image=image,
            platform=platform,
            condition=condition,
            reason=reason,
            timeline=timeline,
            findings=self._open(image, timeline, found) if timeline else (),
            counts=count_findings(found),
            vulnerabilities=count_vulnerabilities(found),
            retired_at=retired_at,
            smoke=smoke,
            missed=self.missed.get(f"{image} {platform}", "") if is_expected else "",
        )

    def _retired_at(self, name: str, timeline: Timeline | None) -> str:
        """The first summary that left it out for good, or now when none did yet."""
        newest = timeline.latest.at if timeline else ""
        retired = self.as_of
        for at, images in reversed(self.summarised):
            if name in images or at < newest:
                break
            retired = at
        return retired

    def _open(self, image: str, timeline: Timeline, found: tuple[Finding, ...]) -> tuple[OpenFinding, ...]:
        begun = {each.identity: each for each in timeline.intervals if each.is_open}
        fixable = _fixable_since(timeline)
        accepted: dict[str, list[Exemption]] = {}
        for entry in self.exemptions.entries:
            accepted.setdefault(entry.id, []).append(entry)
        opened = []
        for finding in found:
            identity = finding.identity
            if (interval := begun.get(identity)) is None:
                raise RepositoryError(
                    f"ledger of {image}: {finding.id} in {finding.package} is open, and never began",
                    hint="Run `hullmark verify`: entries or evidence were changed.",
                )
            exemption = next(
                (
                    entry
                    for entry in accepted.get(finding.id, ())
                    if covers(entry, image, finding, self.today)
                ),
                None,
            )
            opened.append(self._opened(finding, interval, fixable.get(identity, ""), exemption))
        return tuple(sorted(opened, key=worst_first))

    def _opened(
        self, finding: Finding, interval: Interval, fixable_since: str, exemption: Exemption | None
    ) -> OpenFinding:
        since = fixable_since if finding.fixed else ""
        due = self.deadlines.due(finding.severity, since)
        first = date.fromisoformat(interval.first_seen[:10])
        return OpenFinding(
            finding=finding,
            since=interval.first_seen,
            cause=interval.cause,
            fixable_since=since,
            due=due,
            age=(self.today - first).days,
            late=max(0, (self.today - due).days) if due else 0,
            exemption=exemption,
        )


def _fixable_since(timeline: Timeline) -> Mapping[Identity, str]:
    """When each open finding first had a fix while it was there."""
    since: dict[Identity, str] = {}
    for scan in timeline.scans:
        for rename in scan.event.changed:
            for before, after in zip(rename.before.identities, rename.after.identities, strict=True):
                known = since.pop(before, "")
                if rename.after.fixed:
                    since[after] = known or scan.at
        for change in scan.event.resolved:
            for identity in change.identities:
                since.pop(identity, None)
        for change in scan.event.introduced:
            if change.fixed:
                since.update(dict.fromkeys(change.identities, scan.at))
    return since
