"""The words of a proposal: title, commit message, and the text of its pull request.

Rules (each has a test with the same words):
- the hidden first line names the image and what is proposed, and is read back from nobody's text but ours;
- every package that moves is named with its suite, and security updates come first;
- what is predicted is called predicted, and what is not known is said;
- nothing from an index or a scanner becomes markup, and the text stays within GitHub's limit.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hullmark.build.changes import Change, Kind
from hullmark.finding import Severity
from hullmark.formats.text import plural
from hullmark.text import (
    ISSUE_BUDGET,
    cut_utf16,
    escape_markdown,
    escape_terminal,
    markdown_code,
    utf16_length,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hullmark.build.lock import Lock
    from hullmark.image import Digest
    from hullmark.proposals.model import Effect, Proposal, Vulnerability

MAX_ROWS = 150
"""Rows of a table."""
ROOM = 10_000
"""What of the limit is kept for all but the tables."""
TAIL = (
    "The gate builds both images, starts the new one and compares them; what is above is a prediction. If it "
    "allows the change, and resolving the lock again on the default branch gives the same bytes, it merges "
    "by itself where its author is one of `pull_requests.bots`. A lock that is edited by hand waits for a "
    "person, and a branch that somebody else pushed to is left alone. Close this pull request to skip these "
    "versions: it comes back when there is something newer."
)
_MARKER = re.compile(
    r"<!-- hullmark:lock (?P<image>[a-z0-9._-]+) (?P<content>sha256:[0-9a-f]{64}|-) -->\r?(?:\n|$)"
)
_WORDS = {
    Kind.NEWER: "newer",
    Kind.ADDED: "added",
    Kind.REMOVED: "gone",
    Kind.OLDER: "**older**: the locked one is no longer offered",
    Kind.MOVED: "the same file in another suite",
    Kind.COMPILED: "compiled anew",
}


def marker(image: str, content: Digest | None) -> str:
    """The hidden first line; without `content` that of a pull request which proposes nothing any more."""
    return f"<!-- hullmark:lock {image} {content or '-'} -->"


def read_marker(body: str, image: str) -> str:
    """What a text of ours proposes for `image`; empty where it is none, or proposes nothing."""
    found = _MARKER.match(body)
    return found["content"].strip("-") if found and found["image"] == image else ""


def title(proposal: Proposal) -> str:
    """One line that says for which image, and how many security updates there are."""
    security = len({change.package for change in proposal.changes if change.security})
    packages = len({change.package for change in proposal.changes if change.kind is not Kind.MOVED})
    what = (
        plural(security, "security update", "security updates")
        if security
        else plural(packages, "package", "packages")
    )
    return f"Update the packages of {proposal.image}: {what}"


def message(proposal: Proposal) -> str:
    """The commit's message."""
    lines = [
        f"{change.package} ({change.architecture}): {change.before or '(new)'} -> {change.after or '(gone)'}"
        for change in _sorted(proposal.changes)
    ]
    return f"{title(proposal)}\n\n" + "\n".join(map(escape_terminal, lines)) + "\n"


def body(proposal: Proposal, lock: Lock, content: Digest) -> str:
    """The text of the pull request."""
    head = [
        marker(proposal.image, content),
        (
            f"Newer Debian packages for **{escape_markdown(proposal.image)}**, chosen from the signed lists "
            f"of {_lists(lock)}. {_summary(proposal.changes)}"
        ),
    ]
    tail = [TAIL]
    budget = ISSUE_BUDGET - utf16_length("\n\n".join([*head, *tail])) - ROOM
    changed = _table(_sorted(proposal.changes), budget // 2)
    effects = [
        part for effect in proposal.effects for part in _effect(effect, budget // (2 * len(proposal.effects)))
    ]
    return "\n\n".join([*head, changed, "#### Predicted effect", *effects, *tail]) + "\n"


def closing(image: str) -> str:
    """Why a pull request of ours is closed."""
    return (
        f"The lock of {escape_markdown(image)} on the default branch already names the newest packages: "
        "there is nothing left to update here."
    )


def closed(image: str, before: str) -> str:
    """`before`, the text of a pull request that proposes nothing any more."""
    return marker(image, None) + "\n" + before.partition("\n")[2]


def _lists(lock: Lock) -> str:
    return ", ".join(
        f"{markdown_code(index.suite)} ({datetime.fromtimestamp(index.date, UTC):%Y-%m-%d %H:%M} UTC)"
        for index in lock.indexes
    )


def _summary(changes: Iterable[Change]) -> str:
    listed = list(changes)
    security = sum(1 for change in listed if change.security)
    parts = []
    for kind, one, many in (
        (Kind.NEWER, "version rises", "versions rise"),
        (Kind.OLDER, "version **falls**", "versions **fall**"),
        (Kind.ADDED, "package is added", "packages are added"),
        (Kind.REMOVED, "package goes", "packages go"),
        (Kind.COMPILED, "helper is compiled anew", "helpers are compiled anew"),
    ):
        if number := sum(1 for change in listed if change.kind is kind):
            parts.append(plural(number, one, many))
    said = ", ".join(parts) or "files move only"
    return f"{said}; {plural(security, 'is a security update', 'are security updates')}."


def _sorted(changes: Iterable[Change]) -> list[Change]:
    return sorted(changes, key=lambda change: (not change.security, change.package, change.architecture))


def _table(changes: Sequence[Change], budget: int) -> str:
    rows = []
    for change in changes:
        what = f"**security update** ({_WORDS[change.kind]})" if change.security else _WORDS[change.kind]
        suite = (
            change.suite
            if change.suite == change.security or not change.security
            else (f"{change.suite}, {change.security}")
        )
        cells = (change.package, change.architecture, change.before, change.after, suite)
        rows.append(f"| {' | '.join(map(_cell, cells))} | {what} |")
    head = "| package | platform | from | to | suite | |\n| --- | --- | --- | --- | --- | --- |"
    return "\n".join([head, *_fitting(rows, budget, "| and {} more | | | | | |")])


def _effect(effect: Effect, budget: int) -> list[str]:
    where = markdown_code(effect.platform)
    if effect.unknown:
        return [
            f"{where}: not predicted ({escape_markdown(cut_utf16(effect.unknown, 500))}). The gate will tell."
        ]
    lead = (
        f"{where}: by the two locks alone, matched with one database of "
        f"{escape_markdown(effect.database[:10])}, it resolves {_counted(effect.resolved)} and introduces "
        f"{_counted(effect.introduced)}. What no package owns takes no part."
    )
    rows = [
        f"| {word} | {_cell(each.id)} | {each.severity.value} | {_cell(each.source)} | "
        f"{_cell(', '.join(each.packages[:5]))} |"
        for word, listed in (("**introduced**", effect.introduced), ("resolved", effect.resolved))
        for each in listed
    ]
    if not rows:
        return [lead]
    head = "| | vulnerability | severity | source | packages |\n| --- | --- | --- | --- | --- |"
    return [lead, "\n".join([head, *_fitting(rows, budget, "| and {} more | | | | |")])]


def _counted(vulnerabilities: Sequence[Vulnerability]) -> str:
    number = plural(len(vulnerabilities), "vulnerability", "vulnerabilities")
    each = [
        f"{count} {severity.value}"
        for severity in Severity
        if (count := sum(1 for one in vulnerabilities if one.severity is severity))
    ]
    return f"{number} ({', '.join(each)})" if each else number


def _fitting(rows: list[str], budget: int, more: str) -> list[str]:
    """As many of `rows` as fit, and how many more there are."""
    kept: list[str] = []
    for row in rows[:MAX_ROWS]:
        budget -= utf16_length(row) + 1
        if budget < 0:
            break
        kept.append(row)
    left = len(rows) - len(kept)
    return [*kept, more.format(left)] if left else kept


def _cell(text: str) -> str:
    return markdown_code(cut_utf16(text, 200))
