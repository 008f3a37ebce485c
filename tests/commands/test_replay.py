"""`hullmark explain` and `hullmark replay` through the command line and with real Trivy."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from hullmark.decision import Missing
from hullmark.errors import Exit
from hullmark.journal import Journal
from tests.commands.project import FIXED

if TYPE_CHECKING:
    from hullmark.image import Digest
    from tests.commands.project import Project


@pytest.fixture
def decided(project: Project) -> Project:
    """A project whose gate has blocked a change."""
    project.database("db")
    project.image("old.tar")
    project.image("new.tar", version=FIXED)
    sides = ("--base", "app=new.tar", "--head", "app=old.tar")
    assert project.run("gate", "--db", "db", *sides, "--record", "--write", "bundle=gate.json") == Exit.BLOCK
    return project


def journal(project: Project) -> Journal:
    return Journal(project.root / "audit-logs")


def digest(project: Project) -> Digest:
    return journal(project).decisions()[-1][1].decision


def test_a_decision_is_the_same_byte_for_byte_and_its_sboms_match_again(decided: Project) -> None:
    assert decided.run("replay", str(digest(decided)), "--db", "db") == Exit.DONE

    assert decided.out.splitlines() == [
        f"Decision {digest(decided)}: block, decided by Hullmark 0.1.0.",
        "Made again by Hullmark 0.1.0: the same, byte for byte.",
        "Matched again: base of app linux/amd64: the same 1 finding.",
        "Matched again: head of app linux/amd64: the same 3 findings.",
    ]


def test_what_is_matched_again_needs_the_very_database_of_the_decision(decided: Project) -> None:
    decided.database("other", until=date(2026, 2, 1))

    assert decided.run("replay", "latest", "--db", "other") == Exit.DONE
    assert "were not matched again: the database of 2026-01-31T00:00:00Z is not held, but one" in decided.out
    assert decided.run("replay", "latest", "--db", "nowhere") == Exit.DONE
    assert "The SBOMs were not matched again: " in decided.out


def test_a_decision_whose_inputs_are_gone_says_which(decided: Project) -> None:
    from hullmark.story import load_decision

    decision = load_decision(journal(decided), digest(decided))
    head = decision.inputs.images[0].head
    assert not isinstance(head, Missing)
    journal(decided).evidence.path(head.findings).unlink()
    journal(decided).evidence.path(decision.inputs.exemptions).write_bytes(b"no gzip")

    report = decided.json("replay", "latest", "--db", "db", code=Exit.INCOMPLETE)
    assert report["replay"]["agreement"] == "inputs-gone"
    assert [text.partition(": ")[0] for text in report["replay"]["gone"]] == [
        "the exemptions",
        "the findings of head of app linux/amd64",
    ]
    assert decided.run("replay", "latest", "--db", "db") == Exit.INCOMPLETE
    assert "It cannot be made again: inputs are gone." in decided.out


def test_a_bundle_is_replayed_without_the_repository(decided: Project) -> None:
    import shutil

    shutil.rmtree(decided.root / "audit-logs")

    assert decided.run("replay", "gate.json", "--db", "nowhere") == Exit.DONE
    assert "the same, byte for byte." in decided.out
    path = decided.root / "gate.json"
    path.write_bytes(path.read_bytes().replace(b"3.5.1-1", b"3.5.9-1"))
    assert decided.run("replay", "gate.json") == Exit.ERROR
    assert "holds other content than its digest says" in decided.err


def test_a_decision_is_found_by_the_beginning_of_its_digest(decided: Project) -> None:
    short = digest(decided).removeprefix("sha256:")[:8]

    assert decided.run("explain", short) == Exit.DONE
    assert decided.run("replay", "0" * 8) == Exit.USAGE
    assert "no decision '00000000' was recorded" in decided.err


def test_explain_tells_a_recorded_decision_as_it_was_told(decided: Project) -> None:
    sides = ("--base", "app=new.tar", "--head", "app=old.tar")
    decided.run("gate", "--db", "db", *sides)
    told = decided.out

    assert decided.run("explain", "latest") == Exit.DONE
    assert decided.out == told + "Recorded on 2026-02-01T09:00:00Z, base app=new.tar, head app=old.tar.\n"
    assert decided.run("explain", "latest", "--format", "markdown") == Exit.DONE
    assert decided.out.startswith("### ⛔ Block")


def test_explain_tells_the_story_of_a_vulnerability(decided: Project) -> None:
    assert decided.run("record", "--db", "db", "app=old.tar") == Exit.DONE
    decided.at("2026-03-02T09:00:00+00:00")
    assert decided.run("record", "--db", "db", "app=new.tar") == Exit.DONE

    assert decided.run("explain", "CVE-2026-1") == Exit.DONE
    name = digest(decided).removeprefix("sha256:")[:12]
    where = "gnutls28 (gnutls-bin, libgnutls30t64)"
    said = f"decision {name} was block; app (linux/amd64): introduced"
    assert decided.out.splitlines() == [
        "app (linux/amd64):",
        f"  2026-02-01: first seen, HIGH, in {where} 3.5.1-1: nobody had looked there before.",
        f"  2026-03-02: resolved in {where}: the image changed.",
        "The gate:",
        f"  2026-02-01: {said}, rule `relevant-rise`, `introduces-high`.",
    ]
    told = decided.out
    assert "\n".join(decided.json("explain", "CVE-2026-1")["story"]) + "\n" == told


def test_explain_tells_what_resolved_a_vulnerability_where_no_reason_does(decided: Project) -> None:
    sides = ("--base", "app=old.tar", "--head", "app=new.tar")
    assert decided.run("gate", "--db", "db", *sides, "--record", "--unsafe-skip-canary") == Exit.REVIEW

    assert decided.run("explain", "CVE-2026-1") == Exit.DONE
    assert decided.out.splitlines()[-1].endswith(
        f"was review; app (linux/amd64): resolved by gnutls28, 3.5.1-1 in base and {FIXED} in head."
    )


def test_explain_says_where_nothing_is_known(decided: Project) -> None:
    assert decided.run("explain", "CVE-1999-1") == Exit.USAGE
    assert "nothing about 'CVE-1999-1' was recorded" in decided.err
    assert decided.run("-C", str(decided.root.parent), "explain", "CVE-1999-1") == Exit.ERROR
    assert "nothing was recorded here" in decided.err
