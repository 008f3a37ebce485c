"""Plan a comparison: which images a change affects, with what each is compared, and what judges it.

Everything is read from commits as data; nothing is checked out, built or run.

Rules (each has a test with the same words):
- an image whose build inputs are equal in base and head is unaffected, and is not built;
- what the change is compared with is the commit that base and head both go back to;
- the base of an image is the newest record with the same inputs, where a lock or digest fixes the content;
- else base is built in the same run, and where there is nothing to build there is no base;
- an image or platform in both is expected; one only in base is retired, one only in head joins;
- a package type that head no longer expects is coverage that the change narrows;
- a file that judges and cannot be read is named, never left out; without a configuration that can be read
  nothing is said about images.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from hullmark.config import CONFIG_FILE, Project
from hullmark.decision import Absence, Expected, Touch, Unusable
from hullmark.errors import InputError
from hullmark.exemptions import EXEMPTIONS_FILE, Exemption, added, parse_exemptions
from hullmark.git import merge_base
from hullmark.image import Digest, Platform
from hullmark.policy import make_policy
from hullmark.revision import BuildInputs, Commit, folder_of, load_revision
from hullmark.scan import Gap, GapReason
from hullmark.touched import find_touched

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hullmark.journal import Journal


class Effect(StrEnum):
    """What the change does to an image and platform."""

    INPUTS_UNCHANGED = "inputs-unchanged"
    INPUTS_CHANGED = "inputs-changed"
    JOINS = "joins"
    RETIRED = "retired"


class BaseKind(StrEnum):
    """Where the base of a comparison comes from."""

    RECORDED = "recorded"
    BUILD = "build"
    """It is built (or fetched) in the same run as head."""
    NONE = "no-base"


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A scan in the ledger."""

    at: str
    digest: Digest
    sbom: Digest
    findings: Digest


class PlannedImage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One image and platform."""

    image: str
    platform: str
    effect: Effect
    expected: Expected
    base: BaseKind
    absence: Absence | None = None
    """Why there is no base."""
    recorded: Recorded | None = None
    """The newest record with base's inputs; where base is built, it shows how far a rebuild drifts."""
    base_inputs: Digest | None = None
    head_inputs: Digest | None = None
    declared: tuple[Gap, ...] = ()
    """Coverage that the change narrows."""
    detail: str = ""
    """What could not be read of base."""

    @property
    def label(self) -> str:
        """`image platform`, as decisions name what they expect."""
        return f"{self.image} {self.platform}"


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a change is to be compared. `version` is that of this document."""

    version: Literal[1] = 1
    base: str
    """Commit whose policy, exemptions and configuration judge."""
    origin: str
    """Commit that the change is compared with: the newest that base and head both go back to."""
    head: str
    images: tuple[PlannedImage, ...]
    """By image and platform."""
    build_base: tuple[str, ...] = ()
    """Images to build from `origin`."""
    build_head: tuple[str, ...] = ()
    """Images to build from `head`."""
    touched: tuple[Touch, ...] = ()
    unusable: tuple[Unusable, ...] = ()
    added_exemptions: tuple[Exemption, ...] = ()
    """Exemptions of head that `origin` does not have."""

    @property
    def expected(self) -> tuple[str, ...]:
        """Each `image platform` that base and head expect."""
        return tuple(image.label for image in self.images if image.expected is Expected.BOTH)

    def image(self, name: str, platform: str) -> PlannedImage | None:
        """What is planned for one image and platform."""
        return next((each for each in self.images if (each.image, each.platform) == (name, platform)), None)


class _State(NamedTuple):
    """What a commit says about images."""

    commit: Commit
    project: Project | None
    inputs: BuildInputs | None
    exemptions: tuple[Exemption, ...]
    unusable: tuple[Unusable, ...]

    @property
    def is_broken(self) -> bool:
        """Whether there is a configuration, and it cannot be read."""
        return self.project is None and self.commit.read(CONFIG_FILE) is not None

    @property
    def expected(self) -> frozenset[tuple[str, Platform]]:
        return frozenset(self.project.expected if self.project else ())


def make_plan(root: Path, base: str, head: str, journal: Journal) -> Plan:
    """Plan the comparison of two revisions of the repository in `root`; `journal` is asked for records."""
    judging, after = Commit(root, base), Commit(root, head)
    before = Commit(root, merge_base(root, judging.id, after.id))
    old, new = _read(before), _read(after)
    faults = {*_read(judging).unusable, *new.unusable}
    images: list[PlannedImage] = []
    known = frozenset() if old.is_broken or new.is_broken else old.expected | new.expected
    for name, platform in sorted(known):
        image, found = _plan_image(name, platform, old, new, journal)
        images.append(image)
        faults |= set(found)
    return Plan(
        base=judging.id,
        origin=before.id,
        head=after.id,
        images=tuple(images),
        build_base=_names(image for image in images if image.base is BaseKind.BUILD),
        build_head=_names(image for image in images if image.effect in (Effect.INPUTS_CHANGED, Effect.JOINS)),
        touched=find_touched(before, after, _folders(old, new)),
        unusable=tuple(sorted(faults)),
        added_exemptions=added(old.exemptions, new.exemptions),
    )


def _read(commit: Commit) -> _State:
    faults: list[Unusable] = []
    project: Project | None = None
    entries: tuple[Exemption, ...] = ()
    try:
        project = load_revision(commit)
        if project is not None:
            make_policy(project.gate.table, file=f"{commit.label}:{CONFIG_FILE}", key="gate")
    except InputError as error:
        faults.append(unusable(error))
    try:
        if (data := commit.read(EXEMPTIONS_FILE)) is not None:
            entries = parse_exemptions(data, file=f"{commit.label}:{EXEMPTIONS_FILE}").entries
    except InputError as error:
        faults.append(unusable(error))
    inputs = BuildInputs(commit, project) if project else None
    return _State(commit, project, inputs, entries, tuple(faults))


def unusable(error: InputError) -> Unusable:
    """What a decision keeps of a file that judges and cannot be read."""
    return Unusable(file=error.file, message=error.message.removeprefix(f"{error.file}: "))


def _plan_image(
    name: str, platform: Platform, old: _State, new: _State, journal: Journal
) -> tuple[PlannedImage, tuple[Unusable, ...]]:
    """The plan for one image and platform, and what of head cannot be read."""
    before, detail = _digest(name, platform, old)
    after, fault = _digest(name, platform, new)
    expected = _expected((name, platform), old, new)
    if expected is not Expected.BOTH:
        effect = Effect.JOINS if expected is Expected.HEAD_ONLY else Effect.RETIRED
    else:
        effect = Effect.INPUTS_UNCHANGED if before and before == after else Effect.INPUTS_CHANGED
    recorded = find_record(journal, name, str(platform), before) if before else None
    kind, absence = _choose_base(name, effect, recorded, old)
    image = PlannedImage(
        image=name,
        platform=str(platform),
        effect=effect,
        expected=expected,
        base=kind,
        absence=absence,
        recorded=recorded,
        base_inputs=before,
        head_inputs=after,
        declared=_narrowed(name, old, new) if expected is Expected.BOTH else (),
        detail=detail.message if detail else "",
    )
    return image, (unusable(fault),) if fault else ()


def _expected(image: tuple[str, Platform], old: _State, new: _State) -> Expected:
    if image not in new.expected:
        return Expected.BASE_ONLY
    return Expected.BOTH if image in old.expected else Expected.HEAD_ONLY


def _digest(name: str, platform: Platform, state: _State) -> tuple[Digest | None, InputError | None]:
    """What the image is built from there; None where it is not there, or with why it cannot be read."""
    if state.inputs is None or (name, platform) not in state.expected:
        return None, None
    try:
        return state.inputs.digest(name, platform), None
    except InputError as error:
        return None, error


def _choose_base(
    name: str, effect: Effect, recorded: Recorded | None, old: _State
) -> tuple[BaseKind, Absence | None]:
    if effect is Effect.JOINS:
        return BaseKind.NONE, Absence.NEVER_RECORDED if old.project else Absence.NO_CONFIGURATION
    if effect is Effect.INPUTS_CHANGED and not (recorded and old.inputs and old.inputs.is_fixed(name)):
        return BaseKind.BUILD, None
    # What nobody builds, because nothing changes or it is retired, keeps what was recorded.
    return (BaseKind.RECORDED, None) if recorded else (BaseKind.NONE, Absence.NEVER_RECORDED)


def find_record(journal: Journal, image: str, platform: str, inputs: Digest) -> Recorded | None:
    """The newest recorded scan of an image that was built from `inputs`."""
    timeline = journal.timelines(image).get(platform)
    for scan in reversed(timeline.scans if timeline else ()):
        if scan.inputs == inputs:
            return Recorded(at=scan.at, digest=scan.digest, sbom=scan.sbom, findings=scan.findings)
    return None


def _narrowed(name: str, old: _State, new: _State) -> tuple[Gap, ...]:
    """Gaps that head's configuration declares: package types that it no longer expects."""
    if old.project is None or new.project is None:
        return ()
    gone = {*old.project.image(name).package_types} - {*new.project.image(name).package_types}
    return tuple(Gap(GapReason.MISSING_TYPE, type_) for type_ in sorted(gone))


def _folders(old: _State, new: _State) -> tuple[str, ...]:
    """The folders of images in both; a new image's tests judge nothing yet."""
    if old.project is None or new.project is None:
        return ()
    kept = {image.name for image in old.project.images} & {image.name for image in new.project.images}
    projects = (old.project, new.project)
    images = [project.image(name) for project in projects for name in kept]
    return tuple(sorted({folder_of(image) for image in images if not image.reference}))


def _names(images: Iterable[PlannedImage]) -> tuple[str, ...]:
    return tuple(sorted({image.image for image in images}))
