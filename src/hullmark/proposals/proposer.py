"""Bring proposals to GitHub: one branch and one pull request an image.

Rules (each has a test with the same words):
- what was resolved from another lock or definition than the default branch has is not proposed;
- a branch that was pushed to meanwhile is never overwritten;
- nobody's work tree, index or branches are touched;
- what a workflow's own token opened or pushed is compared all the same: the comparison is started.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hullmark.branch import Branch, commit_folder, fetch, lay_out, open_branch, push
from hullmark.build.definition import DEFINITION_FILE, LOCK_FILE
from hullmark.build.fetch import digest_of
from hullmark.build.lock import MAX_LOCK_BYTES, parse_lock
from hullmark.errors import NetworkError
from hullmark.files import write_whole
from hullmark.git import git, read_file
from hullmark.github.proposals import Listed
from hullmark.proposals.model import content_of
from hullmark.proposals.plan import Act, Ours, Standing, Step, choose
from hullmark.proposals.text import body, closed, closing, message, read_marker, title
from hullmark.pull_requests.request import WORKFLOW_BOT
from hullmark.revision import folder_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hullmark.config import Image
    from hullmark.github.proposals import Account, PullRequests
    from hullmark.proposals.model import Proposal

BRANCHES = "hullmark/lock-"
MAX_DEFINITION = 4 << 20


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What was done about one image, or would be."""

    image: str
    act: Act
    number: int = 0
    """Of the pull request; 0 where there is none."""
    url: str = ""
    why: str = ""
    started: bool = False
    """Whether the comparison was started here."""


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """What GitHub and git have of one image."""

    branch: Branch
    tip: str | None
    main: str
    pulls: tuple[Listed, ...]
    standing: Standing

    @property
    def open(self) -> Listed | None:
        return next((each for each in self.pulls if each.is_open), None)


class Proposer:
    """Proposes locks for the images of the repository in `root`, as `us`."""

    def __init__(
        self,
        root: Path,
        remote: str,
        pulls: PullRequests,
        us: Account,
        environ: Mapping[str, str],
        *,
        compare: str = "",
    ) -> None:
        self._root = root
        self._remote = remote
        self._pulls = pulls
        self._us = us
        self._environ = environ
        self._compare = compare
        """The workflow that compares pull requests, by its file's name; empty: none is started."""

    def sync(self, image: Image, proposal: Proposal | None, *, dry_run: bool = False) -> Done:
        """Open, update or close the pull request of `image`; without a `proposal` nothing is newer."""
        place = self._look(image)
        if proposal is not None and not self._fits(image, proposal, place.main):
            why = "the default branch has another lock or definition than it was resolved from"
            return Done(
                image=image.name, act=Act.LEAVE, number=place.open.number if place.open else 0, why=why
            )
        content = content_of(parse_lock(proposal.lock)) if proposal else ""
        step = choose(place.standing, content=content, lock=proposal.lock if proposal else "")
        if dry_run or step.act in (Act.LEAVE, Act.NOTHING):
            return Done(image=image.name, act=step.act, number=step.number, why=step.why)
        if proposal is None:
            return self._close(image, place, step)
        return self._propose(image, proposal, place, step)

    def _look(self, image: Image) -> _Place:
        pulls = self._pulls.from_branch(f"{BRANCHES}{image.name}")
        branch = open_branch(self._root, self._remote, f"{BRANCHES}{image.name}", self._environ)
        default = self._pulls.repository.default_branch
        main = fetch(open_branch(self._root, self._remote, default, self._environ))
        if main is None:
            raise NetworkError(f"{self._remote} has no branch {default}")
        tip = fetch(branch)
        current = next((each for each in pulls if each.is_open), None)
        stranger = current.author if current and current.author != self._us.login else ""
        mine = [each for each in pulls if each.author == self._us.login]
        newest = mine[0] if mine else None
        is_refused = newest is not None and not newest.is_open and newest.merged_at is None
        lock = read_file(self._root, tip, _lock_path(branch, image), limit=MAX_LOCK_BYTES) if tip else None
        standing = Standing(
            ours=self._ours(current, image) if current and not stranger else None,
            stranger=stranger,
            editor=self._editor(main, tip) if tip else "",
            refused=read_marker(newest.body or "", image.name) if newest and is_refused else "",
            lock=lock.decode(errors="replace") if lock else "",
        )
        return _Place(branch=branch, tip=tip, main=main, pulls=pulls, standing=standing)

    def _ours(self, pull: Listed, image: Image) -> Ours:
        return Ours(
            number=pull.number,
            content=read_marker(pull.body or "", image.name),
            is_held=pull.auto_merge is not None or self._pulls.is_reviewed(pull.number),
        )

    def _editor(self, main: str, tip: str) -> str:
        """Who else has a commit on the branch `tip` that `main` lacks; empty for nobody."""
        form = "%ae%x00%ce%x00%an"
        text = git(self._root, "log", "-z", f"--format={form}", f"{main}..{tip}").decode(errors="replace")
        words = text.rstrip("\0").split("\0")
        ours = self._us.identity["GIT_AUTHOR_EMAIL"]
        for author, committer, name in zip(words[::3], words[1::3], words[2::3], strict=False):
            if (author, committer) != (ours, ours):
                return name or "somebody"
        return ""

    def _fits(self, image: Image, proposal: Proposal, main: str) -> bool:
        """Whether the default branch has what `proposal` was resolved from."""
        prefix = open_branch(self._root, self._remote, "any", self._environ).prefix
        folder = f"{prefix}{folder_of(image)}"
        for name, limit, digest in (
            (LOCK_FILE, MAX_LOCK_BYTES, proposal.before),
            (DEFINITION_FILE, MAX_DEFINITION, proposal.definition),
        ):
            data = read_file(self._root, main, f"{folder}/{name}".lstrip("/"), limit=limit)
            if data is None or digest_of(data) != digest:
                return False
        return True

    def _propose(self, image: Image, proposal: Proposal, place: _Place, step: Step) -> Done:
        lock = parse_lock(proposal.lock)
        words = {"title": title(proposal), "body": body(proposal, lock, content_of(lock))}
        head = place.open.head.sha if place.open else ""
        if step.act is not Act.KEEP:
            head = self._write(image, proposal, place)
        if place.open is None:
            pull = self._pulls.open(place.branch.name, **words)
        else:
            pull = self._pulls.edit(place.open, **words)
        started = False
        if self._compare and self._us.login == WORKFLOW_BOT:
            started = self._pulls.start(self._compare, place.branch.name, head)
        return Done(image=image.name, act=step.act, number=pull.number, url=pull.html_url, started=started)

    def _write(self, image: Image, proposal: Proposal, place: _Place) -> str:
        """Put the lock onto the branch, as one commit on the default branch; return it."""
        name = f"{folder_of(image)}/{LOCK_FILE}".lstrip("/")
        with tempfile.TemporaryDirectory(prefix="hullmark-lock-") as temporary:
            folder = Path(temporary)
            before = lay_out(place.branch, place.main, [name], folder)
            write_whole(folder / name, proposal.lock.encode())
            made = commit_folder(
                place.branch,
                place.main,
                before,
                folder,
                [name],
                message=message(proposal),
                identity=self._us.identity,
            )
        if made is None:
            raise NetworkError(f"{place.branch.name}: the default branch has this lock already")
        if not push(place.branch, made, expected=place.tip):
            raise NetworkError(
                f"{place.branch.name} was pushed to by somebody else meanwhile; nothing was overwritten",
                hint="Run it again: it looks before it writes.",
            )
        return made

    def _close(self, image: Image, place: _Place, step: Step) -> Done:
        if place.open is None:
            raise ValueError("nothing to close")
        text = closed(image.name, place.open.body or "")
        pull = self._pulls.close(place.open, why=closing(image.name), body=text)
        return Done(image=image.name, act=step.act, number=pull.number, url=pull.html_url, why=step.why)


def _lock_path(branch: Branch, image: Image) -> str:
    return f"{branch.prefix}{folder_of(image)}/{LOCK_FILE}".lstrip("/")
