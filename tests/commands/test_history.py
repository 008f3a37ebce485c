"""`hullmark history` as a user types it, with real Trivy."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import Exit
from tests.commands.project import CONFIG, FIXED

if TYPE_CHECKING:
    from tests.commands.project import Project

RULE = """
[[gate.rules]]
name = "fix-is-a-month-old"
verdict = "block"
when.some = { state = "present", at_least = "HIGH", fix_age = 30 }
"""


@pytest.fixture
def told(project: Project) -> Project:
    """A history of four scans: vulnerable, repaired, vulnerable again, and once more; and a decision."""
    database = project.database("db", until=date(2026, 2, 1))
    project.image("old.tar")
    project.image("new.tar", version=FIXED)
    for day, name in enumerate(("old.tar", "new.tar", "old.tar", "old.tar"), 1):
        project.at(f"2026-02-{day:02}T09:00:00+00:00")
        assert project.run("record", "--db", database, f"app={name}") == Exit.DONE
    gate = ("gate", "--db", "db", "--base", "app=new.tar", "--head", "app=old.tar", "--record")
    assert project.run(*gate) == Exit.BLOCK, project.out + project.err
    return project


def test_the_timeline_of_a_vulnerability_has_dates_digests_causes_and_decisions(told: Project) -> None:
    assert told.run("history", "CVE-2026-1") == Exit.DONE

    head, first, ended, again, decided, life = told.out.splitlines()
    assert head.split()[:4] == ["time", "image", "what", "cause"]
    assert first.startswith("2026-02-01T09:00:00Z  app linux/amd64  first seen  scope  HIGH")
    assert ended.startswith("2026-02-02T09:00:00Z  app linux/amd64  resolved    image  HIGH")
    assert again.startswith("2026-02-03T09:00:00Z  app linux/amd64  seen again  image  HIGH")
    assert f"gnutls-bin, libgnutls30t64  3.5.1-1    {FIXED}" in first
    assert first.split()[-1] == again.split()[-1] != ended.split()[-1]
    assert decided.startswith("2026-02-04T09:00:00Z  decision ")
    assert "was block; app (linux/amd64): introduced, rule `relevant-rise`" in decided
    assert life == (
        "app (linux/amd64): gnutls28 HIGH, open since 2026-02-03, fixable since 2026-02-03, "
        "first seen 2026-02-01, 1 time re-opened"
    )


def test_the_timeline_of_an_image_has_its_scans_and_its_decisions(told: Project) -> None:
    assert told.run("history", "app") == Exit.DONE

    lines = told.out.splitlines()
    assert "causes" in lines[0]
    assert "digest" in lines[0]
    assert "vulnerabilities introduced  resolved" in lines[0]
    counts = [line.split()[4:6] for line in lines[1:4]]
    assert counts == [["1", "0"], ["0", "1"], ["1", "0"]], "one in two packages, as `record` counts it"
    assert [line.split()[7] for line in lines[1:4]] == ["scope", "image", "image"]
    assert lines[4] == "4 scans, 1 of them without a change"
    assert lines[6].split() == ["time", "decision", "image", "verdict", "base", "head"]
    assert lines[7].split()[2:] == ["app", "linux/amd64", "block", "app=new.tar", "app=old.tar"]


def test_the_same_as_json(told: Project) -> None:
    found = told.json("history", "CVE-2026-1")
    assert [each["step"]["what"] for each in found["steps"]] == ["first seen", "resolved", "seen again"]
    assert len(found["lives"][0]["life"]["periods"]) == 2
    assert len(found["decisions"]) == 1
    image = told.json("history", "app")
    assert (len(image["scans"]), len(image["decisions"])) == (4, 1)


def test_a_vulnerability_that_was_never_seen_is_said_so(told: Project) -> None:
    assert told.run("history", "CVE-2020-1") == Exit.DONE
    assert told.out == "CVE-2020-1: never seen in 4 scans\n"
    assert told.run("history", "ap") == Exit.USAGE
    assert "There is one of app. A vulnerability is named as CVE-2026-1234." in told.err


def test_the_gate_knows_from_the_ledger_since_when_a_fix_was_there(told: Project) -> None:
    (told.root / "hullmark.toml").write_text(CONFIG + "[gate]\npreset = 'ratchet'\n" + RULE)
    gate = ("gate", "--db", "db", "--base", "app", "--head", "old.tar")
    told.at("2026-03-04T23:00:00+00:00")
    told.run(*gate)
    assert "fix-is-a-month-old" not in told.out
    told.at("2026-03-05T00:00:00+00:00")
    assert told.run(*gate) == Exit.BLOCK
    assert "fix-is-a-month-old" in told.out
