"""`hullmark dashboard`: the static site, from ledger and evidence."""

from __future__ import annotations

import functools
import gc
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hullmark.commands import Application, print_json
from hullmark.commands.options import json_option
from hullmark.config import load_project
from hullmark.dashboard import build_site, read_contents, read_summary, write_site
from hullmark.errors import Exit
from hullmark.exemptions import EXEMPTIONS_FILE, ExemptionList, find_exemptions
from hullmark.fleet import read_fleet
from hullmark.formats.text import plural
from hullmark.journal import Journal
from hullmark.projection import AUDIT_LOGS
from hullmark.verification import verify_history

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hullmark.dashboard.trendpage import Trend
    from hullmark.fleet import Fleet


@click.command()
@click.option("--out", default="docs", metavar="FOLDER", help="Where to write it; docs by default.")
@click.option(
    "--from",
    "records",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help=f"The folder that has {AUDIT_LOGS}/ and the summary; by default this one.",
)
@click.option("--if-public", is_flag=True, help="Write nothing unless `publish.public` is true.")
@click.option("--serve", is_flag=True, help="Then show it on 127.0.0.1 until Ctrl-C.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, help="For --serve; 0 for a free one.")
@json_option
@click.pass_obj
def command(
    app: Application,
    *,
    out: str,
    records: Path | None,
    if_public: bool,
    serve: bool,
    port: int,
    as_json: bool,
) -> int:
    """Write the site that says what to do today, and why it can be believed.

    It is made from the ledger and its evidence alone, and is of the time of the last entry: the same history
    gives the same bytes. Files that it did not write are never touched.
    """
    if if_public and not load_project(app.root).publish.public:
        click.echo("nothing was written: `publish.public` is not true", err=as_json)
        return Exit.DONE
    with _collection_put_off():
        fleet, trend, files = _make(app, records or app.root)
    changed = write_site(app.root, files, out=out, trend=trend)
    if as_json:
        print_json({"folder": out, "files": len(files), "changed": changed, "as_of": fleet.as_of})
    else:
        pages = sum(path.endswith(".html") for path in files)
        click.echo(f"wrote {plural(pages, 'page', 'pages')} into {out}, {len(changed):,} files changed")
        click.echo(f"open {out}/index.html")
    if serve:
        _serve(app.root / out, port)
    return Exit.DONE


def _make(app: Application, home: Path) -> tuple[Fleet, Trend | None, dict[str, bytes]]:
    project = load_project(app.root)
    journal = Journal(home / AUDIT_LOGS)
    fleet = read_fleet(
        journal,
        project.expected,
        exemptions=ExemptionList(file=EXEMPTIONS_FILE, entries=find_exemptions(app.root)),
        deadlines=project.deadlines,
    )
    trend = read_summary(home, now=app.now, sample=fleet.sample)
    return fleet, trend, build_site(fleet, verify_history(journal), read_contents(journal, fleet), trend)


@contextmanager
def _collection_put_off() -> Iterator[None]:
    """Make a big site in two thirds of the time: it is a million values, and no cycle to be found in them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _serve(folder: Path, port: int) -> None:
    """Show `folder` to this machine alone, until it is interrupted."""
    import http.server  # noqa: PLC0415 - only who asks for it waits for it

    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        click.echo(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)")
        server.serve_forever()
