"""`hullmark init`: a repository that Hullmark looks after from now on."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click

from hullmark.commands import Application, print_json
from hullmark.commands.options import json_option
from hullmark.errors import HullmarkError
from hullmark.git import ask
from hullmark.starter import Origin, Planned, State, parse_origin, plan, write
from hullmark.text import escape_terminal

_VERBS = {State.NEW: "wrote", State.EXTENDED: "extended", State.KEPT: "kept"}
_WOULD = {State.NEW: "would write", State.EXTENDED: "would extend", State.KEPT: "would keep"}


@click.command()
@click.option("--from", "origin", metavar="ADDRESS@COMMIT", help="The Hullmark that workflows install.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@json_option
@click.pass_obj
def command(app: Application, *, origin: str | None, dry_run: bool, as_json: bool) -> None:
    """Write a configuration for the images that are here, workflows for GitHub, and what belongs to them.

    Nothing is asked, and no file that is there is overwritten. Workflows install one commit of Hullmark's own
    repository: the one that --from names, or the one that this Hullmark was installed from.
    """
    source = parse_origin(origin) if origin else find_origin()
    planned = plan(app.root, source)
    if not dry_run:
        write(app.root, planned)
    if as_json:
        print_json({"dry_run": dry_run, "files": planned, "from": source._asdict() if source else None})
        return
    for line in render(planned, source, dry_run=dry_run):
        click.echo(escape_terminal(line))


def render(planned: tuple[Planned, ...], source: Origin | None, *, dry_run: bool) -> list[str]:
    """What became of each file, and what to do next."""
    verbs = _WOULD if dry_run else _VERBS
    lines = [f"{verbs[each.state]} {each.path}" for each in planned]
    if source is None:
        lines += [
            "no workflows: it is not known which commit of Hullmark they shall install",
            "  next: hullmark init --from ADDRESS@COMMIT",
        ]
    return [*lines, "next: look at hullmark.toml, then run `hullmark doctor`"]


def find_origin() -> Origin | None:
    """The commit that this Hullmark was installed from, where pip or its folder's git knows (PEP 610)."""
    try:
        text = distribution("hullmark").read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    about = json.loads(text or "{}")
    address, commit = about.get("url", ""), about.get("vcs_info", {}).get("commit_id", "")
    if address.startswith("file://"):
        address, commit = _ask_folder(unquote(urlsplit(address).path))
    try:
        return parse_origin(f"{address.removesuffix('.git')}@{commit}")
    except HullmarkError:
        return None


def _ask_folder(folder: str) -> tuple[str, str]:
    """Address and commit of the clone in `folder`; empty where it is none."""
    place = Path(folder)
    if not place.is_dir():
        return "", ""
    address = ask(place, "remote", "get-url", "origin").out.decode().strip()
    return address, ask(place, "rev-parse", "HEAD").out.decode().strip()
