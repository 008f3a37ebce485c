"""`hullmark exemptions` as a user types it, with real Trivy."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import Exit
from tests.scanners.support import require

if TYPE_CHECKING:
    from tests.commands.project import Project

ENTRY = """
[[exemptions]]
id = "{id}"
images = ["{images}"]
package = "{package}"
owner = "@team"
reason = "Nothing here uses TLS."
expires = {expires}
status = "{status}"
{more}
"""
NOT_REACHED = 'justification = "vulnerable_code_not_in_execute_path"'
FLAGS = (
    "--skip-db-update --skip-java-db-update --skip-version-check --offline-scan --disable-telemetry "
    "--cache-backend memory --config= --ignorefile= --scanners vuln --format json --quiet --cache-dir db"
)


def entry(
    id_: str = "CVE-2026-1",
    *,
    images: str = "app",
    package: str = "gnutls-bin",
    expires: str = "2026-12-01",
    status: str = "not_affected",
) -> str:
    more = NOT_REACHED if status == "not_affected" else ""
    return ENTRY.format(id=id_, images=images, package=package, expires=expires, status=status, more=more)


def write(project: Project, *entries: str) -> None:
    (project.root / "exemptions.toml").write_text("version = 1\n" + "".join(entries))


@pytest.fixture
def recorded(project: Project) -> Project:
    project.image("app.tar")
    assert project.run("record", "--db", project.database("db"), "app=app.tar") == Exit.DONE
    return project


def scan(project: Project, *more: str) -> set[tuple[str, str]]:
    """What Trivy itself finds in the image: id and package."""
    done = subprocess.run(
        [require("trivy"), "image", "--input", "app.tar", *FLAGS.split(), *more],
        cwd=project.root,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        capture_output=True,
        check=True,
    )
    results = json.loads(done.stdout)["Results"]
    return {
        (each["VulnerabilityID"], each["PkgName"]) for r in results for each in r.get("Vulnerabilities", [])
    }


@pytest.mark.parametrize("package", ["gnutls-bin", "gnutls28", "", "lib*"])
@pytest.mark.parametrize("status", ["not_affected", "fixed"])
def test_trivy_leaves_out_exactly_the_findings_that_our_exemptions_cover(
    recorded: Project, package: str, status: str
) -> None:
    write(recorded, entry(package=package, status=status), entry("CVE-2026-2", expires="2026-02-01"))
    covered = {
        "gnutls-bin": {"gnutls-bin"},
        "lib*": {"libgnutls30t64"},
    }.get(package, {"gnutls-bin", "libgnutls30t64"})

    assert recorded.run("exemptions", "export", "app", "--out", "vex.json") == Exit.DONE

    assert recorded.out == "wrote vex.json\n"
    before, after = scan(recorded), scan(recorded, "--vex", "vex.json")
    assert len(before) == 3
    assert before - after == {("CVE-2026-1", name) for name in covered}
    (row, _) = recorded.json("exemptions", "list")["exemptions"]
    assert row["findings"] == len(before - after)


def test_a_risk_that_was_accepted_is_stated_and_goes_on_being_shown(recorded: Project) -> None:
    write(recorded, entry(status="affected"), entry("CVE-2026-7"))

    assert recorded.run("exemptions", "export", "app") == Exit.DONE

    assert recorded.err.splitlines() == [
        "not left out by scanners: CVE-2026-1: stated as affected",
        "unmatched: CVE-2026-7: names nothing in this image",
    ]
    (recorded.root / "vex.json").write_text(recorded.out)
    assert scan(recorded, "--vex", "vex.json") == scan(recorded)


def test_lint_names_what_a_person_has_to_do(recorded: Project) -> None:
    write(
        recorded,
        entry(),
        entry(expires="2026-02-01"),
        entry(expires="2026-02-10", images="web"),
        entry(images="*", package=""),
    )

    assert recorded.run("exemptions", "lint") == Exit.REVIEW

    lines = recorded.out.splitlines()
    assert lines[0].endswith(
        "exemptions[1].expires: CVE-2026-1: has expired and no longer applies (on 2026-02-01)"
    )
    assert "exemptions[1].id: CVE-2026-1: says the same as an earlier entry (exemptions[0])" in lines[1]
    assert "exemptions[2].expires: CVE-2026-1: expires soon (on 2026-02-10)" in lines[2]
    assert "exemptions[2].id: CVE-2026-1: matches no finding" in lines[3]
    assert "exemptions[3].images: CVE-2026-1: names every image and no package" in lines[4]
    assert lines[-1] == "4 entries, 5 remarks"


def test_what_expires_soon_is_announced_and_no_fault(recorded: Project) -> None:
    write(recorded, entry(expires="2026-02-10"))

    assert recorded.run("exemptions", "lint") == Exit.DONE
    assert "expires soon" in recorded.out
    recorded.at("2026-02-09T23:59:59+00:00")
    assert recorded.run("exemptions", "list") == Exit.DONE
    assert "until 2026-02-10, 1 day left" in recorded.out
    recorded.at("2026-02-09T23:30:00-01:00")
    assert recorded.run("exemptions", "list") == Exit.DONE
    assert "no, since 2026-02-10" in recorded.out
    assert recorded.out.splitlines()[-1] == "1 entry, 0 in force"


def test_where_nothing_was_recorded_nothing_is_said_about_matches(project: Project) -> None:
    write(project, entry("CVE-2026-7"))

    assert project.run("exemptions", "lint") == Exit.DONE
    assert project.run("exemptions", "list") == Exit.DONE
    assert "not known" in project.out
    (project.root / "exemptions.toml").unlink()
    assert project.run("exemptions", "lint") == Exit.DONE
    assert project.out == "0 entries, 0 remarks\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = 1\n[[exemptions]]\nid = 'CVE-1'\n", "exemptions.toml: exemptions[0]: "),
        (
            "version = 1\n" + ENTRY.replace("owner", "ownr"),
            "exemptions[0].ownr: unknown key; nearest is `owner`",
        ),
        ("[", "exemptions.toml: not TOML"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_error(project: Project, text: str, message: str) -> None:
    text = text.format(id="CVE-1", images="a", package="b", expires="2026-12-01", status="affected", more="")
    (project.root / "exemptions.toml").write_text(text)

    for command in ("lint", "list"):
        assert project.run("exemptions", command) == Exit.ERROR
        assert message in project.err
    assert project.run("exemptions", "lint", "--file", "absent.toml") == Exit.ERROR
    assert "absent.toml: file not found" in project.err
    (project.root / "exemptions.toml").write_text("version = 1\n")
    assert project.run("exemptions", "export", "app") == Exit.USAGE
    assert "no scan of app is recorded" in project.err


def test_an_accepted_risk_in_force_is_listed_with_what_it_covers_which_is_counted_all_the_same(
    recorded: Project,
) -> None:
    assert recorded.run("summary") == Exit.DONE
    before = json.loads((recorded.root / "docs/data/security-summary.json").read_text())
    write(recorded, entry(package="gnutls28"), entry("CVE-2026-2", expires="2026-02-01"), entry("CVE-2026-7"))

    summary = recorded.json("summary")

    assert summary["totals"] == before["totals"]
    assert summary["riskIndex"] == before["riskIndex"]
    (row,) = summary["exempted"]
    assert (row["image"], row["id"], row["findings"], row["owner"]) == ("app", "CVE-2026-1", 2, "@team")
    text = (recorded.root / "SECURITY_SUMMARY.md").read_text()
    assert "## Accepted risks" in text
    assert "| 2 | 1 December 2026 | `@team` | Nothing here uses TLS" in text
    (recorded.root / "exemptions.toml").unlink()
    recorded.at("2026-02-02T09:00:00+00:00")
    assert recorded.json("summary")["exempted"] == []


def test_the_summary_is_made_again_from_its_recorded_events_with_its_accepted_risks(
    recorded: Project,
) -> None:
    from hullmark.journal import Journal
    from hullmark.summary import replay

    write(recorded, entry(package="gnutls28"))
    summary = recorded.json("summary")
    (recorded.root / "exemptions.toml").unlink()

    again = replay(Journal(recorded.root / "audit-logs").summaries(), sample=True)

    assert again is not None
    assert [each.id for each in again.exempted] == [each["id"] for each in summary["exempted"]]
    assert str(again.exempted[0].expires) == summary["exempted"][0]["expires"]
