"""Read a fleet from a recorded history. What is expected, accepted and required is given.

Rules (each has a test with the same words):
- the repository's own files are no image: they are never retired, and count in no number of images;
- a list of exploited vulnerabilities is known as far as a decision asked one.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import msgspec

from hullmark.baseline import file_stem
from hullmark.deadline import Deadlines
from hullmark.decision import Kev, KevState, Unusable, parse_decision
from hullmark.errors import RepositoryError
from hullmark.event import (
    LedgerStarted,
    RunFinished,
    RunStarted,
    SmokeTested,
    SummaryPublished,
    parse_event,
)
from hullmark.exemptions import ExemptionList, lint
from hullmark.finding import count_findings, count_vulnerabilities
from hullmark.fleet.action import find_actions
from hullmark.fleet.flow import add_up, follow_weeks
from hullmark.fleet.member import Condition, Member, what_it_asks, when_retired, why_uncovered
from hullmark.fleet.model import ExploitedList, Fleet, RecordedDecision, RunRecord
from hullmark.fleet.opened import Today, open_findings
from hullmark.image import REPOSITORY
from hullmark.journal import RUN_ID
from hullmark.ledger.entry import parse_entry
from hullmark.ledger.files import batches
from hullmark.ledger.layout import RUNS, month_files
from hullmark.policy import Policy
from hullmark.summary import PERIOD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hullmark.decision import Decision
    from hullmark.event import Decided
    from hullmark.finding import Finding
    from hullmark.history import Timeline
    from hullmark.image import Digest, Platform
    from hullmark.journal import Journal

_SMOKE_TEST = f'"type":"{SmokeTested.__struct_config__.tag}"}}'.encode()
"""How the canonical line of a smoke test ends: no other line needs to be read again for it."""
_POLICY = msgspec.json.Decoder(Policy)
_KEV = msgspec.json.Decoder(Kev)


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
    listed = exemptions or ExemptionList(file="")
    reader = _Reader(journal, as_of, listed, deadlines or Deadlines())
    members = reader.members([(image, str(platform)) for image, platform in expected])
    repository = reader.repository()
    return Fleet(
        as_of=as_of,
        sample=reader.sample,
        members=members,
        repository=repository,
        deadlines=reader.today.deadlines,
        actions=find_actions(members),
        weeks=add_up(member.weeks for member in members),
        judgements=reader.judgements,
        exploited=reader.exploited,
        exemptions=tuple(sorted(listed.entries, key=lambda entry: (entry.expires, entry.id, entry.images))),
        lints=lint(listed, reader.today.day, _current((*members, *repository))),
        runs=tuple(reader.runs),
    )


def _current(members: Iterable[Member]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for member in members:
        if member.is_expected:
            found.setdefault(member.image, []).extend(each.finding for each in member.findings)
    return found


class _Reader:
    def __init__(self, journal: Journal, as_of: str, listed: ExemptionList, deadlines: Deadlines) -> None:
        self.journal = journal
        self.as_of = as_of
        self.sample = False
        self.runs: list[RunRecord] = []
        self.missed: dict[str, str] = {}
        """For each `image platform` that the newest run which expected it did not scan: why."""
        self.summarised: list[tuple[str, frozenset[str]]] = []
        self._read_runs()
        self.starts = {run.id: run.started for run in self.runs}
        self.judgements = tuple(self._judgement(at, event) for at, event in reversed(journal.decisions()))
        self.exploited = self._exploited()
        self.today = Today(
            day=date.fromisoformat(as_of[:10]) if as_of else date.min,
            deadlines=deadlines,
            exemptions=listed.entries,
            exploited=self.exploited.ids if self.exploited else frozenset(),
        )
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

    def _exploited(self) -> ExploitedList | None:
        """The list that the newest decision asked which had one."""
        for judgement in self.judgements:
            digest = judgement.decision.inputs.kev
            try:
                kev = _KEV.decode(self.journal.evidence.get(digest))
            except msgspec.DecodeError as error:
                raise self._foreign(digest, "a list of exploited vulnerabilities", error) from error
            if kev.state is not KevState.NOT_CONFIGURED:
                return ExploitedList(
                    asked_at=judgement.at, state=kev.state, date=kev.date, ids=frozenset(kev.ids)
                )
        return None

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
        found: dict[tuple[str, str], Member] = {}
        for image in self.journal.images():
            smoke = self._smoke(image)
            for platform, timeline in self.journal.timelines(image, self.starts).items():
                place = (image, platform)
                found[place] = self._member(
                    place, timeline, smoke.get(platform), is_expected=place in expected
                )
        for place in expected:
            if place not in found:
                found[place] = self._member(place, None, None, is_expected=True)
        return tuple(sorted(found.values(), key=lambda member: member.name))

    def repository(self) -> tuple[Member, ...]:
        """The repository's own files, once for each set of tools that looks at them."""
        timelines = self.journal.timelines(REPOSITORY, self.starts)
        return tuple(
            self._member((REPOSITORY, platform), timeline, None, is_expected=True)
            for platform, timeline in timelines.items()
        )

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
        since = str(self.today.day - PERIOD) if self.as_of else ""
        condition, reason = why_uncovered(timeline, since)
        retired_at = ""
        if not is_expected:
            condition, reason = Condition.RETIRED, "it is no longer expected"
            retired_at = when_retired(name, timeline, self.summarised, self.as_of)
        found = self.journal.findings(timeline.latest.findings) if timeline else ()
        findings = open_findings(timeline, found, self.today) if timeline else ()
        return Member(
            name=name,
            image=image,
            platform=platform,
            condition=condition,
            reason=reason,
            timeline=timeline,
            state=what_it_asks(condition, findings),
            findings=findings,
            counts=count_findings(found),
            vulnerabilities=count_vulnerabilities(found),
            fixable=count_findings(finding for finding in found if finding.fixed),
            weeks=follow_weeks(timeline, retired_at, until=self.as_of),
            retired_at=retired_at,
            smoke=smoke,
            missed=self.missed.get(f"{image} {platform}", "") if is_expected else "",
        )
