"""Runs of workflows: which there are for a commit, and the start of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from hullmark.github.repository import convert

if TYPE_CHECKING:
    from hullmark.github.client import Client
    from hullmark.github.repository import Repository


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a workflow for one commit."""

    id: int
    event: str = ""
    status: str = ""
    """`completed`, or how far it is."""


def list_runs(client: Client, repository: Repository, workflow: str, head: str) -> tuple[Run, ...]:
    """Every run of `workflow` (its file's name) for the commit `head`."""
    path = f"{repository.path}/actions/workflows/{quote(workflow, safe='')}/runs"
    found = client.pages(path, {"head_sha": head}, key="workflow_runs", needs="actions: read")
    return tuple(convert(each, Run) for each in found)


def start(
    client: Client, repository: Repository, workflow: str, *, known: tuple[Run, ...], head: str
) -> None:
    """Start `workflow` on the default branch, whose head is the commit `head`; `known` are its runs.

    A lost answer is looked up before it is asked again.
    """

    def find() -> bool | None:
        return True if len(list_runs(client, repository, workflow, head)) > len(known) else None

    path = f"{repository.path}/actions/workflows/{quote(workflow, safe='')}/dispatches"
    client.create(path, {"ref": repository.default_branch}, find, lambda _: True, needs="actions: write")
