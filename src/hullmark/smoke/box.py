"""What holds a tested image while it runs: the same for bubblewrap and for engines.

In every box the image runs as its own user, on a read-only root, without any capability, without a way to
get one, and in a network of its own with only a loopback. What it may write is its volumes and the declared
`tmpfs` folders; afterwards nothing of either is left.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec

from hullmark.smoke.content import Content

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from hullmark.build.smoke import Smoke
    from hullmark.smoke.program import Program

DEFAULT_STOP = "SIGTERM"
PIDS = 256
TMPFS_BYTES = 64 << 20


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a box needs to know."""

    content: Content
    env: Mapping[str, str]
    """Beyond the image's own."""
    arguments: tuple[str, ...]
    """In place of the image's `cmd`; empty to keep it."""
    files: Mapping[str, bytes]
    """By absolute path. Their folders become volumes, so that a file can be put into each."""
    tmpfs: tuple[str, ...]

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders that are volumes: the image's own, and those of the files; sorted, so parents are first."""
        own = self.content.config.volumes or {}
        return tuple(sorted({*(path.rstrip("/") for path in own), *map(posixpath.dirname, self.files)}))

    @property
    def stop_signal(self) -> str:
        """What ends the image in order."""
        named = self.content.config.stop_signal
        return named if named.startswith("SIG") else DEFAULT_STOP


def make_setting(content: Content, smoke: Smoke, files: Mapping[str, bytes]) -> Setting:
    """What `smoke` declares for the image in `content`; `files` are its secrets and files."""
    return Setting(content=content, env=smoke.env, arguments=smoke.arguments, files=files, tmpfs=smoke.tmpfs)


class Box(Protocol):
    """An image that can be started, stopped and started again with the same volumes."""

    def start(self) -> Program:
        """Start the image. Its output comes to the program, which ends when the image ends."""

    def find_pid(self, program: Program, seconds: float) -> int:
        """The image's first process as this machine numbers it; 0 when it has ended already."""

    def signal(self, name: str) -> None:
        """Send a signal to the image's first process."""

    @property
    def door_prefix(self) -> Sequence[str]:
        """What must stand before a command that enters the image's network."""


class Runner(Protocol):
    """A way to run images on this machine."""

    name: str

    def obstacle(self) -> str:
        """Why it does not work here; empty when it does."""

    def open(self, setting: Setting) -> AbstractContextManager[Box]:
        """A box for the image. Leaving it ends the image and removes everything that was made for it."""
