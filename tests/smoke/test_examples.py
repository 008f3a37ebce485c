"""The examples: built from their locks, and tested as the guide says."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from hullmark.config import load_project
from hullmark.decision import SmokeResult
from hullmark.image import LINUX_AMD64
from hullmark.smoke import Target, Way, load_declared, smoke_test
from hullmark.smoke.report import Outcome
from tests.build.locked import ROOT, build_locked

if TYPE_CHECKING:
    from hullmark.build.builder import BuiltImage

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    base = tmp_path_factory.mktemp("examples")
    shutil.copytree(EXAMPLES / "redis", base / "redis")
    (image,) = build_locked(base / "redis", base / "dist")
    return image


@pytest.mark.network
def test_redis_is_small_and_does_its_job(redis: BuiltImage, way: Way) -> None:
    assert redis.packages == 15
    target = Target(
        image="redis", platform=LINUX_AMD64, path=redis.path, folder=EXAMPLES / "redis", required=True
    )
    report = smoke_test(target, lambda: way)

    assert [check for check in report.checks if check.outcome is not Outcome.PASSED] == []
    assert report.result is SmokeResult.PASSED


def test_every_example_declares_a_smoke_test() -> None:
    images = load_project(EXAMPLES).images
    assert [image.name for image in images] == ["redis", "website"]
    for image in images:
        assert load_declared(image.folder) is not None


def test_the_guide_shows_what_the_example_declares() -> None:
    declared = load_declared(EXAMPLES / "redis")
    assert declared is not None
    guide = (ROOT / "docs/guide/add-an-image.md").read_text()
    for check in declared.smoke.checks:
        assert check.name in guide
