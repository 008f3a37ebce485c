"""Reports through the command line: real Trivy, a real ledger, every form."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import Exit
from tests.commands.project import FIXED

if TYPE_CHECKING:
    from pathlib import Path

    from tests.commands.project import Project

STEM = "report-2026-02-01-to-2026-02-10"
PERIOD = ("--period", "2026-02-01..2026-02-10")


@pytest.fixture
def recorded(project: Project) -> Project:
    """Two scans: the vulnerable image, and nine days later the one with the fix."""
    database = project.database("db")
    assert project.run("record", "--db", database, f"app={project.image('old.tar')}") == Exit.DONE
    assert project.run("summary") == Exit.DONE
    project.at("2026-02-10T09:00:00+00:00")
    assert (
        project.run("record", "--db", database, f"app={project.image('new.tar', version=FIXED)}") == Exit.DONE
    )
    assert project.run("summary") == Exit.DONE
    return project


def out(project: Project) -> Path:
    return project.root / "reports/out"


def test_a_report_is_written_in_every_form_that_people_read(recorded: Project) -> None:
    assert recorded.run("report", *PERIOD) == Exit.DONE

    assert recorded.out.splitlines()[0] == (
        "1 February 2026 to 10 February 2026 (sample data): No critical or high vulnerability is known; "
        "1 medium vulnerability is known to be open in 1 image."
    )
    made = {path.suffix for path in out(recorded).glob(f"{STEM}.*")}
    assert made == {".html", ".md", ".csv", ".pdf", ".xlsx"}
    text = (out(recorded) / f"{STEM}.md").read_text()
    assert "CVE-2026-1" in text.replace("\\", "")
    assert "gone" in text


def test_its_numbers_are_those_of_the_weekly_summary(recorded: Project) -> None:
    summary = json.loads((recorded.root / "docs/data/security-summary.json").read_text())

    report = recorded.json("report", *PERIOD, "--format", "json")

    assert {name: report["findings"][name] for name in summary["totals"]} == summary["totals"]
    assert report["vulnerabilities"] == summary["vulnerabilities"]
    document = json.loads((out(recorded) / f"{STEM}.json").read_text())
    assert len(document["findings"]) == sum(summary["totals"].values())
    assert document["sample"] is True


def test_a_report_about_the_first_day_knows_only_that_day(recorded: Project) -> None:
    report = recorded.json("report", "--period", "2026-02-01", "--format", "csv")

    assert report["findings"]["high"] == 2
    assert report["vulnerabilities"]["high"] == 1


def test_the_same_period_gives_the_same_bytes(recorded: Project) -> None:
    for folder, moment in (("a", "2026-02-11T09:00:00+00:00"), ("b", "2026-07-01T23:00:00+00:00")):
        recorded.at(moment)
        forms = ("pdf", "xlsx", "html", "csv", "markdown", "json", "cyclonedx", "vulns")
        options = [part for form in forms for part in ("--format", form)]
        assert recorded.run("report", *PERIOD, "--full", "--out", folder, *options) == Exit.DONE

    first, again = (
        {path.name: path.read_bytes() for path in (recorded.root / folder).iterdir()} for folder in "ab"
    )
    assert first == again
    assert len(first) == 8


def test_a_dossier_tells_the_life_of_one_vulnerability(recorded: Project) -> None:
    assert recorded.run("report", *PERIOD, "--finding", "CVE-2026-1", "--format", "markdown") == Exit.DONE

    assert "CVE-2026-1 was seen in 2 places, and is gone from all of them." in recorded.out
    text = (out(recorded) / "dossier-CVE-2026-1.md").read_text().replace("\\", "")
    assert text.count("sha256:") >= 4
    assert "| 2026-02-01 |" in text
    assert "2026-02-10, by a change of the image" in text


def test_an_audit_bundle_is_checked_alone(recorded: Project, tmp_path: Path) -> None:
    assert recorded.run("report", *PERIOD, "--bundle", "audit.zip", "--format", "csv") == Exit.DONE
    first = (recorded.root / "audit.zip").read_bytes()
    assert recorded.run("report", *PERIOD, "--bundle", "audit.zip", "--format", "csv") == Exit.DONE
    assert (recorded.root / "audit.zip").read_bytes() == first

    alone = tmp_path / "audit.zip"
    alone.write_bytes(first)
    assert recorded.run("-C", str(tmp_path), "verify", "--bundle", str(alone)) == Exit.DONE
    assert "sample history: sound." in recorded.out


def test_a_bundle_whose_ledger_was_edited_is_not_sound(recorded: Project, tmp_path: Path) -> None:
    recorded.run("report", *PERIOD, "--bundle", "audit.zip", "--format", "csv")
    edited = tmp_path / "edited.zip"
    with zipfile.ZipFile(recorded.root / "audit.zip") as source, zipfile.ZipFile(edited, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data.replace(b"HIGH", b"LOW") if name.endswith(".jsonl") else data)

    assert recorded.run("verify", "--bundle", str(edited)) == Exit.BLOCK
    assert "bundle: audit-logs/app/2026-02.jsonl: was changed" in recorded.out
    assert "edit: app/2026-02.jsonl:2" in recorded.out


def test_csaf_asks_for_a_publisher(recorded: Project) -> None:
    assert recorded.run("report", *PERIOD, "--format", "csaf") == Exit.ERROR
    assert "hullmark.toml: report: CSAF documents name their publisher" in recorded.err

    with (recorded.root / "hullmark.toml").open("a") as file:
        file.write('[report]\npublisher = "Example"\nnamespace = "https://example.com"\n')
    assert recorded.run("report", *PERIOD, "--format", "csaf") == Exit.DONE


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--period", "soon"), Exit.USAGE, "'soon' is no period"),
        (("--period", "2030"), Exit.USAGE, "lies in the future"),
        (("nobody",), Exit.USAGE, "no image 'nobody'"),
        (("--finding", "CVE-1"), Exit.ERROR, "nothing about 'CVE-1' was recorded"),
        (("--format", "docx"), Exit.USAGE, "docx"),
    ],
)
def test_what_cannot_be_reported_is_refused(
    recorded: Project, arguments: tuple[str, ...], code: Exit, message: str
) -> None:
    assert recorded.run("report", *arguments) == code
    assert message in recorded.err
    assert not out(recorded).exists()


def test_a_period_without_scans_is_said_to_be_uncovered(recorded: Project) -> None:
    assert recorded.run("report", "--period", "2026-01", "--format", "markdown") == Exit.DONE
    assert "Incomplete: 1 of 1 image could not be covered" in recorded.out


def test_nothing_recorded_says_what_to_run(project: Project) -> None:
    assert project.run("report") == Exit.ERROR
    assert "nothing was recorded here" in project.err
