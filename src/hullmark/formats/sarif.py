"""SARIF 2.1.0: head's findings for code scanning, each with a fingerprint that lasts.

Rules (each has a test with the same words):
- a fingerprint is made of the finding's identity and its image: never of a version, digest or file of a run;
- a result stands at the file in the repository that the image is made from, or that was checked, at its line;
- of more results than code scanning takes, the worst are kept, and the document says how many are not there;
- text from outside is plain text: it forms no link and no placeholder (SARIF §3.11.5, §3.11.6);
- an exempted finding is there, and says that it is suppressed, by whom and until when.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from hullmark import __version__
from hullmark.decision import Key, key_of
from hullmark.exemptions import Exemption
from hullmark.finding import Finding, Kind, Severity
from hullmark.policy import State
from hullmark.text import cut_utf16, escape_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable

Json: TypeAlias = dict[str, object]

MAX_RESULTS = 5_000
"""Results of one run that code scanning shows."""
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "hullmarkIdentity/v1"

_TEXT = 1_000
_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.UNKNOWN: "note",
}
_SCORES = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "2.0"}
"""In the middle of what code scanning calls critical, high, medium and low."""
_STATES = {State.INTRODUCED: "new", State.PERSISTING: "unchanged"}


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One image and platform whose findings are told."""

    image: str
    platform: str
    place: str
    """File in the repository that the image is made from, with `/`."""
    findings: tuple[Finding, ...]
    states: dict[Key, State] = {}
    """What became of each vulnerability; empty where nothing was compared."""
    exemptions: dict[Key, Exemption] = {}
    """Which exemption covers it, if one does."""


class _Row(msgspec.Struct, frozen=True):
    """A finding with what it is sorted by."""

    subject: Subject
    finding: Finding


def render_sarif(subjects: Iterable[Subject], *, category: str = "") -> bytes:
    """One SARIF run with the findings of all `subjects`, the worst first.

    `category` names what a later upload of the same takes the place of (SARIF §3.17).
    """
    rows = sorted(
        (_Row(subject, finding) for subject in subjects for finding in subject.findings), key=_worst_first
    )
    kept = rows[:MAX_RESULTS]
    rules = {row.finding.id: row.finding for row in reversed(kept)}
    places = {id_: place for place, id_ in enumerate(sorted(rules))}
    run: Json = {
        "tool": {
            "driver": {
                "name": "Hullmark",
                "semanticVersion": __version__,
                "rules": [_rule(rules[id_]) for id_ in places],
            }
        },
        **({"automationDetails": {"id": f"{category}/"}} if category else {}),
        "columnKind": "utf16CodeUnits",
        "invocations": [{"executionSuccessful": True, **_left_out(len(rows) - len(kept))}],
        "results": [_result(row, places[row.finding.id]) for row in kept],
        "properties": {"findings": len(rows), "results": len(kept)},
    }
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def _worst_first(row: _Row) -> tuple[object, ...]:
    return -row.finding.severity.rank, row.finding.identity, row.subject.image, row.subject.platform


def _left_out(number: int) -> Json:
    if number <= 0:
        return {}
    text = f"{number:,} findings are left out here: code scanning takes {MAX_RESULTS:,}, the worst are kept."
    return {"toolExecutionNotifications": [{"level": "warning", "message": {"text": text}}]}


def _rule(finding: Finding) -> Json:
    """The rule of a vulnerability, as its worst finding states it."""
    score = _SCORES.get(finding.severity)
    return {
        "id": plain(finding.id),
        "shortDescription": {"text": plain(finding.title) or plain(finding.id)},
        "defaultConfiguration": {"level": _LEVELS[finding.severity]},
        **({"helpUri": finding.url} if finding.url.startswith("https://") and finding.url.isascii() else {}),
        "properties": {
            "tags": ["security", finding.kind.value],
            **({"security-severity": score} if score else {}),
        },
    }


def _result(row: _Row, rule: int) -> Json:
    finding, subject = row.finding, row.subject
    key = key_of(finding)
    exemption = subject.exemptions.get(key)
    result: Json = {
        "ruleId": plain(finding.id),
        "ruleIndex": rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": _message(subject, finding)},
        "locations": [_location(*_place(subject, finding))],
        "partialFingerprints": {FINGERPRINT: fingerprint(subject, finding)},
    }
    if state := _STATES.get(subject.states.get(key, State.RESOLVED)):
        result["baselineState"] = state
    if exemption is not None:
        until = f"{exemption.owner}, until {exemption.expires.isoformat()}: {exemption.reason}"
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": plain(until)}]
    return result


def fingerprint(subject: Subject, finding: Finding) -> str:
    """What names this finding of this image over time."""
    parts = (subject.image, subject.platform, *map(str, finding.identity))
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _place(subject: Subject, finding: Finding) -> tuple[str, int]:
    if finding.kind is Kind.VULNERABILITY or not finding.path:
        return subject.place, 1
    return finding.path, finding.line or 1


def _uri(path: str) -> str:
    """A path as a relative URI (RFC 3986 §3.3)."""
    return "".join(
        chr(byte) if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "/-._~") else f"%{byte:02X}"
        for byte in path.encode("utf-8", "surrogatepass")
    )


def _location(place: str, line: int) -> Json:
    # Code scanning wants a region; an image is made from all of the file.
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(place), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": line},
        }
    }


def _message(subject: Subject, finding: Finding) -> str:
    if finding.kind is not Kind.VULNERABILITY:
        rated = f"{finding.severity.value}, {finding.kind.value}"
        return plain(f"{finding.id} ({rated}), found by {finding.package_type}. {finding.title}")
    where = f" at {finding.path}" if finding.path else ""
    fix = f"fixed in {finding.fixed}" if finding.fixed else "no fix is known"
    versions = " and ".join(finding.versions)
    return plain(
        f"{finding.id} ({finding.severity.value}) in {finding.package} {versions}{where} "
        f"of {subject.image} ({subject.platform}); {fix}. {finding.title}".strip()
    )


def plain(text: str) -> str:
    """`text` as SARIF's plain text: nothing unseen, no link, no placeholder, not without end."""
    safe = cut_utf16(escape_terminal(text), _TEXT)
    for mark in ("\\", "[", "]"):
        safe = safe.replace(mark, f"\\{mark}")
    return safe.replace("{", "{{").replace("}", "}}")
