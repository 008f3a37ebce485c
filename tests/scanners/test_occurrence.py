"""A finding in a file is known by its content, wherever it moves, and nothing of a secret is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullmark.finding import Finding, Kind, Severity
from hullmark.scanners.occurrence import Match, describe, to_findings
from hullmark.scanners.tree import Tree, copied_folder
from tests.checked import OTHER_TOKEN, TOKEN

if TYPE_CHECKING:
    from pathlib import Path

CALL = "    subprocess.call(command, shell=True)"
plain = st.lists(st.sampled_from(["", "x = 1", "import os", "# a comment", "print(x)"]), max_size=6)


class _Files(NamedTuple):
    """A tree of one file, in memory."""

    text: str

    def lines(self, _: str) -> list[str]:
        return self.text.splitlines()


def found(text: str, *wanted: str, kind: Kind = Kind.CODE) -> tuple[Finding, ...]:
    """A finding for every line of `text` that is one of `wanted`."""
    matches = [
        Match(rule="R1", kind=kind, severity=Severity.HIGH, title="t", path="a.py", line=number)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() in {one.strip() for one in wanted}
    ]
    tree: Tree = _Files(text)  # type: ignore[assignment] # only lines are asked for
    return to_findings("tool", matches, tree)


def identities(findings: tuple[Finding, ...]) -> set[object]:
    return {finding.identity for finding in findings}


@given(plain, plain, plain)
def test_lines_that_move_and_changes_elsewhere_in_the_file_change_no_identity(
    above: list[str], between: list[str], below: list[str]
) -> None:
    before = found(f"{CALL}\nshell(a)\n", CALL, "shell(a)")
    moved = "\n".join([*above, "\t" + CALL.strip(), *between, "shell( a )", *below])

    assert identities(found(moved, CALL, "shell( a )")) == identities(before)


@given(st.permutations([CALL, "shell(a)", "shell(b)", CALL]))
def test_reordering_changes_no_identity(lines: list[str]) -> None:
    wanted = (CALL, "shell(a)", "shell(b)")

    assert identities(found("\n".join(lines), *wanted)) == identities(
        found(f"{CALL}\n{CALL}\nshell(a)\nshell(b)", *wanted)
    )


@given(st.integers(1, 5))
def test_a_second_match_of_the_same_content_in_one_file_is_a_second_finding(number: int) -> None:
    findings = found(f"{CALL}\n" * number, CALL)

    assert len(findings) == number
    assert len(identities(findings)) == number
    assert identities(findings) <= identities(found(f"{CALL}\n" * (number + 1), CALL))


def test_a_match_that_was_fixed_and_another_one_that_came_are_two_findings() -> None:
    assert not identities(found(f"{CALL}\n", CALL)) & identities(found("shell(x)\n", "shell(x)"))


@pytest.mark.parametrize(
    "line",
    [
        "password = '{}'",
        "ENV DB_PASSWORD={}",
        "login('{}', password_type=1)",
        "api-key: {}",
        "mysql -u root -p{} --password-prompt",
    ],
)
@pytest.mark.parametrize("kind", [Kind.CODE, Kind.MISCONFIGURATION, Kind.SECRET])
def test_nothing_of_a_secret_is_kept(line: str, kind: Kind) -> None:
    """A line that names one counts only by the words that name it: every password gives the same bytes."""
    kept = [
        msgspec.json.encode(found(line.format(word), line.format(word), kind=kind))
        for word in ("hunter2", "correct horse", "1234")
    ]

    assert len(set(kept)) == 1
    assert b"hunter2" not in kept[0]


@pytest.mark.parametrize("kind", [Kind.CODE, Kind.MISCONFIGURATION])
def test_a_random_token_in_a_line_without_a_name_does_not_count(kind: Kind) -> None:
    first, second = (found(f"call('{one}')", f"call('{one}')", kind=kind) for one in (TOKEN, OTHER_TOKEN))

    assert first == second


def secret(value: str) -> str:
    match = Match(
        rule="r", kind=Kind.SECRET, severity=Severity.HIGH, title="t", path="a", line=1, secret=value
    )
    return describe(match, ["token = *"])


def test_another_long_random_secret_in_the_same_place_is_another_finding() -> None:
    assert secret(TOKEN) != secret(OTHER_TOKEN)
    assert TOKEN[4:] not in secret(TOKEN)
    assert len({secret(f"ghp_{number:036}") for number in range(5_000)}) == 256  # no more than 8 bits


def test_of_a_password_that_somebody_chose_nothing_is_kept() -> None:
    assert secret("hunter2") == secret("correct horse battery staple 1") == secret("")


def test_a_match_without_a_place_is_told_by_its_number(tmp_path: Path) -> None:
    whole = Match(rule="R1", kind=Kind.CODE, severity=Severity.LOW, title="t", path="a.py")
    with copied_folder(tmp_path) as tree:
        findings = to_findings("tool", [whole, whole, whole._replace(line=99)], tree)

    assert [finding.discriminator for finding in findings] == ["", ".2", ".3"]


def test_a_title_is_one_line_of_a_bounded_length() -> None:
    tree: Tree = _Files("")  # type: ignore[assignment] # only lines are asked for
    match = Match(rule="R1", kind=Kind.CODE, severity=Severity.LOW, title="a\n b" * 999)
    [finding] = to_findings("tool", [match], tree)

    assert finding.title.startswith("a ba b")
    assert len(finding.title) == 200
