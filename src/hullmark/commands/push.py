"""`hullmark push`: what was built and scanned, into a registry, and its tag where the decision lets it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hullmark.commands import Application, print_json
from hullmark.commands.build import DEFAULT_OUT
from hullmark.commands.options import jobs_option, json_option, scanner_options, workers
from hullmark.commands.pushing import Bench, Told, find_job, find_registry, preview, push, write_subjects
from hullmark.commands.record import find_published as find_fetched
from hullmark.config import load_project
from hullmark.errors import Exit, HullmarkError, IncompleteError, UsageError
from hullmark.event import Kept
from hullmark.formats.text import plural
from hullmark.image import parse_digest
from hullmark.outbox import Outbox
from hullmark.pipeline import LOCAL, OUTBOX
from hullmark.progress import shown
from hullmark.registry.place import check_tag
from hullmark.text import encodable, escape_terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from hullmark.config import Image


@click.command()
@click.argument("images", nargs=-1)
@click.option(
    "--built",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Where the images lie; by default {DEFAULT_OUT}/ in the repository.",
)
@click.option("--registry", metavar="HOST/PATH", help="Instead of `publish.registry` of hullmark.toml.")
@click.option("--tag", help="The tag that moves, instead of `publish.tag`.")
@click.option(
    "--judge", "only_judge", is_flag=True, help="Only judge what was built, and record the decision."
)
@click.option("--judged", is_flag=True, help="Take the recorded decisions of --judge; no scanner is needed.")
@click.option("--over", metavar="DIGEST", help="What the tag may name although it does not come from here.")
@click.option("--local", is_flag=True, help=f"Record below {LOCAL}/, for `hullmark publish`.")
@click.option("--dry-run", is_flag=True, help="Say what would be pushed, and change nothing.")
@click.option(
    "--subjects",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where `publish.public` is true: write what may be attested in public, with the SBOMs.",
)
@scanner_options
@jobs_option
@json_option
@click.pass_obj
def command(
    app: Application,
    /,
    *,
    images: tuple[str, ...],
    built: Path | None,
    registry: str | None,
    tag: str | None,
    only_judge: bool,
    judged: bool,
    over: str | None,
    local: bool,
    dry_run: bool,
    subjects: Path | None,
    jobs: int,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - what `scanner_options` adds
) -> int:
    """Put what was built and scanned into a registry by digest, and move the tag where the gate lets it.

    IMAGES, or all that are built here. Each is judged against what is published, with the policy and the
    exemptions that lie here: on allow and review the tag moves, on block it stays. Only what
    `hullmark record` scanned is pushed, with its SBOM and the decision beside it.

    Exit code 3: a build was blocked, its tag stayed. 5: an image is incomplete, its tag stayed. 1: something
    could not be pushed.
    """
    if only_judge and (judged or dry_run or over or subjects):
        raise UsageError(
            "--judge pushes nothing", hint="Leave out --judged, --over, --dry-run and --subjects."
        )
    project = load_project(app.root)
    chosen = [each for each in project.select(images) if project.publish.images and not each.reference]
    home = app.root / LOCAL if local else app.root
    bench = Bench(
        app=app,
        project=project,
        options=options,
        out=built or app.root / DEFAULT_OUT,
        home=home,
        outbox=Outbox(home / OUTBOX) if local else None,
        fetched=find_fetched(app.root),
        commit=os.environ.get("GITHUB_SHA", ""),
        tag=check_tag(tag or project.publish.tag),
        registry=registry or find_registry(project, os.environ) if chosen else "",
        over=parse_digest(over) if over else None,
        subjects=subjects if project.publish.public else None,
    )
    with shown(sys.stderr) as progress, workers(jobs) as executor:

        def carry_out(image: Image) -> Told:
            job = find_job(bench, image, executor, progress, is_judged=judged)
            return preview(image, job) if only_judge or dry_run else push(bench, image, job, progress)

        told = [_attempt(image, carry_out) for image in chosen]
    if bench.subjects and not (only_judge or dry_run):
        write_subjects(bench, told)
    return tell(told, as_json=as_json, only_judge=only_judge, is_dry=dry_run)


def _attempt(image: Image, carry_out: Callable[[Image], Told]) -> Told:
    """What became of `image`: one that cannot be pushed keeps no other back."""
    try:
        return carry_out(image)
    except HullmarkError as error:
        code = Exit.INCOMPLETE if isinstance(error, IncompleteError) else Exit.ERROR
        return Told(image=image.name, exit=code, reason=encodable(error.message), hint=error.hint)


def tell(told: list[Told], *, as_json: bool, only_judge: bool, is_dry: bool) -> int:
    """Print what became of each image; the exit code of the worst."""
    if as_json:
        print_json({"images": told})
    else:
        for each in told:
            for line in render(each, only_judge=only_judge, is_dry=is_dry):
                click.echo(escape_terminal(line))
        if not told:
            click.echo("nothing is pushed: no image is built here, or `publish.images` is false")
    for code in (Exit.ERROR, Exit.BLOCK, Exit.INCOMPLETE):
        if any(each.exit is code for each in told):
            return code
    return Exit.DONE


def render(told: Told, *, only_judge: bool, is_dry: bool) -> list[str]:
    """One image in words."""
    event = told.event
    if event is None or event.digest is None:
        verb = "not judged" if only_judge else "not pushed"
        if told.reason:
            tag = "; its tag stays where it was" if told.exit is Exit.INCOMPLETE else ""
            lines = [f"{verb}: {told.image}: {told.reason}{tag}"]
            return lines + ([f"  next: {told.hint}"] if told.hint else [])
        verdict = told.verdict or "what was built is published already"
        return [f"{told.image}: {verdict}{'; nothing was pushed' if is_dry else ''}"]
    name = f"{event.repository}@{event.digest}"
    sent = f"{plural(told.sent, 'part', 'parts')} sent" if told.sent else "it was there already"
    lines = [f"pushed: {name}: {sent}"]
    if event.kept is Kept.BLOCKED:
        lines.append(f"  blocked: the tag {event.tag} stays where it was")
    else:
        was = f", instead of {event.before}" if event.before else ""
        lines.append(f"  the tag {event.tag} names it{was}{f' ({told.verdict})' if told.verdict else ''}")
    return lines + [f"  {note}" for note in told.notes]
