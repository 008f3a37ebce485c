"""`entrypoint.c`: what it refuses, driven by generated environments and arguments.

What it does when it does not refuse is shown by `test_first_start.py`, with the real image.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.build.conftest import missing
from tests.build.helpers.conftest import FAULT, Build

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REFUSED = 1
USER = 999
PASSWORD = "correct horse"
UNFINISHED = f"# a comment\nlocal   all             all{' ' * 37}reject\n"
"""What initdb leaves behind when it lets nobody in."""


class Place(NamedTuple):
    """Where the program finds its world; `initdb` and `postgres` there say how they were called, and fail."""

    program: Path
    data: Path
    scripts: Path
    secrets: Path
    record: Path


@pytest.fixture(scope="module")
def world(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The program, and folders that another user may write to."""
    if os.geteuid() != 0:
        missing("running as another user", "root")
    folder = tmp_path_factory.mktemp("world")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    for name in ("data", "scripts", "secrets", "programs", "sockets"):
        (folder / name).mkdir()
        (folder / name).chmod(0o777)
    record = folder / "sockets" / "record"
    recorder = build("recorder.c", plain=True, RECORD=str(record))
    for name in ("initdb", "postgres", "psql"):
        shutil.copy(recorder, folder / "programs" / name)
    program = build(
        "entrypoint.c",
        PROGRAMS=str(folder / "programs"),
        NO_SHELL="/nowhere.so",
        CONFIGURATION="/etc/postgresql/postgresql.conf",
        SCRIPTS=str(folder / "scripts"),
        SOCKETS=str(folder / "sockets"),
    )
    return Place(
        program, folder / "data", folder / "scripts", folder / "secrets", folder / "sockets" / "record"
    )


@pytest.fixture
def place(world: Place) -> Place:
    """The same, emptied."""
    for folder in (world.data, world.scripts, world.secrets, world.record.parent):
        for path in folder.iterdir():
            path.unlink()
    return world


class Answer(NamedTuple):
    code: int
    said: str
    record: list[str]
    """The words of what it became."""


Text = str | bytes


def run(place: Place, environ: Mapping[str, Text], *arguments: Text, user: int = USER) -> Answer:
    place.record.unlink(missing_ok=True)
    done = subprocess.run(
        [place.program, *arguments],
        env={"PGDATA": str(place.data), **environ},
        input=b"",
        capture_output=True,
        user=user,
        group=user,
        extra_groups=[],
        check=False,
        timeout=60,
    )
    said = done.stderr.decode(errors="replace")
    assert FAULT not in said
    assert done.stdout == b""
    record = place.record.read_text(errors="replace") if place.record.exists() else ""
    return Answer(done.returncode, said, record.removesuffix("\n").split("\x1f")[1:])


def refused(place: Place, environ: Mapping[str, Text], *arguments: str) -> str:
    answer = run(place, {"POSTGRES_PASSWORD": PASSWORD, **environ}, *arguments)
    assert (answer.code, answer.record) == (REFUSED, [])
    assert list(place.data.iterdir()) == []
    assert answer.said.startswith("entrypoint: ")
    return answer.said.removeprefix("entrypoint: ").removesuffix("\n")


def test_nothing_runs_as_uid_0(place: Place) -> None:
    for arguments in ((), ("postgres",), ("psql",), ("--version",)):
        answer = run(place, {"POSTGRES_PASSWORD": PASSWORD}, *arguments, user=0)
        assert (answer.code, answer.record) == (REFUSED, [])
        assert answer.said == "entrypoint: refuses to run as root; leave the image's user as it is\n"


@pytest.mark.parametrize(
    "name",
    [
        "POSTGRES_HOST_AUTH_METHOD",
        "POSTGRES_INITDB_ARGS",
        "POSTGRES_INITDB_WALDIR",
        "POSTGRES_USER_FILE",
        "POSTGRES_DB_FILE",
    ],
)
def test_a_variable_of_the_official_image_that_it_does_not_know_is_refused(place: Place, name: str) -> None:
    assert refused(place, {name: "trust"}) == f"{name} is not known here; see the README of postgres-secured"


@pytest.mark.parametrize("name", ["init.sh", "dump.sql.gz", "README", ".sql.x"[1:]])
def test_a_script_that_it_does_not_know_is_refused(place: Place, name: str) -> None:
    (place.scripts / "first.sql").write_text("")
    (place.scripts / ".hidden").write_text("")
    (place.scripts / name).write_text("")
    assert f"{name}: only .sql files, and no shell, are known here" in refused(place, {})


@pytest.mark.parametrize(
    "name", ["", " ", "1a", "-a", ".a", "a b", 'a"b', "a;b", "a=b", "a/b", "é", "a\n", "$(id)", "x" * 64]
)
@pytest.mark.parametrize("variable", ["POSTGRES_USER", "POSTGRES_DB"])
def test_a_name_that_would_need_quotes_is_refused(place: Place, variable: str, name: str) -> None:
    if name:
        assert refused(place, {variable: name}).startswith(f"{variable} may be up to 63 letters")
    else:  # as if it were not set
        assert run(place, {variable: name, "POSTGRES_PASSWORD": PASSWORD}).record[1] == "--username=postgres"


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("", "the first start needs POSTGRES_PASSWORD_FILE"),
        ("seven77", "of at least 8 bytes; there is no way in without a password"),
        ("x" * 1001, "the password is longer than 1000 bytes"),
        ("x" * 100_000, "the password is longer than 1000 bytes"),
        ("two lines\nof text", "the password has a control character or a second line"),
        ("tabulator\t", "the password has a control character or a second line"),
        ("delete\x7fdelete", "the password has a control character or a second line"),
    ],
)
@pytest.mark.parametrize("by_file", [False, True])
def test_a_password_that_is_none_is_refused(
    place: Place, password: str, message: str, *, by_file: bool
) -> None:
    if by_file:
        file = place.secrets / "password"
        file.write_text(password)
        said = refused(place, {"POSTGRES_PASSWORD": "", "POSTGRES_PASSWORD_FILE": str(file)})
    else:
        said = refused(place, {"POSTGRES_PASSWORD": password})
    assert message in said


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_password_file_is_one_line(place: Place, end: bytes) -> None:
    file = place.secrets / "password"
    file.write_bytes(b"x" * 1000 + end)
    answer = run(place, {"POSTGRES_PASSWORD_FILE": str(file)})
    assert answer.record[0] == f"--pgdata={place.data}"


def test_a_password_file_that_cannot_be_read_is_named(place: Place) -> None:
    for path, reason in ((place.secrets, "Is a directory"), (place.secrets / "none", "No such file")):
        said = refused(place, {"POSTGRES_PASSWORD": "", "POSTGRES_PASSWORD_FILE": str(path)})
        assert said.startswith(f"cannot read POSTGRES_PASSWORD_FILE {path}: {reason}")


def test_two_passwords_are_refused(place: Place) -> None:
    assert refused(place, {"POSTGRES_PASSWORD_FILE": "/dev/null"}) == (
        "POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are both set; choose the file"
    )


@pytest.mark.parametrize("name", ["POSTGRES_TLS_CERT_FILE", "POSTGRES_TLS_KEY_FILE"])
def test_a_certificate_and_a_key_belong_together(place: Place, name: str) -> None:
    assert refused(place, {name: "/run/secrets/it"}).endswith("belong together; one of them is missing")


def test_a_data_folder_is_named_from_the_root(place: Place) -> None:
    assert refused(place, {"PGDATA": "data"}) == "PGDATA must be a path from the root"
    assert refused(place, {"PGDATA": "/" + "x" * 600}) == "a path is longer than 511 bytes"


def test_an_empty_data_folder_is_initialised_with_checksums_utf8_and_nobody_let_in(place: Place) -> None:
    answer = run(place, {"POSTGRES_PASSWORD": PASSWORD, "POSTGRES_USER": "app"})
    assert answer.code == REFUSED
    assert answer.said.endswith("entrypoint: initdb failed\n")
    assert answer.record == [
        f"--pgdata={place.data}",
        "--username=app",
        answer.record[2],
        "--auth=reject",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--data-checksums",
        "--no-instructions",
    ]
    assert answer.record[2].startswith("--pwfile=/proc/self/fd/")


@pytest.mark.parametrize("rules", [None, "", UNFINISHED])
def test_a_first_start_that_did_not_finish_is_never_started_as_if_it_had(
    place: Place, rules: str | None
) -> None:
    (place.data / "PG_VERSION").write_text("17\n")
    if rules is not None:
        (place.data / "pg_hba.conf").write_text(rules)
        (place.data / "pg_hba.conf").chmod(0o644)
    answer = run(place, {"POSTGRES_PASSWORD": PASSWORD})
    assert (answer.code, answer.record) == (REFUSED, [])
    assert answer.said == (
        f"entrypoint: the first start of {place.data} did not finish; empty it and start again\n"
    )


RUN = 7
"""What the programs of these tests answer."""


def started(place: Place, environ: Mapping[str, str], *arguments: str) -> list[str]:
    (place.data / "PG_VERSION").write_text("17\n")
    (place.data / "pg_hba.conf").write_text("local all all scram-sha-256\n")
    (place.data / "pg_hba.conf").chmod(0o644)
    answer = run(place, environ, *arguments)
    assert (answer.code, answer.said) == (RUN, "")
    return answer.record


def test_arguments_go_to_the_server_after_our_own(place: Place) -> None:
    own = ["-D", str(place.data), "-c", "config_file=/etc/postgresql/postgresql.conf"]
    assert started(place, {}) == own
    assert started(place, {}, "postgres", "-p", "5433") == [*own, "-p", "5433"]
    assert started(place, {}, "-c", "work_mem=1MB") == [*own, "-c", "work_mem=1MB"]


def test_with_a_certificate_and_a_key_tls_is_on(place: Place) -> None:
    environ = {"POSTGRES_TLS_CERT_FILE": "/run/secrets/c", "POSTGRES_TLS_KEY_FILE": "/run/secrets/k"}
    assert started(place, environ, "postgres", "-l")[4:] == [
        *("-c", "ssl=on", "-c", "ssl_cert_file=/run/secrets/c", "-c", "ssl_key_file=/run/secrets/k"),
        "-l",
    ]


def test_a_question_about_the_server_needs_no_data_folder(place: Place) -> None:
    for arguments in (("--version",), ("postgres", "--version")):
        answer = run(place, {}, *arguments)
        assert (answer.code, answer.record) == (RUN, ["--version"])


def test_an_other_program_runs_by_name_or_path(place: Place) -> None:
    for program in ("psql", str(place.data.parent / "programs" / "psql")):
        assert run(place, {}, program, "-l").record == ["-l"]
    answer = run(place, {}, "bash", "-l")
    assert answer.code == REFUSED
    assert "programs/bash: No such file or directory" in answer.said


texts = st.one_of(
    st.binary(max_size=40).map(lambda text: text.replace(b"\0", b"")),
    st.sampled_from([b"", b"%s%n%n", b"x" * 70, b"x" * 5000, b"/", b"/proc/self/mem", b"postgres"]),
)
names = st.sampled_from(
    [
        *("POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE", "POSTGRES_USER", "POSTGRES_DB", "PGDATA"),
        *("POSTGRES_TLS_CERT_FILE", "POSTGRES_TLS_KEY_FILE", "LANG", "LD_LIBRARY_PATH"),
    ]
)


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(environ=st.dictionaries(names, texts, max_size=6), arguments=st.lists(texts, max_size=4))
@example(environ={"POSTGRES_PASSWORD": b"x" * 1000}, arguments=[])
@example(environ={"POSTGRES_PASSWORD_FILE": b"/dev/zero"}, arguments=[])
def test_whatever_the_environment_says_it_refuses_or_starts_one_of_its_programs(
    place: Place, environ: dict[str, bytes], arguments: list[bytes]
) -> None:
    answer = run(place, environ, *arguments)
    assert answer.code in (REFUSED, RUN)
    secret = environ.get("POSTGRES_PASSWORD", b"").decode(errors="replace")
    if len(secret) >= 8 and secret not in str([*environ.values(), arguments][1:]):
        assert secret not in answer.said
        assert secret not in "".join(answer.record)
