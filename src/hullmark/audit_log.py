"""`audit-logs/<image>.md`: the chronology of one image for people.

Rules (each has a test with the same words):
- oldest first, and only ever extended: the text of a longer history begins with that of a shorter one;
- CRITICAL before HIGH, always;
- a scan that changed nothing adds nothing; the ledger has it;
- smoke tests and pushes stand between the scans, where they happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hullmark.decision import SmokeResult
from hullmark.delta import Pairing
from hullmark.event import SmokeTested
from hullmark.finding import Identity, Severity, count_by_severity
from hullmark.image import REPOSITORY
from hullmark.text import escape_markdown, markdown_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hullmark.event import Change, Pushed, Rename
    from hullmark.history import ScanRecord, Timeline
    from hullmark.journal import Happening
    from hullmark.scan import Coverage

_SAMPLE = (
    "> **Sample.** Made with a small demonstration database. "
    "It says nothing about the real state of this image.\n\n"
)


_TESTED = {
    SmokeResult.PASSED: "smoke test passed",
    SmokeResult.FAILED: "smoke test **failed**",
    SmokeResult.NOT_RUN: "smoke test not made",
    SmokeResult.NOT_DECLARED: "no smoke test is declared",
}

_SUBJECT = "Every scan of this image that changed something, its tests and what was published"

CHANGE_HEAD = (
    "| Severity | Id | Package | Installed | Fixed in | Cause |",
    "| --- | --- | --- | --- | --- | --- |",
)

CHECK_HEAD = (
    "| Severity | Kind | Rule | File | Tool | Cause |",
    "| --- | --- | --- | --- | --- | --- |",
)


def render_audit_log(
    image: str, timelines: Mapping[str, Timeline], happenings: Iterable[Happening] = ()
) -> str:
    """The chronology of all platforms of `image`, as Markdown."""
    sample = any(timeline.sample for timeline in timelines.values())
    head = (
        f"# Audit log: {escape_markdown(image)}\n\n"
        f"{_SAMPLE if sample else ''}"
        f"{_SUBJECT if image != REPOSITORY else 'Every check of these files that changed something'}, "
        f"oldest first. Entries are only ever added.\n"
        f"Made from the ledger in `audit-logs/{image}/`, which `hullmark verify` checks.\n"
    )
    blocks = [pair for timeline in timelines.values() for pair in _blocks(timeline)]
    blocks += [(each.sequence, _happening(each)) for each in happenings]
    return head + "".join(block for _, block in sorted(blocks))


def _blocks(timeline: Timeline) -> Iterator[tuple[int, str]]:
    open_findings: dict[Identity, Severity] = {}
    for scan in timeline.scans:
        apply_changes(scan, open_findings)
        if not scan.event.is_unchanged:
            yield scan.sequence, _block(timeline, scan, open_findings)


def apply_changes(scan: ScanRecord, open_findings: dict[Identity, Severity]) -> None:
    """Bring `open_findings` from before `scan` to after it."""
    for rename in scan.event.changed:
        for identity in rename.before.identities:
            open_findings.pop(identity, None)
        open_findings.update(dict.fromkeys(rename.after.identities, rename.after.severity))
    for change in scan.event.resolved:
        for identity in change.identities:
            open_findings.pop(identity, None)
    for change in scan.event.introduced:
        open_findings.update(dict.fromkeys(change.identities, change.severity))


def _block(timeline: Timeline, scan: ScanRecord, open_findings: Mapping[Identity, Severity]) -> str:
    run = scan.run
    if timeline.image == REPOSITORY:
        return _check_block(timeline, scan, open_findings)
    sample = " (sample)" if run.database.sample else ""
    introduced = "Found by the first scan" if scan is timeline.scans[0] else "Introduced"
    lines = [
        "",
        f"## {moment(scan.at)}, {timeline.platform}",
        "",
        f"- Image: `{scan.digest}`",
        (
            f"- Scanner: {escape_markdown(run.scanner.name)} {markdown_code(run.scanner.version)}"
            f"{'' if run.scanner.verified else ' (not a known official build)'}"
        ),
        f"- Database: of {moment(run.database.updated_at)}{sample}, `{run.database.digest}`",
        f"- Open after this scan: {_counts(open_findings.values())}",
        *coverage_lines(scan.coverage),
        *change_table(introduced, scan.event.introduced),
        *change_table("Resolved", scan.event.resolved),
        *_renames(scan.event.changed),
    ]
    return "\n".join(lines) + "\n"


def _happening(happening: Happening) -> str:
    event = happening.event
    lines = _test_lines(event) if isinstance(event, SmokeTested) else _push_lines(event)
    title, *facts = lines
    return "\n".join(["", f"## {moment(happening.at)}, {title}", "", *facts]) + "\n"


def _test_lines(event: SmokeTested) -> Iterator[str]:
    yield f"{escape_markdown(event.platform)}: {_TESTED[event.result]}"
    yield f"- Image: `{event.digest}`"
    if event.engine:
        yield f"- Started in {escape_markdown(event.engine)}"
    yield from (f"- Passed: {escape_markdown(check)}" for check in event.checks)
    if event.detail:
        yield f"- {escape_markdown(event.detail)}"


def _push_lines(event: Pushed) -> Iterator[str]:
    yield f"{escape_markdown(event.repository)}: {'published' if event.kept is None else 'not published'}"
    if event.digest:
        yield f"- Pushed: `{event.digest}`"
    yield from (f"- {escape_markdown(platform)}: `{digest}`" for platform, digest in event.images.items())
    moved = "names it now" if event.kept is None else f"stays where it was: {event.kept.value}"
    yield f"- Tag {markdown_code(event.tag)} {moved}"
    if event.detail:
        yield f"- {escape_markdown(event.detail)}"
    if event.before:
        yield f"- Before: `{event.before}`"
    if event.verdict and event.decision:
        yield f"- Decision `{event.decision}`: {event.verdict.value}"
    if event.commit:
        yield f"- Commit: {markdown_code(event.commit)}"


def _check_block(timeline: Timeline, scan: ScanRecord, open_findings: Mapping[Identity, Severity]) -> str:
    """A scan of the repository's files: each kind with its own count, never mixed."""
    first = scan is timeline.scans[0]
    looked = [
        f"- Looked for {kind.value}: {', '.join(map(escape_markdown, tools))}"
        for kind, tools in scan.coverage.kinds.items()
    ]
    counts = [
        f"- Open after this check, {kind.value}: "
        + _counts(severity for identity, severity in open_findings.items() if identity.kind is kind)
        for kind in sorted({identity.kind for identity in open_findings} | set(scan.coverage.kinds))
    ]
    lines = [
        "",
        f"## {moment(scan.at)}, {timeline.platform}",
        "",
        f"- Files: `{scan.digest}`",
        *looked,
        *counts,
        *coverage_lines(scan.coverage),
        *_check_table("Found by the first check" if first else "Introduced", scan.event.introduced),
        *_check_table("Resolved", scan.event.resolved),
        *_renames(scan.event.changed),
    ]
    return "\n".join(lines) + "\n"


def _check_table(title: str, changes: tuple[Change, ...]) -> list[str]:
    if not changes:
        return []
    count = plural(len(changes), "finding", "findings")
    return ["", f"### {title}: {count}", "", *CHECK_HEAD, *map(check_row, changes)]


def check_row(change: Change) -> str:
    """A finding of the repository's files as a row of that table."""
    cells = (
        change.severity.value,
        change.kind.value,
        escape_markdown(change.id),
        escape_markdown(change.path) or "whole repository",
        escape_markdown(change.type),
        change.cause.value,
    )
    return f"| {' | '.join(cells)} |"


def coverage_lines(coverage: Coverage) -> list[str]:
    """What was not looked at, and what else to know, one line each."""
    gaps = [f"- **Not covered**: {escape_markdown(str(gap))}" for gap in coverage.gaps]
    notes = [f"- Note: {escape_markdown(str(note))}" for note in coverage.notes]
    return gaps + notes


def change_table(title: str, changes: tuple[Change, ...]) -> list[str]:
    """A heading with both counts, and one row a vulnerability; no lines where there are none."""
    if not changes:
        return []
    findings = sum(len(change.packages) for change in changes)
    return [
        "",
        (
            f"### {title}: {plural(len(changes), 'vulnerability', 'vulnerabilities')}, "
            f"{plural(findings, 'finding', 'findings')}"
        ),
        "",
        *CHANGE_HEAD,
        *map(change_row, changes),
    ]


def change_row(change: Change) -> str:
    """A vulnerability as a row of that table."""
    fixed = markdown_code(change.fixed) if change.fixed else "no fix yet"
    cells = (
        change.severity.value,
        escape_markdown(change.id),
        escape_markdown(_packages(change)),
        ", ".join(markdown_code(version) for version in change.versions),
        fixed,
        change.cause.value,
    )
    return f"| {' | '.join(cells)} |"


def _packages(change: Change) -> str:
    names = ", ".join(change.packages)
    where = f" at {change.path}" if change.path else ""
    return f"{change.source} ({names}){where}" if change.source and change.source != names else names + where


def _renames(renames: tuple[Rename, ...]) -> list[str]:
    if not renames:
        return []
    return ["", f"### Changed: {len(renames)}", "", *(f"- {tell_rename(rename)}" for rename in renames)]


def tell_rename(rename: Rename) -> str:
    """What changed about a finding that goes on, as Markdown."""
    before, after = rename.before, rename.after
    what = f"{escape_markdown(after.id)} in {escape_markdown(_packages(after))}"
    parts = []
    if rename.how is Pairing.MOVED:
        parts.append(f"moved from {escape_markdown(before.path)}")
    elif rename.how is Pairing.RENAMED:
        parts.append(f"was called {escape_markdown(before.id)}")
    elif rename.how is Pairing.CARRIED_OVER:
        parts.append(f"carried over from {escape_markdown(_packages(before))}")
    if before.source != after.source:
        parts.append(f"was built from {escape_markdown(before.origin)}")
    if before.severity is not after.severity:
        parts.append(f"rated {after.severity.value}, was {before.severity.value} ({after.cause.value})")
    if before.fixed != after.fixed:
        parts.append(f"fixed in {markdown_code(after.fixed)}" if after.fixed else "the fix was withdrawn")
    return f"{what}: {'; '.join(parts)}"


def _counts(severities: Iterable[Severity]) -> str:
    counts = count_by_severity(severities)
    return (
        f"{counts.critical} critical, {counts.high} high, {counts.medium} medium, "
        f"{counts.low} low, {counts.unknown} unknown findings"
    )


def plural(number: int, one: str, many: str) -> str:
    """`1 finding`, `2 findings`."""
    return f"{number} {one if number == 1 else many}"


def moment(text: str) -> str:
    """`2026-01-20T09:00:00Z` as a person writes it."""
    return f"{text[:10]} {text[11:16]} UTC"
