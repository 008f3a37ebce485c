"""A bare git repository that everybody pushes to, and clones of it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.repositories import commit, new_repository

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WHO = ("-c", "user.name=T", "-c", "user.email=t@example.org")
IDENTITY = {
    "GIT_AUTHOR_NAME": "T",
    "GIT_AUTHOR_EMAIL": "t@example.org",
    "GIT_COMMITTER_NAME": "T",
    "GIT_COMMITTER_EMAIL": "t@example.org",
}


def run_git(root: Path, *arguments: str) -> str:
    """What `git ARGUMENTS` prints in `root`; it must succeed."""
    done = subprocess.run(["git", *WHO, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def make_remote(folder: Path, files: Mapping[str, str | None]) -> Path:
    """A bare repository with one commit on `main`."""
    bare, seed = folder / "remote.git", folder / "seed"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", bare], check=True)
    commit(new_repository(seed), files, "begin")
    run_git(seed, "push", "-q", str(bare), "main")
    return bare


def clone(bare: Path, folder: Path) -> Path:
    """A clone of `bare` in `folder`."""
    subprocess.run(["git", "clone", "-q", bare, folder], check=True)
    return folder
