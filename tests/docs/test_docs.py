"""What the documents say is true of the program."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import click
import msgspec
import pytest

from hullmark import config, exemptions, policy
from hullmark.build import definition, smoke
from hullmark.cli import COMMANDS, run
from hullmark.deadline import Deadlines
from hullmark.errors import Exit
from hullmark.event import Event
from hullmark.finding import Cause
from hullmark.ledger.chain import Kind
from hullmark.scan import GapReason, NoteReason
from hullmark.summary_document import Summary
from hullmark.verification import FaultKind

ROOT = Path(__file__).resolve().parents[2]
PROSE = (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)")
ROW = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
TABLES: dict[tuple[str, str], type[msgspec.Struct]] = {
    ("configuration.md", "## [images.NAME]"): config.ImageSettings,
    ("configuration.md", "## [scan]"): config.ScanSettings,
    ("configuration.md", "## [build]"): config.BuildSettings,
    ("configuration.md", "## [gate]"): config.GateSettings,
    ("configuration.md", "## [issues]"): config.IssueSettings,
    ("configuration.md", "## [pull_requests]"): config.PullRequestSettings,
    ("configuration.md", "## [checks]"): config.CheckSettings,
    ("configuration.md", "## [feeds]"): config.FeedSettings,
    ("configuration.md", "## [deadlines]"): Deadlines,
    ("configuration.md", "## [publish]"): config.PublishSettings,
    ("configuration.md", "## [report]"): config.ReportSettings,
    ("images.md", "### Above all tables"): definition.Definition,
    ("images.md", "### [config]"): definition.Config,
    ("images.md", "### [config.healthcheck]"): definition.HealthCheck,
    ("images.md", "### [packages.NAME]"): definition.Package,
    ("images.md", "### [[remove]]"): definition.Removal,
    ("images.md", '### [files."PATH"]'): definition.OwnFile,
    ("images.md", '### [helpers."PATH"]'): definition.Helper,
    ("images.md", '### [directories."PATH"]'): definition.Directory,
    ("images.md", '### [join."PATH"]'): definition.Join,
    ("configuration.md", "## [smoke]"): config.SmokeSettings,
    ("smoke-tests.md", "## [smoke]"): smoke.Smoke,
    ("smoke-tests.md", "### [smoke.mariadb]"): smoke.MariaDb,
    ("summary.md", "## Keys"): Summary,
    ("exemptions.md", "## Keys"): exemptions.Exemption,
    ("policy.md", "## Conditions"): policy.When,
}


def guide(page: str) -> str:
    return (ROOT / "docs/guide" / page).read_text()


def rows(page: str, title: str) -> list[str]:
    """What the first column says in the table below a heading."""
    section = guide(page).split(f"\n{title}\n")[1]
    return ROW.findall(re.split(r"^#", section, maxsplit=1, flags=re.MULTILINE)[0])


def table(page: str, head: str) -> list[str]:
    """What the first column says in the table whose heading begins with `head`."""
    return ROW.findall(guide(page).split(f"\n| {head} |")[1].split("\n\n")[0])


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
    command: click.Command = importlib.import_module(f"hullmark.commands.{name.replace('-', '_')}").command
    if isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.commands[name]

    context = click.Context(command, info_name=name)
    _, left, _ = command.make_parser(context).parse_args(list(arguments))
    assert left == []


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


@pytest.mark.parametrize(("page", "title"), TABLES)
def test_every_key_is_documented_and_no_other(page: str, title: str) -> None:
    known = [field.encode_name for field in msgspec.structs.fields(TABLES[page, title])]

    assert rows(page, title) == known


@pytest.mark.parametrize("check", get_args(smoke.Check), ids=lambda check: check.__name__)
def test_every_check_is_documented_with_its_keys_and_no_other(check: type[msgspec.Struct]) -> None:
    own = [field.encode_name for field in msgspec.structs.fields(check)]

    assert rows("smoke-tests.md", f'### check = "{check.__struct_config__.tag}"') == own[2:]  # name, mariadb
    assert check.__struct_config__.tag in table("smoke-tests.md", "check")
    assert table("smoke-tests.md", "secret") == [made.value for made in smoke.Made]


def test_every_gap_and_note_is_documented_and_no_other() -> None:
    assert table("scanning.md", "gap") == [reason.value for reason in GapReason]
    assert table("scanning.md", "note") == [reason.value for reason in NoteReason]


def test_every_event_cause_and_fault_is_documented_and_no_other() -> None:
    events = {str(event.__struct_config__.tag) for event in get_args(Event)}

    assert set(table("ledger.md", "event")) == events
    assert table("ledger.md", "cause") == [cause.value for cause in Cause]
    assert table("ledger.md", "fault") == [fault.value for fault in (*Kind, *FaultKind)]


def test_every_variable_of_the_environment_is_documented_and_no_other() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))

    read = set(re.findall(r'"(HULLMARK_[A-Z_]+)"', sources))
    assert set(rows("configuration.md", "## Environment")) == read


def test_every_option_of_the_script_is_documented_and_no_other() -> None:
    script = ROOT / "scripts/generate_security_summary.py"
    text = subprocess.run(
        [sys.executable, script, "--help"], capture_output=True, text=True, check=True
    ).stdout

    options = set(re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE))
    assert set(table("summary.md", "option")) == options


def test_every_layer_of_the_import_contract_is_in_the_architecture_in_its_order() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [re.split(r" [|:] ", layer) for layer in reversed(contracts[0]["layers"])]
    present = [set(names) for names in layers if not names[0].startswith("(")]

    text = (ROOT / "ARCHITECTURE.md").read_text().split("| module | what it is |")[1].split("\n\n")[0]
    lines = [line.split("|")[1] for line in text.splitlines()[2:]]
    assert [set(re.findall(r"`([a-z_]+)/?`", line)) for line in lines] == present


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


def controls() -> list[str]:
    """The test that proves each control."""
    return re.findall(r"\| `tests/([^`]+)` \|$", guide("controls.md"), re.MULTILINE)


@pytest.mark.parametrize("named", controls())
def test_every_control_is_proved_by_a_test_that_exists(named: str) -> None:
    path, _, name = named.partition("::")

    assert f"\ndef {name}(" in (ROOT / "tests" / path).read_text()


def test_every_line_of_the_controls_names_its_test() -> None:
    lines = [line for line in guide("controls.md").splitlines() if line.startswith("| ")]
    tables = [line for line in lines if not line.startswith(("| control", "| ---"))]

    assert len(tables) == len(controls()) > 0
