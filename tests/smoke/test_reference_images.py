"""The reference images do their job, in every way to run them; without their server they do not."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from hullmark.decision import SmokeResult
from hullmark.image import LINUX_AMD64
from hullmark.smoke import Target, Way, smoke_test
from hullmark.smoke.report import Outcome
from tests.absence import absent
from tests.build.locked import ROOT, build_locked

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.build.builder import BuiltImage

pytestmark = pytest.mark.network

SERVERS = {
    "php-mysql-secured": "usr/sbin/php-fpm8.4",
    "postgres-secured": "usr/lib/postgresql/17/bin/postgres",
}


@pytest.fixture(scope="module", params=sorted(SERVERS))
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Target:
    folder = tmp_path_factory.mktemp("reference") / "images" / request.param
    shutil.copytree(ROOT / "images" / request.param, folder)
    image, *_ = build_locked(folder, folder.parents[1])
    return target_of(image, folder)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Target:
    """The image that docs/guide/add-an-image.md adds."""
    folder = tmp_path_factory.mktemp("example") / "images" / "redis"
    shutil.copytree(ROOT / "examples" / "redis", folder)
    image, *_ = build_locked(folder, folder.parents[1])
    return target_of(image, folder)


def target_of(image: BuiltImage, folder: Path) -> Target:
    return Target(image=image.name, platform=LINUX_AMD64, path=image.path, folder=folder, required=True)


def test_it_does_its_job(target: Target, way: Way) -> None:
    if shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin") is None:
        absent("PHP's check against a database needs mariadb-server")
    report = smoke_test(target, lambda: way)

    assert [check for check in report.checks if check.outcome is not Outcome.PASSED] == []
    assert report.result is SmokeResult.PASSED


def test_the_example_of_the_guide_does_its_job(example: Target, way: Way) -> None:
    report = smoke_test(example, lambda: way)

    assert [check for check in report.checks if check.outcome is not Outcome.PASSED] == []
    assert report.result is SmokeResult.PASSED


@pytest.fixture(scope="module")
def crippled(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Target:
    """The same image, built without its server."""
    folder = tmp_path_factory.mktemp("crippled") / "images" / target.image
    shutil.copytree(target.folder, folder)
    removal = f'[[remove]]\nreason = "went wrong"\npaths = ["{SERVERS[target.image]}"]\n\n[smoke]'
    definition = (folder / "image.toml").read_text()
    # A missing entry program is refused when the image is built; here another one stands in for it.
    definition = definition.replace('"/usr/sbin/php-fpm8.4",', '"/usr/bin/fcgi-ping",')
    (folder / "image.toml").write_text(definition.replace("[smoke]", removal, 1))
    image, *_ = build_locked(folder, folder.parents[1])
    return target_of(image, folder)


def test_without_its_server_it_fails(crippled: Target, way: Way) -> None:
    report = smoke_test(crippled, lambda: way)

    assert report.result is SmokeResult.FAILED
    assert "before it was ready" in report.detail
    assert report.log
