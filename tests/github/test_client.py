"""The client against a GitHub that refuses, forgets and fails."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from hullmark.errors import NetworkError, UsageError
from hullmark.github.client import Client, connect, graphql_address
from hullmark.github.faults import AbsentError, DeniedError, LimitedError, LostError, RefusedError
from hullmark.github.limits import limit_wait
from hullmark.github.transport import API, Answer, HttpTransport, NoAnswerError, Request
from tests.github.fake import Account, FakeGitHub, Fault
from tests.github.fake.world import NAME, TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

ISSUES = f"/repos/{NAME}/issues"
NEW = {"title": "a", "body": "b", "labels": ["x"]}


def create(client: Client, number: int = 1) -> int:
    """Create an issue that is found again by its title."""
    wanted = {**NEW, "title": f"issue {number}"}

    def find() -> int | None:
        found = client.pages(ISSUES, {"state": "all"})
        return next((issue["number"] for issue in found if issue["title"] == wanted["title"]), None)

    return client.create(ISSUES, wanted, find, lambda issue: int(issue["number"]), needs="issues: write")


def scripted(*answers: Answer | Exception) -> tuple[Client, list[float], list[Request]]:
    """A client to which these answers are given, with the waits and the requests that it makes."""
    queue, waits, requests = list(answers), [], []
    clock = [1_000.0]

    def transport(request: Request) -> Answer:
        requests.append(request)
        answer = queue.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock[0] += seconds

    return Client(API, transport, clock=lambda: clock[0], sleep=sleep), waits, requests


OK = Answer(status=200, body=b"[1]")


def test_a_document_is_read(github: FakeGitHub) -> None:
    assert github.client().get(f"/repos/{NAME}")["full_name"] == NAME


@pytest.mark.parametrize("fault", [Fault.BAD_GATEWAY_AFTER, Fault.LOST, Fault.BAD_GATEWAY, Fault.TIMEOUT])
def test_a_lost_answer_to_a_creation_is_looked_up_before_it_is_repeated(
    github: FakeGitHub, fault: Fault
) -> None:
    github.later.append(("POST", fault))

    number = create(github.client())

    assert list(github.world.issues) == [number]


def test_a_creation_that_is_never_answered_is_given_up(github: FakeGitHub) -> None:
    github.later.extend([("POST", Fault.TIMEOUT)] * 5)

    with pytest.raises(LostError, match=r"POST .*no answer") as caught:
        create(github.client())

    assert github.world.issues == {}
    assert "looks before it repeats" in caught.value.hint


@pytest.mark.parametrize("method", ["POST", "PATCH", "GET"])
def test_a_limit_is_waited_out_for_any_request(github: FakeGitHub, method: str) -> None:
    client = github.client()
    create(client)
    before = github.world.now
    github.later.append((method, Fault.SECONDARY_LIMIT))

    if method == "POST":
        assert create(client, 2) == 2
    elif method == "PATCH":
        client.change("PATCH", f"{ISSUES}/1", {"state": "closed"})
    else:
        client.get(f"{ISSUES}/1")

    assert github.world.now - before >= 30
    assert len(github.world.issues) == (2 if method == "POST" else 1)


def test_the_hourly_limit_is_waited_out_until_it_is_reset(github: FakeGitHub) -> None:
    github.remaining, github.reset_at = 0, github.world.now + 600

    assert github.client().get(f"/repos/{NAME}")["full_name"] == NAME
    assert github.world.now >= github.reset_at


def test_what_waiting_would_take_longer_than_the_bound_is_given_up_with_a_clear_text(
    github: FakeGitHub,
) -> None:
    github.remaining, github.reset_at = 0, github.world.now + 3_000

    with pytest.raises(LimitedError, match="asks to wait for 3001 s"):
        github.client().get(f"/repos/{NAME}")


@pytest.mark.parametrize(
    ("headers", "body", "status", "expected"),
    [
        ({"retry-after": "7", "x-ratelimit-remaining": "0"}, b"", 403, 7.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1050"}, b"", 403, 51.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "nan"}, b"", 403, 1.0),
        ({}, b'{"message":"You have exceeded a secondary rate limit"}', 403, 240.0),
        ({}, b"", 429, 240.0),
        ({}, b'{"message":"Resource not accessible by integration"}', 403, None),
        ({"retry-after": "7"}, b"", 500, None),
        ({"retry-after": "soon"}, b"", 429, 240.0),
    ],
)
def test_how_long_github_wants_us_to_wait(
    headers: dict[str, str], body: bytes, status: int, expected: float | None
) -> None:
    answer = Answer(status=status, headers=headers, body=body)

    assert limit_wait(answer, attempt=2, now=1_000) == expected


def test_a_fault_of_the_server_is_repeated_only_where_repeating_does_no_harm() -> None:
    bad = Answer(status=502)
    client, waits, requests = scripted(bad, NoAnswerError("cut", is_sent=True), OK)
    assert client.get("/x") == [1]
    assert (waits, len(requests)) == ([2.0, 4.0], 3)

    client, _, requests = scripted(bad, Answer(status=201, body=b"{}"))
    with pytest.raises(LostError):
        client._send(Request(method="POST", url=API), "", repeatable=False)
    assert len(requests) == 1


def test_a_request_that_was_never_sent_is_repeated_whatever_it_is() -> None:
    client, _, requests = scripted(NoAnswerError("refused", is_sent=False), Answer(status=201, body=b"{}"))

    client.create("/x", {}, lambda: None, dict)

    assert len(requests) == 2


def test_a_server_that_stays_broken_is_given_up() -> None:
    client, waits, _ = scripted(*[Answer(status=503)] * 5)

    with pytest.raises(LostError, match=r"GET .*503"):
        client.get("/x")
    assert waits == [2.0, 4.0, 8.0, 16.0]


def test_a_missing_permission_is_named_and_never_waited_for(github: FakeGitHub) -> None:
    github.world.join(Account("weak", permissions={"issues": "read"}), token="weak")
    before = github.world.now

    with pytest.raises(DeniedError) as caught:
        create(github.client("weak"))

    assert "`issues: write`" in caught.value.hint
    assert github.world.now - before < 1


@pytest.mark.parametrize(
    ("prepare", "error", "words"),
    [
        (lambda fake: fake.world.accounts.clear(), RefusedError, "wrong, expired or revoked"),
        (lambda fake: setattr(fake.world, "name", "acme/other"), AbsentError, "does not exist"),
        (
            lambda fake: vars(fake.world).update(name="acme/new", renamed_from=NAME),
            RefusedError,
            "the repository's new name",
        ),
    ],
)
def test_a_refusal_says_what_to_do(
    github: FakeGitHub, prepare: Callable[[FakeGitHub], Any], error: type[RefusedError], words: str
) -> None:
    prepare(github)

    with pytest.raises(error) as caught:
        github.client().get(f"/repos/{NAME}")

    assert words in caught.value.hint


def test_pages_are_followed_by_their_link_only(github: FakeGitHub) -> None:
    for number in range(250):
        github.world.add_issue(f"issue {number}", "", "somebody", ["a b"])

    numbers = [issue["number"] for issue in github.client().pages(ISSUES, {"state": "all", "labels": "a b"})]

    assert numbers == list(range(250, 0, -1))
    assert len(github.log) == 3


def test_a_page_on_another_server_is_not_followed() -> None:
    link = {"link": '<https://elsewhere.example/x?page=2>; rel="next"'}
    client, _, _ = scripted(Answer(status=200, headers=link, body=b"[1]"))

    with pytest.raises(NetworkError, match=r"leads to another server: elsewhere\.example"):
        list(client.pages("/x"))


def test_pages_without_end_are_given_up() -> None:
    link = {"link": f'<{API}/x?page=2>; rel="next"'}
    client, _, _ = scripted(*[Answer(status=200, headers=link, body=b"[1]")] * 3)

    with pytest.raises(NetworkError, match="more than 3 pages"):
        list(client.pages("/x", max_pages=3))


def test_what_has_not_changed_costs_nothing(github: FakeGitHub) -> None:
    client = github.client()
    first = client.get(f"/repos/{NAME}")
    left = github.remaining

    assert client.get(f"/repos/{NAME}") == first
    assert github.remaining == left


def test_changes_go_one_at_a_time_a_second_apart(github: FakeGitHub) -> None:
    client = github.client()
    create(client)
    before = github.world.now

    for state in ("closed", "open", "closed"):
        client.change("PATCH", f"{ISSUES}/1", {"state": state})

    assert github.world.now - before >= 3


def test_the_token_stands_in_no_error(github: FakeGitHub) -> None:
    github.world.accounts.clear()

    with pytest.raises(RefusedError) as caught:
        github.client().get(f"/repos/{NAME}")
    assert TOKEN not in f"{caught.value!r} {caught.value.hint}"

    transport = HttpTransport(API, TOKEN)
    client, _, _ = scripted(Answer(status=400, body=f'{{"message":"bad {TOKEN}"}}'.encode()))
    client._scrub = transport.scrub
    with pytest.raises(RefusedError, match=r"bad \*\*\*"):
        client.get("/x")


def test_the_token_goes_to_the_configured_server_and_nowhere_else(github: FakeGitHub) -> None:
    transport = HttpTransport("https://other.example", TOKEN)

    with pytest.raises(NetworkError, match="leads away"):
        transport(Request(method="GET", url=f"{github.base}/repos/{NAME}"))
    assert github.log == []


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ünicode"])
def test_without_a_token_nothing_is_asked(token: str) -> None:
    with pytest.raises(UsageError, match="no token") as caught:
        connect(API, token)
    assert "GITHUB_TOKEN" in caught.value.hint


@pytest.mark.parametrize("base", ["", "github", "ftp://github.example", "https://user:word@github.example"])
def test_an_address_that_is_none_is_refused(base: str) -> None:
    with pytest.raises(UsageError, match="no address of a GitHub server"):
        connect(base, TOKEN)


def test_no_answer_is_waited_for_without_a_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        transport = HttpTransport(base, TOKEN, read_seconds=0.05)

        with pytest.raises(NoAnswerError) as caught:
            transport(Request(method="GET", url=base))
    assert caught.value.is_sent


def test_a_server_that_is_not_there_was_sent_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        base = f"http://127.0.0.1:{closed.getsockname()[1]}"

    with pytest.raises(NoAnswerError) as caught:
        HttpTransport(base, TOKEN)(Request(method="GET", url=base))
    assert not caught.value.is_sent


def test_no_answer_is_read_without_a_limit(monkeypatch: pytest.MonkeyPatch, github: FakeGitHub) -> None:
    monkeypatch.setattr("hullmark.github.transport.MAX_ANSWER", 100)

    with pytest.raises(NetworkError, match="more than 100 bytes"):
        github.client().get(f"/repos/{NAME}")


def test_an_answer_that_is_no_json_is_refused() -> None:
    client, _, _ = scripted(Answer(status=200, body=b"<html>"))

    with pytest.raises(NetworkError, match="no JSON"):
        client.get("/x")


@pytest.mark.parametrize(
    ("kind", "error"), [("FORBIDDEN", DeniedError), ("UNPROCESSABLE", RefusedError), ("", RefusedError)]
)
def test_a_refusal_of_graphql_is_an_error_with_its_words(kind: str, error: type[RefusedError]) -> None:
    body = b'{"data":null,"errors":[{"message":"not here","type":"%s"}]}' % kind.encode()
    client, _, _ = scripted(Answer(status=200, body=body))

    with pytest.raises(error, match="GraphQL: not here"):
        client.graphql("query { viewer { login } }", {}, needs="contents: write")


def test_graphql_lies_beside_version_3_on_a_server_of_ones_own() -> None:
    assert graphql_address("https://api.github.com") == "https://api.github.com/graphql"
    assert graphql_address("https://git.example/api/v3") == "https://git.example/api/graphql"


def test_two_tools_at_once_are_served(github: FakeGitHub) -> None:
    """The fake itself: parallel requests leave a whole state behind."""
    threads = [threading.Thread(target=create, args=(github.client(), number)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert sorted(issue.title for issue in github.world.issues.values()) == [f"issue {n}" for n in range(4)]
