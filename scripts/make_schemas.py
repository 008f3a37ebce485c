"""Write the JSON Schemas of the documents that Hullmark writes from the types that write them.

A schema of a version that was released is never changed: a new version gets a new file beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from hullmark.baseline import Baseline, RepositoryBaseline
from hullmark.checked_tree import CheckedTree
from hullmark.dashboard.columns import CveDocument, FindingsDocument
from hullmark.decision import Decision
from hullmark.event import Event
from hullmark.finding import Finding
from hullmark.ledger import Checkpoint
from hullmark.plan import Plan
from hullmark.proposals.model import Proposals
from hullmark.smoke import SmokeReport

ROOT = Path(__file__).resolve().parent.parent / "schema"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

SCHEMAS: dict[str, tuple[str, Any]] = {
    "baseline/1.json": ("cve-baseline/<image>.json", Baseline),
    "checked-tree/1.json": ("evidence: what a check of the repository looked at, and with what", CheckedTree),
    "checkpoint/1.json": ("what `hullmark verify --write-checkpoint` writes", Checkpoint),
    "site-cves/1.json": ("docs/data/cves.json", CveDocument),
    "site-findings/1.json": (
        "docs/data/findings.json and docs/data/findings/<image>.json",
        FindingsDocument,
    ),
    "decision/1.json": ("evidence: a decision of the gate", Decision),
    "event/1.json": ("the `data` of a ledger entry, with the entry's `type` as its key `type`", Event),
    "smoke-report/1.json": ("<image>.smoke.json beside a built image", SmokeReport),
    "findings/1.json": ("evidence: the findings that were open after a scan", tuple[Finding, ...]),
    "proposals/1.json": ("what `hullmark update-locks --out` writes", Proposals),
    "plan/1.json": ("what `hullmark plan --json` prints", Plan),
    "repository-baseline/1.json": ("cve-baseline/repository.json", RepositoryBaseline),
}


def render(name: str) -> bytes:
    """The schema file `name`."""
    title, document = SCHEMAS[name]
    schema = {"$schema": DIALECT, "title": title, **msgspec.json.schema(document)}
    return msgspec.json.format(msgspec.json.encode(schema, order="sorted"), indent=2) + b"\n"


def main() -> int:
    """Write every schema."""
    for name in SCHEMAS:
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(render(name))
        print(f"wrote {path.relative_to(ROOT.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
