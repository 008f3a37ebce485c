"""The locks that a pull request changes, resolved again here: what an update bot may merge by itself.

Rules (each has a test with the same words):
- only a lock that is there already, of an image that the folder builds from slices, is looked at;
- only a pull request of an update bot, into the default branch, is looked at;
- of the pull request nothing is read but the bytes of its locks;
- what was proved for a head stays proved when the lists are on no mirror any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hullmark.branch import fetch_commits
from hullmark.build.definition import DEFINITION_FILE, LOCK_FILE
from hullmark.build.fetch import Cache, Fetcher
from hullmark.build.lock import MAX_LOCK_BYTES
from hullmark.build.mirror import find_sources
from hullmark.build.proof import doubt
from hullmark.build.release import find_trust
from hullmark.config import Project
from hullmark.errors import HullmarkError, NetworkError
from hullmark.git import place_in_repository, read_file
from hullmark.revision import folder_of

if TYPE_CHECKING:
    from hullmark.pull_requests import PullRequest


class Prover(msgspec.Struct, frozen=True, kw_only=True):
    """A checkout of the default branch, and what resolving takes."""

    root: Path
    project: Project
    branch: str
    """The default branch."""
    remote: str
    cache: Path
    environ: Mapping[str, str]
    now: datetime

    def prove(self, request: PullRequest, *, was_proved: bool) -> dict[str, str]:
        """Each lock that `request` changes, by path, with why it is not proved; empty where it is.

        `was_proved` says that they were proved before, at the same head.
        """
        bots = self.project.pull_requests.bots
        if request.author.login not in bots or request.base != self.branch or not request.from_here:
            return {}
        folders = locks_of(self.root, self.project)
        changed = {file.path for file in request.files if file.status == "modified"}
        found: dict[str, str] = {}
        for path in sorted(changed & set(folders)):
            try:
                found[path] = self._doubt(request.head, path, folders[path])
            except NetworkError as error:
                found[path] = "" if was_proved else f"it cannot be resolved again: {error.message}"
        return found

    def _doubt(self, head: str, path: str, folder: Path) -> str:
        settings = self.project.build
        try:
            fetch_commits(self.root, self.remote, [head], self.environ)
            data = read_file(self.root, head, path, limit=MAX_LOCK_BYTES)
            sources = find_sources(
                self.environ, settings.mirror, settings.security_mirror, snapshot=settings.snapshot
            )
            if data is None:
                return "it is not there any more"
            with Fetcher(Cache(self.cache)) as fetcher:
                trust = find_trust(self.environ, self.now)
                return doubt(data, folder, fetcher=fetcher, sources=sources, trust=trust)
        except NetworkError:
            raise
        except HullmarkError as error:
            return f"it cannot be resolved again: {error.message}"


def locks_of(root: Path, project: Project) -> dict[str, Path]:
    """The folder of each image that is built from slices, by the path of its lock in the repository."""
    prefix = place_in_repository(root) or ""
    return {
        f"{prefix}{folder_of(image)}/{LOCK_FILE}".removeprefix("/"): image.folder
        for image in project.images
        if (image.folder / DEFINITION_FILE).is_file()
    }
