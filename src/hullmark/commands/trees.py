"""Steps of the commands that check the repository's files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from hullmark.checks import CheckOptions, Sides, check_tree, compare_trees
from hullmark.commands import print_json
from hullmark.errors import UsageError
from hullmark.files import read_bounded
from hullmark.formats.text import tell_changes
from hullmark.git import merge_base, resolve
from hullmark.journal import Journal
from hullmark.outbox import Outbox
from hullmark.pipeline import OUTBOX
from hullmark.projection import AUDIT_LOGS
from hullmark.recorded_checks import record_reports, report_of_sarif
from hullmark.sandbox import Sandbox
from hullmark.scanners.sarif import MAX_SARIF
from hullmark.scanners.tree import copied_commit, copied_folder
from hullmark.text import escape_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor
    from pathlib import Path

    from hullmark.checks import Checked
    from hullmark.commands import Application
    from hullmark.config import ScanSettings
    from hullmark.finding import Kind
    from hullmark.recorded_checks import Recorded


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


@contextmanager
def checking_beside(
    root: Path, options: CheckOptions, executor: Executor, *, tell: Callable[[str], None]
) -> Iterator[Callable[[], Checked]]:
    """Check the working tree while the block does something else; what is yielded waits for the end."""

    def check() -> Checked:
        with copied_folder(root) as tree:
            return check_tree(tree, options, executor, tell=tell)

    # A thread of its own, which only waits: the tools run in `executor`, beside the scans.
    with ThreadPoolExecutor(1, thread_name_prefix="check") as coordinator:
        pending = coordinator.submit(check)
        try:
            yield pending.result
        except BaseException:
            options.sandbox.stop()
            raise


def tell_missed(checked: Checked) -> None:
    """Name every tool that did not look, why, and what to do about it."""
    for one in checked.missed:
        click.echo(escape_terminal(f"not covered: {one.tool}: {one.reason}"))
        if one.hint:
            click.echo(escape_terminal(f"  next: {one.hint}"))


def record_sarif(app: Application, file: Path, *, tool: str, kind: Kind, home: Path) -> Recorded:
    """Record what another tool found in the working tree."""
    data = read_bounded(file, MAX_SARIF)
    with copied_folder(app.root) as tree:
        report = report_of_sarif(data, tree, file=file, root=app.root, tool=tool, kind=kind)
    return record_reports(
        Journal(home / AUDIT_LOGS),
        [report],
        lambda _tree, _names: None,  # another tool is not ours to run
        home=home,
        now=app.now,
        clock_overridden=app.clock_overridden,
        outbox=None if home == app.root else Outbox(home / OUTBOX),
    )


def tell_recorded(recorded: Recorded, *, as_json: bool = False) -> None:
    """Say what recording changed, one line for each set of tools."""
    if as_json:
        print_json({"scans": recorded.scans, "events": recorded.events, "written": recorded.changed_files})
        return
    for file in recorded.repaired:
        click.echo(escape_terminal(f"repaired: {file}: an interrupted append was dropped"))
    for scan, event in zip(recorded.scans, recorded.events, strict=True):
        told = tell_changes(event, "finding", "findings")
        click.echo(escape_terminal(f"{scan.image} {scan.platform}: {told}"))
    for path in recorded.changed_files:
        click.echo(escape_terminal(f"wrote {path}"))


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
