"""Run a workflow on this machine: its own `run` steps, each job in a fresh checkout, artefacts handed over.

`run` steps are executed as they are, by bash, with the environment that GitHub gives them. Of the actions
only those that move files are there (checkout, artefacts); another one is an error, unless a test gives a
stand-in. What a workflow declares (conditions, needs, outputs, permissions of called workflows) is followed.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tests.workflows.expression import as_text, condition, evaluate, insert, insert_all
from tests.workflows.files import needs, read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Action = Callable[["Job", dict[str, Any]], dict[str, str] | None]

FILES = ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")


class Step(msgspec.Struct, kw_only=True):
    """What became of a step."""

    name: str
    outcome: str
    """`success`, `failure` or `skipped`."""
    said: str = ""
    outputs: dict[str, str] = {}


class Result(msgspec.Struct, kw_only=True):
    """What became of a job; a matrix is one job."""

    result: str
    outputs: dict[str, str] = {}
    steps: list[Step] = []

    def step(self, name: str) -> Step:
        """The step that is called `name`."""
        return next(step for step in self.steps if step.name == name)


class Job(msgspec.Struct, kw_only=True):
    """A job while it runs."""

    runner: Runner
    workspace: Path
    temporary: Path
    environ: dict[str, str]
    contexts: dict[str, Any]
    permissions: dict[str, str]


class Runner:
    """A repository with its artefacts, on which workflows run."""

    def __init__(
        self,
        remote: Path,
        folder: Path,
        *,
        environ: Mapping[str, str],
        event: Mapping[str, Any] | None = None,
        github: Mapping[str, Any] | None = None,
        actions: Mapping[str, Action] | None = None,
        earlier: Mapping[str, Path] | None = None,
    ) -> None:
        self.remote = remote
        self.folder = folder
        self.environ = dict(environ)
        self.event = dict(event or {})
        self.github = {"event": self.event, **(github or {})}
        self.earlier = dict(earlier or {})
        """Artefacts of other runs, by the run's id."""
        self.artefacts = folder / "artefacts"
        self.ids: dict[str, str] = {}
        """Of each artefact that is there, by its name. One that is replaced is another one."""
        self.actions: dict[str, Action] = {
            "actions/checkout": check_out,
            "actions/upload-artifact": upload,
            "actions/download-artifact": download,
            **(actions or {}),
        }
        self._number = itertools.count()
        self.numbers = itertools.count(101)

    def run(
        self,
        path: Path,
        *,
        inputs: Mapping[str, Any] | None = None,
        permissions: Mapping[str, str] | None = None,
    ) -> dict[str, Result]:
        """Run every job of a workflow file in the order of their needs; called workflows are run inside."""
        workflow = read(path)
        given = dict(inputs or {})
        for name, about in ((workflow["on"].get("workflow_call") or {}).get("inputs") or {}).items():
            given.setdefault(name, about.get("default"))
        done: dict[str, Result] = {}
        waiting = dict(workflow["jobs"])
        while waiting:
            name = next(name for name, job in waiting.items() if set(needs(job)) <= done.keys())
            job = waiting.pop(name)
            contexts = self._contexts(job, done, given)
            if not condition(job.get("if"), contexts):
                done[name] = Result(result="skipped")
            elif "uses" in job:
                inner = self.run(
                    self._called(path, job["uses"]),
                    inputs=insert_all(job.get("with"), contexts),
                    permissions=job["permissions"],
                )
                bad = any(each.result == "failure" for each in inner.values())
                outputs = self._outputs(self._called(path, job["uses"]), inner)
                done[name] = Result(result="failure" if bad else "success", outputs=outputs)
                done |= {f"{name}/{each}": result for each, result in inner.items()}
            else:
                allowed = permissions_of(job, permissions)
                done[name] = self._job(workflow, job, contexts, allowed)
        return done

    def _outputs(self, path: Path, inner: Mapping[str, Result]) -> dict[str, str]:
        """What a called workflow gives to its caller."""
        jobs = {name: {"result": each.result, "outputs": each.outputs} for name, each in inner.items()}
        declared = read(path)["on"]["workflow_call"].get("outputs") or {}
        return {
            name: as_text(insert(about["value"], {"jobs": jobs, "success": True}))
            for name, about in declared.items()
        }

    def _called(self, path: Path, used: str) -> Path:
        return path.parents[2] / used.removeprefix("./")

    def _contexts(
        self, job: dict[str, Any], done: Mapping[str, Result], inputs: Mapping[str, Any]
    ) -> dict[str, Any]:
        needed = {name: done[name] for name in needs(job)}
        return {
            "github": self.github,
            "inputs": dict(inputs),
            "vars": {},
            "secrets": {},
            "needs": {
                name: {"result": each.result, "outputs": each.outputs} for name, each in needed.items()
            },
            "success": all(each.result == "success" for each in needed.values()),
        }

    def _job(
        self, workflow: dict[str, Any], job: dict[str, Any], contexts: dict[str, Any], allowed: dict[str, str]
    ) -> Result:
        results = [
            self._leg(workflow, job, {**contexts, "matrix": leg, "success": True}, allowed)
            for leg in legs(insert_matrix(job, contexts))
        ]
        steps = [step for result in results for step in result.steps]
        outputs = {name: value for result in results for name, value in result.outputs.items()}
        bad = any(result.result == "failure" for result in results)
        return Result(result="failure" if bad else "success", outputs=outputs, steps=steps)

    def _leg(
        self, workflow: dict[str, Any], job: dict[str, Any], contexts: dict[str, Any], allowed: dict[str, str]
    ) -> Result:
        place = self.folder / f"job-{next(self._number)}"
        running = Job(
            runner=self,
            workspace=place / "work",
            temporary=place / "temp",
            environ={},
            contexts={**contexts, "steps": {}, "runner": {"temp": str(place / "temp")}},
            permissions=allowed,
        )
        running.workspace.mkdir(parents=True)
        running.temporary.mkdir()
        running.environ = {
            **self.environ,
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": self.github["repository"],
            "GITHUB_SHA": self.github["sha"],
            "GITHUB_REF": self.github["ref"],
            "GITHUB_WORKSPACE": str(running.workspace),
            "HOME": str(place),
            "RUNNER_TEMP": str(running.temporary),
        }
        for level in (workflow, job):
            values = insert_all(level.get("env"), running.contexts)
            running.environ |= {name: as_text(value) for name, value in values.items() if as_text(value)}
        steps = [self._step(running, step) for step in job["steps"]]
        bad = not running.contexts["success"]
        outputs = {
            name: as_text(insert(str(value), running.contexts))
            for name, value in (job.get("outputs") or {}).items()
        }
        return Result(result="failure" if bad else "success", outputs=outputs, steps=steps)

    def _step(self, job: Job, step: dict[str, Any]) -> Step:
        name = step.get("name") or step.get("uses") or step["run"].splitlines()[0]
        if not condition(step.get("if"), job.contexts):
            return Step(name=name, outcome="skipped")
        done = run_script(job, step, name) if "run" in step else use_action(job, step, name)
        if "id" in step:
            job.contexts["steps"][step["id"]] = {"outcome": done.outcome, "outputs": done.outputs}
        if done.outcome == "failure" and not step.get("continue-on-error"):
            job.contexts["success"] = False
        return done


def permissions_of(job: dict[str, Any], limit: Mapping[str, str] | None) -> dict[str, str]:
    """What a job may do; a called workflow may never do more than its caller. Else GitHub starts nothing."""
    declared: dict[str, str] = job["permissions"]
    order = ("none", "read", "write")
    for name, level in declared.items():
        if limit is not None and order.index(level) > order.index(limit.get(name, "none")):
            raise AssertionError(f"the caller does not permit {name}: {level}")
    return declared


def run_script(job: Job, step: dict[str, Any], name: str) -> Step:
    """Execute a `run` step as GitHub does: bash, ending at the first command that fails."""
    script = job.temporary / "script.sh"
    script.write_text(step["run"])
    files = {key: job.temporary / key for key in FILES}
    for file in files.values():
        file.write_text("")
    given = {key: as_text(value) for key, value in insert_all(step.get("env"), job.contexts).items()}
    done = subprocess.run(
        ["bash", "-e", script],
        cwd=job.workspace / step.get("working-directory", "."),
        env={**job.environ, **given, **{key: str(file) for key, file in files.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    assert job.runner.github["token"] not in done.stdout, f"the token is in the log of {name!r}"
    job.environ |= assignments(files["GITHUB_ENV"])
    for folder in reversed(files["GITHUB_PATH"].read_text().split()):
        job.environ["PATH"] = f"{folder}:{job.environ['PATH']}"
    return Step(
        name=name,
        outcome="failure" if done.returncode else "success",
        said=done.stdout,
        outputs=assignments(files["GITHUB_OUTPUT"]),
    )


def use_action(job: Job, step: dict[str, Any], name: str) -> Step:
    """Do what an action would do."""
    action = job.runner.actions[step["uses"].split("@")[0]]
    try:
        outputs = action(job, insert_all(step.get("with"), job.contexts))
    except (OSError, subprocess.CalledProcessError) as error:
        return Step(name=name, outcome="failure", said=str(error))
    return Step(name=name, outcome="success", outputs=outputs or {})


def assignments(file: Path) -> dict[str, str]:
    """`name=value` lines, and values of several lines between two marks."""
    found: dict[str, str] = {}
    lines = iter(file.read_text().splitlines())
    for line in lines:
        if match := re.fullmatch(r"([^=<]+)<<(.+)", line):
            found[match[1]] = "\n".join(itertools.takewhile(lambda each: each != match[2], lines))
        elif "=" in line:
            name, _, value = line.partition("=")
            found[name] = value
    return found


def insert_matrix(job: dict[str, Any], contexts: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The matrix of a job with its expressions replaced."""
    matrix = (job.get("strategy") or {}).get("matrix") or {}
    if isinstance(matrix, str):
        found: dict[str, list[Any]] = evaluate(
            matrix.strip().removeprefix("${{").removesuffix("}}"), contexts
        )
        return found
    return {
        name: insert(values, contexts) if isinstance(values, str) else values
        for name, values in matrix.items()
    }


def legs(matrix: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Every combination of a matrix; one empty one without a matrix."""
    included = matrix.get("include", [])
    axes = {name: values for name, values in matrix.items() if name != "include"}
    crossed = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    return [*(crossed if axes else []), *included] or ([] if matrix else [{}])


def check_out(job: Job, given: dict[str, Any]) -> None:
    """A fresh clone of the remote, at the commit that the run is about or the one that is named."""
    place = job.workspace / given.get("path", ".")
    fetched = place.with_name(f"{place.name}.clone") if place == job.workspace else place
    subprocess.run(["git", "clone", "-q", job.runner.remote, fetched], check=True, capture_output=True)
    commit = given.get("ref") or job.runner.github.get("sha") or "HEAD"
    subprocess.run(["git", "fetch", "-q", "origin", commit], cwd=fetched, check=True, capture_output=True)
    subprocess.run(
        ["git", "checkout", "-q", "--detach", commit], cwd=fetched, check=True, capture_output=True
    )
    if fetched != place:
        shutil.rmtree(place)  # as on GitHub: what lies there already is cleared away
        fetched.rename(place)
    assert given["persist-credentials"] is False


def upload(job: Job, given: dict[str, Any]) -> dict[str, str]:
    """Keep files for later jobs. Hidden ones only where that was said, as GitHub does."""
    source = job.workspace / given["path"]
    if given["if-no-files-found"] == "ignore" and not source.exists():
        return {}
    if not source.exists():
        raise OSError(f"No files were found with the provided path: {given['path']}")
    hidden = given["path"].startswith(".") and given.get("include-hidden-files") is not True
    if hidden or not any(path.is_file() for path in source.rglob("*")):
        raise OSError(f"No files were found with the provided path: {given['path']}")
    return {"artifact-id": keep(job.runner, given["name"], source, overwrite=given.get("overwrite") is True)}


def keep(runner: Runner, name: str, source: Path, *, overwrite: bool) -> str:
    """Keep a folder under a name, and return its id. Whoever runs in a job may overwrite any name."""
    target = runner.artefacts / name
    if target.exists():
        if not overwrite:
            raise OSError(f"an artifact with the name {name} already exists")
        shutil.rmtree(target)
    shutil.copytree(source, target)
    runner.ids[name] = str(next(runner.numbers))
    return runner.ids[name]


def download(job: Job, given: dict[str, Any]) -> None:
    """Take over what an earlier job kept, by its name or by its id. Without either: everything there is."""
    folder = job.runner.artefacts
    if "run-id" in given:
        folder = job.runner.earlier.get(as_text(given["run-id"]), Path("/nonexistent"))
    place = job.workspace / given["path"]
    if "name" in given:
        source = folder / given["name"]
    elif wanted := as_text(given["artifact-ids"]):
        source = folder / next((name for name, each in job.runner.ids.items() if each == wanted), "nothing")
    else:
        source = folder
    if not source.is_dir():
        raise OSError(f"Artifact not found: {given}")
    shutil.copytree(source, place, dirs_exist_ok=True)


def machine(**more: str) -> dict[str, str]:
    """The environment of a machine that only has its programs."""
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **more}


def describe(results: Mapping[str, Result]) -> str:
    """What every job and step said, for a test that fails."""
    return json.dumps(msgspec.to_builtins(results), indent=1).replace("\\n", "\n")
