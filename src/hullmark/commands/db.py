"""`hullmark db`: the vulnerability database that images are matched with."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime, time
from pathlib import Path

import click
import msgspec

from hullmark.commands import Application, print_json
from hullmark.commands.feeds import describe_feed, print_feed, update_feeds
from hullmark.config import CONFIG_FILE, ScanSettings, load_project
from hullmark.errors import IncompleteError, UsageError
from hullmark.scanners import database
from hullmark.scanners.database import DIGESTS, Held
from hullmark.scanners.sample import DATABASE_FILE
from hullmark.text import escape_terminal

_Folder = click.Path(file_okay=False, path_type=Path)
_SHOWN = 8
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_out = click.option("--out", type=_Folder, help="Cache folder to write; by default that of hullmark.toml.")


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What `hullmark db status` tells about a database."""

    folder: str
    digest: str
    updated_at: str
    next_update: str
    age_days: int
    max_age: int
    """Days; does not count for a sample."""
    stale: str
    """Why the database is too old, or empty."""
    sample: bool
    size: int
    systems: tuple[str, ...]
    java_updated_at: str
    named: bool
    """Whether `--db` or HULLMARK_DB chose it: it is never updated then."""


@click.group()
def command() -> None:
    """Update, import or show the vulnerability database."""


@command.command()
@click.option("--repository", "repositories", multiple=True, help="Ask this one; may be repeated, in order.")
@click.option("--java", is_flag=True, help="Fetch the Java database too.")
@click.option(
    "--java-repository", "java_repositories", multiple=True, help="Ask this one for the Java database."
)
@click.option("--timeout", type=click.IntRange(1, 86_400), default=900, show_default=True, help="Seconds.")
@click.option("--only-feeds", is_flag=True, help="Fetch the feeds of hullmark.toml, and no database.")
@click.option("--unsafe-unverified-scanner", is_flag=True, help="Give an unknown Trivy the network.")
@_out
@_json
@click.pass_obj
def update(
    app: Application,
    *,
    repositories: tuple[str, ...],
    java: bool,
    java_repositories: tuple[str, ...],
    timeout: int,
    only_feeds: bool,
    unsafe_unverified_scanner: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Fetch the newest database, and the feeds of hullmark.toml. The only step that uses the network."""
    if only_feeds:
        feed = update_feeds(app)
        if feed is None:
            raise UsageError("no feed is configured", hint="See [feeds] in docs/guide/configuration.md.")
        if as_json:
            print_json({"kev": feed})
        return
    from hullmark.scanners import download  # noqa: PLC0415 - not needed to show a status

    settings = _settings(app.root)
    folder = _writable(app.root, settings, out)
    source = download.Source(
        trivy=_scanner(app.root, allow_unverified=unsafe_unverified_scanner),
        repositories=repositories or settings.repositories,
        java_repositories=java_repositories,
        timeout=timeout,
    )
    done = download.update(folder, source, java=java, say=_say, cache=app.root / DIGESTS)
    found = describe(done.held, settings, app.now)
    feed = update_feeds(app)
    if as_json:
        print_json({"changed": done.changed, "source": done.source, "status": found, "kev": feed})
        return
    click.echo(f"wrote {folder}" if done.changed else f"{folder} is up to date; nothing was changed")
    _print(found)
    print_feed(feed)


@command.command(name="import")
@click.argument("source", type=click.Path(path_type=Path))
@_out
@_json
@click.pass_obj
def import_(app: Application, *, source: Path, out: Path | None, as_json: bool) -> None:
    """Take the database from SOURCE: a cache folder, or the db.tar.gz of its distribution."""
    from hullmark.scanners.unpack import import_database  # noqa: PLC0415 - not needed to show a status

    settings = _settings(app.root)
    folder = _writable(app.root, settings, out)
    names = import_database(source, folder)
    paths = [str(folder / database.PLACES[name] / name) for name in names]
    found = None
    if DATABASE_FILE in names:
        held = database.inspect(folder, cache=app.root / DIGESTS)
        found = describe(held, settings, app.now)
    if as_json:
        print_json({"written": paths, "status": found})
        return
    for path in paths:
        click.echo(f"wrote {escape_terminal(path)}")
    if found is not None:
        _print(found)


@command.command()
@click.option("--db", type=_Folder, help="Cache folder to look at.")
@_json
@click.pass_obj
def status(app: Application, *, db: Path | None, as_json: bool) -> None:
    """Show which database is used, and how old it is."""
    settings = _settings(app.root)
    place = database.choose(db, os.environ, default=app.root / settings.database)
    held = database.inspect(place.folder, cache=app.root / DIGESTS)
    found = describe(held, settings, app.now, named=place.named)
    feed = describe_feed(app)
    if as_json:
        print_json({**msgspec.structs.asdict(found), "kev": feed})
    else:
        _print(found)
        print_feed(feed)


@command.command()
@click.option(
    "--advisories",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file of advisories.",
)
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Leave out what was not known on this day.")
@click.option("--out", required=True, type=_Folder, help="Cache folder to write.")
@_json
@click.pass_obj
def sample(app: Application, *, advisories: Path, until: datetime | None, out: Path, as_json: bool) -> None:
    """Build a small sample database from stated facts, for demonstration and tests."""
    from hullmark.scanners import advisory  # noqa: PLC0415 - not needed to show a status
    from hullmark.scanners import sample as samples  # noqa: PLC0415 - same

    known = advisory.load(advisories)
    day = until.date() if until else samples.date_of(known)
    folder = samples.build(known, folder=out, updated_at=datetime.combine(day, time(), UTC), until=day)
    path = folder / database.PLACES[DATABASE_FILE] / DATABASE_FILE
    found = describe(database.inspect(folder), _settings(app.root), app.now)
    if as_json:
        print_json({"written": [str(path)], "status": found})
        return
    click.echo(f"wrote {escape_terminal(str(path))}")
    _print(found)


def describe(held: Held, settings: ScanSettings, now: datetime, *, named: bool = False) -> Status:
    """What there is to say about the database `held` at the time `now`."""
    note = database.staleness(held.database, now, settings.max_age)
    return Status(
        folder=str(held.folder),
        digest=held.database.digest,
        updated_at=held.database.updated_at,
        next_update=held.next_update,
        age_days=database.age(held.database, now).days,
        max_age=settings.max_age,
        stale=note.detail if note else "",
        sample=held.database.sample,
        size=held.size,
        systems=held.systems,
        java_updated_at=held.java_updated_at,
        named=named,
    )


def lines(found: Status) -> list[str]:
    """`found` as lines for a person."""
    if found.sample:
        remark = "a sample: its age does not count"
    else:
        remark = found.stale or f"{found.age_days} days old, at most {found.max_age} are allowed"
    kinds = Counter(name.partition("::")[0] for name in found.systems)
    rows = {
        "database": found.folder + (" (named by --db or HULLMARK_DB, never updated)" if found.named else ""),
        "updated": f"{found.updated_at} ({remark})",
        "digest": found.digest,
        "size": f"{found.size:,} bytes",
        "knows": ", ".join(kinds) if len(kinds) <= _SHOWN else f"{len(kinds)} systems and ecosystems",
        "java": found.java_updated_at or "none; JAR files cannot be named (hullmark db update --java)",
    }
    return [f"{name:<10}{escape_terminal(value)}" for name, value in rows.items()]


def _print(found: Status) -> None:
    for line in lines(found):
        click.echo(line)


def _say(text: str) -> None:
    click.echo(escape_terminal(text), err=True)


def _settings(root: Path) -> ScanSettings:
    return load_project(root).scan if (root / CONFIG_FILE).exists() else ScanSettings()


def _writable(root: Path, settings: ScanSettings, out: Path | None) -> Path:
    """The folder to change: `--out`, else the project's own, unless HULLMARK_DB replaces that."""
    if out is not None:
        return out
    place = database.choose(None, os.environ, default=root / settings.database)
    database.refuse_named(place)
    return place.folder


def _scanner(root: Path, *, allow_unverified: bool) -> Path:
    """A Trivy that may run with the network: one whose bytes are known, or any that the user vouches for."""
    from hullmark.sandbox import Sandbox  # noqa: PLC0415 - not needed to show a status
    from hullmark.scanners.trivy.binary import find_binary, identify  # noqa: PLC0415 - same

    binary = identify(find_binary(), Sandbox.find(), cache=root / DIGESTS)
    if not binary.verified and not allow_unverified:
        raise IncompleteError(
            f"{binary.path} is not a Trivy release known to Hullmark, and is not given the network",
            hint="Use the `trivy` extra, fetch the database elsewhere and use `hullmark db import`, or give "
            "--unsafe-unverified-scanner.",
        )
    return binary.path
