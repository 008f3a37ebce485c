"""What smoke reports prove of the images that are judged.

Rules (each has a test with the same words):
- base's declaration decides: whether there is a test, what it asks, and where it is required;
- a new image is held to what head declares;
- a report counts only for the image whose digest it names, and only when it asks what is declared;
- where a folder of reports is named, only what lies in it counts;
- without a report that counts a required test was not run; a failure counts wherever it happened.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hullmark.baseline import file_stem
from hullmark.decision import Expected, SmokeResult
from hullmark.errors import InputError
from hullmark.image import parse_platform
from hullmark.pipeline import Source
from hullmark.revision import Commit, WorkingTree, folder_of, load_revision
from hullmark.smoke import read_declared, read_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hullmark.config import Project
    from hullmark.gate import Trial
    from hullmark.plan import Plan
    from hullmark.revision import Revision
    from hullmark.smoke import Declared, SmokeReport


class Asked(NamedTuple):
    """What is declared for one image and platform."""

    declared: Declared | None = None
    required: bool = False
    fault: str = ""
    """Why the declaration cannot be read: then nothing is proved."""


def prove(
    trials: Iterable[Trial],
    asked: Callable[[Trial], Asked],
    given: Iterable[SmokeReport],
    *,
    folders: Iterable[Path] = (),
) -> tuple[Trial, ...]:
    """`trials` with what is known of their heads: by a report that is given, or that lies in `folders`.

    Without `folders` the report beside a head is asked.
    """
    known, places = {report.label: report for report in given}, tuple(folders)
    return tuple(_prove(trial, asked(trial), known, places) for trial in trials)


def _prove(trial: Trial, asked: Asked, known: Mapping[str, SmokeReport], folders: tuple[Path, ...]) -> Trial:
    if not isinstance(trial.head, Source) or not (asked.declared or asked.fault):
        return trial
    places = folders or (trial.head.path.parent,)
    report = known.get(trial.label) or _find(trial.head, places)
    result, detail = _count(asked, report)
    if result is SmokeResult.NOT_RUN and not asked.required:
        result = SmokeResult.NOT_DECLARED
    digests = (report.digest, report.config) if report else ()
    return msgspec.structs.replace(trial, smoke=result, smoke_detail=detail, smoke_of=digests)


def _count(asked: Asked, report: SmokeReport | None) -> tuple[SmokeResult, str]:
    if asked.declared is None:
        return SmokeResult.NOT_RUN, asked.fault
    if report is None:
        return SmokeResult.NOT_RUN, "no report: `hullmark test` writes one beside the image"
    if report.tests != asked.declared.digest:
        return SmokeResult.NOT_RUN, "the report is of other tests than base's"
    return report.result, report.detail


def _find(head: Source, places: tuple[Path, ...]) -> SmokeReport | None:
    name = f"{file_stem(head.image, str(head.platform))}.smoke.json"
    return next((read_report(place / name) for place in places if (place / name).is_file()), None)


def asked_here(project: Project | None) -> Callable[[Trial], Asked]:
    """What the folder of `project` declares; nothing for images that it does not have."""
    tree = WorkingTree(project.root) if project else None

    def find(trial: Trial) -> Asked:
        return _ask(project, trial, tree) if tree else Asked()

    return find


def asked_by(plan: Plan, root: Path) -> Callable[[Trial], Asked]:
    """What the plan's base declares, and its head for an image that only head has."""
    commits = {revision: Commit(root, revision) for revision in (plan.base, plan.head)}
    projects: dict[str, Project | None] = {}

    def find(trial: Trial) -> Asked:
        revision = plan.head if trial.expected is Expected.HEAD_ONLY else plan.base
        commit = commits[revision]
        try:
            if revision not in projects:
                projects[revision] = load_revision(commit)
        except InputError as error:
            return Asked(required=True, fault=error.message)
        return _ask(projects[revision], trial, commit)

    return find


def _ask(project: Project | None, trial: Trial, revision: Revision) -> Asked:
    image = next((each for each in project.images if each.name == trial.image), None) if project else None
    if project is None or image is None:
        return Asked()
    folder = folder_of(image)
    top = f"{folder}/" if folder else ""
    required = parse_platform(trial.platform) in project.smoke_platforms
    try:
        return Asked(read_declared(lambda name: revision.read(top + name), place=Path(folder)), required)
    except InputError as error:
        return Asked(required=required, fault=error.message)
