"""Who approved a pull request, and what in it judges."""

from __future__ import annotations

import pytest

from hullmark.pull_requests import Person, Review, ReviewState, find_approval, judging_paths
from tests.pull_requests.requests import ALICE, BOB, OLD, RENOVATE, approval, dockerfile, request

WRITERS = frozenset({"bob", "alice", "renovate[bot]"})


def approved(*reviews: Review, **fields: object) -> str:
    return find_approval(request(**{"reviews": reviews, "writers": WRITERS, **fields}))


def test_an_approval_counts_for_exactly_the_head_that_it_was_given_for() -> None:
    assert approved(approval()) == "bob"
    assert approved(approval(commit=OLD)) == ""
    assert approved() == ""


def test_it_counts_from_a_person_with_write_access_who_is_not_the_author() -> None:
    assert approved(approval(), writers=frozenset()) == ""
    assert approved(approval(ALICE), author=Person(login="Alice")) == ""
    assert approved(approval(Person(login="bob", is_bot=True))) == ""
    assert approved(approval(RENOVATE), author=ALICE) == ""


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["APPROVED", "COMMENTED"], "bob"),
        (["APPROVED", "DISMISSED"], ""),
        (["APPROVED", "CHANGES_REQUESTED"], ""),
        (["CHANGES_REQUESTED", "APPROVED"], "bob"),
        (["DISMISSED"], ""),
    ],
)
def test_of_several_reviews_by_one_person_the_last_one_that_decides_counts(
    states: list[str], expected: str
) -> None:
    assert approved(*(approval(BOB, state=ReviewState(state)) for state in states)) == expected


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/pr-compare.yml",
        ".github/hullmark/install.sh",
        "CODEOWNERS",
        "docs/CODEOWNERS",
        "renovate.json",
        ".renovaterc.json5",
        "hullmark.toml",
        "sub/exemptions.toml",
        "audit-logs/app/2026-01.jsonl",
        "cve-baseline/app.json",
        "images/app/smoke.toml",
        "images/app/smoke/check.sh",
        ".gitattributes",
    ],
)
def test_a_file_that_judges_is_told_by_its_path(path: str) -> None:
    assert judging_paths(request(files=(dockerfile(path=path),))) == (path,)
    moved = dockerfile(path="x", before=path, status="renamed")
    assert judging_paths(request(files=(moved,))) == (path,)


@pytest.mark.parametrize("path", ["images/app/Dockerfile", "images/app/packages.lock", "src/smoke_test.py"])
def test_other_files_do_not_judge(path: str) -> None:
    assert judging_paths(request(files=(dockerfile(path=path),))) == ()
