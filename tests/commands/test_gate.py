"""`hullmark gate` through the command line and with real Trivy."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from hullmark.decision import named_evidence, parse_decision
from hullmark.errors import Exit
from hullmark.journal import Journal
from hullmark.scan import System
from hullmark.scanners.trivy.scanner import Trivy
from tests.commands.project import FIXED, OLD
from tests.scanners.support import require, run_trivy

if TYPE_CHECKING:
    from hullmark.scanners.trivy.report import Report
    from tests.commands.project import Project


def sbom_of(project: Project, image: str, name: str) -> str:
    """What Trivy itself writes as CycloneDX of an image."""
    return made_by_trivy(project, image, name, "cyclonedx")


def report_of(project: Project, image: str, name: str) -> str:
    """Trivy's own JSON report of an image."""
    (project.root / name).write_bytes(run_trivy(project.root / "db", "image", project.root / image))
    return name


def made_by_trivy(project: Project, image: str, name: str, form: str) -> str:
    import subprocess

    flags = "--quiet --offline-scan --skip-version-check --disable-telemetry --config= --cache-backend memory"
    subprocess.run(
        [require("trivy"), "image", "--input", image, "--format", form, "--output", name, *flags.split()],
        cwd=project.root,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        check=True,
    )
    return name


def gate(project: Project, *arguments: str) -> int:
    return project.run("gate", "--db", "db", *arguments)


@pytest.fixture
def db(project: Project) -> Project:
    """A project with a database and two images, the older of which has more vulnerabilities."""
    project.database("db")
    project.image("old.tar")
    project.image("new.tar", version=FIXED)
    return project


def test_a_change_that_is_worse_blocks_and_says_why(db: Project) -> None:
    assert gate(db, "--base", "app=new.tar", "--head", "app=old.tar") == Exit.BLOCK

    lines = db.out.splitlines()
    assert lines[0] == "Block: the change must not be merged as it is."
    assert lines[1].endswith("raises the number of relevant vulnerabilities (MEDIUM and up). [relevant-rise]")
    assert f"CVE-2026-1, HIGH, in gnutls-bin 3.5.1-1 ({FIXED} in base, not affected)" in lines[2]
    assert (
        f"app (linux/amd64): gnutls28 (gnutls-bin, libgnutls30t64) {FIXED} -> 3.5.1-1 (older): "
        "introduces CVE-2026-1." in lines
    )


def test_both_sides_are_matched_by_the_same_scanner_with_the_same_database_whatever_each_was_given_as(
    db: Project,
) -> None:
    heads = ("old.tar", sbom_of(db, "old.tar", "old.cdx.json"), report_of(db, "old.tar", "old.report.json"))
    decisions = [
        db.json("gate", "--db", "db", "--base", "app=new.tar", "--head", f"app={head}", code=Exit.BLOCK)
        for head in heads
    ]

    seen = [one["decision"]["inputs"]["images"][0]["head"] for one in decisions]
    assert [side["seen"] for side in seen] == ["image", "sbom", "report"]
    assert len({side["findings"] for side in seen}) == len({side["packages"] for side in seen}) == 1
    reasons = [one["decision"]["reasons"] for one in decisions]
    assert reasons[0] == reasons[1] == reasons[2]


def test_an_sbom_is_never_allowed_for_what_was_not_seen(db: Project) -> None:
    head = sbom_of(db, "new.tar", "new.cdx.json")

    assert gate(db, "--base", "app=old.tar", "--head", f"app={head}") == Exit.REVIEW
    assert "its files were not seen, and it was not run. [files-not-seen]" in db.out
    assert gate(db, "--base", "app=old.tar", "--head", f"app={head}", "--ci") == Exit.DONE


def test_what_cannot_be_compared_is_refused_with_the_reason_never_left_out(db: Project) -> None:
    foreign = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {"tools": [{"name": "other"}]},
        "components": [{"type": "library", "name": "openssl", "version": "1", "bom-ref": "a"}],
    }
    (db.root / "foreign.cdx.json").write_text(json.dumps(foreign))
    report = json.loads((db.root / report_of(db, "old.tar", "bare.json")).read_text())
    for result in report["Results"]:
        result.pop("Packages", None)
    (db.root / "bare.json").write_text(json.dumps(report))
    (db.root / "broken.tar").write_bytes(b"no tar")

    for wrong, reason in (
        ("foreign.cdx.json", "not an SBOM of Trivy's: 1 of 1 packages lack its properties"),
        ("bare.json", "the report lists no packages, so nobody can say what the image contains"),
        ("broken.tar", "broken.tar"),
        ("absent.tar", "file not found"),
    ):
        for sides in (("old.tar", wrong), (wrong, "old.tar")):
            assert gate(db, "--base", f"app={sides[0]}", "--head", f"app={sides[1]}") == Exit.ERROR, db.out
            assert reason in db.err
            assert db.out == ""


def test_the_base_of_another_image_or_platform_is_refused(db: Project) -> None:
    gate(db, "--base", "web=old.tar", "--head", "web=old.tar", "--record")
    (stored,) = {one.inputs.images[0].base.sbom for one in decisions(db)}
    (db.root / "web.cdx.json").write_bytes(Journal(db.root / "audit-logs").evidence.get(stored))

    assert gate(db, "--base", "app=web.cdx.json", "--head", "app=new.tar") == Exit.ERROR
    assert "is the SBOM of 'web', not of 'app'" in db.err
    (db.root / "hullmark.toml").write_text("version = 1\n[images.app]\n[images.web]\n")
    assert db.run("record", "--db", "db", "web=old.tar") == Exit.DONE
    assert gate(db, "--base", "app=old.tar", "--head", "app=new.tar") == Exit.ERROR
    assert "old.tar: was recorded as web, not as app" in db.err
    assert gate(db, "--base", "old.tar", "--head", "new.tar") == Exit.DONE, "nobody said what it is"
    assert db.run("record", "--db", "db", "app=new.tar") == Exit.DONE
    assert gate(db, "--base", "old.tar", "--head", "new.tar") == Exit.ERROR
    assert "base was recorded as web, and head as app: base is of another image" in db.err
    assert db.run("record", "--db", "db", "app=old.tar") == Exit.DONE
    assert gate(db, "--base", "app=old.tar", "--head", "app=new.tar") == Exit.DONE, "one image, two names"
    other = ("--base", "app@linux/arm64=old.tar", "--head", "app@linux/arm64=new.tar")
    assert gate(db, *other) == Exit.ERROR
    assert "no single image for linux/arm64; it holds linux/amd64" in db.err


@pytest.mark.parametrize("form", ["image", "cyclonedx", "json"])
def test_two_images_whose_labels_give_them_different_titles_are_two_images(db: Project, form: str) -> None:
    """However much they have in common: both stand on Debian, and differ in one version."""
    for name, version in (("web", OLD), ("shop", FIXED)):
        db.image(f"{name}.tar", version=version, title=name)
        if form == "cyclonedx":
            sbom_of(db, f"{name}.tar", f"{name}.json")
        elif form == "json":
            report_of(db, f"{name}.tar", f"{name}.json")
    web, shop = (f"{name}.tar" if form == "image" else f"{name}.json" for name in ("web", "shop"))

    for prefix in ("", "app="):
        assert gate(db, "--base", f"{prefix}{web}", "--head", f"{prefix}{shop}") == Exit.ERROR
        assert "calls itself 'web', and head 'shop': base is of another image" in db.err
    assert gate(db, "--base", web, "--head", web) == Exit.REVIEW
    worst = Exit.DONE if form == "image" else Exit.REVIEW
    assert gate(db, "--base", "old.tar", "--head", shop) == worst, "only one of them says what it is"


def test_a_head_that_was_not_given_blocks_and_a_base_that_was_not_given_is_for_a_person(db: Project) -> None:
    both = ("--base", "app=old.tar", "--head", "app=new.tar")

    assert gate(db, *both, "--base", "web=old.tar") == Exit.BLOCK
    assert "[not-scanned]" in db.out
    assert "web" in db.out
    assert gate(db, *both, "--head", "web=new.tar") == Exit.REVIEW
    assert "[no-base]" in db.out


def test_the_worst_of_several_images_wins(db: Project) -> None:
    sides = (
        "--base",
        "app=old.tar",
        "--head",
        "app=new.tar",
        "--base",
        "web=new.tar",
        "--head",
        "web=old.tar",
    )

    document = db.json("gate", "--db", "db", *sides, code=Exit.BLOCK)

    assert [(one["image"], one["verdict"]) for one in document["decision"]["outcomes"]] == [
        ("app", "allow"),
        ("web", "block"),
    ]


def test_every_image_of_the_configuration_can_be_expected(db: Project) -> None:
    (db.root / "hullmark.toml").write_text("version = 1\n[images.app]\n[images.web]\n")

    assert gate(db, "--base", "app=old.tar", "--head", "app=new.tar", "--all") == Exit.BLOCK
    assert "web linux/amd64." in db.out


def test_a_name_of_the_configuration_stands_for_its_baseline_which_must_be_what_the_ledger_says(
    db: Project,
) -> None:
    assert gate(db, "--base", "app", "--head", "new.tar") == Exit.ERROR
    assert "no complete scan of app linux/amd64 was recorded" in db.err
    assert db.run("record", "--db", "db", "app=old.tar") == Exit.DONE

    document = db.json("gate", "--db", "db", "--base", "app", "--head", "new.tar")
    (one,) = document["decision"]["outcomes"]
    assert (one["image"], one["before"]["high"], one["after"]["high"]) == ("app", 1, 0)

    for name in ("cve-baseline/app.cdx.json", "cve-baseline/app.json"):
        path = db.root / name
        sound = path.read_bytes()
        path.write_bytes(sound.replace(b"3.5.1-1", b"3.5.9-1").replace(b'"high": 1', b'"high": 0') + b"\n")
        assert gate(db, "--base", "app", "--head", "new.tar") == Exit.ERROR
        assert f"{name}: was edited: it is not what the ledger says" in db.err
        path.write_bytes(sound)


def test_what_the_database_learned_since_base_was_recorded_is_told_beside_the_verdict(db: Project) -> None:
    db.database("earlier", until=date(2026, 2, 1))
    assert db.run("record", "--db", "earlier", "app=old.tar") == Exit.DONE
    db.at("2026-06-02T09:00:00+00:00")

    assert gate(db, "--base", "app", "--head", "old.tar") == Exit.REVIEW
    assert "[nothing-changed]" in db.out
    assert "not of this change, but learned since base was recorded: CVE-2026-2." in db.out


def test_what_was_recorded_with_that_scanner_and_database_is_not_matched_again(
    db: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the decision is made from the same: packages, findings, coverage, to the byte."""
    matched: set[str] = set()
    match = Trivy.match

    def watched(trivy: Trivy, sbom: bytes) -> Report:
        matched.add(f"sha256:{hashlib.sha256(sbom).hexdigest()}")
        return match(trivy, sbom)

    monkeypatch.setattr(Trivy, "match", watched)
    db.database("other", until=date(2026, 2, 1))
    assert db.run("record", "--db", "db", "app=old.tar") == Exit.DONE
    recorded = Journal(db.root / "audit-logs").timelines("app")["linux/amd64"].latest.sbom

    def judged(database: str) -> tuple[Any, bool]:
        matched.clear()
        arguments = ("gate", "--base", "app", "--head", "new.tar", "--unsafe-skip-canary")
        decision = db.json(*arguments, "--db", database, code=Exit.REVIEW)["decision"]
        return decision, recorded in matched

    recalled, again = judged("db")
    assert not again
    assert judged("other")[1], "another database"
    monkeypatch.setattr("hullmark.gate._recall", lambda *_: None)
    in_full, again = judged("db")
    assert again
    assert recalled == in_full


def decisions(project: Project) -> list[Any]:
    journal = Journal(project.root / "audit-logs")
    return [parse_decision(journal.evidence.get(event.decision)) for _, event in journal.decisions()]


def test_a_decision_is_recorded_with_the_evidence_of_everything_it_was_made_from(db: Project) -> None:
    assert gate(db, "--base", "app=new.tar", "--head", "app=old.tar", "--record") == Exit.BLOCK

    journal = Journal(db.root / "audit-logs")
    ((at, event),) = journal.decisions()
    assert (at, event.verdict, event.images) == (
        "2026-02-01T09:00:00Z",
        "block",
        {"app linux/amd64": "block"},
    )
    assert (event.base, event.head) == ("app=new.tar", "app=old.tar")
    decision = parse_decision(journal.evidence.get(event.decision))
    assert {*named_evidence(decision.inputs), event.decision} == set(journal.evidence.digests())
    assert f"Decision {event.decision}." in db.out
    assert db.run("verify") == Exit.DONE
    assert "evidence files that no event names" not in db.out


def test_a_decision_is_checked_with_all_its_evidence(db: Project) -> None:
    gate(db, "--base", "app=new.tar", "--head", "app=old.tar", "--record")
    journal = Journal(db.root / "audit-logs")
    (decision,) = decisions(db)
    journal.evidence.path(decision.inputs.images[0].head.findings).unlink()

    assert db.run("verify") == Exit.BLOCK
    assert "evidence-missing: runs/2026-02.jsonl:2:" in db.out


def test_nothing_is_recorded_without_being_told_to(db: Project) -> None:
    gate(db, "--base", "app=new.tar", "--head", "app=old.tar")

    assert not (db.root / "audit-logs").exists()


def test_a_made_up_time_is_taken_by_a_sample_only_and_sample_and_real_never_mix(db: Project) -> None:
    from hullmark.scanners import bolt
    from hullmark.scanners.sample import MARK

    assert gate(db, "--base", "app=new.tar", "--head", "app=old.tar", "--record") == Exit.BLOCK
    place = db.root / "db/db/trivy.db"
    tree = {name: bucket for name, bucket in bolt.read(place).items() if name != MARK}
    bolt.write(place, tree)

    assert gate(db, "--base", "app=new.tar", "--head", "app=old.tar", "--record") == Exit.USAGE
    assert "HULLMARK_NOW is set, and the database is real" in db.err
    assert len(decisions(db)) == 1


def test_policy_and_exemptions_decide(db: Project) -> None:
    worse = ("--base", "app=new.tar", "--head", "app=old.tar")
    (db.root / "exemptions.toml").write_text(
        'version = 1\n[[exemptions]]\nid = "CVE-2026-1"\nimages = ["app"]\npackage = "gnutls28"\n'
        'owner = "@team"\nreason = "Not reachable."\nexpires = 2026-03-01\nstatus = "affected"\n'
    )

    assert gate(db, *worse) == Exit.REVIEW
    assert "CVE-2026-1 is left out: exemption of @team until 2026-03-01, affected: Not reachable." in db.out
    db.at("2026-03-01T00:00:00+00:00")
    assert gate(db, *worse) == Exit.BLOCK
    assert "the exemption of CVE-2026-1 by @team expired on 2026-03-01." in db.out
    (db.root / "ratchet.toml").write_text('version = 1\npreset = "ratchet"\n')
    assert gate(db, "--base", "app=old.tar", "--head", "app=old.tar", "--policy", "ratchet.toml") == Exit.DONE
    assert "Decided by policy `ratchet`" in db.out


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("version = 1\n", "policy.toml: rules: a policy without rules would pass nothing"),
        ("version = 1\npreset = 7\n", "policy.toml: preset: "),
        ("nonsense", "not TOML"),
        (
            """
            version = 1
            preset = "strict"
            [[rules]]
            name = "never"
            verdict = "block"
            when.some = { state = "introduced", fix = false, fix_age = 3 }
            """,
            "can never match: what has no fix has none for any time",
        ),
    ],
)
def test_a_policy_that_cannot_be_read_blocks(db: Project, text: str, reason: str) -> None:
    (db.root / "policy.toml").write_text(text)

    assert gate(db, "--base", "app=old.tar", "--head", "app=new.tar", "--policy", "policy.toml") == Exit.BLOCK
    assert "[policy-unusable]" in db.out
    assert reason in db.out
    assert "policy.toml: " in db.out


def test_the_policy_of_the_configuration_counts_and_blocks_when_it_contradicts_itself(db: Project) -> None:
    high = 'when.some = { state = "present", at_least = "HIGH" }\n'
    rule = '[[gate.rules]]\nname = "{}"\nverdict = "{}"\n' + high.replace("{", "{{").replace("}", "}}")
    start = "version = 1\n[images.app]\n[gate]\n"
    better = ("--base", "app=old.tar", "--head", "app=old.tar")
    (db.root / "hullmark.toml").write_text(start + 'preset = "strict"\n' + rule.format("high", "block"))
    assert gate(db, *better) == Exit.BLOCK
    assert "[high]" in db.out
    (db.root / "hullmark.toml").write_text(start + rule.format("one", "block") + rule.format("two", "review"))
    assert gate(db, *better) == Exit.BLOCK
    assert "hullmark.toml: gate.rules[1]: contradicts `one`, which has the same conditions." in db.out


@pytest.mark.parametrize("missing", ["owner", "reason", "expires"])
def test_an_exemption_without_owner_reason_or_end_blocks(db: Project, missing: str) -> None:
    fields = {
        "id": '"CVE-2026-1"',
        "images": '["app"]',
        "owner": '"@team"',
        "reason": '"Because."',
        "expires": "2026-03-01",
        "status": '"affected"',
    }
    lines = [f"{name} = {value}" for name, value in fields.items() if name != missing]
    (db.root / "exemptions.toml").write_text("version = 1\n[[exemptions]]\n" + "\n".join(lines) + "\n")

    assert gate(db, "--base", "app=old.tar", "--head", "app=new.tar") == Exit.BLOCK
    assert f"exemptions.toml: exemptions[0]: object missing required field `{missing}`." in db.out


def test_a_wrong_answer_to_a_known_question_blocks_and_is_recorded(db: Project) -> None:
    db.database("blind", canary=False)
    sides = ("--base", "app=old.tar", "--head", "app=new.tar")

    assert db.run("gate", "--db", "blind", *sides, "--record") == Exit.BLOCK
    assert "[canary-wrong]" in db.out
    assert [one.verdict for one in decisions(db)] == ["block"]
    assert db.run("gate", "--db", "blind", *sides, "--unsafe-skip-canary") == Exit.REVIEW


def test_an_image_that_lost_its_package_records_blocks(db: Project) -> None:
    from hullmark.scanners import specimen

    (db.root / "bare.tar").write_bytes(specimen.archive((), system=System("debian", "13.2")))

    assert gate(db, "--base", "app=old.tar", "--head", "app=bare.tar") == Exit.BLOCK
    assert "[coverage-shrank]" in db.out


def test_other_forms_are_written_beside_the_answer(db: Project) -> None:
    sides = ("--base", "app=new.tar", "--head", "app=old.tar")

    assert (
        gate(db, *sides, "--write", "markdown=out/comment.md", "--write", "json=out/gate.json") == Exit.BLOCK
    )
    assert (db.root / "out/comment.md").read_text().startswith("### ⛔ Block: the change must not")
    document = msgspec.json.decode((db.root / "out/gate.json").read_bytes())
    assert document["decision"]["verdict"] == "block"
    assert "wrote out/comment.md" in db.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to compare"),
        (("--base", "old.tar", "--base", "new.tar", "--head", "new.tar"), "--base is given twice"),
        (("--base", "app=old.tar", "--head", "new.tar"), "some sides are named and others are not"),
        (("--base", "app=", "--head", "app=new.tar"), "names no file"),
        (("--base", "app@linux=old.tar", "--head", "app=new.tar"), "not a platform"),
        (("--base", "old.tar", "--head", "new.tar", "--write", "pdf=x"), "is not FORMAT=FILE"),
    ],
)
def test_a_command_line_that_is_not_clear_is_refused(
    db: Project, arguments: tuple[str, ...], message: str
) -> None:
    assert gate(db, *arguments) == Exit.USAGE
    assert message in db.err
