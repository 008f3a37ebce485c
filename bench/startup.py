"""The start of the program: what a shell prompt or a script pays for every call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.budget import Figure
from bench.clock import command, interleave

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.workspace import Workspace


def version(workspace: Workspace) -> Iterator[Figure]:
    """`hullmark --version` of the installed wheel against a bare interpreter."""
    python = workspace.installed
    times = interleave(
        {
            "version": command([python.with_name("hullmark"), "--version"]),
            "bare": command([python, "-c", "pass"]),
        },
        rounds=31,
    )
    yield Figure(
        what="hullmark --version / python -c pass",
        at_most=2.0,
        measured=times.ratio("version", "bare"),
        note=f"{times.seconds('version') * 1000:.0f} against {times.seconds('bare') * 1000:.0f} ms",
    )
