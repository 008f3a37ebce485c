"""Feeds as `hullmark db` fetches and shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from hullmark.config import CONFIG_FILE, FeedSettings, load_project
from hullmark.decision import KevState
from hullmark.feeds import ask_feed, load_feed, update_feed
from hullmark.formats.text import plural
from hullmark.text import escape_terminal

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.commands import Application


class FeedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to say about the list of exploited vulnerabilities."""

    file: str
    state: KevState
    released: str
    """Empty where there is no file."""
    age_days: int | None
    max_age: int
    vulnerabilities: int


def update_feeds(app: Application) -> FeedStatus | None:
    """Fetch each feed that has an address; what is there afterwards."""
    feeds = _feeds(app.root)
    file = feeds.kev_file(app.root)
    if file is not None and feeds.kev_url:
        _, changed = update_feed(file, feeds.kev_url)
        said = f"wrote {file}" if changed else f"{file} is up to date; nothing was changed"
        click.echo(escape_terminal(said), err=True)
    return describe_feed(app)


def describe_feed(app: Application) -> FeedStatus | None:
    """What there is to say about the list of exploited vulnerabilities; None where none is configured."""
    feeds = _feeds(app.root)
    file = feeds.kev_file(app.root)
    if file is None:
        return None
    kev = ask_feed(file, now=app.now, max_age=feeds.kev_max_age)
    feed = load_feed(file)
    return FeedStatus(
        file=feeds.kev,
        state=kev.state,
        released=kev.date,
        age_days=feed.age(app.now).days if feed else None,
        max_age=feeds.kev_max_age,
        vulnerabilities=len(kev.ids),
    )


def print_feed(feed: FeedStatus | None) -> None:
    """Say it to a person."""
    if feed is None:
        return
    if feed.age_days is None:
        text = f"{feed.file} is missing; fetch it with: hullmark db update"
    else:
        count = plural(feed.vulnerabilities, "vulnerability", "vulnerabilities")
        text = f"{feed.file}, {count} of {feed.released} "
        text += f"({feed.state.value}: {feed.age_days} days old, at most {feed.max_age} are allowed)"
    click.echo(f"{'kev':<10}{escape_terminal(text)}")


def _feeds(root: Path) -> FeedSettings:
    return load_project(root).feeds if (root / CONFIG_FILE).exists() else FeedSettings()
