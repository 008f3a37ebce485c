"""`image.toml`: what is refused, and how it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from hullmark.build.definition import Definition, image_name, load_definition
from hullmark.errors import InputError
from tests.build.conftest import TINY

IMAGES = Path(__file__).parents[2] / "images"


def load(folder: Path, text: str) -> Definition:
    (folder / "image.toml").write_text(text)
    return load_definition(folder)


@pytest.mark.parametrize("name", ["postgres-secured", "php-mysql-secured"])
def test_reference_images_are_defined(name: str) -> None:
    definition = load_definition(IMAGES / name)
    assert definition.title == name
    assert all(package.reason for package in definition.packages.values())


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        ("user =", "usr =", "config.usr", "unknown key; nearest is `user`"),
        ('title = "tiny"', "title = 1", "title", "expected `str`, got `int`"),
        ('licenses = "MIT"\n', "", "", "missing required field `licenses`"),
        ('"1000:1000"\nentry', '"0:0"\nentry', "config", "neither of them 0"),
        ('"1000:1000"\nentry', '"tool"\nentry', "config", "expected two numbers"),
        ('"usr/bin/tool"]', '"../bin/tool"]', "packages.tool", "inside the image"),
        ('"etc/passwd"', '"/etc/passwd"', "", "inside the image"),
        ('"etc/passwd"', '"etc/pass\\nwd"', "", "inside the image"),
        ('reason = "the program", ', "", "packages.tool", "missing required field `reason`"),
        ('mode = "0700"', 'mode = "4755"', 'directories."var/lib/tool"', "without setuid"),
        ('source = "passwd"', 'source = "../passwd"', 'files."etc/passwd"', "inside the image"),
        ("tool = {", '"../tool" = {', "", "name of a Debian package"),
        ('version_from = "tool"', 'version_from = "took"', "", "which `packages` has not"),
        ("version = 1", "version = 2", "version", "invalid enum value 2"),
        ("[config]", 'platforms = ["amd64"]\n[config]', "", "is not a platform"),
    ],
)
def test_what_does_not_fit_is_refused_with_file_key_and_expectation(
    tiny: Path, old: str, new: str, key: str, message: str
) -> None:
    assert old in TINY
    with pytest.raises(InputError) as caught:
        load(tiny, TINY.replace(old, new))
    assert caught.value.key == key
    assert message in caught.value.message
    assert caught.value.file == str(tiny / "image.toml")


@pytest.mark.parametrize("data", [b"\xff", b"a = [", b"[" * 5000, b"x = " + b"1" * 2_000_000])
def test_a_file_that_is_not_toml_is_refused(tiny: Path, data: bytes) -> None:
    (tiny / "image.toml").write_bytes(data)
    with pytest.raises(InputError, match=r"image\.toml"):
        load_definition(tiny)


@pytest.mark.parametrize("name", ["Tiny", "ti ny", "ti\nny", "..", "runs"])
def test_a_folder_that_is_no_image_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        image_name(tmp_path / name)
