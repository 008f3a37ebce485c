"""`hullmark sarif --upload`, and code scanning that refuses or takes its time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import NetworkError
from hullmark.github import code_scanning
from hullmark.github.code_scanning import upload
from hullmark.github.faults import RefusedError
from hullmark.github.repository import find_repository
from hullmark.github.transport import API, Answer, Request
from tests.github.fake import Account, FakeGitHub, Fault
from tests.github.fake.world import BOT, NAME, TOKEN
from tests.github.test_client import scripted
from tests.github.test_issues_sync import Desk
from tests.issues.histories import LOW, History, finding

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "c" * 40


@pytest.fixture
def desk(
    tmp_path: Path, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    desk = Desk(tmp_path, github, monkeypatch, capsys)
    monkeypatch.setenv("GITHUB_REF", "refs/heads/main")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return desk


def test_each_image_is_uploaded_with_one_stable_category(desk: Desk) -> None:
    (desk.root / "hullmark.toml").write_text("version = 1\n[images.app]\n[images.zoo]\n[images.never]\n")
    History(desk.root / "audit-logs", "zoo").scan()
    for found in (finding(), LOW):
        desk.scan(found)
        assert desk.call("sarif", "--upload") == 0, desk.err

    uploads = desk.github.world.sarifs
    ids = [each["document"]["runs"][0]["automationDetails"]["id"] for each in uploads]
    assert ids == ["hullmark/app/", "hullmark/zoo/"] * 2
    assert [len(each["document"]["runs"][0]["results"]) for each in uploads] == [1, 0, 1, 0]
    assert (uploads[0]["commit_sha"], uploads[0]["ref"]) == (COMMIT, "refs/heads/main")


def test_files_are_written_without_github(desk: Desk) -> None:
    desk.scan(finding())

    assert desk.call("sarif", "app") == 0
    document = json.loads((desk.root / "reports/sarif/app.sarif").read_text())
    assert document["runs"][0]["results"][0]["ruleId"] == "CVE-2026-1"
    assert desk.github.log == []


def test_a_repository_without_code_scanning_is_a_missing_capability(desk: Desk) -> None:
    desk.github.world.has_code_scanning = False

    assert desk.scan(finding()).call("sarif", "--upload") == 0

    assert "missing: app: acme/images has no code scanning. Private repositories need" in desk.err


def test_a_missing_permission_is_an_error_that_names_it(desk: Desk) -> None:
    desk.github.world.join(Account(BOT, kind="Bot", permissions={"contents": "read"}), token=TOKEN)

    assert desk.scan(finding()).call("sarif", "--upload") == 1

    assert "security_events: write" in desk.err


def test_a_commit_and_a_ref_are_needed(desk: Desk) -> None:
    assert desk.scan(finding()).call("sarif", "--upload", "--ref", "main") == 2


@pytest.mark.parametrize("fault", list(Fault))
def test_what_is_uploaded_twice_takes_its_own_place_so_a_lost_answer_is_repeated(
    github: FakeGitHub, fault: Fault
) -> None:
    client = github.client()
    repository = find_repository(client, NAME)
    document = b'{"runs":[{"automationDetails":{"id":"a/"}}]}'
    github.later.append(("POST", fault))

    upload(client, repository, document, commit=COMMIT, ref="refs/heads/main", sleep=github.world.sleep)

    assert {json.dumps(each["document"]) for each in github.world.sarifs} == {
        document.decode().replace(":", ": ")
    }
    again = 2 if fault in (Fault.LOST, Fault.BAD_GATEWAY_AFTER) else 1
    assert len(github.world.sarifs) == again


def test_an_upload_is_waited_for_with_a_bound(github: FakeGitHub) -> None:
    repository = find_repository(github.client(), NAME)
    receipt = Answer(status=202, body=b'{"id":"7"}')
    waiting, failed = (
        Answer(status=200, body=b'{"processing_status":"%s"}' % s) for s in (b"pending", b"failed")
    )

    client, _, _ = scripted(receipt, waiting, Answer(status=200, body=b'{"processing_status":"complete"}'))
    pauses: list[float] = []
    upload(client, repository, b"{}", commit=COMMIT, ref="refs/heads/main", sleep=pauses.append)
    assert pauses == [code_scanning.PAUSE]

    client, _, _ = scripted(receipt, failed)
    with pytest.raises(RefusedError, match="could not process"):
        upload(client, repository, b"{}", commit=COMMIT, ref="refs/heads/main", sleep=pauses.append)

    client, _, requests = scripted(receipt, *[waiting] * code_scanning.ATTEMPTS)
    with pytest.raises(NetworkError, match="was not processed within 120 s"):
        upload(client, repository, b"{}", commit=COMMIT, ref="refs/heads/main", sleep=pauses.append)
    assert isinstance(requests[0], Request)
    assert requests[0].url.startswith(API)
