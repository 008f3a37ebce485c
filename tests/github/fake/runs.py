"""Starting workflows by request, as GitHub's REST interface has it."""

from __future__ import annotations

import subprocess

from tests.github.fake.rest import Call, Handler, Refusal, Reply


def start_run(call: Call) -> Reply:
    """Start a workflow on a branch: it runs for the branch's newest commit."""
    call.need("actions")
    world, name = call.world, call.names["workflow_id"]
    if name not in world.started_by_hand:
        raise Refusal(422, "Workflow does not have 'workflow_dispatch' trigger")
    asked = ["git", "rev-parse", "--verify", "--quiet", f"refs/heads/{call.body['ref']}"]
    found = subprocess.run(asked, cwd=world.repository, capture_output=True, text=True, check=False)
    if found.returncode:
        raise Refusal(422, f"No ref found for: {call.body['ref']}")
    run = {
        "path": f".github/workflows/{name}",
        "head_sha": found.stdout.strip(),
        "event": "workflow_dispatch",
    }
    world.runs.append({"id": world.next_id(), "status": "queued", **run})
    return Reply(204, None)


HANDLERS: dict[str, Handler] = {"actions/create-workflow-dispatch": start_run}
"""By the name that GitHub's description gives the operation."""
