"""Steps of the commands that check the repository's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hullmark.checks import CheckOptions, Sides, check_tree, compare_trees
from hullmark.errors import UsageError
from hullmark.git import merge_base, resolve
from hullmark.sandbox import Sandbox
from hullmark.scanners.tree import copied_commit, copied_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from hullmark.config import ScanSettings


def check_options(
    root: Path, settings: ScanSettings, *, trivy: Path | None = None, sandbox: Sandbox | None = None
) -> CheckOptions:
    """What every tool is run with in the repository at `root`."""
    local = root / ".hullmark"
    return CheckOptions(
        sandbox=sandbox or Sandbox.find(required=settings.containment == "required"),
        timeout=settings.timeout,
        cache=local / "hashes.json" if local.is_dir() else None,
        trivy=trivy,
    )


def check_revisions(
    root: Path, revisions: str, options: CheckOptions, executor: Executor, *, tell: Callable[[str], None]
) -> Sides:
    """Check both sides of `BASE[..HEAD]` with the same tools; without HEAD the working tree is head.

    Base is the commit that both go back to, so that what happened beside the change is no part of it.
    """
    first, dots, second = revisions.partition("..")
    if not first or second.startswith("."):
        raise UsageError(f"{revisions!r} is not BASE or BASE..HEAD", hint="Expected for example main..HEAD.")
    head = resolve(root, second or "HEAD")
    base = merge_base(root, resolve(root, first), head)
    with copied_commit(root, base) as tree:
        before = check_tree(tree, options, executor, tell=lambda text: tell(f"base: {text}"))
    with copied_commit(root, head) if dots else copied_folder(root) as tree:
        after = check_tree(tree, options, executor, tell=lambda text: tell(f"head: {text}"))
    return compare_trees(before, after)
