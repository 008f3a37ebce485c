"""Starting the reference images: from the first start to ready, and from the stop signal to ready again."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.budget import Figure
from bench.clock import command
from bench.workspace import ROOT
from hullmark.image import LINUX_AMD64
from hullmark.smoke import Target, find_way, smoke_test

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.workspace import Workspace
    from hullmark.smoke import SmokeReport

WANTED = {"postgres-secured": 2, "php-mysql-secured": 1}
"""Seconds from the first start to ready; of any machine, so they decide nothing here."""


def start(workspace: Workspace) -> Iterator[Figure]:
    """Each image in bubblewrap, which adds next to nothing."""
    out = workspace.fresh("started")
    build: list[str | Path] = [
        Path(sys.executable).with_name("hullmark"),
        "-C",
        ROOT,
        "build",
        *WANTED,
        "--out",
        out,
    ]
    way = find_way("bubblewrap", os.environ)
    try:
        command(build)()
    except RuntimeError as error:
        yield Figure(what="start", measured=None, unit="s", note=f"not built: {error}"[:120])
        return
    for name, seconds in WANTED.items():
        target = Target(image=name, platform=LINUX_AMD64, path=out / name, folder=ROOT / "images" / name)
        report = smoke_test(target, lambda: way)
        yield _figure(report, f"first start of {name} to ready", 0, seconds)
        place = next((n for n, check in enumerate(report.checks) if "again" in check.name), None)
        if place is not None:
            yield _figure(report, f"{name}: stop, start, ready", place, 1)
    shutil.rmtree(out)


def _figure(report: SmokeReport, what: str, place: int, wanted: float) -> Figure:
    if not report.checks or report.checks[place].outcome != "passed":
        return Figure(what=what, measured=None, unit="s", note=json.dumps(report.detail)[:120], failed=True)
    return Figure(
        what=what, measured=report.checks[place].seconds, unit="s", note=f"wanted: at most {wanted} s"
    )
