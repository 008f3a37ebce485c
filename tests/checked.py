"""What tests of checks have in common: a tree from a few files, and secrets that no checker sees here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from hullmark.checks import SCANNERS, Checked, CheckOptions, check_tree
from hullmark.sandbox import Sandbox
from hullmark.scanners.tree import copied_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hullmark.finding import Finding

# In pieces: this repository is checked too.
TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
OTHER_TOKEN = "ghp_" + "Z9y8X7w6V5u4T3s2R1q0P9o8N7m6L5k4J3i2"
INJECTION = (
    "import subprocess\n\n\ndef show(name: str) -> None:\n    subprocess.call('ls ' + name, shell=True)\n"
)
ROOT_USER = "FROM debian:13.2@sha256:" + "0" * 64 + "\nUSER root\n"
PHP_INJECTION = "<?php\n$db->query('SELECT * FROM t WHERE id=' . $_GET['id']);\n"
WORKFLOW = (
    "on: pull_request\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n"
    '      - run: echo "${{ github.event.pull_request.title }}"\n'
)


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Write `files` below `root`."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def check(root: Path, *names: str, sandbox: Sandbox | None = None) -> Checked:
    """Check the working tree at `root` with the real tools called `names`, or with all."""
    scanners = {name: SCANNERS[name] for name in names} or SCANNERS
    options = CheckOptions(sandbox=sandbox or Sandbox.find(), scanners=scanners)
    with ThreadPoolExecutor(2) as executor, copied_folder(root) as tree:
        return check_tree(tree, options, executor, tell=lambda _: None)


def by_rule(checked: Checked, rule: str) -> tuple[Finding, ...]:
    """The findings of one rule."""
    return tuple(finding for finding in checked.findings if finding.id == rule)
