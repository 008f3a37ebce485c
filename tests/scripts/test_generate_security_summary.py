"""The original's script: its flags, its output, its answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hullmark.summary import Summary, parse_summary
from tests.trivy_shapes import in_0_10, in_0_76, save

SCRIPT = Path(__file__).parents[2] / "scripts/generate_security_summary.py"


def script(folder: Path, *arguments: str, isolated: bool = False) -> subprocess.CompletedProcess[str]:
    flags = ["-I", "-S"] if isolated else []
    return subprocess.run(
        [sys.executable, *flags, str(SCRIPT), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def written(folder: Path, name: str = "docs/data/security-summary.json") -> Summary:
    return parse_summary((folder / name).read_bytes(), file=name)


def test_the_seed_documents_command_works(tmp_path: Path) -> None:
    save(tmp_path / "reports/trivy/php-mysql.json", in_0_76(0, 1, 2))
    save(tmp_path / "reports/trivy/postgres.json", in_0_10(0, 0, 0, 5))
    command = (
        *("--trivy", "reports/trivy/php-mysql.json", "reports/trivy/postgres.json"),
        *("--previous", "docs/data/security-summary.json", "--output", "docs/data/security-summary.json"),
    )

    first = script(tmp_path, *command)
    again = script(tmp_path, *command)

    assert (first.returncode, again.returncode) == (0, 0)
    assert first.stdout == again.stdout
    assert first.stdout == (
        "wrote docs/data/security-summary.json: 2 of 2 images covered, stable, risk index 3\n"
    )
    assert first.stderr == ""
    summary = written(tmp_path)
    assert summary.sources == ("reports/trivy/php-mysql.json", "reports/trivy/postgres.json")
    assert (summary.origin, summary.risk_index, len(summary.trend)) == ("reports", 3, 1)


def test_reports_are_found_and_a_missing_one_is_written_first_and_then_answered_with_5(
    tmp_path: Path,
) -> None:
    save(tmp_path / "reports/trivy/a.json", in_0_76(0, 3))
    save(tmp_path / "reports/trivy/b.json", in_0_76(0, 1))
    assert script(tmp_path).returncode == 0
    (tmp_path / "reports/trivy/b.json").unlink()
    (tmp_path / "reports/trivy/c.json").write_text("no report")

    result = script(tmp_path)

    assert result.returncode == 5
    assert "1 of 3 images covered, stable" in result.stdout
    assert "missing: b: there is no report of it any more" in result.stderr
    assert "missing: c: its report cannot be used" in result.stderr
    assert "next: " in result.stderr
    assert written(tmp_path).totals.high == 4


def test_nothing_at_all_is_written_as_incomplete(tmp_path: Path) -> None:
    result = script(tmp_path, "--trivy-dir", "nowhere", "--output", "out.json")

    assert result.returncode == 5
    assert "warning: nowhere: cannot be listed" in result.stderr
    summary = written(tmp_path, "out.json")
    assert (summary.direction, summary.coverage.complete) == ("stable", False)


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert "no *.json in it" in script(tmp_path, "--trivy-dir", "empty").stderr


def test_a_broken_previous_summary_is_an_error_and_stays_as_it_is(tmp_path: Path) -> None:
    save(tmp_path / "a.json", in_0_76(0, 3))
    (tmp_path / "old.json").write_text("{")

    result = script(tmp_path, "--trivy", "a.json", "--previous", "old.json", "--output", "out.json")

    assert result.returncode == 1
    assert result.stderr.startswith("error: old.json: is not JSON")
    assert "  next: " in result.stderr
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("limit", ["0", "-1", "many", "1.5", ""])
def test_a_history_limit_that_is_no_number_is_a_usage_error(tmp_path: Path, limit: str) -> None:
    assert script(tmp_path, f"--history-limit={limit}").returncode == 2


def test_the_history_limit_is_kept(tmp_path: Path) -> None:
    save(tmp_path / "a.json", in_0_76(0, 3))
    points = [{"date": f"2025-01-{day:02}", "critical": 0, "high": 0, "medium": 0} for day in range(1, 11)]
    previous = {"generatedAt": "2025-01-10", "images": [], "trend": points, "version": 3}
    save(tmp_path / "old.json", previous)

    script(
        tmp_path,
        "--trivy",
        "a.json",
        "--previous",
        "old.json",
        "--output",
        "out.json",
        "--history-limit",
        "3",
    )

    days = [str(point.date) for point in written(tmp_path, "out.json").trend]
    assert days[:2] == ["2025-01-09", "2025-01-10"]
    assert len(days) == 3


def test_hostile_names_reach_no_terminal(tmp_path: Path) -> None:
    (tmp_path / "reports/trivy").mkdir(parents=True)
    (tmp_path / "reports/trivy/\x1b[2J.json").write_text("")

    result = script(tmp_path)

    assert result.returncode == 5
    assert "\x1b" not in result.stdout + result.stderr
    assert "missing: \\x1b[2J:" in result.stderr


def test_without_the_package_it_says_how_to_install(tmp_path: Path) -> None:
    result = script(tmp_path, isolated=True)

    assert result.returncode == 1
    assert "hullmark is not installed" in result.stderr
    assert "pip install ." in result.stderr
