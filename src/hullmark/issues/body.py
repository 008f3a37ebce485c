"""The text of an issue: ours between two hidden lines, that of others around it.

Rules (each has a test with the same words):
- the text of others is kept, wherever it stands outside of ours;
- the text is never longer than GitHub takes, counted in UTF-16 units;
- the newest scans come first, older ones are folded, the oldest are replaced by a link to the audit log;
- no text from a scanner can end our part, or become markup;
- what is found in the repository's own files has one section a kind, with its own count and its tools.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from hullmark.audit_log import (
    CHANGE_HEAD,
    CHECK_HEAD,
    change_row,
    check_row,
    coverage_lines,
    moment,
    plural,
    tell_rename,
)
from hullmark.event import count_changed
from hullmark.finding import KIND_TITLES, Counts, Kind, Severity, merge_same_identity
from hullmark.image import REPOSITORY, SOURCE
from hullmark.scan import Coverage
from hullmark.text import ISSUE_BUDGET, cut_utf16, escape_markdown, markdown_code, utf16_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hullmark.finding import Finding
    from hullmark.issues.facts import Block, ImageFacts, Proof

END = "<!-- /hullmark:issue -->"
UNFOLDED = 3
"""Scans that are shown in full; the others are folded."""
OPEN_ROOM = 20_000
BLOCK_ROOM = 12_000
MAX_ROWS = 10
MAX_CELL = 120
MARGIN = 300
"""Kept free for the line that says what was left out."""

_SAMPLE = (
    "> **Sample.** Made with a small demonstration database. "
    "It says nothing about the real state of this image."
)


class Others(NamedTuple):
    """What people wrote above and below our part."""

    above: str = ""
    below: str = ""


def begin(image: str) -> str:
    """The hidden line with which our part about `image` begins."""
    return f"<!-- hullmark:issue {image} -->"


def split(body: str, image: str) -> Others | None:
    """What stands around our part of `body`; None when it has no part of ours about `image`."""
    lines = normal(body).split("\n")
    if begin(image) not in lines:
        return None
    start = lines.index(begin(image))
    end = lines.index(END, start) if END in lines[start:] else start
    return Others("\n".join(lines[:start]).strip("\n"), "\n".join(lines[end + 1 :]).strip("\n"))


def normal(body: str) -> str:
    """`body` as we compare it: a browser sends line ends of its own, GitHub drops blanks at the end."""
    return body.replace("\r\n", "\n").strip()


def compose(facts: ImageFacts, status: str, others: Others, *, log: str) -> str | None:
    """The whole text of the issue, `status` (Markdown) at its top; None when others left no room for it.

    `log` is the address of the audit log.
    """
    frame = "\n\n".join(part for part in (others.above, begin(facts.image), END, others.below) if part)
    room = ISSUE_BUDGET - utf16_length(frame) - MARGIN
    head = "\n\n".join([*([_SAMPLE] if facts.sample else []), status, _table(facts)])
    room -= utf16_length(head)
    if room < 0:
        return None
    parts = [head]
    if facts.findings:
        sections = _kinds if facts.image == REPOSITORY else _open
        open_ = sections(facts, min(room, OPEN_ROOM))
        room -= utf16_length(open_) + 2
        parts.append(open_)
    parts += _scans(facts.blocks, room, log)
    ours = "\n\n".join([begin(facts.image), *parts, END])
    return "\n\n".join(part for part in (others.above, ours, others.below) if part)


def _table(facts: ImageFacts) -> str:
    rows = [
        *(_checked(facts) if facts.image == REPOSITORY else _scanned(facts)),
        *(
            ("Accepted until " + entry.expires.isoformat(), _exempted(entry.id, entry.owner, entry.reason))
            for entry in facts.exempted[:MAX_ROWS]
        ),
        *(("**Not covered**", escape_markdown(_cell(reason))) for reason in facts.uncovered[:MAX_ROWS]),
        *((f"Newest scan, {proof.platform}", tell_proof(proof)) for proof in facts.proofs[:MAX_ROWS]),
        *([("Published tag", escape_markdown(_cell(facts.tag_kept)))] if facts.tag_kept else []),
    ]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {text} |" for name, text in rows)])


def _scanned(facts: ImageFacts) -> list[tuple[str, str]]:
    """The numbers of an image: of vulnerabilities only."""
    relevant = [finding for finding in facts.findings if finding.severity.is_relevant]
    return [
        ("Now", _counts(facts.counts)),
        ("Introduced by the newest scan", _counts(facts.introduced)),
        ("Resolved by the newest scan", _counts(facts.resolved)),
        ("Fixable", _fixable(relevant)),
        ("Oldest", _oldest(relevant, facts)),
        ("Blocked by", _blocked(relevant)),
    ]


def _checked(facts: ImageFacts) -> list[tuple[str, str]]:
    """The numbers of the repository's own files, each kind by itself."""
    return [
        (KIND_TITLES[kind], f"{_counts(counts)}; looked for by {_tools(facts, kind)}")
        for kind, counts in facts.kinds.items()
    ]


def _tools(facts: ImageFacts, kind: Kind) -> str:
    """The tools that looked for a kind; nobody is said as well."""
    names = dict.fromkeys(name for proof in facts.proofs for name in proof.kinds.get(kind, ()))
    return ", ".join(markdown_code(_cell(name)) for name in names) or "**nobody**"


def tell_proof(proof: Proof) -> str:
    """What a statement about a platform rests on, as Markdown."""
    commit = f", commit `{proof.commit[:12]}`" if proof.commit else ""
    if proof.kinds:
        tools = dict.fromkeys(name for names in proof.kinds.values() for name in names)
        by = ", ".join(markdown_code(_cell(name)) for name in tools)
        return f"files `{proof.digest}`, {moment(proof.at)}, by {by}{commit}"
    return (
        f"image `{proof.digest}`, {moment(proof.at)}, by {escape_markdown(proof.scanner.name)} "
        f"{markdown_code(proof.scanner.version)} with the {'sample ' if proof.database.sample else ''}"
        f"database of {moment(proof.database.updated_at)} `{proof.database.digest}`{commit}"
    )


def _counts(counts: Counts) -> str:
    names = ("critical", "high", "medium", "low", "unknown")
    found = [f"{number} {name}" for name in names if (number := getattr(counts, name))]
    return ", ".join(found) or "none"


def _fixable(relevant: Sequence[Finding]) -> str:
    keys = {finding.vulnerability for finding in relevant}
    fixed = {finding.vulnerability for finding in relevant if finding.fixed}
    return f"{len(fixed)} of {len(keys)} relevant vulnerabilities" if keys else "nothing relevant is open"


def _oldest(relevant: Iterable[Finding], facts: ImageFacts) -> str:
    known = sorted((since, each.id) for each in relevant if (since := facts.known_since(each)))
    return f"{escape_markdown(known[0][1])}, since {known[0][0][:10]}" if known else "none"


def _blocked(relevant: Iterable[Finding]) -> str:
    """Why what is open is still there: no fix exists, or the image does not have it yet."""
    state = {finding.vulnerability: finding.status or "affected" for finding in relevant if not finding.fixed}
    waiting = {finding.vulnerability for finding in relevant if finding.fixed} - state.keys()
    parts = [f"{len(waiting)} wait for newer packages in this image"] if waiting else []
    if state:
        each = ", ".join(
            f"{markdown_code(_cell(name))} {n}" for name, n in sorted(Counter(state.values()).items())
        )
        parts.append(f"{len(state)} have no fix yet ({each})")
    return "; ".join(parts) or "nothing"


def _exempted(id_: str, owner: str, reason: str) -> str:
    return f"{escape_markdown(id_)} by {markdown_code(owner)}: {escape_markdown(_cell(reason))}"


def _open(facts: ImageFacts, room: int) -> str:
    """Everything that is open, the worst first, one row a finding."""
    head = [
        "### Open now",
        "",
        "| Severity | Id | Package | Installed | Fixed in | Known since |",
        "| --- " * 6 + "|",
    ]
    findings = sorted(
        merge_same_identity(facts.findings), key=lambda each: (-each.severity.rank, each.identity)
    )
    rows = [_finding(finding, facts.known_since(finding)) for finding in findings]
    return "\n".join(_fit(head, rows, room, "findings"))


def _kinds(facts: ImageFacts, room: int) -> str:
    """What is open in the repository's files: one section a kind, the worst first, one row a finding."""
    sections: list[str] = []
    kinds = sorted({finding.kind for finding in facts.findings})
    for place, kind in enumerate(kinds):
        found = [finding for finding in facts.findings if finding.kind is kind]
        found.sort(key=lambda each: (-each.severity.rank, each.identity))
        head = [
            f"### {KIND_TITLES[kind]}: {len(found)}",
            "",
            "| Severity | Rule | Place | Tool | What it says | Known since |",
            "| --- " * 6 + "|",
        ]
        rows = [_match(finding, facts.known_since(finding)) for finding in found]
        section = "\n".join(_fit(head, rows, room // (len(kinds) - place), "findings"))
        room -= utf16_length(section) + 2
        sections.append(section)
    return "\n\n".join(sections)


def _match(finding: Finding, since: str) -> str:
    place = f"{finding.path}:{finding.line}" if finding.line else finding.path
    cells = (
        finding.severity.value,
        escape_markdown(_cell(finding.id)),
        markdown_code(_cell(place)) or "whole repository",
        escape_markdown(_cell(finding.package_type)),
        escape_markdown(_cell(finding.title)),
        since[:10],
    )
    return f"| {' | '.join(cells)} |"


def _finding(finding: Finding, since: str) -> str:
    where = f" at {finding.path}" if finding.path else ""
    cells = (
        finding.severity.value,
        escape_markdown(_cell(finding.id)),
        escape_markdown(_cell(finding.package + where)),
        markdown_code(_cell(", ".join(finding.versions))),
        markdown_code(_cell(finding.fixed)) or "no fix yet",
        since[:10],
    )
    return f"| {' | '.join(cells)} |"


def _scans(blocks: Sequence[Block], room: int, log: str) -> list[str]:
    """As many blocks as there is room for, and a link to all of them."""
    title = "### Scans, newest first"
    room -= utf16_length(title) + 2
    shown: list[str] = []
    for place, block in enumerate(blocks):
        text = _block(block, folded=place >= UNFOLDED)
        room -= utf16_length(text) + 2
        if room < 0:
            break
        shown.append(text)
    left = len(blocks) - len(shown)
    more = f"{plural(left, 'older scan is', 'older scans are')} in the" if left else "All of it is in the"
    return [title, *shown, f"{more} [audit log]({log})."]


def _block(block: Block, *, folded: bool) -> str:
    found = "found" if block.is_first else "introduced"
    commit = f", commit `{block.commit[:12]}`" if block.commit else ""
    what = f"{count_changed(block.introduced)} {found}, {count_changed(block.resolved)} resolved"
    head = f"{moment(block.at)}, {block.platform}: {what}"
    is_check = block.platform.startswith(f"{SOURCE.os}/")
    lines = [
        *(_check_context(block, commit) if is_check else _scan_context(block, commit)),
        *coverage_lines(Coverage(gaps=block.gaps)),
    ]
    heads, tell, noun = (
        (CHECK_HEAD, check_row, "findings") if is_check else (CHANGE_HEAD, change_row, "vulnerabilities")
    )
    for title, changes in ((found.capitalize(), block.introduced), ("Resolved", block.resolved)):
        if changes:
            lines += [
                "",
                *_fit([f"**{title}**", "", *heads], list(map(tell, changes)), BLOCK_ROOM // 2, noun),
            ]
    if block.changed:
        renames = [f"- {tell_rename(rename)}" for rename in block.changed]
        lines += ["", *_fit(["**Changed**", ""], renames, BLOCK_ROOM // 4, "changes")]
    text = "\n".join(lines)
    if folded:
        return f"<details><summary>{head}</summary>\n\n{text}\n\n</details>"
    return f"#### {head}\n\n{text}"


def _scan_context(block: Block, commit: str) -> list[str]:
    after = block.after.get(Kind.VULNERABILITY, Counts())
    return [
        f"- Image: `{block.digest}`{commit}",
        f"- Database: of {moment(block.database.updated_at)}, `{block.database.digest}`",
        f"- Open after it: {_counts(after)} findings",
    ]


def _check_context(block: Block, commit: str) -> list[str]:
    after = (
        f"- {KIND_TITLES[kind]} open after it: {_counts(counts)}" for kind, counts in block.after.items()
    )
    return [f"- Files: `{block.digest}`{commit}", *after]


def _fit(head: list[str], rows: list[str], room: int, what: str) -> list[str]:
    """`head` and as many of `rows` as there is room for; how many were left out is said."""
    room -= sum(utf16_length(line) + 1 for line in head)
    shown: list[str] = []
    for row in rows:
        room -= utf16_length(row) + 1
        if room < 0:
            break
        shown.append(row)
    left = len(rows) - len(shown)
    return [*head, *shown, *(["", f"and {left} more {what}, see the audit log."] if left else [])]


def _cell(text: str) -> str:
    return cut_utf16(text, MAX_CELL)


def worst(counts: Counts) -> Severity | None:
    """The worst severity that is counted; None where nothing is."""
    return next((each for each in Severity if getattr(counts, each.value.lower())), None)
