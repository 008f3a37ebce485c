"""The table `[smoke]`: the rules of `build/smoke.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hullmark.errors import InputError
from hullmark.smoke import load_declared

if TYPE_CHECKING:
    from pathlib import Path

FIRST = '[[smoke.checks]]\nname = "ready"\ncheck = "tcp"\nport = 80\n'

LOGIN = '[[smoke.checks]]\nname = "p"\ncheck = "postgres"\nuser = "u"\ndatabase = "d"\n'


def declare(folder: Path, text: str) -> None:
    (folder / "smoke.toml").write_text(f"version = 1\n\n[smoke]\n{text}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("checks = []", "smoke.checks: expected `array` of length >= 1"),
        ('[[smoke.checks]]\nname = "again"\ncheck = "restart"', "the first check is the ready condition"),
        (FIRST + FIRST, "two checks are called 'ready'"),
        ('tmpfs = ["tmp"]\n' + FIRST, "expected a path from the image's root"),
        ('tmpfs = ["/proc/x"]\n' + FIRST, "expected a path from the image's root"),
        ('tmpfs = ["/a,b"]\n' + FIRST, "expected a path from the image's root"),
        ('secrets = { "/word" = "password" }\n' + FIRST, "lies in the image's root"),
        ('secrets = { "/x/y" = "pass" }\n' + FIRST, "invalid enum value 'pass'"),
        ('files = { "/x/y" = "../y" }\n' + FIRST, "expected a path from the image's root"),
        ('env = { "A B" = "c" }\n' + FIRST, "expected the name of a variable"),
        (FIRST + "prot = 1\n", "unknown field `prot`"),
        (FIRST.replace("tcp", "ping"), "invalid value 'ping'"),
        (FIRST + "mariadb = true\n", "'ready' needs the table `mariadb`"),
        ('mariadb = { password = "/run/x" }\n' + FIRST, "`secrets` has no password at '/run/x'"),
        (
            '[[smoke.checks]]\nname = "p"\ncheck = "postgres"\nuser = "u"\ndatabase = "d"\n',
            "`password` names no secret",
        ),
        (
            f'secrets = {{ "/run/p" = "password" }}\n{LOGIN}password = "/run/p"\ntls = true\n',
            "needs the secrets `certificate` and `key`",
        ),
        (FIRST.replace("tcp", "http") + 'path = "/a b"\n', "expected a path of a URL"),
    ],
)
def test_what_makes_no_sense_is_refused_with_file_and_place(tmp_path: Path, text: str, said: str) -> None:
    declare(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load_declared(tmp_path)

    assert said in caught.value.message
    assert caught.value.message.startswith(f"{tmp_path}/smoke.toml: smoke")


def test_an_image_without_a_table_declares_nothing(tmp_path: Path) -> None:
    assert load_declared(tmp_path) is None


def test_the_digest_is_of_what_is_asked_and_not_of_how_it_is_written(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        declare(tmp_path, text)
        declared = load_declared(tmp_path)
        assert declared is not None
        return declared.digest

    (tmp_path / "smoke").mkdir()
    (tmp_path / "smoke/a").write_text("1")
    with_file = 'files = { "/srv/a" = "a" }\n' + FIRST
    first = digest(with_file)
    assert digest("# a comment\n" + with_file) == first
    assert digest(with_file.replace("80", "81")) != first
    (tmp_path / "smoke/a").write_text("2")
    assert digest(with_file) != first


def test_a_file_of_a_test_lies_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "smoke").mkdir()
    (tmp_path / "smoke/a").symlink_to("/etc/passwd")
    declare(tmp_path, 'files = { "/srv/a" = "a" }\n' + FIRST)
    with pytest.raises(InputError, match="leads out of the folder smoke"):
        load_declared(tmp_path)
