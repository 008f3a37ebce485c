"""Real git repositories for tests."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from hullmark.git import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_WHO = ("-c", "user.name=T", "-c", "user.email=t@example.org")


def new_repository(root: Path) -> Path:
    """An empty repository in `root`."""
    subprocess.run(["git", "init", "-q", "-b", "main", root], check=True)
    return root


def write(root: Path, files: Mapping[str, str | None]) -> None:
    """Write `files` below `root`; None removes a file or folder."""
    for name, text in files.items():
        path = root / name
        if text is None:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def commit(root: Path, files: Mapping[str, str | None], message: str = "change") -> str:
    """Write `files` and commit all that is there; the new commit's id."""
    write(root, files)
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    subprocess.run(["git", *_WHO, "commit", "-q", "--allow-empty", "-m", message], cwd=root, check=True)
    return resolve(root, "HEAD")


def switch(root: Path, branch: str, *, new: bool = False) -> None:
    """Go to `branch`."""
    subprocess.run(["git", "checkout", "-q", *(["-b"] if new else []), branch], cwd=root, check=True)
