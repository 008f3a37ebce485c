"""OpenVEX: accepted risks as statements that other scanners read (OpenVEX specification v0.2.0).

Rules (each has a test with the same words):
- a statement names the packages of one image exactly, with their versions: nothing else is excused by it;
- only entries in force are stated;
- an entry that names nothing in the image is left out, and reported;
- an accepted risk is stated as `affected`: no claim that nothing is wrong, and scanners go on showing it;
- the same entries give the same bytes, but for the time.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from hullmark.exemptions import applies_to, arrange, is_in_force, names
from hullmark.vex import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from hullmark.exemptions import Exemption
    from hullmark.finding import Finding

CONTEXT = "https://openvex.dev/ns/v0.2.0"
APPLIED = frozenset({Status.NOT_AFFECTED, Status.FIXED})
"""What scanners leave out findings for."""


class Statements(NamedTuple):
    """The document, and what is not in it."""

    document: bytes
    stated: tuple[Exemption, ...]
    unmatched: tuple[Exemption, ...]
    """Entries in force for this image that name nothing in it."""


def render_openvex(
    entries: Iterable[Exemption],
    *,
    image: str,
    findings: Iterable[Finding],
    purls: Mapping[tuple[str, str], tuple[str, ...]],
    now: datetime,
) -> Statements:
    """What `entries` say about `findings` of `image`, whose packages have these package URLs."""
    today = now.date()
    concerned = [e for e in arrange(entries) if applies_to(e, image) and is_in_force(e, today)]
    # Of two statements about one finding scanners take the last: as here, one that excuses is enough.
    concerned.sort(key=lambda entry: (entry.id, entry.status in APPLIED))
    present = tuple(findings)
    products = {entry: _products(entry, present, purls) for entry in concerned}
    stated = tuple(entry for entry in concerned if products[entry])
    statements = [_statement(entry, products[entry]) for entry in stated]
    content = msgspec.json.encode(statements, order="sorted")
    document = {
        "@context": CONTEXT,
        "@id": f"urn:hullmark:vex:{image}:{sha256(content).hexdigest()}",
        "author": "Hullmark",
        "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": 1,
        "statements": statements,
    }
    data = msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
    return Statements(data, stated, tuple(entry for entry in concerned if not products[entry]))


def _products(
    entry: Exemption, findings: Iterable[Finding], purls: Mapping[tuple[str, str], tuple[str, ...]]
) -> tuple[str, ...]:
    found = {
        purl
        for finding in findings
        if names(entry, finding)
        for purl in purls.get((finding.package_type, finding.package), ())
    }
    return tuple(sorted(found))


def _statement(entry: Exemption, products: Iterable[str]) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "vulnerability": {"name": entry.id},
        "products": [{"@id": purl, "identifiers": {"purl": purl}} for purl in products],
        "status": entry.status.value,
        "supplier": entry.owner,
        "status_notes": f"Until {entry.expires.isoformat()}: {entry.reason}",
    }
    if entry.justification:
        statement["justification"] = entry.justification.value
    if entry.status is Status.AFFECTED:
        # OpenVEX asks for an action where something is affected.
        statement["action_statement"] = f"Accepted until {entry.expires.isoformat()}: {entry.reason}"
    return statement
