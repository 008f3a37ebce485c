"""The repository itself is checked by the real tools, contained; what is planted is found."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec
import pytest

from hullmark.checks import SCANNERS, UNREAD, CheckOptions, check_tree
from hullmark.errors import EnvironmentFaultError
from hullmark.finding import Kind, Severity
from hullmark.sandbox import WAYS, Sandbox
from hullmark.scan import Containment, GapReason, NoteReason
from hullmark.scanners import checker
from hullmark.scanners.tree import copied_folder
from tests.absence import absent
from tests.checked import (
    INJECTION,
    PHP_INJECTION,
    ROOT_USER,
    TOKEN,
    WORKFLOW,
    by_rule,
    check,
    write,
)
from tests.scanners.support import require

if TYPE_CHECKING:
    from pathlib import Path

PLANTED = {
    "src/app.py": INJECTION,
    "Dockerfile": ROOT_USER,
    "web/index.php": PHP_INJECTION,
    ".github/workflows/ci.yml": WORKFLOW,
    "tests/config.ini": f"token = {TOKEN}\n",
}
FOUND = [
    ("bandit", "B602", Kind.CODE, Severity.HIGH, "src/app.py", 5),
    ("trivy", "DS-0002", Kind.MISCONFIGURATION, Severity.HIGH, "Dockerfile", 2),
    ("hadolint", "DL3002", Kind.MISCONFIGURATION, Severity.MEDIUM, "Dockerfile", 2),
    ("ast-grep", "php-sql-from-request", Kind.CODE, Severity.HIGH, "web/index.php", 2),
    (
        "zizmor",
        "zizmor/template-injection",
        Kind.MISCONFIGURATION,
        Severity.HIGH,
        ".github/workflows/ci.yml",
        6,
    ),
    ("trivy", "github-pat", Kind.SECRET, Severity.CRITICAL, "tests/config.ini", 1),
]


@pytest.fixture(autouse=True)
def tools() -> None:
    for name in SCANNERS:
        if name != "bandit":  # a library of this Python
            require(name)


def test_everything_that_is_planted_is_found_by_its_tool(tmp_path: Path) -> None:
    checked = check(write(tmp_path, PLANTED))

    assert checked.is_complete
    assert [tool.name for tool in checked.tools] == sorted(SCANNERS)
    for tool, rule, kind, severity, path, line in FOUND:
        [finding] = by_rule(checked, rule)
        assert (finding.package_type, finding.kind, finding.severity) == (tool, kind, severity)
        assert (finding.path, finding.line) == (path, line)
        assert finding.title
    assert set(checked.coverage.kinds) == {Kind.CODE, Kind.LICENCE, Kind.MISCONFIGURATION, Kind.SECRET}


def test_a_secret_is_never_in_what_is_found(tmp_path: Path) -> None:
    password = "hunter" + "2" * 3
    files = {
        "a.py": f"password = '{password}'\n",
        "b.env": f"TOKEN={TOKEN}\n",
        "c/Dockerfile": f"FROM a\nENV API_KEY={TOKEN}\n",
    }
    checked = check(write(tmp_path, files))

    assert {finding.kind for finding in checked.findings} >= {Kind.SECRET, Kind.CODE}
    assert by_rule(checked, "B105")
    everything = msgspec.json.encode(checked).decode()
    assert password not in everything
    assert TOKEN[4:] not in everything


def test_comments_and_configuration_of_the_repository_do_not_blind_a_tool(tmp_path: Path) -> None:
    ignored = {
        "src/app.py": INJECTION.replace("shell=True)", "shell=True)  # nosec"),
        ".bandit": "[bandit]\nskips: B602\nexclude: src\n",
        "Dockerfile": ROOT_USER.replace("USER", "#trivy:ignore:DS-0002\n# hadolint ignore=DL3002\nUSER"),
        ".hadolint.yaml": "ignored: [DL3002]\n",
        ".trivyignore": "DS-0002\ngithub-pat\n",
        "trivy.yaml": "severity: [LOW]\n",
        "trivy-secret.yaml": "disable-rules: [github-pat]\n",
        "tests/config.ini": PLANTED["tests/config.ini"],
        "web/index.php": PHP_INJECTION.replace("$db", "// ast-grep-ignore\n$db"),
        "web/sgconfig.yml": "ruleDirs: []\n",
        ".gitignore": "web/\n.github/\n",
        ".github/workflows/ci.yml": WORKFLOW.replace('}}"', '}}" # zizmor: ignore[template-injection]'),
        "zizmor.yml": "rules: {template-injection: {disable: true}}\n",
    }
    checked = check(write(tmp_path, ignored))

    for _, rule, *_ in FOUND:
        assert by_rule(checked, rule), rule


def test_lines_that_move_change_no_identity_with_the_real_tools(tmp_path: Path) -> None:
    before = check(write(tmp_path, PLANTED))
    moved = {
        "src/app.py": "'''Text.'''\n\n\n" + INJECTION,
        "Dockerfile": "# A comment.\n\n" + ROOT_USER,
        "web/index.php": PHP_INJECTION.replace("<?php\n", "<?php\n// a comment\n\n"),
        "tests/config.ini": "# a comment\n" + PLANTED["tests/config.ini"],
    }
    after = check(write(tmp_path, moved))

    assert {finding.identity for finding in after.findings} == {
        finding.identity for finding in before.findings
    }
    assert after.findings != before.findings  # they know their new lines


def test_a_second_secret_in_the_same_file_is_a_second_finding(tmp_path: Path) -> None:
    write(tmp_path, {"a.ini": f"token = {TOKEN}\ntoken = {TOKEN}\n"})
    assert len(by_rule(check(tmp_path, "trivy"), "github-pat")) == 2


def test_a_tool_for_which_there_is_no_file_is_not_needed(tmp_path: Path) -> None:
    checked = check(write(tmp_path, {"a.txt": "text\n"}))

    assert checked.is_complete
    assert [tool.name for tool in checked.tools] == ["trivy"]
    assert checked.findings == ()


def test_a_tool_that_is_missing_is_a_gap_with_the_reason_and_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "/nonexistent")
    checked = check(write(tmp_path / "tree", PLANTED), "hadolint", "zizmor")

    assert [gap.reason for gap in checked.coverage.gaps] == [GapReason.NO_TOOL, GapReason.NO_TOOL]
    assert checked.coverage.gaps[0].detail == "hadolint (misconfiguration)"
    assert [one.hint for one in checked.missed] == [checker.INSTALL, checker.INSTALL]
    assert not checked.is_complete
    assert checked.coverage.kinds == {}


def test_a_tool_that_fails_is_a_gap_and_the_others_go_on(tmp_path: Path) -> None:
    def fail(_: checker.Job) -> checker.Answer:
        raise EnvironmentFaultError("zizmor failed")

    options = CheckOptions(
        sandbox=Sandbox.find(),
        scanners={"hadolint": SCANNERS["hadolint"], "zizmor": SCANNERS["zizmor"]._replace(run=fail)},
    )
    with ThreadPoolExecutor(1) as executor, copied_folder(write(tmp_path, PLANTED)) as tree:
        checked = check_tree(tree, options, executor, tell=lambda _: None)

    assert [str(gap.reason) for gap in checked.coverage.gaps] == ["tool-failed"]
    assert by_rule(checked, "DL3002")


def test_a_file_that_a_tool_could_not_read_is_a_finding_of_severity_unknown(tmp_path: Path) -> None:
    checked = check(write(tmp_path, {"a.py": "def broken(:\n", "line\nbreak.py": ""}), "bandit")

    assert [(f.id, f.severity, f.path) for f in checked.findings] == [
        (UNREAD, Severity.UNKNOWN, "a.py"),
        (UNREAD, Severity.UNKNOWN, "line\nbreak.py"),
    ]


def test_the_order_of_tools_and_files_changes_no_byte(tmp_path: Path) -> None:
    write(tmp_path, PLANTED)
    assert msgspec.json.encode(check(tmp_path)) == msgspec.json.encode(check(tmp_path, *reversed(SCANNERS)))


def test_an_assert_says_nothing_about_a_test(tmp_path: Path) -> None:
    checked = check(write(tmp_path, {"tests/test_a.py": "assert x\n", "a.py": "assert x\n"}), "bandit")
    assert [finding.path for finding in by_rule(checked, "B101")] == ["a.py"]


@pytest.mark.parametrize("way", WAYS)
def test_every_tool_works_in_every_way_of_containment(tmp_path: Path, way: Containment) -> None:
    sandbox = Sandbox(way)
    if not sandbox.works():
        absent(f"{way} does not work on this machine")
    checked = check(write(tmp_path, PLANTED), sandbox=sandbox)

    assert checked.containment is way
    assert checked.missed == ()


def test_a_check_without_containment_says_so(tmp_path: Path) -> None:
    checked = check(write(tmp_path, PLANTED), "hadolint", sandbox=Sandbox(Containment.NONE))
    assert [note.reason for note in checked.coverage.notes] == [NoteReason.NOT_CONTAINED]


def test_a_tool_sees_no_environment_and_no_file_of_the_machine(tmp_path: Path) -> None:
    """Contained as Trivy is: what it is given is the copy."""
    write(tmp_path, {"tree/Dockerfile": "FROM a\n", "secret.txt": "x"})
    with copied_folder(tmp_path / "tree") as tree:
        job = checker.Job(tree, tree.files, Sandbox.find(), 60)
        seen = checker.run(job, ["/bin/ls", str(tree.folder)], readable=())
        with pytest.raises(EnvironmentFaultError):
            checker.run(job, ["/bin/ls", str(tmp_path)])
        environment = checker.run(job, ["/usr/bin/env"])
    assert seen == b"Dockerfile\n"
    assert {line.partition(b"=")[0] for line in environment.splitlines()} <= {
        b"PATH",
        b"HOME",
        b"PWD",
        b"TMPDIR",
        b"SHLVL",
        b"_",
    }


def test_an_unreadable_program_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin" / "hadolint"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho nothing\n")
    fake.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", os.environ["PATH"])
    checked = check(write(tmp_path / "tree", PLANTED), "hadolint")

    assert checked.missed[0].reason == "hadolint does not tell its version: nothing"


def test_a_commit_is_named_when_nothing_differs_from_it(tmp_path: Path) -> None:
    from tests.repositories import commit

    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    head = commit(tmp_path, {"a.txt": "x"})
    assert check(tmp_path, "trivy").commit == head
