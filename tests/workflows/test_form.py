"""What holds in every workflow of this repository, read from the files as they are."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from tests.absence import absent
from tests.workflows.expression import STATUS
from tests.workflows.files import FILES, ROOT, jobs, needs, read, steps, triggers

if TYPE_CHECKING:
    from collections.abc import Iterator

USES = re.compile(r"^\s*(?:- )?uses: (\S+)(.*)$", re.MULTILINE)
PINNED = re.compile(r"(actions|github)/[\w/-]+@[0-9a-f]{40}")
SCRIPTS = (*(ROOT / "scripts").glob("*.sh"), *(ROOT / ".github").rglob("*.sh"), ROOT / ".ci/run")

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def tool(name: str) -> str:
    """A program of the development environment."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    return found or absent(f"{name} is not installed")


def check(*command: object, stdin: str = "") -> None:
    """Run a linter, which must find nothing."""
    done = subprocess.run(
        [str(part) for part in command], input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_auditor_of_workflows_finds_nothing() -> None:
    check(tool("zizmor"), "--offline", "--persona", "auditor", "--quiet", ROOT / ".github")


def test_every_exception_from_the_auditor_says_why() -> None:
    for path in FILES:
        for line in path.read_text().splitlines():
            if "zizmor:" in line:
                assert re.search(r"# zizmor: ignore\[[a-z-]+\] \w+ \w+", line), line


def test_every_workflow_has_the_form_that_github_publishes() -> None:
    check(tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *FILES)


@each_file
def test_every_run_step_passes_shellcheck(path: Path) -> None:
    for _, step in steps(path):
        if "run" in step:
            assert step.get("shell", "bash") == "bash"
            check(tool("shellcheck"), "--shell=bash", "-", stdin=step["run"])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_script_passes_shellcheck(path: Path) -> None:
    check(tool("shellcheck"), path)


@each_file
def test_actions_are_first_party_and_pinned_to_commits_with_their_version(path: Path) -> None:
    for used, comment in USES.findall(path.read_text()):
        if used.startswith("./"):
            assert (ROOT / used).is_file()
        else:
            assert PINNED.fullmatch(used), used
            assert re.match(r" # v\d+\.\d+\.\d+$", comment), f"{used}{comment}"


def test_one_action_has_one_pin() -> None:
    pins = {used for path in FILES for used, _ in USES.findall(path.read_text()) if "@" in used}

    assert len({pin.split("@")[0] for pin in pins}) == len(pins)


@each_file
def test_nothing_is_permitted_but_what_a_job_names(path: Path) -> None:
    assert read(path)["permissions"] == {}
    for name, job in jobs(path).items():
        assert isinstance(job["permissions"], dict), name


@each_file
def test_every_job_ends_in_bounded_time(path: Path) -> None:
    for name, job in jobs(path).items():
        assert "uses" in job or 1 <= job["timeout-minutes"] <= 120, name


@each_file
def test_every_checkout_forgets_its_credentials(path: Path) -> None:
    for _, step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@each_file
def test_nothing_is_pasted_into_a_script(path: Path) -> None:
    for _, step in steps(path):
        assert "${{" not in step.get("run", "")


@each_file
def test_the_token_is_given_to_single_steps_only(path: Path) -> None:
    workflow = read(path)
    held = [workflow.get("env", {}), *(job.get("env", {}) for job in workflow["jobs"].values())]

    assert not [values for values in held if re.search(r"token|secrets", str(values), re.IGNORECASE)]


@each_file
def test_scanning_and_building_jobs_can_write_nothing(path: Path) -> None:
    for name, job in jobs(path).items():
        text = str([step.get("run", "") for step in job.get("steps", ())])
        reading = r"hullmark (build|test|record|rescan|scan|run|gate|push --judge|update-locks --out)\b"
        if re.search(reading, text):
            assert set(job["permissions"].values()) <= {"read"}, name


@each_file
def test_workflows_that_are_started_by_themselves_do_not_run_side_by_side(path: Path) -> None:
    workflow = read(path)

    assert set(triggers(workflow)) == {"workflow_call"} or "concurrency" in workflow


@each_file
def test_a_schedule_lies_in_a_file_of_its_own(path: Path) -> None:
    started = set(triggers(read(path)))

    assert "schedule" not in started or started <= {"schedule", "workflow_dispatch"}


@each_file
def test_every_workflow_that_another_waits_for_exists(path: Path) -> None:
    known = {read(each)["name"] for each in FILES}
    waited = (triggers(read(path)).get("workflow_run") or {}).get("workflows", [])

    assert set(waited) <= known


def test_every_workflow_is_called_as_its_file() -> None:
    assert [read(path)["name"] for path in FILES] == [path.stem for path in FILES]


HANDED = re.compile(r"\$\{\{ needs\.([\w-]+)\.outputs\.([\w-]+) \}\}")


def takers(path: Path) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Every step that takes over an artefact, with its job."""
    for name, job in jobs(path).items():
        for step in job.get("steps", ()):
            if step.get("uses", "").startswith("actions/download-artifact@"):
                yield name, job, step


@each_file
def test_what_a_job_hands_over_is_taken_by_the_id_that_github_gave_it(path: Path) -> None:
    """By its name a job that runs a change's own steps could put something else in its place."""
    for name, job, step in takers(path):
        if "run-id" in step["with"]:
            continue
        assert "name" not in step["with"], name
        handed = HANDED.fullmatch(step["with"]["artifact-ids"])
        assert handed, name
        assert handed[1] in needs(job)
        assert uploads(path, handed[1], handed[2]), f"{name} takes over {handed[0]}"


@each_file
def test_nothing_is_taken_over_where_nothing_was_handed_over(path: Path) -> None:
    """Without a name and an id everything would be taken, whoever left it there."""
    for name, job, step in takers(path):
        if "run-id" not in step["with"]:
            wanted = HANDED.fullmatch(step["with"]["artifact-ids"])
            assert wanted, name
            inner = wanted[0].removeprefix("${{ ").removesuffix(" }}")
            assert inner in f"{job.get('if', '')} {step.get('if', '')}", name


def uploads(path: Path, job: str, output: str) -> bool:
    """Whether an output of a job, or of a workflow that it calls, is the id of what it handed over."""
    described = jobs(path)[job]
    if "uses" in described:
        called = ROOT / described["uses"]
        value = read(called)["on"]["workflow_call"]["outputs"][output]["value"]
        inner = re.fullmatch(r"\$\{\{ jobs\.([\w-]+)\.outputs\.([\w-]+) \}\}", value)
        return inner is not None and uploads(called, inner[1], inner[2])
    step = re.fullmatch(r"\$\{\{ steps\.([\w-]+)\.outputs\.artifact-id \}\}", described["outputs"][output])
    return step is not None and any(
        each.get("id") == step[1] and each["uses"].startswith("actions/upload-artifact@")
        for each in described["steps"]
    )


@each_file
def test_what_is_hidden_is_handed_over_only_where_that_is_said(path: Path) -> None:
    for name, step in steps(path):
        if step.get("uses", "").startswith("actions/upload-artifact@"):
            given = step["with"]
            assert not given["path"].startswith(".") or given["include-hidden-files"] is True, name
            assert given["if-no-files-found"] in ("error", "ignore"), name


def test_the_decision_is_that_of_the_job_that_judges_whoever_took_its_name() -> None:
    """Another workflow takes it by its name, so the last job takes that name first, whoever has it."""
    every = jobs(ROOT / ".github/workflows/pr-compare.yml")
    handed = [
        (name, place, step["with"])
        for name, job in every.items()
        for place, step in enumerate(job["steps"])
        if step.get("with", {}).get("name") == "decision"
    ]

    assert {name for name, _, _ in handed} == {"compare"}
    assert all(given["overwrite"] is True for _, _, given in handed)
    (taken,) = [step for _, _, step in takers(ROOT / ".github/workflows/pr-report.yml")]
    assert taken["with"]["name"] == "decision"
    (_, first, _), (_, last, _) = handed
    assert [step.get("uses", "") for step in every["compare"]["steps"][:first]] == [""]
    assert last == len(every["compare"]["steps"]) - 1


def test_what_was_built_runs_in_a_job_that_neither_scans_nor_judges() -> None:
    for path in FILES:
        for name, job in jobs(path).items():
            text = str([step.get("run", "") for step in job.get("steps", ())])
            if re.search(r"hullmark test\b", text):
                assert not re.search(r"hullmark (build|record|scan|gate|push|publish)\b", text), name
                handed = [s["with"] for s in job["steps"] if "upload-artifact" in s.get("uses", "")]
                assert [(each["name"], each["path"]) for each in handed] == [("smoke", "smoke/")], name
            if re.search(r"hullmark (gate|record)\b", text):
                assert "--smoke smoke" in text, name


@each_file
def test_a_job_that_waits_for_others_says_when_it_runs(path: Path) -> None:
    """Without a condition it is skipped when one before it failed, and a skipped check counts as passed."""
    for name, job in jobs(path).items():
        if needs(job):
            assert any(f"{status}()" in str(job["if"]) for status in STATUS), name


@each_file
def test_every_command_exists_with_its_options(path: Path) -> None:
    for _, step in steps(path):
        for line in step.get("run", "").splitlines():
            if line.strip().startswith("hullmark "):
                parse(line.strip())


def parse(line: str) -> None:
    """Parse a command line as click would, without running it."""
    words = shlex.split(line)
    _, name, *arguments = [words[0], *words[3:]] if words[1] == "-C" else words
    command: click.Command = importlib.import_module(f"hullmark.commands.{name.replace('-', '_')}").command
    while isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.commands[name]
    context = click.Context(command, info_name=name)
    _, left, _ = command.make_parser(context).parse_args(list(arguments))
    assert left == [], line


def test_every_workflow_is_in_the_guide_with_what_starts_it_and_no_other() -> None:
    text = (ROOT / "docs/guide/workflows.md").read_text()
    rows = re.findall(r"^\| `([a-z_-]+)` \|", text, re.MULTILINE)

    assert sorted(rows) == sorted(path.stem for path in FILES)


def test_every_path_that_is_named_exists() -> None:
    for path in FILES:
        for _, step in steps(path):
            for script in re.findall(r"\bsh (\S+\.sh)", step.get("run", "")):
                assert (ROOT / script).is_file(), script


# What the pipeline promises to whoever reads only this list.


def test_the_last_job_of_a_comparison_needs_all_others_and_runs_always() -> None:
    every = jobs(ROOT / ".github/workflows/pr-compare.yml")
    *others, last = every

    assert set(needs(every[last])) == set(others)
    assert every[last]["if"] == "${{ always() }}"


def test_a_comparison_is_made_for_every_change_and_every_merge_group() -> None:
    """A filter by path would leave the required check without an answer."""
    started = triggers(read(ROOT / ".github/workflows/pr-compare.yml"))

    assert started == {"pull_request": None, "merge_group": None, "workflow_dispatch": None}


def test_what_judges_a_change_is_installed_from_its_base() -> None:
    known = "github.event.pull_request.base.sha || github.event.merge_group.base_sha"
    for name, job in jobs(ROOT / ".github/workflows/pr-compare.yml").items():
        first, second, *_ = [step for step in job["steps"] if "decision" not in str(step)]
        planned = "" if name == "plan" else " || needs.plan.outputs.base"
        # Never nothing: that would be the change itself.
        base = f"${{{{ {known}{planned} || github.event.repository.default_branch }}}}"
        assert first["with"]["ref"] == base, name
        assert second["run"] == "sh .github/hullmark/install.sh"


def test_a_push_to_main_is_scanned() -> None:
    started = triggers(read(ROOT / ".github/workflows/scan-main.yml"))

    assert started["push"]["branches"] == ["main"]
    assert "paths" not in started["push"]


def test_the_summary_is_made_every_monday_at_three_and_by_hand() -> None:
    started = triggers(read(ROOT / ".github/workflows/security_summary.yml"))

    assert started["schedule"] == [{"cron": "0 3 * * 1"}]
    assert "workflow_dispatch" in started


def test_what_is_published_is_matched_with_a_new_database_every_day() -> None:
    started = triggers(read(ROOT / ".github/workflows/rescan.yml"))

    assert re.fullmatch(r"\d+ \d+ \* \* \*", started["schedule"][0]["cron"])
    assert "workflow_dispatch" in started


def test_newer_packages_are_looked_for_every_day_by_a_job_that_can_write_nothing() -> None:
    path = ROOT / ".github/workflows/update-locks.yml"
    find, propose = jobs(path).values()

    assert re.fullmatch(r"\d+ \d+ \* \* \*", triggers(read(path))["schedule"][0]["cron"])
    assert find["permissions"] == {"contents": "read"}
    assert not [step for step in propose["steps"] if "db update" in step.get("run", "")]


def test_one_publisher_at_a_time_writes_and_none_is_dropped() -> None:
    writers = [
        job
        for path in FILES
        for job in jobs(path).values()
        if "hullmark publish" in str([step.get("run") for step in job.get("steps", ())])
        and job["permissions"].get("contents") == "write"
    ]

    assert writers
    for job in writers:
        assert job["concurrency"] == {
            "group": "hullmark-publish",
            "cancel-in-progress": False,
            "queue": "max",
        }
