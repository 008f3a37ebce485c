"""The descriptions that the fake is held against."""

from __future__ import annotations

import json

import pytest
from graphql import build_schema

from scripts import vendor_github
from tests.github.contract import DESCRIBED, contract


@pytest.mark.parametrize(
    ("method", "path", "body", "fault"),
    [
        ("POST", "issues", {"body": "x"}, "'title' is a required property"),
        ("POST", "issues", {"title": "x", "lables": []}, "'lables' is not described"),
        ("PATCH", "issues/1", {"state": "done"}, "'done' is not one of"),
        ("PATCH", "issues/1", {"state": "closed", "state_reason": "fixed"}, "'fixed' is not one of"),
        ("POST", "check-runs", {"name": "x"}, "'head_sha' is a required property"),
        ("POST", "code-scanning/sarifs", {"ref": "refs/heads/main", "sarif": ""}, "'commit_sha'"),
        ("POST", "code-scanning/sarifs", {"commit_sha": "1", "ref": "x", "sarif": ""}, "does not match"),
    ],
)
def test_a_wrong_request_is_noticed(method: str, path: str, body: object, fault: str) -> None:
    operation = contract().find(method, f"/repos/o/r/{path}")

    assert operation is not None
    assert any(fault in found for found in contract().check_request(operation, {}, body))


def test_a_path_or_a_parameter_that_github_does_not_have_is_noticed() -> None:
    assert contract().find("POST", "/repos/o/r/nothing") is None
    operation = contract().find("GET", "/repos/o/r/issues")
    assert operation is not None
    assert contract().check_request(operation, {"label": "x"}, None) == ["query: 'label' is not described"]


def test_a_wrong_answer_of_the_fake_is_noticed() -> None:
    operation = contract().find("GET", "/repos/o/r/issues/1")

    assert operation is not None
    assert contract().check_answer(operation, 200, {"number": "1"}) != []
    assert contract().check_answer(operation, 200, contract().fill("issue")) == []
    assert contract().check_answer(operation, 418, {}) == ["status 418 is not described"]


def test_every_operation_is_there_and_all_that_it_refers_to() -> None:
    document = json.loads((DESCRIBED / "rest.json").read_bytes())
    operations = {each["operationId"] for methods in document["paths"].values() for each in methods.values()}

    assert operations == set(vendor_github.OPERATIONS)
    for reference in vendor_github._references(document):
        section, name = reference.removeprefix("#/components/").split("/")
        assert name in document["components"][section]


def test_the_cut_is_what_the_script_makes_of_it() -> None:
    """Cutting a cut once more changes nothing: what is kept is kept word for word."""
    text = (DESCRIBED / "rest.json").read_text()
    assert vendor_github.render(vendor_github.cut_openapi(json.loads(text))) == text

    schema = (DESCRIBED / "schema.graphql").read_text()
    assert vendor_github.cut_graphql(schema) == schema
    assert build_schema(schema).query_type is not None
