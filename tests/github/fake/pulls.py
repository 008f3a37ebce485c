"""Pull requests, reviews, checks, rules, code scanning and runs, as GitHub's REST interface has them."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

from tests.github.contract import contract
from tests.github.fake.branches import count_ahead, find_branch, follow
from tests.github.fake.rest import Call, Handler, Refusal, Reply, check_text, show_user
from tests.github.fake.world import BOT, CheckRun, Pull

MAX_SARIF = 10 << 20


def _user(call: Call, login: str) -> dict[str, Any] | None:
    return show_user(call.world.people.get(login.lower()), login) if login else None


def _pull(call: Call) -> Pull:
    pull = call.world.pulls.get(int(call.names["pull_number"]))
    if pull is None:
        raise Refusal(404, "Not Found")
    follow(call.world, pull)
    return pull


def _side(call: Call, pull: Pull, *, head: bool) -> dict[str, Any]:
    name = "stranger/images" if head and pull.from_fork else call.world.name
    kind: dict[str, Any] = contract().fill("pull-request")["head" if head else "base"]
    sha, ref = (pull.head, pull.branch) if head else ("b" * 40, pull.base)
    user = contract().fill("simple-user")
    return kind | {
        "sha": sha,
        "ref": ref,
        "user": user,
        "repo": contract().fill("repository", full_name=name),
    }


def _show(call: Call, pull: Pull, schema: str) -> dict[str, Any]:
    issue = call.world.issues[pull.number]
    enabled = {"enabled_by": _user(call, pull.merging_for), "merge_method": pull.method.lower() or "squash"}
    shown = contract().fill(
        schema,
        number=pull.number,
        node_id=f"PR_{pull.number}",
        title=issue.title,
        body=issue.body,
        state=issue.state,
        html_url=f"https://github.example/{call.world.name}/pull/{pull.number}",
        merged_at="2026-01-01T00:00:00Z" if pull.merged else None,
        draft=pull.draft,
        user=_user(call, pull.author),
        head=_side(call, pull, head=True),
        base=_side(call, pull, head=False),
        auto_merge={**enabled, "commit_title": "", "commit_message": ""} if pull.merging_for else None,
    )
    if schema == "pull-request":
        shown |= {"commits": len(pull.commits), "changed_files": len(pull.files), "merged": pull.merged}
    return shown


def list_pulls(call: Call) -> Reply:
    call.need("pull_requests", "read")
    state = call.query.get("state", "open")
    owner = call.world.name.partition("/")[0]
    head = call.query.get("head")
    found = [
        pull
        for pull in call.world.pulls.values()
        if state in ("all", call.world.issues[pull.number].state)
        and head in (None, f"{'stranger' if pull.from_fork else owner}:{pull.branch}")
    ]
    for pull in found:
        follow(call.world, pull)
    return Reply(200, [_show(call, pull, "pull-request-simple") for pull in found])


def create_pull(call: Call) -> Reply:
    call.need("pull_requests")
    world, body = call.world, call.body
    if call.account.login == BOT and not world.may_propose:
        raise Refusal(403, "GitHub Actions is not permitted to create or approve pull requests.")
    check_text(body)
    head = find_branch(world, body["head"])
    if not head or not find_branch(world, body["base"]):
        raise Refusal(422, "Validation Failed: head or base is invalid")
    if not count_ahead(world, body["base"], body["head"]):
        raise Refusal(422, f"Validation Failed: No commits between {body['base']} and {body['head']}")
    if any(p.branch == body["head"] and world.issues[p.number].state == "open" for p in world.pulls.values()):
        raise Refusal(422, f"Validation Failed: A pull request already exists for {body['head']}.")
    issue = world.add_issue(body["title"], body.get("body") or "", call.account.login, [])
    issue.is_pull = True
    pull = Pull(issue.number, call.account.login, head, body["head"], base=body["base"], is_followed=True)
    world.pulls[pull.number] = pull
    follow(world, pull)
    return Reply(201, _show(call, pull, "pull-request"))


def update_pull(call: Call) -> Reply:
    call.need("pull_requests")
    pull, body = _pull(call), call.body
    check_text(body)
    issue = call.world.issues[pull.number]
    issue.title, issue.body = body.get("title", issue.title), body.get("body", issue.body) or ""
    issue.state = body.get("state", issue.state)
    issue.edits += 1
    return Reply(200, _show(call, pull, "pull-request"))


def get_pull(call: Call) -> Reply:
    call.need("pull_requests", "read")
    return Reply(200, _show(call, _pull(call), "pull-request"))


def list_commits(call: Call) -> Reply:
    call.need("pull_requests", "read")
    return Reply(
        200,
        [
            contract().fill("commit", sha=sha, author=_user(call, author), committer=_user(call, committer))
            for sha, author, committer in _pull(call).commits
        ],
    )


def list_files(call: Call) -> Reply:
    call.need("pull_requests", "read")
    return Reply(200, [contract().fill("diff-entry", sha="f" * 40, **file) for file in _pull(call).files])


def list_reviews(call: Call) -> Reply:
    call.need("pull_requests", "read")
    return Reply(
        200,
        [
            contract().fill("pull-request-review", user=_user(call, login), state=state, commit_id=commit)
            for login, state, commit in _pull(call).reviews
        ],
    )


def get_permission(call: Call) -> Reply:
    account = call.world.people.get(call.names["username"].lower())
    if account is None:
        raise Refusal(404, f"{call.names['username']} is not a user")
    shown = {"maintain": "write", "triage": "read"}.get(account.role, account.role)
    user = contract().fill("nullable-collaborator") or None
    return Reply(
        200,
        contract().fill(
            "repository-collaborator-permission", permission=shown, role_name=account.role, user=user
        ),
    )


def get_rules(call: Call) -> Reply:
    rule = {
        "type": "required_status_checks",
        "ruleset_id": 1,
        "parameters": {
            "strict_required_status_checks_policy": False,
            "required_status_checks": [{"context": name} for name in call.world.required],
        },
    }
    return Reply(200, [rule] if call.world.required else [])


def get_branch(call: Call) -> Reply:
    return Reply(200, contract().fill("branch-with-protection", name=call.names["branch"]))


def list_checks(call: Call) -> Reply:
    call.need("checks", "read")
    name = call.query.get("check_name")
    found = [run for run in call.world.checks if run.head == call.names["ref"] and name in (None, run.name)]
    shown = [_show_check(run) for run in found]
    return Reply(200, {"total_count": len(shown), "check_runs": shown}, key="check_runs")


def create_check(call: Call) -> Reply:
    _need_app(call)
    body = call.body
    run = CheckRun(call.world.next_id(), body["name"], body["head_sha"], _slug(call))
    _write_check(call, run)
    call.world.checks.append(run)
    return Reply(201, _show_check(run))


def update_check(call: Call) -> Reply:
    _need_app(call)
    wanted = int(call.names["check_run_id"])
    run = next((each for each in call.world.checks if each.id == wanted), None)
    if run is None:
        raise Refusal(404, "Not Found")
    if run.app != _slug(call):
        raise Refusal(403, "Invalid app_id `1` - check run can only be modified by the GitHub App")
    _write_check(call, run)
    call.world.merge_what_may()
    return Reply(200, _show_check(run))


def _need_app(call: Call) -> None:
    call.need("checks")
    if call.account.kind != "Bot":
        raise Refusal(403, "You must authenticate via a GitHub App.")


def _slug(call: Call) -> str:
    return call.account.login.removesuffix("[bot]")


def _write_check(call: Call, run: CheckRun) -> None:
    body, output = call.body, call.body.get("output", {})
    if (body.get("status") == "completed") != ("conclusion" in body):
        raise Refusal(422, "Validation Failed: status completed needs a conclusion")
    run.status = body.get("status", run.status)
    run.conclusion = body.get("conclusion")
    if output:
        run.title, run.summary = output["title"], output["summary"]
        run.annotations = list(output.get("annotations", ()))


def _show_check(run: CheckRun) -> dict[str, Any]:
    output = {"title": run.title, "summary": run.summary, "text": None, "annotations_count": 0}
    return contract().fill(
        "check-run",
        id=run.id,
        name=run.name,
        head_sha=run.head,
        status=run.status,
        conclusion=run.conclusion,
        app=contract().fill("integration", slug=run.app),
        output={**output, "annotations_url": "https://github.example/a"},
    )


def upload_sarif(call: Call) -> Reply:
    call.need("security_events")
    if not call.world.has_code_scanning:
        raise Refusal(403, "Advanced Security must be enabled for this repository to use code scanning.")
    packed = base64.b64decode(call.body["sarif"], validate=True)
    if len(packed) > MAX_SARIF:
        raise Refusal(413, "Payload too large")
    document = json.loads(gzip.decompress(packed))
    ids = [run["automationDetails"]["id"] for run in document["runs"]]
    if len(set(ids)) != len(ids):
        raise Refusal(400, "two runs of one tool and category")
    receipt = f"sarif-{len(call.world.sarifs) + 1}"
    call.world.sarifs.append({"id": receipt, "document": document, **call.body})
    return Reply(202, {"id": receipt, "url": f"{call.base}/sarifs/{receipt}"})


def get_sarif(call: Call) -> Reply:
    call.need("security_events", "read")
    if not any(each["id"] == call.names["sarif_id"] for each in call.world.sarifs):
        raise Refusal(404, "Not Found")
    return Reply(200, {"processing_status": "complete", "errors": None})


def list_runs(call: Call) -> Reply:
    call.need("actions", "read")
    head, status = call.query.get("head_sha"), call.query.get("status")
    found = [
        contract().fill("workflow-run", **run)
        for run in call.world.runs
        if run["path"].endswith("/" + call.names["workflow_id"])
        and head in (None, run["head_sha"])
        and status in (None, run["status"])
    ]
    return Reply(200, {"total_count": len(found), "workflow_runs": found}, key="workflow_runs")


def start_run(call: Call) -> Reply:
    call.need("actions")
    world, name = call.world, call.names["workflow_id"]
    if name not in world.started_by_hand:
        raise Refusal(422, "Workflow does not have 'workflow_dispatch' trigger")
    head = find_branch(world, call.body["ref"])
    if not head:
        raise Refusal(422, f"No ref found for: {call.body['ref']}")
    run = {"path": f".github/workflows/{name}", "head_sha": head, "event": "workflow_dispatch"}
    world.runs.append({"id": world.next_id(), "status": "queued", **run})
    return Reply(204, None)


HANDLERS: dict[str, Handler] = {
    "actions/create-workflow-dispatch": start_run,
    "pulls/create": create_pull,
    "pulls/update": update_pull,
    "actions/list-workflow-runs": list_runs,
    "checks/create": create_check,
    "checks/list-for-ref": list_checks,
    "checks/update": update_check,
    "code-scanning/get-sarif": get_sarif,
    "code-scanning/upload-sarif": upload_sarif,
    "pulls/get": get_pull,
    "pulls/list": list_pulls,
    "pulls/list-commits": list_commits,
    "pulls/list-files": list_files,
    "pulls/list-reviews": list_reviews,
    "repos/get-branch": get_branch,
    "repos/get-branch-rules": get_rules,
    "repos/get-collaborator-permission-level": get_permission,
}
"""By the name that GitHub's description gives the operation."""
