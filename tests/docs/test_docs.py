"""What the documents say is true of the program."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import click
import msgspec
import pytest

from hullmark import config
from hullmark.cli import COMMANDS, run
from hullmark.errors import Exit
from hullmark.scan import GapReason, NoteReason

ROOT = Path(__file__).resolve().parents[2]
PROSE = (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)")
TABLES: dict[str, type[msgspec.Struct]] = {
    "[images.NAME]": config.ImageSettings,
    "[scan]": config.ScanSettings,
    "[build]": config.BuildSettings,
    "[publish]": config.PublishSettings,
}


def shown_commands() -> list[str]:
    """Every command line of ours in a code block of README and guide."""
    found: list[str] = []
    for path in [ROOT / "README.md", *(ROOT / "docs/guide").glob("*.md")]:
        for block in re.findall(r"```(?:sh|console)\n(.*?)```", path.read_text(), re.DOTALL):
            lines = (line.strip().removeprefix("$ ") for line in block.splitlines())
            found += [line for line in lines if line.startswith("hullmark ")]
    return sorted(set(found))


@pytest.mark.parametrize("line", shown_commands())
def test_a_command_that_is_shown_exists_with_its_options(line: str) -> None:
    name, *arguments = shlex.split(line, comments=True)[1:]
    command: click.Command = importlib.import_module(f"hullmark.commands.{name}").command
    if isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.commands[name]

    context = click.Context(command, info_name=name)
    command.make_parser(context).parse_args(list(arguments))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme_and_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"| `hullmark {name}` |" in (ROOT / "README.md").read_text()
    assert run([name, "--help"]) == Exit.DONE
    assert capsys.readouterr().out.startswith("Usage: hullmark")


@pytest.mark.parametrize("path", PROSE, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_within_the_repository_resolves(path: Path) -> None:
    for target in LINK.findall(path.read_text()):
        assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"


def test_the_two_commands_of_the_readme_are_targets_of_make() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = set(re.findall(r"^make ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE))

    assert shown == {"demo", "test"}
    assert shown <= targets


@pytest.mark.parametrize("title", TABLES)
def test_every_key_of_the_configuration_is_documented_and_no_other(title: str) -> None:
    text = (ROOT / "docs/guide/configuration.md").read_text()
    section = text.split(f"## {title}\n")[1].split("\n## ")[0]

    documented = re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE)
    assert documented == [field.name for field in msgspec.structs.fields(TABLES[title])]


def test_every_gap_and_note_is_documented_and_no_other() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "docs/guide/scanning.md").read_text(), re.MULTILINE)

    assert rows == [reason.value for reason in (*GapReason, *NoteReason)]


def test_every_exit_code_is_documented() -> None:
    sentence = (ROOT / "README.md").read_text().split("Exit codes:")[1].split("\n\n")[0]

    assert [int(number) for number in re.findall(r"\b\d+\b", sentence)] == [code.value for code in Exit]


def test_decisions_are_numbered_without_gaps_and_on_one_page() -> None:
    pages = sorted((ROOT / "docs/adr").glob("*.md"))

    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        assert page.read_text().startswith(f"# {int(page.name[:4])}. ")
        assert len(page.read_text().splitlines()) <= 60


def test_every_runtime_dependency_has_a_decision() -> None:
    declared = re.search(
        r"^dependencies = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL
    )
    assert declared is not None
    decisions = " ".join(page.read_text() for page in (ROOT / "docs/adr").glob("*.md"))

    for name in re.findall(r'"([a-z0-9-]+)', declared[1]):
        assert name in decisions


def test_no_package_index_is_named_in_a_lock() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        assert "://" not in lock.read_text()
