"""Who we are in a registry."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import InputError
from hullmark.registry.login import Login, find_login

if TYPE_CHECKING:
    from pathlib import Path


def auths(**held: str) -> str:
    kept = {
        host.replace("_", "."): {"auth": base64.b64encode(text.encode()).decode()}
        for host, text in held.items()
    }
    return json.dumps({"auths": kept, "credsStore": "secretservice"})


def test_what_container_tools_wrote_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(auths(registry_example="me:pass:word"))
    environ = {"DOCKER_CONFIG": str(tmp_path), "GITHUB_TOKEN": "t"}

    assert find_login("registry.example", environ) == Login("me", "pass:word")
    assert find_login("other.example", environ) is None


def test_the_variables_come_first(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(auths(registry_example="me:old"))
    environ = {"HULLMARK_REGISTRY_USER": "us", "HULLMARK_REGISTRY_PASSWORD": "new"}

    assert find_login("registry.example", {**environ, "DOCKER_CONFIG": str(tmp_path)}) == Login("us", "new")


def test_the_token_of_a_workflow_goes_to_githubs_registry_only() -> None:
    environ = {"GITHUB_TOKEN": "t", "GITHUB_ACTOR": "alice"}

    assert find_login("ghcr.io", environ) == Login("alice", "t")
    assert find_login("ghcr.io.example", environ) is None


def test_a_login_is_never_printed() -> None:
    assert "secret" not in repr(Login("me", "secret"))


@pytest.mark.parametrize("text", ["{", '{"auths": 1}', '{"auths": {"r.example": {"auth": "*"}}}'])
def test_a_file_that_is_no_list_of_logins_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "auth.json").write_text(text)

    with pytest.raises(InputError, match=r"auth\.json"):
        find_login("r.example", {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")})
