"""Bubblewrap needs no root: the command, as somebody whom this machine does not even know by name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from tests.absence import absent
from tests.build.locked import ROOT
from tests.smoke.images import small_archive
from tests.smoke.test_commands import CONFIG, SMOKE

SOMEBODY = 54_321


def interpreter() -> str:
    """A Python of this version that everybody may run."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    places = (Path(sys.executable).resolve(), Path("/usr/bin", version))
    found = next((place for place in places if place.exists() and is_open(place)), None)
    return str(found or absent("no Python of this version that an ordinary user may run"))


def is_open(place: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in place.parents)


@pytest.mark.skipif(os.geteuid() != 0, reason="then every other test is this one")
def test_an_ordinary_user_without_a_name_can_test_an_image(program: bytes) -> None:
    python = interpreter()
    with tempfile.TemporaryDirectory(prefix="ordinary-") as name:
        root = Path(name)
        (root / "hullmark.toml").write_text(CONFIG)
        (root / "images/app").mkdir(parents=True)
        (root / "images/app/smoke.toml").write_text(SMOKE)
        small_archive(root / "app.tar", program)
        for path in (root, *root.rglob("*")):
            shutil.chown(path, SOMEBODY, SOMEBODY)
        done = subprocess.run(
            [python, "-m", "hullmark", "test", "app=app.tar", "--engine", "bubblewrap"],
            cwd=root,
            env={"PATH": "/usr/bin:/bin", "TMPDIR": name, "PYTHONPATH": python_path()},
            user=SOMEBODY,
            group=SOMEBODY,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

        if "setting up uid map" in done.stdout or "No permissions to create" in done.stdout:
            absent("this machine does not let ordinary users make namespaces")
        assert done.stdout.startswith("app linux/amd64: smoke test passed, 2 checks in bubblewrap"), done
        assert not list(root.glob("hullmark-*"))


def python_path() -> str:
    return f"{ROOT / 'src'}:{sysconfig.get_path('purelib')}"
