"""A planned comparison, made ready to be judged: what a plan says, with what was built for it.

Rules (each has a test with the same words):
- everything that judges is read from the plan's base, whatever lies in the folder;
- an image that is unaffected has no vote, and nothing of it is scanned;
- a base that was recorded is taken from the ledger's evidence, unless one was built;
- a base that had to be built again is shown beside what was recorded of the same inputs;
- what the plan expects and nobody gives is not built, and blocks;
- an image that the plan does not know is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hullmark.config import CONFIG_FILE, FeedSettings, GateSettings, ScanSettings
from hullmark.decision import Absence, Missing, Unusable
from hullmark.errors import InputError, UsageError
from hullmark.exemptions import EXEMPTIONS_FILE, Exemption, parse_exemptions
from hullmark.feeds import ask_feed
from hullmark.files import read_bounded
from hullmark.gate import Proposal, Trial
from hullmark.image import parse_platform
from hullmark.pipeline import Source
from hullmark.plan import BaseKind, Effect, Plan, unusable
from hullmark.policy import Policy, make_policy
from hullmark.revision import Commit, load_revision

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from hullmark.config import Project
    from hullmark.decision import Side
    from hullmark.journal import Journal
    from hullmark.plan import PlannedImage

MAX_PLAN = 16 << 20


def read_plan(path: Path) -> Plan:
    """Read what `hullmark plan --out` wrote, or raise InputError."""
    try:
        return msgspec.json.decode(read_bounded(path, MAX_PLAN), type=Plan)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(str(error), file=path, hint="Write it with `hullmark plan --out`.") from error


def judging_project(plan: Plan, root: Path) -> Project | None:
    """The configuration of the plan's base; None where it has none, or none that can be read."""
    try:
        return load_revision(Commit(root, plan.base))
    except InputError:
        return None  # `propose` names the fault, and it blocks


def propose(plan: Plan, trials: Iterable[Trial], *, root: Path, journal: Journal, now: datetime) -> Proposal:
    """Everything that is judged, and everything that judges it. `trials` are of what was built."""
    given = {trial.label: trial for trial in trials}
    if strangers := sorted(given.keys() - {image.label for image in plan.images}):
        raise UsageError(f"the plan does not have {', '.join(strangers)}", hint="Plan again.")
    judging = Commit(root, plan.base)
    project = judging_project(plan, root)
    feeds, scan = (project.feeds, project.scan) if project else (FeedSettings(), ScanSettings())
    entries, faults = _read_exemptions(judging)
    return Proposal(
        trials=tuple(_trial(image, given.get(image.label), journal) for image in plan.images),
        expected=plan.expected,
        policy=_read_policy(judging),
        max_age=scan.max_age,
        kev=ask_feed(feeds.kev_file(root), now=now, max_age=feeds.kev_max_age),
        exemptions=entries,
        added_exemptions=plan.added_exemptions,
        touched=plan.touched,
        unusable=tuple(sorted({*plan.unusable, *faults})),
    )


def _trial(image: PlannedImage, given: Trial | None, journal: Journal) -> Trial:
    base: Source | Side | Missing
    head: Source | Side | Missing = Missing(reason=Absence.NOT_BUILT)
    if image.effect in (Effect.INPUTS_UNCHANGED, Effect.RETIRED):
        known = f", recorded as {image.recorded.digest}" if image.recorded else ""
        base = head = Missing(reason=Absence.NOT_BUILT, detail=f"{image.effect.value}{known}")
    else:
        base = given.base if given and not isinstance(given.base, Missing) else _base(image, journal)
        head = given.head if given and not isinstance(given.head, Missing) else head
    empty = Trial(image=image.image, platform=image.platform, base=base, head=head)
    return msgspec.structs.replace(
        given or empty,
        base=base,
        head=head,
        expected=image.expected,
        unchanged=image.effect is Effect.INPUTS_UNCHANGED,
        declared=image.declared,
        planned=True,
        former=image.recorded.sbom if image.recorded and image.base is BaseKind.BUILD else None,
    )


def _base(image: PlannedImage, journal: Journal) -> Source | Missing:
    """The base that nobody built: what was recorded, or why there is none."""
    if image.base is not BaseKind.RECORDED or image.recorded is None:
        return Missing(reason=image.absence or Absence.NOT_BUILT)
    sbom = image.recorded.sbom
    return Source(
        image=image.image,
        platform=parse_platform(image.platform),
        path=journal.evidence.path(sbom),
        sbom=journal.evidence.get(sbom),
    )


def _read_policy(judging: Commit) -> Policy | Unusable:
    try:
        project = load_revision(judging)
        settings = project.gate if project else GateSettings()
        return make_policy(settings.table, file=f"{judging.label}:{CONFIG_FILE}", key="gate")
    except InputError as error:
        return unusable(error)


def _read_exemptions(judging: Commit) -> tuple[tuple[Exemption, ...], tuple[Unusable, ...]]:
    data = judging.read(EXEMPTIONS_FILE)
    if data is None:
        return (), ()
    try:
        return parse_exemptions(data, file=f"{judging.label}:{EXEMPTIONS_FILE}").entries, ()
    except InputError as error:
        return (), (unusable(error),)
