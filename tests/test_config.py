"""hullmark.toml is decoded strictly, and every error says where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hullmark.config import load_project
from hullmark.errors import HullmarkError, InputError, UsageError
from hullmark.image import LINUX_AMD64, Platform

if TYPE_CHECKING:
    from pathlib import Path


def project_with(folder: Path, text: str) -> Path:
    (folder / "hullmark.toml").write_text(text)
    return folder


def test_a_minimal_project_expects_linux_amd64(tmp_path: Path) -> None:
    project = load_project(project_with(tmp_path, "version = 1\n[images.app]\n"))

    assert project.expected == (("app", LINUX_AMD64),)
    assert project.image("app").folder == tmp_path / "images/app"


def test_images_and_platforms_are_sorted(tmp_path: Path) -> None:
    text = 'version = 1\n[images.b]\n[images.a]\nplatforms = ["linux/arm64", "linux/amd64"]\n'

    project = load_project(project_with(tmp_path, text))

    assert project.expected == (
        ("a", LINUX_AMD64),
        ("a", Platform("linux", "arm64")),
        ("b", LINUX_AMD64),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = 1\n", "missing required field `images`"),
        ("version = 2\n[images.a]\n", "version: invalid enum value 2"),
        ("version = 1\n[images]\n", "images: no image"),
        (
            "version = 1\n[images.a]\nplatform = []\n",
            "images.a.platform: unknown key; nearest is `platforms`",
        ),
        ("version = 1\n[images.a]\nplatforms = 1\n", "images.a.platforms: expected `array`, got `int`"),
        ("version = 1\n[images.a]\nplatforms = []\n", "images.a.platforms: no platform"),
        ('version = 1\n[images.a]\nplatforms = ["amd64"]\n', "images.a: 'amd64' is not a platform"),
        ('version = 1\n[images.a]\npath = "../x"\n', "images.a.path: leads out of the repository"),
        ("version = 1\n[images.runs]\n", "images.runs: 'runs' is reserved"),
        ('version = 1\n[images."a/b"]\n', "images.a/b: 'a/b' is not an image name"),
        ("version = 1\n[images.a]\n[scan]\nmax_age = 0\n", "scan.max_age: expected `int` >= 1"),
        ("version = 1\nversion = 1\n", "not TOML"),
        ("\0", "not TOML"),
    ],
)
def test_a_fault_is_one_line_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_project(project_with(tmp_path, text))

    assert message in caught.value.message
    assert caught.value.message.startswith(str(tmp_path / "hullmark.toml"))
    assert "\n" not in caught.value.message


def test_a_missing_file_says_where_to_go(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="file not found") as caught:
        load_project(tmp_path)

    assert "hullmark.toml" in caught.value.hint


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="larger than"):
        load_project(project_with(tmp_path, "#" * 1_100_000))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hullmark.toml").write_bytes(b"a = '\xff'")

    with pytest.raises(HullmarkError, match="not UTF-8 at byte 5"):
        load_project(tmp_path)


def test_an_unknown_image_names_the_known_ones(tmp_path: Path) -> None:
    project = load_project(project_with(tmp_path, "version = 1\n[images.app]\n"))

    with pytest.raises(UsageError) as caught:
        project.select(["web"])

    assert "app" in caught.value.hint
