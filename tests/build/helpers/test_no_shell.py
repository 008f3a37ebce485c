"""`no-shell.c`: one program, plain words, nothing else. What it runs, a shell would have run the same."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.build.helpers.conftest import FAULT, Build

if TYPE_CHECKING:
    from pathlib import Path

RAN, REFUSED = 7, 127
PROGRAM = "PROGRAM"
PIECES = (
    *(PROGRAM, f'"{PROGRAM}"', f" {PROGRAM} ", " ", "  ", "\t", "\n", "", '"', "'", "\\"),
    *("$(id)", "`id`", "$HOME"),
    *(";", "|", "&", "&&", "(", ")", "{a,b}", "[a]", "*", "?", "~", "#", "!", "=", "a=b", "A=b ", "^", "%"),
    *("<", ">", ">>", "<<", "2>", "2>&1", " 2>&1", "/dev/null", '"/dev/null"', "/etc/passwd", "0", "2"),
    *("-c", "-V", "--check", "word", '"two words"', "'single'", "é", '"é"', "\x7f", '""', "\x1b", "/../"),
)


class Answer(NamedTuple):
    codes: list[int]
    records: list[str]
    errors: str


class Runner:
    """Runs commands through our system(), and through a real shell."""

    def __init__(self, build: Build, folder: Path) -> None:
        self.program = str(build("recorder.c", plain=True))
        self._commands = build("commands.c", PROGRAM=self.program)
        self._record = folder / "record"

    def ours(self, commands: list[str]) -> Answer:
        texts = "".join(command.replace(PROGRAM, self.program) + "\0" for command in commands)
        self._record.write_text("")
        done = subprocess.run(
            [self._commands], input=texts.encode(), capture_output=True, env=self._environ(), check=False
        )
        errors = done.stderr.decode()
        assert done.returncode == 0, errors
        return Answer([int(line) for line in done.stdout.split()], self._read(), errors)

    def shells(self, commands: list[str]) -> Answer:
        self._record.write_text("")
        codes = [
            subprocess.run(
                ["/bin/sh", "-c", command.replace(PROGRAM, self.program)],
                input=b"",
                capture_output=True,
                env=self._environ(),
                check=False,
            ).returncode
            for command in commands
        ]
        return Answer(codes, self._read(), "")

    def _environ(self) -> dict[str, str]:
        return {"RECORD": str(self._record), "PATH": "/nowhere"}

    def _read(self) -> list[str]:
        return self._record.read_text(errors="surrogateescape").splitlines()


@pytest.fixture(scope="module")
def runner(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(build, tmp_path_factory.mktemp("record"))


@pytest.mark.parametrize(
    ("command", "record"),
    [
        (f'"{PROGRAM}" -V', "000|-V"),
        (
            f'"{PROGRAM}" --check -F -c max_connections=100 -c "a b=c" < "/dev/null" > "/dev/null" 2>&1',
            "111|--check|-F|-c|max_connections=100|-c|a b=c",
        ),
        (
            f'"{PROGRAM}" --single -F -O -j -c x=false template1 >/dev/null',
            "010|--single|-F|-O|-j|-c|x=false|template1",
        ),
        (f'{PROGRAM} "" a""b', "000||ab"),
    ],
)
def test_what_initdb_says_runs_with_the_words_that_a_shell_would_have_given_it(
    runner: Runner, command: str, record: str
) -> None:
    answer = runner.ours([command])
    assert answer.codes == [RAN]
    assert answer.records == [record.replace("|", "\x1f")]
    assert answer.records == runner.shells([command]).records


@pytest.mark.parametrize(
    "command",
    [
        "id",
        "/bin/sh -c id",
        f"{PROGRAM}; id",
        f"{PROGRAM} | id",
        f"{PROGRAM} && id",
        f"{PROGRAM} &",
        f"{PROGRAM}\nid",
        f"{PROGRAM} $(id)",
        f'{PROGRAM} "$(id)"',
        f"{PROGRAM} `id`",
        f'{PROGRAM} "`id`"',
        f"{PROGRAM} $HOME",
        f"{PROGRAM} 'a'",
        f"{PROGRAM} a\\ b",
        f'{PROGRAM} "a\\"b"',
        f'{PROGRAM} "unfinished',
        f"{PROGRAM} *",
        f"{PROGRAM} ~",
        f"{PROGRAM} # comment",
        f"{PROGRAM} > /tmp/file",
        f"{PROGRAM} >> /dev/null",
        f"{PROGRAM} < /etc/passwd",
        f"{PROGRAM} > /dev/null > /dev/null",
        f"{PROGRAM} 2>&1 > /dev/null",
        f"{PROGRAM} 2> /dev/null",
        f"LD_PRELOAD=x {PROGRAM}",
        f"{PROGRAM}/../id",
        f"./{PROGRAM}",
        f"{PROGRAM}x",
        "> /dev/null",
        "",
        " ",
        f"{PROGRAM} {'x' * 9000}",
        f"{PROGRAM} {'x ' * 200}",
    ],
)
def test_whatever_else_a_shell_would_read_something_into_is_refused_and_nothing_runs(
    runner: Runner, command: str
) -> None:
    answer = runner.ours([command])
    assert answer.codes == [REFUSED]
    assert answer.records == []
    assert "no-shell: refused: " in answer.errors
    assert FAULT not in answer.errors


def test_asked_for_the_systems_locales_it_names_none(runner: Runner) -> None:
    assert runner.ours(["locale -a"]) == Answer([REFUSED], [], "")


commands = st.tuples(
    st.sampled_from([PROGRAM, f'"{PROGRAM}"', "", "A=b "]), st.lists(st.sampled_from(PIECES), max_size=12)
).map(lambda parts: parts[0] + "".join(parts[1]))


characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(commands, min_size=30, max_size=60))
@example([f'{PROGRAM} a<"/dev/null"b', f"{PROGRAM} 2>&1x", f"{PROGRAM} 2>&1 2>&1", f"{PROGRAM} =x", "=x"])
def test_one_program_can_be_run_and_gets_what_a_shell_would_have_given_it(
    runner: Runner, texts: list[str]
) -> None:
    """For any command: it is refused, or the program gets exactly what it gets from a real shell."""
    answer = runner.ours(texts)

    assert set(answer.codes) <= {RAN, REFUSED}
    assert FAULT not in answer.errors
    ran = [text for text, code in zip(texts, answer.codes, strict=True) if code == RAN]
    assert len(answer.records) == len(ran)
    assert runner.shells(ran).records == answer.records


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(characters, max_size=40), min_size=20))
def test_any_text_is_refused(runner: Runner, texts: list[str]) -> None:
    answer = runner.ours(texts)
    assert set(answer.codes) == {REFUSED}
    assert FAULT not in answer.errors


def test_one_stream_is_open_at_a_time(build: Build, tmp_path: Path) -> None:
    program = str(build("recorder.c", plain=True))
    streams = build("streams.c", PROGRAM=program)
    record = tmp_path / "record"
    arguments = [str(streams), f'"{program}" -V', f"{program} --single >/dev/null"]

    environ = {"RECORD": str(record)}
    done = subprocess.run(arguments, input=b"", capture_output=True, env=environ, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"7\n7\n", b"")
    assert record.read_text() == "000\x1f-V\n010\x1f--single\n"
