"""A small image, and the ways to run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hullmark.image import LINUX_AMD64
from hullmark.smoke import Target, Way, find_way
from tests.absence import absent
from tests.smoke.images import small_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hullmark.smoke.run import EngineName

HERE = Path(__file__).parent
WAYS: tuple[EngineName, ...] = ("bubblewrap", "podman")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """`small.c`, compiled for an old C library."""
    made = tmp_path_factory.mktemp("small") / "small"
    cache = tmp_path_factory.getbasetemp().parent / "zig-cache"
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-gnu.2.34", "-O1", "-s"]
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [*command, "-o", str(made), str(HERE / "small.c")], capture_output=True, check=False, env=environment
    )
    if done.returncode != 0:
        absent(f"the small program cannot be compiled: {done.stderr.decode()[-300:]}")
    return made.read_bytes()


@pytest.fixture(scope="session", autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A store of images for these tests alone, so that nothing else on this machine is seen or touched."""
    folder = tmp_path_factory.mktemp("store")
    file = folder / "storage.conf"
    places = f'runroot = "{folder}/run"\ngraphroot = "{folder}/graph"\n'
    file.write_text(f'[storage]\ndriver = "overlay"\n{places}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_STORAGE_CONF", str(file))
        yield
        for place in (folder / "graph" / "overlay", folder / "run"):
            subprocess.run(["umount", "-q", str(place)], check=False, capture_output=True)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    """Each way to run an image that CI must have."""
    return usable(request.param)


def usable(name: EngineName) -> Way:
    found = find_way(name, os.environ)
    if found.runner is None:
        absent(f"smoke tests in {name}: {'; '.join(found.obstacles)}")
    return found


@pytest.fixture
def small(tmp_path: Path, program: bytes) -> Callable[..., Target]:
    """A built image with the smoke test that the test gives; `config` changes how it is started."""

    def make(smoke: str, *, required: bool = False, **config: Any) -> Target:  # noqa: ANN401 - a configuration
        folder = tmp_path / "images" / "small"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "smoke").mkdir(exist_ok=True)
        (folder / "smoke" / "page.txt").write_text("for everybody")
        (folder / "smoke.toml").write_text(f"version = 1\n\n[smoke]\n{smoke}")
        path = small_archive(tmp_path / "dist" / "small.tar", program, **config)
        return Target(image="small", platform=LINUX_AMD64, path=path, folder=folder, required=required)

    return make
