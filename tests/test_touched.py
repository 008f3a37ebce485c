"""What a change edits of what judges it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from hullmark.decision import Touched
from hullmark.journal import Journal
from hullmark.recording import begin_run
from hullmark.revision import Commit
from hullmark.touched import find_touched
from tests.repositories import commit, new_repository
from tests.values import HIGH, run_started, scan_of

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 20, 9, tzinfo=UTC)

CONFIG = "version = 1\n[images.app]\n[gate]\npreset = 'strict'\n"
FILES = {
    "hullmark.toml": CONFIG,
    "images/app/image.toml": "title = 'a'\n[smoke]\nport = 1\n",
    "images/app/smoke.toml": "x = 1\n",
    "exemptions.toml": "version = 1\n",
    "renovate.json": "{}",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    new_repository(tmp_path)
    commit(tmp_path, FILES)
    return tmp_path


def touched(root: Path, files: dict[str, str | None]) -> list[tuple[str, str]]:
    before = Commit(root, "HEAD")
    after = Commit(root, commit(root, files))
    return [(touch.what.value, touch.path) for touch in find_touched(before, after, ["images/app"])]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (CONFIG.replace("strict", "ratchet"), ["policy"]),
        (CONFIG + "self_review = true\n", ["policy"]),
        (CONFIG + "[scan]\nmax_age = 400\n", ["configuration"]),
        (CONFIG.replace("strict", "ratchet") + "[images.b]\n", ["configuration", "policy"]),
        (None, ["configuration", "policy"]),
        ("][", ["configuration", "policy"]),
    ],
)
def test_gate_of_hullmark_toml_is_the_policy_everything_else_there_the_configuration(
    repository: Path, config: str | None, expected: list[str]
) -> None:
    assert touched(repository, {"hullmark.toml": config}) == [(what, "hullmark.toml") for what in expected]


def test_what_is_written_otherwise_and_says_the_same_is_not_edited(repository: Path) -> None:
    same: dict[str, str | None] = {
        "hullmark.toml": "# why\n" + CONFIG.replace("'", '"'),
        "exemptions.toml": "version = 1 # none\n",
        "images/app/image.toml": "title = 'b'\nsmoke = { port = 1 }\n",
        "README.md": "x",
    }
    assert touched(repository, same) == []


@pytest.mark.parametrize("path", ["images/app/smoke.toml", "images/app/smoke/test.sql"])
def test_a_smoke_test_is_one_of_the_images_own_files(repository: Path, path: str) -> None:
    assert touched(repository, {path: "y = 2\n"}) == [("smoke-tests", path)]


def test_a_smoke_test_is_the_table_smoke_of_its_image_toml(repository: Path) -> None:
    path = "images/app/image.toml"
    assert touched(repository, {path: "title = 'a'\n"}) == [("smoke-tests", path)]


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/x.yml",
        ".github/actions/a/action.yml",
        ".github/CODEOWNERS",
        "CODEOWNERS",
        "renovate.json",
        ".github/renovate.json5",
        ".github/dependabot.yml",
    ],
)
def test_who_must_approve_counts_as_a_workflow_as_do_the_settings_of_the_update_bot(
    repository: Path, path: str
) -> None:
    assert touched(repository, {path: "x"}) == [("workflows", path)]
    assert touched(repository, {path: None}) == [("workflows", path)]
    assert touched(repository, {f"elsewhere/{path}": "x", ".github/ISSUE_TEMPLATE/bug.md": "x"}) == []


def test_a_folder_below_the_repository_has_the_workflows_of_the_whole(tmp_path: Path) -> None:
    new_repository(tmp_path)
    root = tmp_path / "services"
    commit(tmp_path, {f"services/{name}": text for name, text in FILES.items()})
    before = Commit(root, "HEAD")
    changed: dict[str, str | None] = {
        ".github/workflows/x.yml": "x",
        "services/hullmark.toml": CONFIG.replace("strict", "ratchet"),
        "hullmark.toml": "another",
    }
    after = Commit(root, commit(tmp_path, changed))

    found = find_touched(before, after, ["images/app"])
    assert [(touch.what, touch.path) for touch in found] == [
        (Touched.POLICY, "hullmark.toml"),
        (Touched.WORKFLOWS, ".github/workflows/x.yml"),
    ]


def record(root: Path, *, sample: bool) -> Path:
    journal = Journal(root / "audit-logs")
    run = run_started(database="a", sample=sample)
    with begin_run(journal, run, now=NOW, clock_overridden=sample) as recording:
        recording.add(scan_of(HIGH, run=run), b"{}", lambda _: (HIGH,), inputs=None)
        recording.finish(("app linux/amd64",), {})
    return journal.root


def test_records_are_not_to_be_edited(repository: Path) -> None:
    record(repository, sample=False)
    commit(repository, {})

    assert touched(repository, {"audit-logs/app/x": "1", "cve-baseline/app.json": "{}"}) == [
        ("records", "audit-logs/app/x"),
        ("records", "cve-baseline/app.json"),
    ]


def test_a_sample_that_stays_a_sample_and_verifies_may_be_made_again(repository: Path) -> None:
    logs = record(repository, sample=True)
    commit(repository, {})
    shutil.rmtree(logs)
    record(repository, sample=True)
    assert touched(repository, {"audit-logs/app.md": "again\n"}) == []

    ledger = next((logs / "app").glob("*.jsonl"))
    ledger.write_bytes(ledger.read_bytes().replace(b"HIGH", b"LOW"))
    assert [what for what, _ in touched(repository, {})] == ["records"]


def test_a_sample_that_becomes_real_is_edited(repository: Path) -> None:
    logs = record(repository, sample=True)
    commit(repository, {})
    shutil.rmtree(logs)
    record(repository, sample=False)

    assert {what for what, _ in touched(repository, {})} == {"records"}


def test_records_that_appear_are_edited(repository: Path) -> None:
    record(repository, sample=True)

    assert {what for what, _ in touched(repository, {})} == {"records"}
