"""`hullmark policy check` as a user types it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hullmark.cli import run
from hullmark.errors import Exit

if TYPE_CHECKING:
    from pathlib import Path

RULE = """
[[{place}rules]]
name = "{name}"
verdict = "{verdict}"
when.some = {{ state = "introduced", at_least = "HIGH" }}
"""
CONFIG = "version = 1\n[images.app]\n"


def check(root: Path, *arguments: str) -> int:
    return run(["-C", str(root), "policy", "check", *arguments])


def test_without_a_policy_the_strict_one_is_shown_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path) == Exit.DONE

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Under every policy, for each image and for the change itself:"
    assert "Policy `strict`; the first rule that matches gives the verdict:" in lines


def test_the_policy_of_hullmark_toml_is_checked_with_its_own_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = RULE.format(place="gate.", name="no-high", verdict="block")
    (tmp_path / "hullmark.toml").write_text(f"{CONFIG}[gate]\npreset = 'ratchet'\n{own}")

    assert check(tmp_path, "--json") == Exit.DONE
    policy = json.loads(capsys.readouterr().out)
    assert policy["name"] == "ratchet+own"
    assert [rule["name"] for rule in policy["extra"]] == ["no-high"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = 1\n", "rules: a policy without rules would pass nothing"),
        (
            RULE.format(place="", name="a", verdict="block")
            + RULE.format(place="", name="b", verdict="allow"),
            "rules[1]: contradicts `a`, which has the same conditions",
        ),
        ("[[rules]]\nname = 'a'\nverdict = 'block'\nwhen.sum = 1\n", "rules[0].when.sum: unknown key"),
    ],
)
def test_a_policy_that_means_nothing_is_refused_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    (tmp_path / "policy.toml").write_text(text)

    assert check(tmp_path, str(tmp_path / "policy.toml")) == Exit.ERROR
    assert f"policy.toml: {message}" in capsys.readouterr().err


def test_a_fault_in_hullmark_toml_is_named_with_its_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = RULE.format(place="gate.", name="no-high", verdict="allow")
    (tmp_path / "hullmark.toml").write_text(f"{CONFIG}[gate]\npreset = 'strict'\n{own}")

    assert check(tmp_path) == Exit.ERROR
    assert "hullmark.toml: gate.rules[0].verdict: rules beside a preset" in capsys.readouterr().err
