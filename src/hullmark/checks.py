"""Checks of the repository itself: code, configuration, secrets and licences, by every tool that there is.

Rules (each has a test with the same words):
- a tool for which there is no file is not needed; one that is missing, or fails, is a gap with the reason;
- a file that a tool could not read is a finding of severity UNKNOWN, never clean;
- the order of tools and files changes no byte.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - a NamedTuple's field
from concurrent.futures import Future, as_completed
from hashlib import sha256
from pathlib import Path  # noqa: TC003 - same
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hullmark.checked_tree import CheckedTree, format_checked_tree
from hullmark.decision import Seen, Side
from hullmark.errors import HullmarkError
from hullmark.finding import Finding, Kind, Package, Severity, merge_same_identity
from hullmark.image import Digest
from hullmark.sandbox import DEFAULT_TIMEOUT, Sandbox
from hullmark.scan import Containment, Coverage, Gap, GapReason, Note, NoteReason, Scanner
from hullmark.scanners import astgrep, bandit, hadolint, zizmor
from hullmark.scanners.checker import Checker, Job, MissingToolError
from hullmark.scanners.occurrence import Match, to_findings
from hullmark.scanners.trivy import checks as trivy_checks
from hullmark.text import encodable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor

    from hullmark.scanners.checker import Answer
    from hullmark.scanners.tree import Tree

SCANNERS: dict[str, Checker] = {
    one.name: one
    for one in (astgrep.CHECKER, bandit.CHECKER, hadolint.CHECKER, trivy_checks.CHECKER, zizmor.CHECKER)
}
"""Every tool that checks a repository, by its name, sorted."""

UNREAD = "unread-file"
"""The rule of a file that could not be looked at."""


class Missed(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that did not look, although there are files for it."""

    tool: str
    kinds: tuple[Kind, ...]
    reason: str
    hint: str
    """What to do about it: mostly the command that installs it."""
    is_missing: bool
    """Whether it is not installed; else it failed."""

    @property
    def gap(self) -> Gap:
        """What coverage says of it: nothing of this machine."""
        reason = GapReason.NO_TOOL if self.is_missing else GapReason.TOOL_FAILED
        return Gap(reason, f"{self.tool} ({', '.join(self.kinds)})")


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What all tools found in one tree."""

    digest: Digest
    """Of the names and contents of all files."""
    commit: str
    """The commit that was checked; empty for a working tree that differs from it."""
    files: int
    tools: tuple[Scanner, ...]
    """Those that looked, sorted by name."""
    missed: tuple[Missed, ...]
    containment: Containment
    findings: tuple[Finding, ...]
    coverage: Coverage

    @property
    def is_complete(self) -> bool:
        """Whether every tool for which there are files looked at them."""
        return self.coverage.is_complete

    @property
    def evidence(self) -> bytes:
        """What was looked at, and with what: evidence beside the findings."""
        tree = CheckedTree(digest=self.digest, commit=self.commit, tools=self.tools)
        return format_checked_tree(tree)


class Sides(NamedTuple):
    """Two trees, as the gate compares them."""

    base: Side
    head: Side
    evidence: dict[Digest, bytes]


class CheckOptions(NamedTuple):
    """What every tool is run with."""

    sandbox: Sandbox
    timeout: float = DEFAULT_TIMEOUT
    cache: Path | None = None
    trivy: Path | None = None
    scanners: Mapping[str, Checker] = SCANNERS


def check_tree(
    tree: Tree, options: CheckOptions, executor: Executor, *, tell: Callable[[str], None]
) -> Checked:
    """Let every tool look at its files of `tree`, side by side."""
    pending: dict[Future[Answer], Checker] = {}
    for checker in options.scanners.values():
        if files := tuple(name for name in tree.files if checker.wants(name)):
            job = Job(tree, files, options.sandbox, options.timeout, options.cache, options.trivy)
            pending[executor.submit(checker.run, job)] = checker
    answers: dict[str, Answer] = {}
    missed: list[Missed] = []
    try:
        for future in as_completed(pending):
            checker = pending[future]
            try:
                answers[checker.name] = future.result()
                tell(f"checked with {checker.name}")
            except HullmarkError as error:
                missed.append(_missed(checker, error))
    except BaseException:
        options.sandbox.stop()
        raise
    return _gather(tree, options, dict(sorted(answers.items())), missed)


def compare_trees(base: Checked, head: Checked) -> Sides:
    """Both trees as sides of one comparison. They were checked by the same tools, with the same rules.

    A tool is named on both sides where it looked at one, unless it failed: it had nothing to look at.
    """
    evidence = {_digest(one.evidence): one.evidence for one in (base, head)}
    tools = {tool.name: tool for one in (base, head) for tool in one.tools}
    return Sides(_side(base, tools), _side(head, tools), evidence)


def _side(checked: Checked, tools: Mapping[str, Scanner]) -> Side:
    missed = {one.tool for one in checked.missed}
    return Side(
        seen=Seen.TREE,
        digest=checked.digest,
        sbom=_digest(checked.evidence),
        coverage=checked.coverage,
        packages=tuple(
            Package(type=name, name=name, version=tool.version)
            for name, tool in sorted(tools.items())
            if name not in missed
        ),
        findings=checked.findings,
    )


def _digest(data: bytes) -> Digest:
    return Digest(f"sha256:{sha256(data).hexdigest()}")


def _missed(checker: Checker, error: HullmarkError) -> Missed:
    return Missed(
        tool=checker.name,
        kinds=checker.kinds,
        reason=encodable(error.message),
        hint=encodable(error.hint),
        is_missing=isinstance(error, MissingToolError),
    )


def _gather(
    tree: Tree, options: CheckOptions, answers: Mapping[str, Answer], missed: Iterable[Missed]
) -> Checked:
    findings = [finding for name, answer in answers.items() for finding in _findings(name, answer, tree)]
    findings += to_findings("hullmark", (_unread(one.path, one.reason) for one in tree.unread), tree)
    containment = options.sandbox.containment
    notes = (Note(NoteReason.NOT_CONTAINED),) if containment is Containment.NONE else ()
    missed = tuple(sorted(missed, key=lambda one: one.tool))
    tools = tuple(answer.program for answer in answers.values())
    return Checked(
        digest=tree.digest,
        commit=tree.commit,
        files=len(tree.files),
        tools=tools,
        missed=missed,
        containment=containment,
        findings=merge_same_identity(findings),
        coverage=Coverage(
            kinds=_kinds(tools, options.scanners),
            gaps=tuple(sorted(one.gap for one in missed)),
            notes=notes,
        ),
    )


def _findings(name: str, answer: Answer, tree: Tree) -> Iterator[Finding]:
    yield from to_findings(name, answer.matches, tree)
    yield from to_findings(name, (_unread(path, f"{name} could not read it") for path in answer.unread), tree)


def _unread(path: str, reason: str) -> Match:
    return Match(
        rule=UNREAD,
        kind=Kind.CODE,
        severity=Severity.UNKNOWN,
        title=f"Nobody looked at this file: {reason}.",
        path=path,
    )


def _kinds(tools: Iterable[Scanner], scanners: Mapping[str, Checker]) -> dict[Kind, tuple[str, ...]]:
    """For each kind the tools that looked for it."""
    return {
        kind: found
        for kind in sorted(Kind)
        if (found := tuple(f"{one.name} {one.version}" for one in tools if kind in scanners[one.name].kinds))
    }
