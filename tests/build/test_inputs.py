"""What an image is built from, as one digest."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullmark.build.inputs import InputFile, Recipe, digest_inputs, find_bases
from hullmark.errors import InputError
from hullmark.image import LINUX_AMD64, Digest, Platform

A, B = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)
APP = Recipe(settings={"path": "images/app"}, files={"Dockerfile": InputFile("100644", A)})
NAMES = ("app", "base", "postgres-secured")

change = msgspec.structs.replace


def digest(recipe: Recipe = APP, platform: Platform = LINUX_AMD64, **others: Recipe) -> Digest:
    return digest_inputs("app", platform, {"app": recipe, **others})


@pytest.mark.parametrize(
    "other",
    [
        change(APP, files={"Dockerfile": InputFile("100644", B)}),
        change(APP, files={"Dockerfile": InputFile("100755", A)}),
        change(APP, files={"dockerfile": InputFile("100644", A)}),
        change(APP, files={**APP.files, "added": InputFile("100644", A)}),
        change(APP, files={}),
    ],
)
def test_every_file_of_the_images_folder_counts_with_its_name_and_whether_it_may_be_executed(
    other: Recipe,
) -> None:
    assert digest(other) != digest()


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_in_which_files_are_read_does_not_count(names: list[str]) -> None:
    files = {name: InputFile("100644", A) for name in names}

    assert digest(change(APP, files=files)) == digest(change(APP, files=dict(sorted(files.items()))))


def test_its_table_counts_and_its_platform() -> None:
    assert digest(change(APP, settings={"path": "images/other"})) != digest()
    assert digest(change(APP, reference="debian:13")) != digest()
    assert digest(platform=Platform("linux", "arm64")) != digest()


def test_an_image_built_from_another_image_of_the_repository_changes_with_it() -> None:
    app, base = change(APP, bases=("base",)), change(APP, files={"x": InputFile("100644", A)})
    changed = change(base, files={"x": InputFile("100644", B)})

    assert digest(app, base=base) != digest(app, base=changed)
    assert digest(APP, base=base) == digest(APP, base=changed)


def test_images_built_from_one_another_in_a_circle_are_refused() -> None:
    with pytest.raises(InputError, match="app -> base -> app: images are built from one another"):
        digest(change(APP, bases=("base",)), base=change(APP, bases=("app",)))


@pytest.mark.parametrize(
    ("dockerfile", "expected"),
    [
        ("FROM debian:13", ()),
        ("FROM base", ("base",)),
        ("from --platform=$BUILDPLATFORM base:1 AS x", ("base",)),
        ("FROM base@sha256:aa", ("base",)),
        ("FROM scratch\nCOPY --from=localhost/hullmark/base:build /a /b", ("base",)),
        ("RUN --mount=type=bind,from=base,target=/x true", ("base",)),
        ("ARG IMAGE=hullmark/postgres-secured:build\nFROM ${IMAGE}", ("postgres-secured",)),
        ("FROM registry.example/hullmark/base", ()),
        ("FROM base-of-others\nRUN apt-get install base", ()),
    ],
)
def test_images_that_a_dockerfile_builds_from_are_found(dockerfile: str, expected: tuple[str, ...]) -> None:
    assert find_bases(dockerfile, NAMES) == expected


@pytest.mark.parametrize(
    ("recipe", "fixed"),
    [
        (APP, False),
        ({"files": {"image.toml": InputFile("100644", A)}}, False),
        ({"files": {"image.toml": InputFile("100644", A), "packages.lock": InputFile("100644", A)}}, True),
        ({"reference": "debian:13"}, False),
        ({"reference": f"debian@{A}"}, True),
    ],
)
def test_content_is_fixed_by_a_lock_or_a_digest_only(recipe: Recipe | dict[str, Any], *, fixed: bool) -> None:
    made = recipe if isinstance(recipe, Recipe) else Recipe(settings={}, **recipe)

    assert made.is_fixed is fixed
