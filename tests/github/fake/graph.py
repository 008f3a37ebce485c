"""GraphQL, executed by graphql-core on GitHub's own schema: what that refuses, is refused here."""
# ruff: noqa: ANN401 - any JSON

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError, GraphQLSchema, build_schema, graphql_sync

from tests.github.contract import DESCRIBED

if TYPE_CHECKING:
    from tests.github.fake.world import Account, World


@cache
def _schema() -> GraphQLSchema:
    return build_schema((DESCRIBED / "schema.graphql").read_text())


class Root:
    """What queries and mutations begin with: its methods are the fields."""

    def __init__(self, world: World, account: Account) -> None:
        self.world = world
        self.account = account

    def viewer(self, _: object) -> dict[str, str]:
        return {"login": self.account.login}


def execute(world: World, account: Account, body: Any) -> tuple[dict[str, Any], list[str]]:
    """The answer to a GraphQL request, and what in the request does not fit the schema."""
    result = graphql_sync(
        _schema(), body["query"], root_value=Root(world, account), variable_values=body.get("variables")
    )
    if result.data is None and result.errors and not any(error.path for error in result.errors):
        return {"errors": [{"message": error.message} for error in result.errors]}, [
            error.message for error in result.errors
        ]
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [_show(error) for error in result.errors]
    return answer, []


def _show(error: GraphQLError) -> dict[str, Any]:
    kind = (error.extensions or {}).get("type", "UNPROCESSABLE")
    return {"message": error.message, "type": kind, "path": error.path}
