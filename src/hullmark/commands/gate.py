"""`hullmark gate`: base and head, one scanner, one database, and a verdict with its reasons."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from msgspec.structs import replace

from hullmark.build.definition import DEFINITION_FILE
from hullmark.build.engine import DOCKERFILE
from hullmark.commands.options import (
    choose_platform,
    jobs_option,
    scanner_options,
    workers,
)
from hullmark.commands.sides import Finder, find_trials
from hullmark.commands.trees import check_options, check_revisions
from hullmark.config import CONFIG_FILE, FeedSettings, GateSettings, ScanSettings, load_project
from hullmark.decision import Unusable
from hullmark.errors import Exit, InputError, UsageError
from hullmark.exemptions import EXEMPTIONS_FILE, load_exemptions
from hullmark.feeds import ask_feed
from hullmark.files import write_whole
from hullmark.formats.decisions import FORMATS, Answer
from hullmark.gate import Judgement, Proposal, Trial, judge, record_decision
from hullmark.image import REPOSITORY, SOURCE
from hullmark.journal import Journal
from hullmark.pipeline import ScanOptions, open_toolchain
from hullmark.planned import judging_project, propose, read_plan
from hullmark.policy import Policy, Verdict, load_policy, make_policy
from hullmark.progress import shown
from hullmark.projection import AUDIT_LOGS
from hullmark.proved import asked_by, asked_here, prove
from hullmark.revision import folder_of
from hullmark.smoke import read_report
from hullmark.text import escape_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from hullmark.checks import Sides
    from hullmark.commands import Application
    from hullmark.config import Project
    from hullmark.decision import Kev
    from hullmark.exemptions import Exemption
    from hullmark.plan import Plan

_EXITS = {Verdict.ALLOW: Exit.DONE, Verdict.REVIEW: Exit.REVIEW, Verdict.BLOCK: Exit.BLOCK}
_File = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--base", "bases", multiple=True, metavar="[NAME[@OS/ARCH]=]FILE-OR-REF", help="What was there."
)
@click.option(
    "--head", "heads", multiple=True, metavar="[NAME[@OS/ARCH]=]FILE-OR-REF", help="What is to come."
)
@click.option(
    "--repository",
    "revisions",
    metavar="BASE[..HEAD]",
    help="Also check the repository's files: those of commit BASE, and of HEAD or the working tree.",
)
@click.option("--plan", "plan_file", type=_File, help="What `hullmark plan --out` wrote.")
@click.option(
    "--built",
    multiple=True,
    metavar="base|head=DIRECTORY",
    help="With --plan: what `hullmark build --plan` built from a side.",
)
@click.option(
    "--audit-logs",
    "records",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"The ledger, where it is not in {AUDIT_LOGS}/.",
)
@click.option("--all", "expect_all", is_flag=True, help="Expect every image and platform of hullmark.toml.")
@click.option("--platform", metavar="OS/ARCH", help="Of what names none; by default linux/amd64.")
@click.option("--policy", "policy_file", type=_File, help="Instead of [gate] in hullmark.toml.")
@click.option("--exemptions", "exemptions_file", type=_File, help=f"Instead of {EXEMPTIONS_FILE}.")
@click.option(
    "--smoke",
    "smoke_places",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="A report of `hullmark test`, by default the one beside each head; a folder: only what is in it.",
)
@click.option("--record", "into_ledger", is_flag=True, help="Record the decision and its evidence.")
@click.option("--pull-request", type=click.IntRange(1), default=None, help="Its number, to be recorded.")
@click.option("--ci", is_flag=True, help="Exit with 0 on review too: the check passes, and says so.")
@click.option(
    "--format",
    "form",
    type=click.Choice(sorted(FORMATS)),
    default="text",
    show_default=True,
    help="Of the answer.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--write", "writes", multiple=True, metavar="FORMAT=FILE", help="Also write this form to a file."
)
@scanner_options
@jobs_option
@click.pass_obj
def command(app: Application, /, **given: Any) -> int:  # noqa: ANN401 - what the options above add
    """Compare base and head, each matched with the same scanner and database, and give the verdict.

    FILE is an image (docker-archive or OCI layout), or an SBOM or report that Trivy made; REF an image that a
    local engine or a registry has; the name of an image of hullmark.toml stands for its baseline.

    Exit code 0: allow. 4: review, a person decides. 3: block.
    """
    scanner = ScanOptions(**{name: given.pop(name) for name in ScanOptions.__struct_fields__})
    return run(app, Request(**given, scanner=scanner))


class Request(NamedTuple):
    """What a command line asks for."""

    bases: tuple[str, ...]
    heads: tuple[str, ...]
    revisions: str | None
    plan_file: Path | None
    built: tuple[str, ...]
    records: Path | None
    expect_all: bool
    platform: str | None
    policy_file: Path | None
    exemptions_file: Path | None
    smoke_places: tuple[Path, ...]
    into_ledger: bool
    pull_request: int | None
    ci: bool
    form: str
    as_json: bool
    writes: tuple[str, ...]
    jobs: int
    scanner: ScanOptions


def run(app: Application, asked: Request) -> int:
    """Judge what is `asked` for, record and tell the decision, and return the exit code."""
    targets = _parse_writes(asked.writes)
    _refuse_beside(asked.plan_file, asked.policy_file, asked.exemptions_file, expect_all=asked.expect_all)
    plan = read_plan(asked.plan_file) if asked.plan_file else None
    project = _read_project(app.root, plan)
    asked = _with_plan(asked, plan, project)
    journal = Journal(asked.records or app.root / AUDIT_LOGS)
    with shown(sys.stderr) as progress, workers(asked.jobs) as executor:
        finder = Finder(app.root, project, journal, choose_platform(asked.platform), progress)
        settings = project.scan if project else ScanSettings()
        tools = open_toolchain(asked.scanner, settings, root=app.root, environ=os.environ, now=app.now)
        proposal = _find_proposal(asked, plan, finder, now=app.now)
        if asked.revisions is not None:
            checks = check_options(app.root, settings, trivy=asked.scanner.trivy, sandbox=tools.trivy.sandbox)
            sides = check_revisions(app.root, asked.revisions, checks, executor, tell=progress.say)
            proposal = with_repository(proposal, sides)
        judgement = judge(tools, proposal, executor, now=app.now, tell=progress.say, journal=journal)
    if asked.into_ledger:
        record_decision(
            journal,
            judgement,
            now=app.now,
            base=plan.base if plan else _told((*asked.bases, *_revision(asked.revisions, 0))),
            head=plan.head if plan else _told((*asked.heads, *_revision(asked.revisions, 1))),
            pull_request=asked.pull_request or 0,
            clock_overridden=app.clock_overridden,
        )
    form = "json" if asked.as_json else asked.form
    _tell(judgement, proposal, project, form=form, targets=targets)
    verdict = judgement.decision.verdict
    return Exit.DONE if asked.ci and verdict is Verdict.REVIEW else _EXITS[verdict]


def _with_plan(asked: Request, plan: Plan | None, project: Project | None) -> Request:
    """`asked`, with what was built for a plan, and the plan's commits where their files are to be checked."""
    if plan is not None and project is not None and project.checks.run:
        asked = asked._replace(revisions=f"{plan.origin}..{plan.head}")
    return asked._replace(
        bases=(*asked.bases, *_find_built(plan, asked.built, "base")),
        heads=(*asked.heads, *_find_built(plan, asked.built, "head")),
    )


def _find_proposal(asked: Request, plan: Plan | None, finder: Finder, *, now: datetime) -> Proposal:
    """What is to be judged of images, with what smoke reports prove of them."""
    root, project = finder.root, finder.project
    named = bool(asked.bases or asked.heads)
    if plan is not None:
        trials = find_trials(asked.bases, asked.heads, finder) if named else ()
        proposal = propose(plan, trials, root=root, journal=finder.journal, now=now)
    else:
        only_files = asked.revisions is not None and not named
        proposal = _propose(
            () if only_files else find_trials(asked.bases, asked.heads, finder),
            project,
            policy=read_policy(asked.policy_file, project),
            exemptions=asked.exemptions_file or root / EXEMPTIONS_FILE,
            expect_all=asked.expect_all,
            kev=read_kev(project, root, now),
        )
    declared = asked_by(plan, root) if plan else asked_here(project)
    given = [read_report(place) for place in asked.smoke_places if not place.is_dir()]
    folders = [place for place in asked.smoke_places if place.is_dir()]
    return replace(proposal, trials=prove(proposal.trials, declared, given, folders=folders))


def _tell(
    judgement: Judgement,
    proposal: Proposal,
    project: Project | None,
    *,
    form: str,
    targets: list[tuple[str, Path]],
) -> None:
    """Print the decision in one form, and write it in others."""
    answer = Answer(
        decision=judgement.decision,
        digest=judgement.digest,
        content=judgement.content,
        load=judgement.evidence.__getitem__,
        policy=proposal.policy if isinstance(proposal.policy, Policy) else None,
        places=places_of(project),
    )
    for name, path in targets:
        write_whole(path, FORMATS[name](answer))
        click.echo(f"wrote {escape_terminal(str(path))}", err=True)
    click.echo(FORMATS[form](answer), nl=False)


def _refuse_beside(plan: Path | None, *files: Path | None, expect_all: bool) -> None:
    if plan is not None and (expect_all or any(files)):
        raise UsageError(
            "--plan says what is expected and what judges it",
            hint="Leave out --all, --policy and --exemptions.",
        )


def _find_built(plan: Plan | None, given: tuple[str, ...], side: str) -> Iterator[str]:
    """What was built from one side, as `--base` and `--head` name it; what is not there was not built."""
    for text in given:
        name, _, place = text.partition("=")
        if name not in ("base", "head") or not place or plan is None:
            raise UsageError(f"--built {text!r} says no side", hint="Write base=DIRECTORY, beside --plan.")
        if name != side:
            continue
        names = plan.build_base if side == "base" else plan.build_head
        for image in plan.images:
            for path in (Path(place) / image.image, Path(place) / f"{image.image}.tar"):
                if image.image in names and path.exists():
                    yield f"{image.image}@{image.platform}={path}"
                    break


def _read_project(root: Path, plan: Plan | None) -> Project | None:
    """The configuration that judges: that of the plan's base, without a plan the one in the folder."""
    if plan is not None:
        return judging_project(plan, root)
    return load_project(root) if (root / CONFIG_FILE).exists() else None


def _propose(
    trials: tuple[Trial, ...],
    project: Project | None,
    *,
    policy: Policy | Unusable,
    exemptions: Path,
    expect_all: bool,
    kev: Kev,
) -> Proposal:
    if expect_all and project is None:
        raise UsageError("--all needs a hullmark.toml", hint="Run it in the folder that has one.")
    configured = project.expected if expect_all and project else ()
    entries, unusable = read_exemptions(exemptions)
    return Proposal(
        trials=trials,
        expected=tuple(sorted({t.label for t in trials} | {f"{name} {where}" for name, where in configured})),
        policy=policy,
        max_age=(project.scan if project else ScanSettings()).max_age,
        exemptions=entries,
        unusable=unusable,
        kev=kev,
    )


def with_repository(proposal: Proposal, sides: Sides) -> Proposal:
    """`proposal`, in which the repository's own files are judged too."""
    trial = Trial(image=REPOSITORY, platform=str(SOURCE), base=sides.base, head=sides.head)
    return replace(
        proposal,
        trials=(*proposal.trials, trial),
        expected=tuple(sorted({*proposal.expected, trial.label})),
        evidence=proposal.evidence | sides.evidence,
    )


def _revision(revisions: str | None, side: int) -> tuple[str, ...]:
    """How a side of `BASE[..HEAD]` is told."""
    if revisions is None:
        return ()
    return (f"{REPOSITORY}={revisions.split('..')[side] if '..' in revisions or not side else ''}",)


def read_kev(project: Project | None, root: Path, now: datetime) -> Kev:
    """What the gate may ask about exploited vulnerabilities."""
    feeds = project.feeds if project else FeedSettings()
    return ask_feed(feeds.kev_file(root), now=now, max_age=feeds.kev_max_age)


def places_of(project: Project | None) -> dict[str, str]:
    """Of each image the file in the repository that it is made from."""
    found: dict[str, str] = {}
    for image in project.images if project else ():
        for name in (DEFINITION_FILE, DOCKERFILE):
            if (image.folder / name).is_file():
                found.setdefault(image.name, (Path(folder_of(image)) / name).as_posix())
    return found


def read_policy(file: Path | None, project: Project | None) -> Policy | Unusable:
    """The policy of `file`, else of hullmark.toml, else `strict`. One that cannot be read is unusable."""
    try:
        if file is not None:
            return load_policy(file)
        settings = project.gate if project else GateSettings()
        return make_policy(settings.table, file=CONFIG_FILE, key="gate")
    except InputError as error:
        return _unusable(error)


def read_exemptions(path: Path) -> tuple[tuple[Exemption, ...], tuple[Unusable, ...]]:
    """The accepted risks in `path`, none where there is no such file; or why they cannot be read."""
    if not path.exists():
        return (), ()
    try:
        return load_exemptions(path).entries, ()
    except InputError as error:
        return (), (_unusable(error),)


def _unusable(error: InputError) -> Unusable:
    """What a decision keeps of an error: the file's name, not the folders of this machine."""
    return Unusable(file=Path(error.file).name, message=error.message.removeprefix(f"{error.file}: "))


def _parse_writes(writes: tuple[str, ...]) -> list[tuple[str, Path]]:
    targets = []
    for text in writes:
        name, _, path = text.partition("=")
        if name not in FORMATS or not path:
            raise UsageError(
                f"{text!r} is not FORMAT=FILE", hint=f"The formats are {', '.join(sorted(FORMATS))}."
            )
        targets.append((name, Path(path)))
    return targets


def _told(places: tuple[str, ...]) -> str:
    """What was given, without the folders of this machine."""
    told = []
    for text in places:
        name, sep, place = text.rpartition("=") if not Path(text).exists() else ("", "", text)
        told.append(f"{name}{sep}{Path(place).name if Path(place).exists() else place}")
    return ", ".join(sorted(told))
