"""Options and steps that the commands which talk to GitHub have in common."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hullmark.github.client import connect
from hullmark.github.repository import find_repository
from hullmark.github.transport import API

if TYPE_CHECKING:
    from collections.abc import Callable

    from hullmark.github.client import Client
    from hullmark.github.repository import Repository

_Command = TypeVar("_Command", bound="Callable[..., Any]")


def forge_options(command: _Command) -> _Command:
    """Add where GitHub is, and which repository is meant. In a workflow both are known."""
    for option in (
        click.option(
            "--api", metavar="URL", help="Address of GitHub's REST interface; by default GITHUB_API_URL."
        ),
        click.option("--repository", metavar="OWNER/NAME", help="By default GITHUB_REPOSITORY."),
    ):
        command = option(command)
    return command


def open_forge(repository: str | None, api: str | None) -> tuple[Client, Repository]:
    """GitHub, with the token of GITHUB_TOKEN, and the repository there."""
    environ = os.environ
    client = connect(
        api or environ.get("GITHUB_API_URL") or API,
        environ.get("GITHUB_TOKEN", ""),
        graphql="" if api else environ.get("GITHUB_GRAPHQL_URL", ""),
    )
    return client, find_repository(client, repository or environ.get("GITHUB_REPOSITORY", ""))
