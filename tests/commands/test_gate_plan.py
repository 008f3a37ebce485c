"""`hullmark gate --plan`: a change as a workflow judges it, with real git and real Trivy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from hullmark.decision import SmokeResult
from hullmark.errors import Exit
from hullmark.smoke import SmokeReport, encode_report, load_declared
from tests.checked import TOKEN
from tests.commands.project import CONFIG, FIXED
from tests.repositories import commit, new_repository, switch
from tests.values import digest_of

if TYPE_CHECKING:
    from tests.commands.project import Project

FILES: dict[str, str | None] = {
    "hullmark.toml": CONFIG + "[images.web]\n",
    ".gitignore": "/audit-logs/\n/cve-baseline/\n/docs/\n/reports/\n/db/\n/.hullmark/\n*.tar\n*.json\n",
    "images/app/image.toml": "title = 'a'\n",
    "images/app/packages.lock": "1",
    "images/web/Dockerfile": "FROM scratch\n",
}
EXEMPTION = """version = 1
[[exemptions]]
id = "CVE-2026-1"
images = ["app"]
package = "gnutls28"
owner = "@team"
reason = "Nothing here uses TLS."
expires = 2026-08-01
status = "affected"
"""


@pytest.fixture
def change(project: Project) -> Project:
    """A repository on the branch of a change, with a recorded base and two images."""
    new_repository(project.root)
    commit(project.root, FILES)
    project.database("db")
    project.image("old.tar")
    project.image("new.tar", version=FIXED)
    return project


def record(project: Project, archive: str, name: str = "app") -> None:
    """Record `archive` as what the image `name` is built from on the branch we are on."""
    document = project.json("plan", "--base", "HEAD")
    inputs = {image["image"]: image["base_inputs"] for image in document["images"]}
    scan = project.json("scan", archive, "--db", "db")
    built = {"platform": "linux/amd64", "digest": scan["digest"], "config": scan["digest"]}
    kept = {"version": 1, "images": [{**built, "inputs": inputs[name]}]}
    (project.root / f"{name}.inputs.json").write_text(json.dumps(kept))
    assert project.run("record", "--db", "db", f"{name}={archive}") == Exit.DONE, project.err


def judge(project: Project, *arguments: str, base: str = "main") -> Any:  # noqa: ANN401 - the decision
    """Plan, then judge; the decision."""
    assert project.run("plan", "--base", base, "--out", "plan.json") == Exit.DONE, project.err
    assert project.err == "wrote plan.json\n"
    assert project.run("gate", "--plan", "plan.json", "--db", "db", "--json", *arguments) in (0, 3, 4), (
        project.err
    )
    return json.loads(project.out)["decision"]


def rules(decision: Any) -> set[str]:  # noqa: ANN401 - a decision
    return {reason["rule"] for reason in decision["reasons"] if reason["verdict"] == decision["verdict"]}


def test_a_base_that_was_recorded_is_taken_from_the_ledgers_evidence(change: Project) -> None:
    record(change, "old.tar")
    switch(change.root, "topic", new=True)
    commit(change.root, {"images/app/packages.lock": "2"})

    decision = judge(change, "--head", "app=new.tar")

    app, web = decision["outcomes"]
    assert (app["image"], app["before"]["high"], app["after"]["high"]) == ("app", 1, 0)
    assert (web["image"], web["silence"]) == ("web", "inputs-unchanged")
    images = decision["inputs"]["images"]
    assert images[0]["base"]["seen"] == "sbom"
    assert decision["inputs"]["expected"] == ["app linux/amd64", "web linux/amd64"]


def test_what_the_plan_expects_and_nobody_gives_is_not_built_and_blocks(change: Project) -> None:
    record(change, "old.tar")
    switch(change.root, "topic", new=True)
    commit(change.root, {"images/app/packages.lock": "2"})

    decision = judge(change)

    assert decision["verdict"] == "block"
    assert rules(decision) == {"not-built"}


def test_a_base_that_was_built_is_compared_and_one_that_was_not_is_no_base(change: Project) -> None:
    switch(change.root, "topic", new=True)
    commit(change.root, {"images/app/packages.lock": "2"})

    built = judge(change, "--base", "app=new.tar", "--head", "app=old.tar")
    assert built["verdict"] == "block"
    assert "relevant-rise" in rules(built)
    assert rules(judge(change, "--head", "app=old.tar")) == {"no-base"}


def test_a_base_that_had_to_be_built_again_is_shown_beside_what_was_recorded_of_the_same_inputs(
    change: Project,
) -> None:
    """No lock fixes what a Dockerfile gives: the rebuild of base has newer packages, and so has head."""
    record(change, "old.tar", "web")
    switch(change.root, "topic", new=True)
    commit(change.root, {"images/web/Dockerfile": "FROM scratch\nUSER 1:1\n"})

    decision = judge(change, "--base", "web=new.tar", "--head", "web=new.tar", "--record")

    assert rules(decision) == {"nothing-changed"}
    (web,) = [outcome for outcome in decision["outcomes"] if outcome["image"] == "web"]
    assert {one["name"]: one["move"] for one in web["drift"]} == {"gnutls-bin": "up", "libgnutls30t64": "up"}
    gate = ("gate", "--plan", "plan.json", "--db", "db", "--base", "web=new.tar", "--head", "web=new.tar")
    for form in ("text", "markdown"):
        assert change.run(*gate, "--format", form) == Exit.REVIEW
        assert "rebuild" in change.out
        assert "gnutls28" in change.out
    assert change.run("replay", "latest") == Exit.DONE, change.err
    assert change.run("verify") == Exit.DONE, change.out


def test_an_image_may_get_another_title_where_a_plan_knows_what_both_were_built_from(change: Project) -> None:
    record(change, "old.tar")
    switch(change.root, "topic", new=True)
    commit(change.root, {"images/app/packages.lock": "2"})
    change.image("before.tar", title="before")
    change.image("after.tar", version=FIXED, title="after")

    assert judge(change, "--base", "app=before.tar", "--head", "app=after.tar")["verdict"] == "allow"
    assert (
        change.run("gate", "--db", "db", "--base", "app=before.tar", "--head", "app=after.tar") == Exit.ERROR
    )


SMOKE = """version = 1
[smoke]
[[smoke.checks]]
name = "answers"
check = "tcp"
port = 80
"""


def test_a_required_smoke_test_of_head_that_was_not_made_blocks(change: Project) -> None:
    """Base's test, by digest, of exactly this head: no other report counts."""
    commit(change.root, {"images/app/smoke.toml": SMOKE})
    record(change, "old.tar")
    switch(change.root, "topic", new=True)
    commit(change.root, {"images/app/packages.lock": "2"})
    declared = load_declared(change.root / "images/app")
    assert declared is not None
    digest = change.json("scan", "new.tar", "--db", "db")["digest"]

    def judged(**said: Any) -> tuple[str, set[str]]:  # noqa: ANN401 - parts of a report
        made = SmokeReport(
            image="app",
            platform="linux/amd64",
            digest=digest,
            config=digest,
            tests=declared.digest,
            result=SmokeResult.PASSED,
            hullmark="1",
        )
        (change.root / "app.smoke.json").write_bytes(encode_report(replace(made, **said)))
        decision = judge(change, "--head", "app=new.tar")
        return decision["verdict"], rules(decision)

    assert rules(judge(change, "--head", "app=new.tar")) == {"smoke-not-run"}, "no report at all"
    assert judged(result=SmokeResult.NOT_RUN, detail="no engine here") == ("block", {"smoke-not-run"})
    assert judged(result=SmokeResult.FAILED) == ("block", {"smoke-failed"})
    assert judged(digest=digest_of("other"), config=digest_of("other")) == ("block", {"smoke-not-run"})
    assert judged()[0] == "allow"

    commit(change.root, {"images/app/smoke.toml": SMOKE.replace("80", "22")})
    weaker = load_declared(change.root / "images/app")
    assert weaker is not None
    assert judged(tests=weaker.digest) == ("block", {"smoke-not-run"}), "head's own, weaker test"
    assert judged() == ("review", {"smoke-tests-changed"})


def test_the_repositorys_files_are_judged_where_bases_configuration_says_so(change: Project) -> None:
    switch(change.root, "topic", new=True)
    commit(change.root, {"key.ini": f"token = {TOKEN}\n"})
    assert rules(judge(change)) == {"nothing-changed"}

    switch(change.root, "main")
    commit(change.root, {"hullmark.toml": f"{FILES['hullmark.toml']}[checks]\nrun = true\n"})
    switch(change.root, "topic")
    decision = judge(change)  # head's configuration does not ask for it

    assert rules(decision) == {"introduces-secret"}
    assert "repository source/any" in decision["inputs"]["expected"]


def test_everything_that_judges_is_read_from_the_plans_base_whatever_lies_in_the_folder(
    change: Project,
) -> None:
    record(change, "new.tar")
    switch(change.root, "topic", new=True)
    lenient = "[gate]\npreset = 'ratchet'\n"
    commit(
        change.root,
        {
            "images/app/packages.lock": "2",
            "hullmark.toml": f"{FILES['hullmark.toml']}{lenient}[scan]\nmax_age = 3650\n",
            "exemptions.toml": EXEMPTION,
            ".github/workflows/x.yml": "x",
        },
    )

    decision = judge(change, "--head", "app=old.tar")

    assert decision["policy"] == "strict"
    assert decision["verdict"] == "review"
    assert {"exempted-by-change", "policy-changed", "exemptions-changed", "workflows-changed"} <= rules(
        decision
    )
    switch(change.root, "main")
    commit(change.root, {"exemptions.toml": EXEMPTION})
    switch(change.root, "another", new=True)
    record(change, "new.tar")
    commit(change.root, {"images/app/packages.lock": "3"})
    decision = judge(change, "--base", "app=new.tar", "--head", "app=old.tar")
    assert [entry["exemption"]["id"] for entry in decision["outcomes"][0]["exempted"]] == ["CVE-2026-1"]
    assert decision["verdict"] != "block"


def test_a_file_that_cannot_be_read_blocks_and_is_named(change: Project) -> None:
    switch(change.root, "topic", new=True)
    commit(change.root, {"exemptions.toml": "version = 1\n[[exemptions]]\nid = 'CVE-1'\n"})

    decision = judge(change)

    assert (decision["verdict"], rules(decision)) == ("block", {"policy-unusable"})
    assert "exemptions.toml: exemptions[0]" in json.dumps(decision["reasons"])


def test_images_that_join_and_leave_are_for_a_person(change: Project) -> None:
    switch(change.root, "topic", new=True)
    config = CONFIG + "[images.third]\n"
    commit(change.root, {"hullmark.toml": config, "images/third/Dockerfile": "FROM scratch\n"})

    decision = judge(change, "--head", "third=new.tar")

    assert decision["verdict"] == "review"
    assert {"no-base", "retired", "configuration-changed"} <= rules(decision)


def test_an_image_that_the_plan_does_not_know_is_refused(change: Project) -> None:
    switch(change.root, "topic", new=True)
    assert change.run("plan", "--base", "main", "--json") == Exit.DONE
    (change.root / "plan.json").write_text(change.out)
    gate = ("gate", "--plan", "plan.json", "--db", "db")

    assert change.run(*gate, "--head", "other=new.tar") == Exit.USAGE
    assert "the plan does not have other linux/amd64" in change.err
    assert change.run(*gate, "--all") == Exit.USAGE
    (change.root / "plan.json").write_text('{"version": 2}')
    assert change.run(*gate) == Exit.ERROR
    assert "plan.json: " in change.err


def test_a_decision_over_a_plan_is_recorded_with_its_commits(change: Project) -> None:
    record(change, "old.tar")
    switch(change.root, "topic", new=True)
    head = commit(change.root, {"images/app/packages.lock": "2"})
    judge(change, "--head", "app=new.tar", "--record")

    lines = (change.root / "audit-logs/runs/2026-02.jsonl").read_text().splitlines()
    decided = [entry["data"] for entry in map(json.loads, lines) if entry["type"] == "decision"]
    assert [event["head"] for event in decided] == [head]


def test_exploited_vulnerabilities_are_asked_for_where_base_configures_a_feed(change: Project) -> None:
    from tests.test_feeds import catalog

    feed = '[feeds]\nkev = "kev.json"\n'
    commit(change.root, {"hullmark.toml": f"{FILES['hullmark.toml']}{feed}"})
    record(change, "old.tar")
    switch(change.root, "topic", new=True)
    commit(change.root, {"images/app/packages.lock": "2"})

    missing = judge(change, "--head", "app=new.tar")
    assert "kev-unknown" in {reason["rule"] for reason in missing["reasons"]}
    (change.root / "kev.json").write_bytes(catalog("CVE-2026-9999", released="2026-01-31T00:00:00Z"))
    known = judge(change, "--head", "app=new.tar")
    assert "kev-unknown" not in {reason["rule"] for reason in known["reasons"]}
