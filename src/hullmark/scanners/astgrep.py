"""ast-grep with our own rules: injection in PHP, found in the syntax tree and not in the text."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TYPE_CHECKING

import msgspec

from hullmark.files import scratch_folder
from hullmark.finding import Kind
from hullmark.scanners.checker import Answer, Checker, Job, find_program, identify, portions, run
from hullmark.scanners.sarif import read_sarif

if TYPE_CHECKING:
    from hullmark.scanners.occurrence import Match

NAME = "ast-grep"
RULES = "php.yml"

_ENDINGS = (".php", ".phtml", ".php5", ".php7", ".php8", ".inc.php")
_OPTIONS = ("--format", "sarif", "--color", "never", "--threads", "1")
_NO_IGNORE = tuple(f"--no-ignore={what}" for what in ("hidden", "dot", "exclude", "global", "parent", "vcs"))
_FOUND = 1
"""Its exit code when a rule of severity `error` matched."""


def wants(path: str) -> bool:
    """PHP."""
    return path.lower().endswith(_ENDINGS)


def check(job: Job) -> Answer:
    """Look at all PHP files with the rules that Hullmark brings."""
    path = find_program(NAME)
    rules = (resources.files("hullmark.scanners") / "rules" / RULES).read_bytes()
    program = identify(NAME, path, job)
    version = f"{program.version} with rules {hashlib.sha256(rules).hexdigest()[:12]}"
    matches: list[Match] = []
    with scratch_folder() as folder:
        file = folder / RULES
        file.write_bytes(rules)
        # Without a configuration of its own it looks for the repository's.
        config = folder / "sgconfig.yml"
        config.write_text("ruleDirs: []\n")
        argv = [str(path), "scan", "--config", str(config), "--rule", str(file), *_OPTIONS, *_NO_IGNORE]
        for part in portions(job.paths()):
            answer = run(job, [*argv, *part], readable=(file, config), good=(0, _FOUND))
            read = read_sarif(
                answer, file="ast-grep's answer", root=job.tree.folder, speaks_for_the_rule=True
            )
            matches += read.matches
    return Answer(msgspec.structs.replace(program, version=version), tuple(matches))


CHECKER = Checker(NAME, (Kind.CODE,), wants, check)
