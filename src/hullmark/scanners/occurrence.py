"""What tells one match of a rule from another in the same file, so that it stays the same when lines move.

Rules (each has a test with the same words):
- lines that move, and changes elsewhere in the file, change no identity;
- a second match of the same content in one file is a second finding;
- nothing of a secret is kept: a line that names one, or holds one, counts only by the words that name it;
- another long random secret in the same place is another finding.

The last rule needs 8 bits of a hash of the secret. They are taken only of what is long and random enough
(20 characters or more with digits and letters, no space): of 100 bits that nobody can guess, 92 remain. Of a
password that somebody chose nothing at all is kept, and so another one in its place is the same finding.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from hullmark.finding import Finding, Kind, Severity, merge_same_identity
from hullmark.text import encodable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hullmark.scanners.tree import Tree

MAX_LINES = 3
"""A match may span a whole function: it is told by its first lines."""
MAX_LINE = 2_000
MAX_TITLE = 200
DIGITS = 12

_NAMES = re.compile(
    r"passw(?:or)?d|passphrase|pass|pwd|secret|token|credential|api.?key|private.?key|key|auth|salt|pin|dsn",
    re.IGNORECASE,
)
"""Words beside which a secret stands."""
_RANDOM = re.compile(r"(?=[A-Za-z0-9+/_=-]*[0-9])(?=[A-Za-z0-9+/_=-]*[A-Za-z])[A-Za-z0-9+/_=-]{16,}")
_LONG = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])\S{20,}", re.DOTALL)


class Match(NamedTuple):
    """One place where a rule of a tool matched."""

    rule: str
    kind: Kind
    severity: Severity
    title: str
    """What the rule says. Never what the tool says about this place: that may hold a secret."""
    path: str = ""
    line: int = 0
    """The first line, from 1; 0 for the file as a whole."""
    end: int = 0
    """The last line; 0 where it is `line`."""
    package: str = ""
    """What of the file it is about, where that is not the file: the package of a licence."""
    url: str = ""
    secret: str = ""
    """The secret itself, where the tool says exactly where it is. It goes no further than this module."""
    fixed: str = ""


def to_findings(tool: str, matches: Iterable[Match], tree: Tree) -> tuple[Finding, ...]:
    """Give each match its identity. Their order, and the lines they are at, change none."""
    contents: dict[str, list[str]] = {}
    numbers: Counter[tuple[str, ...]] = Counter()
    findings: list[Finding] = []
    for match in sorted(matches, key=_place):
        if match.path not in contents:
            contents[match.path] = tree.lines(match.path)
        context = describe(match, contents[match.path])
        group = (match.kind, match.rule, match.package, match.path, context)
        numbers[group] += 1
        findings.append(_finding(tool, match, context, numbers[group]))
    return merge_same_identity(findings)


def describe(match: Match, lines: Sequence[str]) -> str:
    """The content by which a match is known, without anything that could be a secret."""
    if not 0 < match.line <= len(lines):
        return ""
    last = min(max(match.end, match.line), match.line + MAX_LINES - 1)
    shown = "\n".join(_without_secrets(line, match.kind) for line in lines[match.line - 1 : last])
    random = _LONG.fullmatch(match.secret)
    return f"{shown}\0{_digest(match.secret)[:2]}" if random else shown


def _without_secrets(line: str, kind: Kind) -> str:
    """One line, without its white space and without what could be a secret."""
    line = line[:MAX_LINE]
    names = sorted({name.lower() for name in _NAMES.findall(line)})
    if names or kind is Kind.SECRET:
        return " ".join(names)
    return _RANDOM.sub("*", "".join(line.split()))


def _place(match: Match) -> tuple[object, ...]:
    return match.path, match.line, match.end, match.rule, match.package, match.title, match.severity


def _finding(tool: str, match: Match, context: str, number: int) -> Finding:
    discriminator = _digest(context)[:DIGITS] if context else ""
    if number > 1:
        discriminator += f".{number}"
    return Finding(
        kind=match.kind,
        id=_short(match.rule),
        package_type=tool,
        package=_short(match.package or tool),
        path=encodable(match.path),
        discriminator=discriminator,
        severity=match.severity,
        fixed=match.fixed,
        title=_short(match.title),
        url=_short(match.url),
        line=match.line,
    )


def _short(text: str) -> str:
    line = encodable(" ".join(text.split()))
    return line if len(line) <= MAX_TITLE else line[: MAX_TITLE - 1] + "…"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
