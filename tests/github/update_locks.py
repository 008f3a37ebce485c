"""A repository with an image of Debian packages, its archive on loopback, and its GitHub."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hullmark.cli import run
from hullmark.finding import Severity
from hullmark.scanners import sample
from hullmark.scanners.advisory import Advisory
from tests.build.conftest import ELF
from tests.build.debs import DATE, Mirror, make_deb, regular
from tests.github.fake import Account, FakeGitHub
from tests.github.fake.world import BOT, NAME, TOKEN
from tests.remotes import clone, make_remote, run_git

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from hullmark.github.client import Client
    from tests.build.signing import Signer
    from tests.github.fake import Pull

NOW = datetime.fromtimestamp(DATE, UTC) + timedelta(days=2)
KNOWN = Advisory(id="CVE-2023-1", package="tool", fixed="1.1", severity=Severity.HIGH, known=date(2023, 1, 1))
OPENED = Advisory(
    id="CVE-2023-2", package="worse", fixed="9", severity=Severity.CRITICAL, known=date(2023, 1, 1)
)
DEFINITION = """
version = 1
title = "{name}"
description = "A small image for tests"
licenses = "MIT"
version_from = "tool"
suites = ["trixie", "trixie-security"]
[config]
user = "1000:1000"
entrypoint = ["/usr/bin/tool"]
[packages]
tool = {{ reason = "the program", keep = ["usr/bin/tool"] }}
base-files = {{ reason = "says which Debian this is", keep = ["etc/debian_version", "usr/lib/os-release"] }}
"""
CONFIG = """version = 1
[images.tiny]
package_types = ["debian"]
[images.other]
package_types = ["debian"]
[pull_requests]
bots = ["github-actions[bot]"]
"""
PUBLISHED = "/debian-security/dists/trixie-security/InRelease"
OS_RELEASE = b'ID=debian\nVERSION_ID="13"\n'


def tool(version: str, *, source: str = "") -> bytes:
    """The program that the image is for."""
    return make_deb("tool", version, [regular("usr/bin/tool", ELF + version.encode(), 0o755)], source=source)


def stock(mirror: Mirror) -> None:
    """Offer what the images are made of."""
    files = {"usr/lib/os-release": OS_RELEASE, "etc/debian_version": b"13.2\n"}
    base = make_deb("base-files", "13.2", [regular(path, data) for path, data in files.items()])
    mirror.archive.add("trixie", "base-files", "13.2", base)
    mirror.archive.add("trixie", "tool", "1.0", tool("1.0"))
    mirror.archive.publish("trixie-security")


class Keeper:
    """Takes the steps of the workflows in a clone of the repository."""

    def __init__(  # noqa: PLR0917 - fixtures
        self,
        folder: Path,
        mirror: Mirror,
        signer: Signer,
        github: FakeGitHub,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.folder, self.mirror, self.github, self.world = folder, mirror, github, github.world
        self._capsys, self._monkeypatch = capsys, monkeypatch
        self.out = self.err = ""
        files: dict[str, str | None] = {
            "hullmark.toml": CONFIG,
            ".gitignore": ".hullmark/\n.cache/\n*.json\n",
        }
        for name in ("tiny", "other"):
            files[f"images/{name}/image.toml"] = DEFINITION.format(name=name)
        self.bare = make_remote(folder, files)
        run_git(self.bare, "config", "uploadpack.allowAnySHA1InWant", "true")
        self.root = clone(self.bare, folder / "repository")
        monkeypatch.chdir(self.root)
        values = {
            "GITHUB_API_URL": github.base,
            "GITHUB_REPOSITORY": NAME,
            "GITHUB_TOKEN": TOKEN,
            "HULLMARK_CACHE": str(folder / "cache"),
            "HULLMARK_DEBIAN_KEYRING": str(signer.keyring),
            "HULLMARK_DEBIAN_MIRROR": mirror.debian,
            "HULLMARK_NOW": NOW.isoformat(),
        }
        for key, value in values.items():
            monkeypatch.setenv(key, value)
        for key in ("GITHUB_GRAPHQL_URL", "GITHUB_ACTIONS", "GITHUB_SERVER_URL", "HULLMARK_DB"):
            monkeypatch.delenv(key, raising=False)
        self.set = monkeypatch.setenv
        monkeypatch.setattr("hullmark.commands.forge.connect", self._connect)
        self.world.repository, self.world.merge = self.bare, self.merge
        self.do("lock")
        self.save("lock")

    def _connect(self, base: str, token: str, *, graphql: str) -> Client:
        assert (base, graphql) == (self.github.base, "")
        return self.github.client(token)

    def do(self, *arguments: str, code: int = 0) -> str:
        """Run one command line; what it printed."""
        self._capsys.readouterr()
        answer = run(list(arguments))
        self.out, self.err = self._capsys.readouterr()
        assert answer == code, self.out + self.err
        return self.out

    def update(self, *arguments: str, code: int = 0) -> str:
        """Run what the workflow runs every day."""
        return self.do("update-locks", *arguments, code=code)

    def save(self, message: str) -> str:
        """Commit all that is in the clone, and push it to main."""
        run_git(self.root, "add", "-A")
        run_git(self.root, "commit", "-q", "-m", message)
        run_git(self.root, "push", "-q", "origin", "HEAD:main")
        return run_git(self.root, "rev-parse", "HEAD")

    def offer(self, version: str, *, days: float = 0.5, name: str = "tool") -> None:
        """Debian publishes a security update."""
        self.mirror.archive.add("trixie-security", name, version, tool(version))
        self.mirror.archive.publish("trixie-security", date=DATE + int(days * 86_400))

    def database(self, *, canary: bool = True) -> None:
        """A vulnerability database on this machine."""
        folder, day = self.root / ".hullmark/db", NOW - timedelta(days=1)
        sample.build((KNOWN, OPENED), folder=folder, updated_at=day, canary=canary)

    def branch(self, name: str = "tiny") -> str:
        """The newest commit of the branch of an image; empty where there is none."""
        return run_git(
            self.bare, "for-each-ref", "--format=%(objectname)", f"refs/heads/hullmark/lock-{name}"
        )

    def lock(self, revision: str = "main", name: str = "tiny") -> str:
        """The lock of an image in a revision."""
        return run_git(self.bare, "show", f"{revision}:images/{name}/packages.lock") + "\n"

    def pull(self, name: str = "tiny") -> Pull:
        """The one open pull request of an image."""
        (pull,) = (
            each
            for each in self.world.pulls.values()
            if each.branch == f"hullmark/lock-{name}" and self.world.issues[each.number].state == "open"
        )
        return pull

    def text(self, pull: Pull) -> str:
        """Title and text of a pull request."""
        issue = self.world.issues[pull.number]
        return f"{issue.title}\n{issue.body}"

    def push_as(self, mail: str, lock: str, *, name: str = "Alice", image: str = "tiny") -> str:
        """Somebody with write access pushes another lock onto the branch of an image."""
        branch = f"hullmark/lock-{image}"
        place = clone(self.bare, self.folder / f"desk-{len(list(self.folder.iterdir()))}")
        run_git(place, "checkout", "-q", branch)
        (place / f"images/{image}/packages.lock").write_text(lock)
        who = ("-c", f"user.name={name}", "-c", f"user.email={mail}")
        run_git(place, "add", "-A")
        run_git(place, *who, "commit", "-q", "-m", "by hand")
        run_git(place, "push", "-q", "origin", branch)
        return run_git(place, "rev-parse", "HEAD")

    def compare(self, pull: Pull, *, code: int = 0) -> str:
        """What `pr-compare` and `pr-report` do; the comment."""
        head = self.branch(pull.branch.removeprefix("hullmark/lock-"))
        work = self.folder / f"compare-{head[:12]}"
        run_git(self.root, "fetch", "-q", "origin", "main")
        self.do("plan", "--base", "origin/main", "--head", head, "--fetch", "origin", "--out", "plan.json")
        plan = json.loads((self.root / "plan.json").read_text())
        for side, revision in (("base", plan["origin"]), ("head", head)):
            clone(self.bare, work / side)
            run_git(work / side, "checkout", "-q", revision)
            given = ("build", "--plan", "plan.json", "--side", side, "--out", str(work / f"built-{side}"))
            self.do("-C", str(work / side), *given)
        built = [f"--built={side}={work / f'built-{side}'}" for side in ("base", "head")]
        self.do("gate", "--plan", "plan.json", *built, "--write", "bundle=bundle.json", code=code)
        self.do("pr-report", "--head", head, "--bundle", "bundle.json")
        comment: str = self.world.issues[pull.number].comments[-1].body
        return comment

    def merge(self, pull: Pull) -> None:
        """What GitHub does when it merges."""
        place = clone(self.bare, self.folder / f"merge-{pull.number}")
        run_git(place, "merge", "-q", "--squash", f"origin/{pull.branch}")
        run_git(place, "commit", "-q", "-m", f"Merge #{pull.number}")
        run_git(place, "push", "-q", "origin", "main")

    def join(self, login: str, token: str, **fields: Any) -> Account:  # noqa: ANN401 - fields of an account
        """Work as somebody else from now on."""
        self.set("GITHUB_TOKEN", token)
        return self.world.join(Account(login, **fields), token=token)


__all__ = ["BOT", "Keeper", "stock", "tool"]
