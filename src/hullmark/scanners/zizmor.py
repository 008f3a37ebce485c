"""Zizmor: workflows and actions of GitHub, and what updates them."""

from __future__ import annotations

import re

from hullmark.finding import Kind
from hullmark.scanners.checker import Answer, Checker, Job, find_program, identify, run
from hullmark.scanners.sarif import read_sarif

NAME = "zizmor"

_OPTIONS = (
    *("--offline", "--no-config", "--no-ignores", "--no-progress", "--no-exit-codes"),
    *("--collect=all", "--format=sarif", "--quiet"),
)
_WANTED = re.compile(
    r"(?:.*/)?(?:\.github/workflows/[^/]+\.ya?ml|action\.ya?ml|\.github/dependabot\.ya?ml|\.pre-commit-(?:config|hooks)\.yaml)"
)


def wants(path: str) -> bool:
    """Workflows, actions, and the configuration of Dependabot and pre-commit."""
    return _WANTED.fullmatch(path) is not None


def check(job: Job) -> Answer:
    """Look at all of them, whatever comments, configuration or `.gitignore` say."""
    path = find_program(NAME)
    program = identify(NAME, path, job)
    answer = run(job, [str(path), *_OPTIONS, str(job.tree.folder)])
    read = read_sarif(answer, file="zizmor's answer", root=job.tree.folder, kind=Kind.MISCONFIGURATION)
    return Answer(program, read.matches)


CHECKER = Checker(NAME, (Kind.MISCONFIGURATION,), wants, check)
