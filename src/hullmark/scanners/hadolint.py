"""Hadolint: Dockerfiles and the shell in them. A program of its own (GPL-3.0), run and never linked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hullmark.files import scratch_folder
from hullmark.finding import Kind
from hullmark.scanners.checker import Answer, Checker, Job, find_program, identify, portions, run
from hullmark.scanners.sarif import read_sarif

if TYPE_CHECKING:
    from hullmark.scanners.occurrence import Match

NAME = "hadolint"


def wants(path: str) -> bool:
    """Dockerfiles and Containerfiles, by their usual names."""
    name = path.rpartition("/")[2].lower()
    stem, _, ending = name.partition(".")
    return stem in ("dockerfile", "containerfile") or ending in ("dockerfile", "containerfile")


def check(job: Job) -> Answer:
    """Look at every Dockerfile, whatever comments or configuration say."""
    path = find_program(NAME)
    program = identify(NAME, path, job)
    matches: list[Match] = []
    with scratch_folder() as folder:
        # An empty file is refused; and without one it looks for the repository's.
        config = folder / "hadolint.yaml"
        config.write_text("ignored: []\n")
        options = ("--no-fail", "--disable-ignore-pragma", "--config", str(config), "--format", "sarif")
        for part in portions(job.paths()):
            answer = run(job, [str(path), *options, *part], readable=(config,))
            read = read_sarif(
                answer,
                file="hadolint's answer",
                root=job.tree.folder,
                kind=Kind.MISCONFIGURATION,
                speaks_for_the_rule=True,
            )
            matches += read.matches
    return Answer(program, tuple(matches))


CHECKER = Checker(NAME, (Kind.MISCONFIGURATION,), wants, check)
