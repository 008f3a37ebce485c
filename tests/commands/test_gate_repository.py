"""`hullmark gate --repository`: what is planted is found, gated, shown and exempted, by the real tools."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from hullmark.checks import SCANNERS
from hullmark.errors import Exit
from tests.checked import INJECTION, OTHER_TOKEN, PHP_INJECTION, ROOT_USER, TOKEN, WORKFLOW
from tests.repositories import commit, new_repository
from tests.scanners.support import require

if TYPE_CHECKING:
    from tests.commands.project import Project

EXEMPTION = """
[[exemptions]]
id = "{id}"
images = ["repository"]
package = "{path}"
owner = "@team"
reason = "A planted example."
expires = 2027-01-01
status = "affected"
"""
CLEAN = {".gitignore": "db/\n", "src/app.py": "def show(name: str) -> str:\n    return name\n", "key.ini": ""}


@pytest.fixture
def repository(project: Project) -> Project:
    """A repository whose commit `main` is clean, with a branch for a change."""
    for name in set(SCANNERS) - {"bandit"}:
        require(name)
    project.database("db")
    new_repository(project.root)
    commit(project.root, CLEAN)
    subprocess.run(["git", "checkout", "-qb", "change"], cwd=project.root, check=True)
    return project


def gate(project: Project, revisions: str = "main..HEAD", *more: str) -> int:
    return project.run("gate", "--db", "db", "--repository", revisions, *more)


PLANTED = {
    "key.ini": f"token = {TOKEN}\n",
    "Dockerfile": ROOT_USER,
    "src/app.py": INJECTION,
    "a.php": PHP_INJECTION,
    ".github/workflows/a.yml": WORKFLOW,
}


def test_what_a_change_plants_blocks_and_is_shown(repository: Project) -> None:
    commit(repository.root, PLANTED)

    assert gate(repository) == Exit.BLOCK
    assert repository.out.startswith("Block: ")
    for rule in ("introduces-secret", "introduces-misconfiguration", "introduces-weakness"):
        assert f"[{rule}]" in repository.out
    for told in (
        "secret github-pat, CRITICAL in key.ini line 1 (trivy)",
        "misconfiguration DS-0002, HIGH in Dockerfile line 2 (trivy)",
        "code B602, HIGH in src/app.py line 5 (bandit)",
        "code php-sql-from-request, HIGH in a.php line 2 (ast-grep)",
        "zizmor/template-injection, HIGH in .github/workflows/a.yml line 6 (zizmor)",
    ):
        assert told in repository.out
    assert TOKEN not in repository.out


def test_an_exemption_accepts_what_it_names(repository: Project) -> None:
    planted = {"key.ini": "github-pat", "src/app.py": "B602", "Dockerfile": "DS-0002"}
    entries = [EXEMPTION.format(id=rule, path=path) for path, rule in planted.items()]
    text = "version = 1\n" + "".join(entries)
    commit(repository.root, {**{path: PLANTED[path] for path in planted}, "exemptions.toml": text})

    assert gate(repository) == Exit.REVIEW  # what is left is of MEDIUM severity, for a person
    assert "introduces-secret" not in repository.out
    for rule in planted.values():
        assert f"{rule} is left out: exemption of @team until 2027-01-01" in repository.out


def test_what_was_there_before_and_lines_that_move_block_nothing(repository: Project) -> None:
    commit(repository.root, {"src/app.py": INJECTION, "key.ini": f"token = {TOKEN}\n"})
    subprocess.run(["git", "branch", "-f", "main", "HEAD"], cwd=repository.root, check=True)
    commit(
        repository.root,
        {"src/app.py": f"'''Text.'''\n\n{INJECTION}", "key.ini": None, "keys.ini": f"\ntoken = {TOKEN}\n"},
    )

    assert gate(repository) == Exit.REVIEW
    assert "[nothing-changed]" in repository.out
    commit(repository.root, {"keys.ini": f"token = {OTHER_TOKEN}\n"})
    assert gate(repository) == Exit.BLOCK
    assert "[introduces-secret]" in repository.out


def test_without_a_head_the_working_tree_is_judged(repository: Project) -> None:
    (repository.root / "src/app.py").write_text(INJECTION)

    assert gate(repository, "main..HEAD") == Exit.REVIEW
    assert gate(repository, "main") == Exit.BLOCK


def test_base_is_the_commit_that_both_go_back_to(repository: Project) -> None:
    subprocess.run(["git", "checkout", "-q", "main"], cwd=repository.root, check=True)
    commit(repository.root, {"src/app.py": INJECTION})
    subprocess.run(["git", "checkout", "-q", "change"], cwd=repository.root, check=True)
    commit(repository.root, {"src/app.py": "x = 1\n" + INJECTION})

    assert gate(repository) == Exit.BLOCK


def test_the_repository_is_judged_beside_images_and_the_worst_wins(repository: Project) -> None:
    repository.image("a.tar")
    commit(repository.root, {"src/app.py": INJECTION})

    assert gate(repository, "main", "--base", "app=a.tar", "--head", "app=a.tar", "--json") == Exit.BLOCK
    decision = json.loads(repository.out)["decision"]
    assert [outcome["image"] for outcome in decision["outcomes"]] == ["app", "repository"]
    assert decision["outcomes"][1]["others"][0]["kind"] == "code"


def test_a_decision_is_recorded_explained_replayed_and_verified(repository: Project) -> None:
    commit(repository.root, {"src/app.py": INJECTION, "key.ini": f"token = {TOKEN}\n"})

    assert gate(repository, "main..HEAD", "--record") == Exit.BLOCK
    assert repository.run("verify") == Exit.DONE
    assert repository.run("explain", "latest") == Exit.DONE
    assert "code B602" in repository.out
    assert repository.run("replay", "latest", "--db", "db") == Exit.DONE, repository.out
    everything = b"".join(
        path.read_bytes() for path in (repository.root / "audit-logs").rglob("*") if path.is_file()
    )
    assert TOKEN.encode() not in everything


def test_sarif_shows_the_findings_at_their_lines(repository: Project) -> None:
    commit(repository.root, {"src/a b.py": INJECTION})

    assert gate(repository, "main..HEAD", "--format", "sarif") == Exit.BLOCK
    [result] = [one for one in json.loads(repository.out)["runs"][0]["results"] if one["ruleId"] == "B602"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "src/a%20b.py"
    assert place["region"]["startLine"] == 5
    assert result["baselineState"] == "new"


@pytest.mark.parametrize("revisions", ["", "..HEAD", "a...b", "absent", "main..absent"])
def test_revisions_that_say_nothing_are_refused(repository: Project, revisions: str) -> None:
    assert gate(repository, revisions) in (Exit.USAGE, Exit.ERROR)
    assert repository.err.startswith("error: ") or "error: " in repository.err
