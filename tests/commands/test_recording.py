"""Scanning, recording and what is made from it, through the command line and with real Trivy."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from datetime import date
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import Exit
from hullmark.scan import System
from hullmark.text import escape_markdown
from tests.checked import TOKEN
from tests.commands.project import CONFIG, FIXED
from tests.scanners.support import require

if TYPE_CHECKING:
    from tests.commands.project import Project


def test_scan_needs_no_configuration_and_records_nothing(project: Project) -> None:
    (project.root / "hullmark.toml").unlink()
    archive, database = project.image("app.tar"), project.database("db")

    assert project.run("scan", archive, "--db", database) == Exit.DONE

    lines = project.out.splitlines()
    assert lines[0] == "app.tar: debian 13.2, 3 packages, linux/amd64"
    assert lines[3].split() == ["severity", "id", "package", "installed", "fixed", "in", "title"]
    assert lines[4].split() == ["HIGH", "CVE-2026-1", "gnutls-bin", "(+1)", "3.5.1-1", FIXED]
    assert "2 vulnerabilities (1 high, 1 medium); 3 findings, one for each affected package" in lines
    assert "sample database of 2026-01-31" in lines[-1]
    assert not (project.root / "audit-logs").exists()


@pytest.mark.parametrize(("severity", "code"), [("HIGH", Exit.BLOCK), ("critical", Exit.DONE)])
def test_scan_fails_on_a_severity_or_above(project: Project, severity: str, code: int) -> None:
    archive, database = project.image("app.tar"), project.database("db")

    assert project.run("scan", archive, "--db", database, "--fail-on", severity) == code


def test_scan_as_json_has_findings_and_provenance(project: Project) -> None:
    scan = project.json("scan", project.image("app.tar"), "--db", project.database("db"))

    assert {finding["id"] for finding in scan["findings"]} == {"CVE-2026-1", "CVE-2026-2"}
    assert scan["provenance"]["database"]["sample"] is True


def test_an_unknown_system_is_a_gap_and_never_clean(project: Project) -> None:
    archive = project.image("app.tar", system=System("debian", "99.1"))

    assert project.run("scan", archive, "--db", project.database("db")) == Exit.INCOMPLETE
    assert "not covered: unknown-system" in project.out


def test_the_whole_story_is_recorded_with_its_causes(project: Project) -> None:
    earlier = project.database("earlier", until=date(2026, 2, 1))
    assert project.run("record", "--db", earlier, f"app={project.image('old.tar')}") == Exit.DONE
    assert project.run("summary") == Exit.DONE

    project.at("2026-06-02T09:00:00+00:00")
    today = project.database("today")
    image = project.image("new.tar", version=FIXED)
    assert project.run("record", "--db", today, f"app={image}") == Exit.DONE
    assert "1 vulnerability introduced, 1 resolved, 0 changed" in project.out
    assert project.run("summary") == Exit.DONE

    log = (project.root / "audit-logs/app.md").read_text()
    assert "| MEDIUM | CVE-2026-2 | zlib (zlib1g) | `1` | `2` | database |" in log
    packages = escape_markdown("gnutls28 (gnutls-bin, libgnutls30t64)")
    assert f"| HIGH | CVE-2026-1 | {packages} | `3.5.1-1` | `{FIXED}` | image |" in log
    baseline = json.loads((project.root / "cve-baseline/app.json").read_text())
    assert (baseline["high"], baseline["medium"], baseline["cves"]) == (0, 1, ["CVE-2026-2"])
    summary = json.loads((project.root / "docs/data/security-summary.json").read_text())
    assert [point["high"] for point in summary["trend"]] == [2, 0]
    assert (summary["direction"], summary["sample"], summary["origin"]) == ("better", True, "ledger")
    assert project.run("verify") == Exit.DONE
    assert "sample history: sound." in project.out


def test_running_again_adds_run_records_unchanged_scans_and_a_new_summary_time_and_no_other_byte(
    project: Project,
) -> None:
    database, image = project.database("db"), project.image("app.tar")
    for moment in ("2026-02-01T09:00:00+00:00", "2026-02-01T10:00:00+00:00"):
        project.at(moment)
        before = project.files()
        assert project.run("record", "--db", database, f"app={image}") == Exit.DONE
        assert project.run("summary") == Exit.DONE
    after = project.files()

    changed = {name for name in after if before.get(name) != after[name]}
    ledgers = {"audit-logs/app/2026-02.jsonl", "audit-logs/runs/2026-02.jsonl"}
    assert changed == {*ledgers, "docs/data/security-summary.json", "SECURITY_SUMMARY.md"}
    assert all(after[name].startswith(before[name]) for name in ledgers)
    (line,) = after["audit-logs/app/2026-02.jsonl"][
        len(before["audit-logs/app/2026-02.jsonl"]) :
    ].splitlines()
    assert len(line) < 250
    old, new = (json.loads(files["docs/data/security-summary.json"]) for files in (before, after))
    assert {key for key in new if old[key] != new[key]} == {"generatedAt", "ledger"}


def test_generated_files_are_rebuilt_byte_for_byte_from_ledger_and_evidence(project: Project) -> None:
    database, image = project.database("db"), project.image("app.tar")
    project.run("record", "--db", database, f"app={image}")
    before = project.files()
    shutil.rmtree(project.root / "cve-baseline")
    (project.root / "audit-logs/app.md").unlink()

    project.run("record", "--db", database, f"app={image}")

    after = project.files()
    assert all(after[name] == before[name] for name in before if not name.endswith(".jsonl"))


def test_files_that_were_not_generated_are_never_touched(project: Project) -> None:
    (project.root / "cve-baseline").mkdir()
    (project.root / "cve-baseline/notes.json").write_text("mine")

    project.run("record", "--db", project.database("db"), f"app={project.image('app.tar')}")

    assert (project.root / "cve-baseline/notes.json").read_text() == "mine"


def test_an_image_that_was_not_built_says_what_to_run(project: Project) -> None:
    assert project.run("record", "--db", project.database("db")) == Exit.ERROR
    assert "this image was not built" in project.err
    assert "next: Run `hullmark build app`." in project.err


def test_one_image_that_cannot_be_scanned_keeps_no_other_from_being_recorded(project: Project) -> None:
    (project.root / "hullmark.toml").write_text("version = 1\n[images.app]\n[images.broken]\n")
    (project.root / "broken.tar").write_bytes(b"not a tar")
    image = project.image("app.tar")

    code = project.run("record", "--db", project.database("db"), f"app={image}", "broken=broken.tar")

    assert code == Exit.INCOMPLETE
    assert "not scanned: broken linux/amd64" in project.out
    assert "app linux/amd64: 1 high, 1 medium" in project.out
    assert project.run("verify") == Exit.DONE
    assert "not scanned: runs/2026-02.jsonl:3: broken linux/amd64:" in project.out
    assert str(project.root) not in (project.root / "audit-logs/runs/2026-02.jsonl").read_text()
    assert project.run("summary") == Exit.INCOMPLETE
    assert "not covered: broken" in project.out


def test_an_edited_ledger_is_named_by_file_and_line(project: Project) -> None:
    project.run("record", "--db", project.database("db"), f"app={project.image('app.tar')}")
    ledger = project.root / "audit-logs/app/2026-02.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b'"HIGH"', b'"LOW"'))

    assert project.run("verify") == Exit.BLOCK
    assert "app/2026-02.jsonl:2:" in project.out
    assert "not what was recorded" in project.out


def test_changed_and_missing_evidence_is_named(project: Project) -> None:
    project.run("record", "--db", project.database("db"), f"app={project.image('app.tar')}")
    one, other = sorted((project.root / "audit-logs/evidence").rglob("*.gz"))
    one.write_bytes(other.read_bytes())
    other.unlink()

    assert project.run("verify") == Exit.BLOCK
    assert "evidence-changed: app/2026-02.jsonl:2:" in project.out
    assert "evidence-missing: app/2026-02.jsonl:2:" in project.out


def test_a_checkpoint_kept_outside_shows_a_cut_end(project: Project) -> None:
    database, image = project.database("db"), project.image("app.tar")
    project.run("record", "--db", database, f"app={image}")
    shutil.copytree(project.root / "audit-logs", project.root / "older")
    project.run("record", "--db", database, f"app={image}")
    assert project.run("verify", "--write-checkpoint", "../public.json", "--if-public") == Exit.DONE
    assert not (project.root.parent / "public.json").exists()
    assert project.run("verify", "--write-checkpoint", "../checkpoint.json") == Exit.DONE
    shutil.rmtree(project.root / "audit-logs")
    (project.root / "older").rename(project.root / "audit-logs")

    assert project.run("verify") == Exit.DONE
    assert project.run("verify", "--checkpoint", "../checkpoint.json") == Exit.BLOCK
    assert "truncation" in project.out


def test_a_database_without_the_known_answers_is_not_trusted(project: Project) -> None:
    project.database("db", canary=False)
    image = project.image("app.tar")

    assert project.run("record", "--db", "db", f"app={image}") == Exit.INCOMPLETE
    assert "scanner or database are not trusted" in project.err
    assert not (project.root / "audit-logs").exists()

    assert project.run("record", "--db", "db", "--unsafe-skip-canary", f"app={image}") == Exit.DONE
    assert "unsafe-skip-canary" in (project.root / "audit-logs/app.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["scan", "nothing.tar"], Exit.ERROR, "nothing.tar: file not found"),
        (["scan", "app.tar", "--db", "nowhere"], Exit.ERROR, "no vulnerability database"),
        (["record", "web"], Exit.USAGE, "no image 'web' in"),
        (["record", "app="], Exit.USAGE, "'app=' names no file"),
        (["verify"], Exit.ERROR, "nothing was recorded here"),
        (["history"], Exit.ERROR, "nothing was recorded here"),
        (["summary"], Exit.ERROR, "nothing was recorded here"),
        (["fly"], Exit.USAGE, "No such command 'fly'"),
        (["scan"], Exit.USAGE, "Missing argument"),
    ],
)
def test_bad_input_is_one_clear_error(
    project: Project, arguments: list[str], code: int, message: str
) -> None:
    project.image("app.tar")

    assert project.run(*arguments) == code
    assert message in project.err
    assert "Traceback" not in project.err


def test_names_with_control_characters_cannot_act_on_a_terminal(project: Project) -> None:
    assert project.run("scan", "./a\x1b[2Jb.tar") == Exit.ERROR
    assert "\x1b" not in project.err


def test_a_summary_made_from_reports_is_not_overwritten_silently(project: Project) -> None:
    project.run("record", "--db", project.database("db"), f"app={project.image('app.tar')}")
    target = project.root / "docs/data/security-summary.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text('{"origin": "reports"}')

    assert project.run("summary") == Exit.ERROR
    assert "was not made from this ledger" in project.err
    assert target.read_text() == '{"origin": "reports"}'
    assert project.run("summary", "--replace") == Exit.DONE


def test_history_tells_the_life_of_a_finding(project: Project) -> None:
    database = project.database("db")
    project.run("record", "--db", database, f"app={project.image('old.tar')}")
    project.at("2026-02-02T09:00:00+00:00")
    project.run("record", "--db", database, f"app={project.image('new.tar', version=FIXED)}")

    assert project.run("history", "--finding", "CVE-2026-1") == Exit.DONE
    first, *rows, total = project.out.splitlines()
    assert first.split()[:3] == ["first", "seen", "cause"]
    assert all("2026-02-02 by image" in row for row in rows)
    assert total == "2 findings, 0 still there"
    found = project.json("history", "app", "--open")
    assert [finding["finding"]["identity"][1] for finding in found["findings"]] == ["CVE-2026-2"]


def test_run_records_below_dot_hullmark_unless_told_otherwise(project: Project) -> None:
    (project.root / "images/app").mkdir(parents=True)
    (project.root / "images/app/nothing").touch()

    code = project.run("run", "--db", project.database("db"))

    assert code == Exit.INCOMPLETE
    assert "not scanned: app linux/amd64" in project.out
    assert not (project.root / "audit-logs").exists()
    assert (project.root / ".hullmark/audit-logs/runs").is_dir()
    summary = json.loads((project.root / ".hullmark/docs/data/security-summary.json").read_text())
    assert summary["coverage"]["missing"] == ["app"]


def test_run_checks_the_files_beside_the_scans_where_the_configuration_says_so(project: Project) -> None:
    (project.root / "images/app").mkdir(parents=True)
    (project.root / "images/app/nothing").touch()
    (project.root / "hullmark.toml").write_text(f"{CONFIG}[checks]\nrun = true\n")
    (project.root / "key.ini").write_text(f"token = {TOKEN}\n")

    assert project.run("run", "--db", project.database("db")) == Exit.INCOMPLETE  # the image cannot be built
    assert "repository source/any: 1 finding introduced, 0 resolved, 0 changed" in project.out
    home = project.root / ".hullmark"
    assert "github-pat" in (home / "audit-logs/repository.md").read_text()
    summary = json.loads((home / "docs/data/security-summary.json").read_text())
    assert [image["name"] for image in summary["images"]] == ["app"]
    assert summary["totals"]["critical"] == 0  # a secret is no vulnerability
    (project.root / "key.ini").unlink()
    document = project.json("run", "--db", "db", code=Exit.INCOMPLETE)
    assert len(document["checks"]["events"][0]["resolved"]) == 1


def test_a_made_up_time_is_refused_for_a_real_database(project: Project) -> None:
    from tests.scanners.test_database import make_real

    make_real(project.root / "db", "2026-01-31T00:00:00Z")
    code = project.run("record", "--db", "db", "--unsafe-skip-canary", f"app={project.image('app.tar')}")

    assert code == Exit.USAGE
    assert "HULLMARK_NOW is set, and the database is real" in project.err


def test_an_image_that_was_not_scanned_this_week_is_not_covered(project: Project) -> None:
    project.run("record", "--db", project.database("db"), f"app={project.image('app.tar')}")
    assert project.run("summary") == Exit.DONE

    project.at("2026-02-20T09:00:00+00:00")
    assert project.run("summary") == Exit.INCOMPLETE

    summary = json.loads((project.root / "docs/data/security-summary.json").read_text())
    assert summary["images"][0]["coverage"]["reason"] == "it was not scanned since 2026-02-01"
    assert (summary["totals"]["high"], summary["direction"]) == (2, "stable")
    assert summary["trend"][-1]["partial"] is True


def test_an_oci_layout_in_a_tar_is_refused_with_what_to_do(project: Project) -> None:
    skopeo = require("skopeo")
    project.image("app.tar")
    subprocess.run(
        [skopeo, "copy", "--quiet", "docker-archive:app.tar", "oci-archive:app.oci.tar"],
        cwd=project.root,
        check=True,
        capture_output=True,
    )

    assert project.run("scan", "app.oci.tar", "--db", project.database("db")) == Exit.ERROR
    assert "an OCI layout in a tar" in project.err
    assert "next: Unpack it into a folder" in project.err


def test_a_run_does_not_begin_over_a_summary_made_from_reports(project: Project) -> None:
    target = project.root / ".hullmark/docs/data/security-summary.json"
    target.parent.mkdir(parents=True)
    target.write_text('{"origin": "reports"}')

    assert project.run("run", "--db", project.database("db")) == Exit.ERROR
    assert "hullmark summary --replace" in project.err
    assert not (project.root / ".hullmark/audit-logs").exists()


def test_a_tar_with_both_forms_as_docker_saves_it_is_scanned_as_the_image_it_names(project: Project) -> None:
    project.image("app.tar")
    with tarfile.open(project.root / "app.tar") as plain:
        found = {item.name: plain.extractfile(item).read() for item in plain if item.isreg()}  # type: ignore[union-attr]
    (saved,) = json.loads(found.pop("manifest.json"))

    def blob(data: bytes) -> str:
        return f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"

    def described(data: bytes) -> dict[str, object]:
        return {"digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}

    config, layers = found[saved["Config"]], [found[name] for name in saved["Layers"]]
    manifest = json.dumps({"config": described(config), "layers": [described(data) for data in layers]})
    files = {blob(data): data for data in (config, *layers, manifest.encode())}
    docker = [{"Config": blob(config), "RepoTags": None, "Layers": [blob(data) for data in layers]}]
    files["manifest.json"] = json.dumps(docker).encode()
    files["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    files["index.json"] = json.dumps({"manifests": [described(manifest.encode())]}).encode()
    with tarfile.open(project.root / "both.tar", "w") as tar:
        for name, data in files.items():
            item = tarfile.TarInfo(name)
            item.size = len(data)
            tar.addfile(item, io.BytesIO(data))
    database = project.database("db")

    scans = [project.json("scan", name, "--db", database) for name in ("app.tar", "both.tar")]

    assert scans[0]["digest"] == scans[1]["digest"] == f"sha256:{hashlib.sha256(config).hexdigest()}"
    assert scans[0]["findings"] == scans[1]["findings"] != []
