"""What an image consists of, how old everything is, and what the repository's own files show."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from hullmark.dashboard import read_contents
from hullmark.dashboard.age import ages, freshness
from hullmark.dashboard.checkspage import kind_parts, tell_checks
from hullmark.dashboard.contents import layer_rows, package_rows
from hullmark.dashboard.imagepage import tell_build
from hullmark.dashboard.proof import tell_proof
from hullmark.decision import KevState
from hullmark.errors import InputError
from hullmark.finding import Counts, Kind
from hullmark.fleet import ExploitedList, read_fleet
from hullmark.journal import Journal
from hullmark.scan import Coverage
from hullmark.verification import verify_history
from tests.dashboard import world

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.fleet import Fleet

replace = msgspec.structs.replace


def test_every_finding_of_an_image_lies_in_one_of_its_packages(journal: Journal, fleet: Fleet) -> None:
    contents = read_contents(journal, fleet)

    assert set(contents) == {member.name for member in fleet.members if member.timeline}
    for name, found in contents.items():
        member = fleet.member(name)
        assert member is not None
        if member.is_covered:
            assert sum(row.findings for row in package_rows(member, found)) == member.counts.total
        assert sum((row.counts for row in layer_rows(member, found)), Counts()) == member.counts


def test_a_package_that_is_not_in_the_sbom_any_more_is_in_no_layer(journal: Journal, fleet: Fleet) -> None:
    """The newest scan of `blind` saw less, so what it did not see stays open."""
    blind = fleet.member("blind")
    assert blind is not None

    assert [
        (row.digest, row.packages) for row in layer_rows(blind, read_contents(journal, fleet)["blind"])
    ] == [("", 0)]


def test_an_sbom_is_published_as_it_was_recorded(
    site: dict[str, bytes], journal: Journal, fleet: Fleet
) -> None:
    for member in fleet.members:
        if member.timeline:
            recorded = journal.evidence.get(member.timeline.latest.sbom)
            assert site[f"data/sbom/{member.name}.cdx.json"] == recorded


def test_evidence_that_is_no_sbom_is_named(journal: Journal, fleet: Fleet) -> None:
    app = fleet.member("app")
    assert app is not None
    assert app.timeline is not None
    scan = replace(app.timeline.scans[-1], sbom=app.timeline.latest.findings)
    member = replace(app, timeline=replace(app.timeline, scans=(scan,)))

    with pytest.raises(InputError) as caught:
        read_contents(journal, replace(fleet, members=(member,)))
    assert scan.sbom[7:] in caught.value.message


def test_rebuilds_of_the_same_inputs_are_compared(fleet: Fleet) -> None:
    clean, app, never = fleet.member("clean"), fleet.member("app"), fleet.member("never")
    assert clean is not None
    assert app is not None
    assert never is not None

    assert tell_build(clean) == ("same digest in 4 scans of the same inputs", "good")
    assert tell_build(app) == ("3 digests of the same inputs", "stale")
    assert tell_build(never)[0] == "its inputs were not recorded"


# ---- Ages


def test_ages_are_those_at_the_time_of_the_last_entry(fleet: Fleet) -> None:
    told = {age.what: age for age in ages(fleet)}

    assert told["Database"].value == "2 November 2026 (sample)"
    assert told["Database"].detail == "of the same day; the newest run matched with it"
    assert told["KEV list"].value == "12 October 2026, 21 days old"
    assert told["KEV list"].tone == "stale"


def test_a_run_that_checked_files_only_says_nothing_about_the_age_of_a_database(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "audit-logs")
    world.record(journal, {"app": {world.OLD}}, world.START)
    world.check(journal, 0, world.START + timedelta(days=20))
    fleet = read_fleet(journal, world.EXPECTED[:1])

    told = {age.what: age for age in ages(fleet)}

    assert fleet.as_of == "2026-10-25T06:00:00Z"
    assert told["Last run"].value == "5 October 2026, 06:00 UTC, 20 days old"
    assert told["Database"].value == "5 October 2026 (sample), 20 days old"
    assert {told["Last run"].tone, told["Database"].tone} == {"stale"}


def test_a_list_that_nobody_asked_is_unknown_and_a_stale_one_is_said_to_be(
    journal: Journal, fleet: Fleet
) -> None:
    proof = tell_proof(verify_history(journal))
    unasked = {age.what: age for age in freshness(replace(fleet, exploited=None), proof)}
    missing = ExploitedList(asked_at=fleet.as_of, state=KevState.STALE, date="", ids=frozenset())

    assert unasked["KEV list"].value == "never asked"
    assert unasked["Chain"].value.endswith("entries verified")
    assert [age.tone for age in ages(replace(fleet, exploited=missing)) if age.what == "KEV list"] == [
        "stale"
    ]


def test_a_finding_on_the_list_is_marked(site: dict[str, bytes], fleet: Fleet) -> None:
    assert fleet.exploited is not None
    assert {each.finding.id for _, each in fleet.findings if each.exploited} == {"CVE-2026-1"}
    assert b'CVE-2026-1</a> <span class="tag bad">exploited</span>' in site["images/app.html"]
    document = msgspec.json.decode(site["data/findings.json"])
    assert sum(document["columns"]["exploited"]) == 1


# ---- The repository's own files


def test_kinds_are_never_added_up(fleet: Fleet) -> None:
    parts = {part.kind: part for part in kind_parts(fleet)}

    assert Kind.VULNERABILITY not in parts
    assert parts[Kind.CODE].counts == Counts(high=1, low=1)
    assert parts[Kind.MISCONFIGURATION].counts == Counts(high=1)
    assert parts[Kind.SECRET].counts == parts[Kind.LICENCE].counts == Counts()
    assert (parts[Kind.MISCONFIGURATION].accepted, parts[Kind.MISCONFIGURATION].asked) == (1, 0)
    assert [str(gap) for gap in parts[Kind.MISCONFIGURATION].gaps] == [str(world.NO_HADOLINT)]
    assert parts[Kind.CODE].gaps == ()


def test_a_kind_that_no_tool_looked_for_is_said_to_be_so_and_is_not_clean(fleet: Fleet) -> None:
    own = fleet.repository[0]
    assert own.timeline is not None
    scan = replace(own.timeline.latest, coverage=Coverage(kinds={Kind.CODE: ("bandit 1.8.0",)}))
    blind = replace(own, findings=(), timeline=replace(own.timeline, scans=(scan,)))

    parts = {part.kind: part for part in kind_parts(replace(fleet, repository=(blind,)))}

    assert parts[Kind.SECRET].tools == ()
    assert tell_checks(replace(fleet, repository=(blind,))).title == "Not all of the files were looked at."
    seen = replace(blind, condition=blind.condition.COVERED)
    assert tell_checks(replace(fleet, repository=(seen,))).title == "Not everything was looked for."
    assert "secrets" in tell_checks(replace(fleet, repository=(seen,))).text


def test_files_that_were_never_checked_are_no_clean_result(fleet: Fleet) -> None:
    verdict = tell_checks(replace(fleet, repository=()))

    assert verdict.title == "This repository's own files were never checked."
    assert "no clean result" in verdict.text


def test_the_page_of_the_files_shows_each_kind_with_its_tools_and_what_went(site: dict[str, bytes]) -> None:
    text = " ".join(re.sub(r"<[^>]+>", " ", site["checks.html"].decode()).split())

    assert "Misconfigurations: 1" in text
    assert "Not covered: no-tool: there are files for this check" in text
    assert "DS-0002 accepted until 1 January 2027 by @platform-team" in text
    assert "Secrets: 0" in text
    assert "generic-token config/app.env (secret) 19 October 2026 26 October 2026" in text
    assert "Gone: 1" in text
    assert site["data/findings/repository.json"]


def test_an_accepted_rule_leads_to_the_page_of_the_files(site: dict[str, bytes]) -> None:
    assert b'<a href="checks.html">DS-0002</a>' in site["gate.html"]
    assert b'<a href="cve.html#id=CVE-2026-9">CVE-2026-9</a>' in site["gate.html"]
