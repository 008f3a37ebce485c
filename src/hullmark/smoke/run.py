"""Test one built image in the first way that works on this machine, and say what was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from hullmark import __version__
from hullmark.build.archive import ArchivedImage, inspect_archive
from hullmark.build.saved import machine_architecture
from hullmark.decision import SmokeResult
from hullmark.errors import EnvironmentFaultError
from hullmark.image import Platform
from hullmark.smoke.box import Runner, make_setting
from hullmark.smoke.bubblewrap import Bubblewrap
from hullmark.smoke.content import read_content
from hullmark.smoke.engines import Engine
from hullmark.smoke.load import Declared, load_declared
from hullmark.smoke.report import SmokeReport, summarise
from hullmark.smoke.secrets import Secrets
from hullmark.smoke.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hullmark.build.archive import ArchivedImage

EngineName = Literal["auto", "podman", "docker", "bubblewrap"]
ENGINES: tuple[EngineName, ...] = ("auto", "podman", "docker", "bubblewrap")

_HINT = "See what it wrote above; `hullmark test --engine bubblewrap` tries another way to run it."


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One platform of one image that is to be tested."""

    image: str
    platform: Platform
    path: Path
    """The OCI layout or docker-archive."""
    folder: Path
    """Where its smoke test is declared."""
    required: bool = False


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """How images are run here, found once for all of a command."""

    runner: Runner | None
    obstacles: tuple[str, ...] = ()
    """Why what was tried does not work."""


def find_way(name: EngineName, environ: Mapping[str, str]) -> Way:
    """The first engine that works: podman, docker with its daemon, bubblewrap; or the one called `name`."""
    obstacles = []
    for runner in (Engine("podman", environ), Engine("docker", environ), Bubblewrap()):
        if name not in ("auto", runner.name):
            continue
        if not (obstacle := runner.obstacle()):
            return Way(runner=runner)
        obstacles.append(obstacle)
    return Way(runner=None, obstacles=tuple(obstacles))


def smoke_test(target: Target, find: Callable[[], Way]) -> SmokeReport:
    """Start the image, ask it what is declared, and stop it. What this machine lacks gives "not run".

    `find` is asked for a way only when a test is declared: looking for one costs time.
    """
    image = inspect_archive(target.path).only(target.platform)
    declared = load_declared(target.folder)
    report = SmokeReport(
        image=target.image,
        platform=str(target.platform),
        digest=image.digest,
        config=image.config,
        tests=declared.digest if declared else "",
        result=SmokeResult.NOT_RUN if declared else SmokeResult.NOT_DECLARED,
        required=target.required,
        hullmark=__version__,
    )
    if declared is None:
        return report
    way = find()
    if obstacle := _obstacle(target, way):
        return msgspec.structs.replace(report, detail=obstacle)
    try:
        return _test(target, image, declared, way, report)
    except EnvironmentFaultError as error:
        return msgspec.structs.replace(report, detail=error.message, hint=error.hint)


def _obstacle(target: Target, way: Way) -> str:
    machine = machine_architecture()
    if (target.platform.os, target.platform.architecture) != ("linux", machine):
        return f"this machine is linux/{machine}"
    if way.runner is None:
        return f"nothing here can run it: {'; '.join(way.obstacles)}"
    return ""


def _test(
    target: Target, image: ArchivedImage, declared: Declared, way: Way, report: SmokeReport
) -> SmokeReport:
    assert way.runner is not None  # noqa: S101 - `_obstacle` looked
    secrets = Secrets(declared.smoke.secrets)
    content = read_content(target.path, image)
    setting = make_setting(content, declared.smoke, {**declared.files, **secrets.files})
    with way.runner.open(setting) as box:
        session = Session(box, setting, declared.smoke, secrets)
        session.run()
    result, detail = summarise(session.results)
    return msgspec.structs.replace(
        report,
        result=result,
        engine=way.runner.name,
        checks=tuple(session.results),
        detail=detail,
        hint=_HINT if result is SmokeResult.FAILED else "",
        log=session.log,
    )
