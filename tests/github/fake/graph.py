"""GraphQL, executed by graphql-core on GitHub's own schema: what that refuses, is refused here."""
# ruff: noqa: ANN401 - any JSON

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError, GraphQLSchema, build_schema, execute_sync, parse, validate

from tests.github.contract import DESCRIBED
from tests.github.fake.branches import follow

if TYPE_CHECKING:
    from tests.github.fake.world import Account, Pull, World


@cache
def _schema() -> GraphQLSchema:
    return build_schema((DESCRIBED / "schema.graphql").read_text())


@cache
def _unfit(query: str) -> list[str]:
    """What in a query does not fit the schema."""
    return [error.message for error in validate(_schema(), parse(query))]


class Root:
    """What queries and mutations begin with: its methods are the fields."""

    def __init__(self, world: World, account: Account) -> None:
        self.world = world
        self.account = account

    def viewer(self, _: object) -> dict[str, Any]:
        return {"login": self.account.login, "databaseId": self.account.id}

    def repository(self, _: object, owner: str, name: str, **__: Any) -> dict[str, Any] | None:
        if f"{owner}/{name}" != self.world.name:
            return None
        return {"autoMergeAllowed": self.world.allows_merging, "nameWithOwner": self.world.name}

    def enablePullRequestAutoMerge(self, _: object, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002, N802
        pull = self._find(input["pullRequestId"])
        if not self.world.allows_merging:
            raise _refused("Auto merge is not allowed for this repository")
        if input.get("expectedHeadOid", pull.head) != pull.head:
            raise _refused("Head sha didn't match")
        if pull.draft:
            raise _refused("Pull request is in draft state")
        if not self.world.unmet(pull):
            raise _refused("Pull request is in clean status")
        pull.merging_for, pull.method = self.account.login, input["mergeMethod"]
        return {"pullRequest": {"number": pull.number}}

    def disablePullRequestAutoMerge(self, _: object, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002, N802
        pull = self._find(input["pullRequestId"])
        if not pull.merging_for:
            raise _refused("Can't disable auto-merge for this pull request")
        pull.merging_for = ""
        return {"pullRequest": {"number": pull.number}}

    def _find(self, node: str) -> Pull:
        if not (self.account.may("contents", "write") and self.account.may("pull_requests", "write")):
            raise GraphQLError("Resource not accessible by integration", extensions={"type": "FORBIDDEN"})
        pull = self.world.pulls[int(node.removeprefix("PR_"))]
        follow(self.world, pull)
        return pull


def _refused(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"type": "UNPROCESSABLE"})


def execute(world: World, account: Account, body: Any) -> tuple[dict[str, Any], list[str]]:
    """The answer to a GraphQL request, and what in the request does not fit the schema."""
    if unfit := _unfit(body["query"]):
        return {"errors": [{"message": message} for message in unfit]}, unfit
    result = execute_sync(
        _schema(),
        parse(body["query"]),
        root_value=Root(world, account),
        variable_values=body.get("variables"),
    )
    unfit = [error.message for error in result.errors or () if not error.path]
    if unfit:
        return {"errors": [{"message": message} for message in unfit]}, unfit
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [_show(error) for error in result.errors]
    return answer, []


def _show(error: GraphQLError) -> dict[str, Any]:
    kind = (error.extensions or {}).get("type", "UNPROCESSABLE")
    return {"message": error.message, "type": kind, "path": error.path}
