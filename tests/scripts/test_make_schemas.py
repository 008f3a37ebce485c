"""The schemas in the repository are those of the types that write the documents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from scripts.make_schemas import ROOT, SCHEMAS, render

from hullmark.event import format_event
from hullmark.journal import Journal
from tests.test_audit_log import record
from tests.values import HIGH

if TYPE_CHECKING:
    from pathlib import Path


def check(name: str, document: Any) -> None:  # noqa: ANN401 - any document
    schema = json.loads((ROOT / name).read_bytes())
    jsonschema.Draft202012Validator(schema).validate(document)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_as_its_type(name: str) -> None:
    assert (ROOT / name).read_bytes() == render(name), (
        "run scripts/make_schemas.py, and mind released versions"
    )


def test_what_is_recorded_fits_its_schemas(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record(journal, HIGH)

    for name in journal.store.names():
        for _, event in journal.events(name):
            type_, data = format_event(event)
            check("event/1.json", json.loads(json.dumps({"type": type_, **data})))
    scan = journal.timelines("app")["linux/amd64"].latest
    check("findings/1.json", json.loads(journal.evidence.get(scan.findings)))


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_refuses_something(name: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check(name, {"nothing": True})


def test_committed_baselines_fit_their_schema() -> None:
    for path in (ROOT.parent / "cve-baseline").glob("*[!x].json"):
        if not path.name.endswith(".cdx.json"):
            check("baseline/1.json", json.loads(path.read_bytes()))
