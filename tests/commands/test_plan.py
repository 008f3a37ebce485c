"""`hullmark plan` as a user types it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hullmark.errors import Exit
from tests.commands.project import CONFIG, OLD
from tests.repositories import commit, new_repository, switch

if TYPE_CHECKING:
    from tests.commands.project import Project

DOCKERFILE = "FROM scratch\nCOPY hello /hello\n"
FILES = {
    "hullmark.toml": CONFIG + "[images.web]\n",
    ".gitignore": "/db/\n/audit-logs/\n/*.tar\n",
    "images/app/image.toml": "title = 'a'\n",
    "images/app/packages.lock": OLD,
    "images/web/Dockerfile": DOCKERFILE,
    "images/web/hello": "1",
}


def start(project: Project) -> None:
    new_repository(project.root)
    commit(project.root, FILES)
    switch(project.root, "topic", new=True)


def test_a_plan_is_told_in_lines(project: Project) -> None:
    start(project)
    edited = {"images/app/packages.lock": "2", "hullmark.toml": FILES["hullmark.toml"] + "[gate]\n"}
    commit(project.root, {**edited, ".github/workflows/x.yml": "on: push\n"})

    assert project.run("plan", "--base", "main", "--head", "topic") == Exit.DONE
    first, head, app, web, *rest = project.out.splitlines()
    assert first.count("judged by") == 1
    assert head.split() == ["image", "platform", "effect", "base"]
    assert app.split() == ["app", "linux/amd64", "affected:", "inputs", "changed", "build"]
    assert web.split("  ")[-1].strip() == "no-base (never-recorded)"
    assert rest == [
        "edits policy: hullmark.toml",
        "edits workflows: .github/workflows/x.yml",
        "to build from base: app",
        "to build from head: app",
    ]


def test_what_was_recorded_of_the_same_inputs_is_the_base(project: Project) -> None:
    start(project)
    switch(project.root, "main")
    document = project.json("plan", "--base", "main", "--head", "main")
    assert [image["effect"] for image in document["images"]] == ["inputs-unchanged"] * 2
    name = project.image("app.tar")
    assert project.run("record", "--db", project.database("db"), f"app={name}") == Exit.DONE
    digest = json.loads((project.root / "cve-baseline/app.json").read_text())["digest"]
    built = {"platform": "linux/amd64", "digest": digest, "config": digest}
    inputs = document["images"][0]["base_inputs"]
    kept = {"version": 1, "images": [{**built, "inputs": inputs}]}
    (project.root / "app.inputs.json").write_text(json.dumps(kept))
    project.at("2026-02-02T09:00:00+00:00")
    assert project.run("record", "--db", "db", f"app={name}") == Exit.DONE
    switch(project.root, "topic")
    commit(project.root, {"images/app/packages.lock": "2"})

    app = project.json("plan", "--base", "main")["images"][0]

    assert (app["base"], app["recorded"]["at"]) == ("recorded", "2026-02-02T09:00:00Z")
    assert app["recorded"]["digest"] == digest
    assert project.run("plan", "--base", "main", "--audit-logs", "elsewhere") == Exit.DONE
    assert "to build from base: app" in project.out


def test_a_revision_that_does_not_exist_is_one_clear_error(project: Project) -> None:
    assert project.run("plan", "--base", "main") == Exit.ERROR
    assert "no commit 'main'" in project.err
    start(project)
    assert project.run("plan", "--base", "--output=x") == Exit.ERROR
    assert "no commit '--output=x'" in project.err
    assert project.run("plan") == Exit.USAGE
