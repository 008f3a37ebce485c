"""Publish what was seen: facts are applied on the head of the remote's branch, and pushed with a lease.

Rules (each has a test with the same words):
- of many writers at once all survive, with every entry of each;
- killed at any moment, nothing is lost and nothing is published twice;
- a remote whose ledger does not extend the last head seen is refused;
- a result that does not extend the remote's ledger is never pushed;
- a parcel that cannot be recorded keeps no other back; it stays, and is named with its reason;
- the user's work tree, index and branches stay as they are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hullmark import outbox as parcels
from hullmark.branch import commit_folder, fetch, lay_out, push
from hullmark.errors import HullmarkError, NetworkError, TamperedError
from hullmark.event import Scanned
from hullmark.files import read_bounded, write_whole
from hullmark.git import Entry, read_tree
from hullmark.image import Digest
from hullmark.journal import Journal
from hullmark.ledger import Head, format_checkpoint, make_checkpoint, parse_checkpoint
from hullmark.ledger.checkpoint import MAX_CHECKPOINT
from hullmark.ledger.layout import LOCK
from hullmark.ledger.lock import held
from hullmark.ledger.verify import verify
from hullmark.projection import AUDIT_LOGS, BASELINES, MANIFEST, project, read_manifest

if TYPE_CHECKING:
    from datetime import datetime

    from hullmark.branch import Branch
    from hullmark.finding import Finding
    from hullmark.ledger import Checkpoint
    from hullmark.ledger.chain import Fault
    from hullmark.outbox import Outbox, Parcel

ATTEMPTS = 40
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between two attempts: at most this, doubled from the first one on, times a random part."""
WAIT = 120.0
"""Seconds to wait for another publisher in the same clone."""

SUMMARY_FILES = ("docs/data", "SECURITY_SUMMARY.md")
ATTRIBUTES = ".gitattributes"
ATTRIBUTE_LINES = (
    "# The ledger and its evidence are hashed as they are: no line ends are changed, no lines are merged.\n"
    f"{AUDIT_LOGS}/** -text -merge\n{BASELINES}/** -text\n"
)

_PREFIX = "publishing-"
_LINE = 72
"""The longest first line of a commit message."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a publisher asks of the world around it."""

    sleep: Callable[[float], None]
    random: Callable[[], float]
    """A number of [0, 1)."""
    tell: Callable[[str], None]
    identity: Mapping[str, str]
    """GIT_AUTHOR_NAME and so on."""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """A parcel that is in the ledger now, or was already."""

    parcel: Digest
    scans: tuple[str, ...]
    """Its scans, then its decisions, in words."""
    events: tuple[Scanned, ...] = ()
    """What was recorded for each scan."""
    is_new: bool = True
    """Whether it was recorded now, and not by an earlier publisher that was interrupted."""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A parcel that cannot be recorded. It stays in the outbox."""

    parcel: Digest
    reason: str
    hint: str


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """What publishing did."""

    remote: str
    branch: str
    before: str | None
    """Commit of the branch before; None when it did not exist."""
    after: str | None
    """The pushed commit, or with `dry_run` the one that would be; None when nothing had to change."""
    attempts: int
    published: tuple[Published, ...]
    refused: tuple[Refused, ...]
    written: tuple[str, ...]
    """Files that differ from those before."""
    dry_run: bool


class _Attempt(msgspec.Struct, kw_only=True):
    tip: str | None
    before: dict[str, Entry]
    heads: dict[str, Head]
    published: list[Published]


class Publisher:
    """Publishes the parcels of one outbox to one branch. One publisher at a time works in a clone."""

    def __init__(
        self,
        branch: Branch,
        outbox: Outbox,
        *,
        state: Path,
        now: datetime,
        surroundings: Surroundings,
        match: Callable[[Parcel, bytes], tuple[Finding, ...]],
        clock_overridden: bool = False,
    ) -> None:
        self._branch = branch
        self._outbox = outbox
        self._state = state
        self._now = now
        self._world = surroundings
        self._match = match
        self._clock_overridden = clock_overridden
        self._refused: dict[Digest, Refused] = {}

    def publish(self, *, further: Callable[[Path], None] | None = None, dry_run: bool = False) -> Publication:
        """Publish every parcel and what `further` makes below a folder that holds the branch's files.

        Repeated on the new head as long as others are faster, with growing pauses.
        """
        self._state.mkdir(parents=True, exist_ok=True)
        with held(self._state / "publish.lock", wait=WAIT):
            for left in self._state.glob(f"{_PREFIX}*"):  # by a publisher that was killed
                _remove(left)
            for number in range(1, ATTEMPTS + 1):
                done = self._try(number, further, dry_run=dry_run)
                if done is not None:
                    return done
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**number) * self._world.random()
                self._world.tell(f"{self._branch.name} was moved by another writer; trying again")
                self._world.sleep(pause)
        raise NetworkError(
            f"{self._branch.name} was moved by others {ATTEMPTS} times in a row",
            hint="Nothing is lost. Run `hullmark publish` again.",
        )

    def fetch(self, folder: Path) -> str | None:
        """Lay ledger and summary out in `folder`, proved to extend the last seen; return their commit."""
        self._state.mkdir(parents=True, exist_ok=True)
        with held(self._state / "publish.lock", wait=WAIT):
            tip = fetch(self._branch)
            if tip is not None:
                lay_out(self._branch, tip, [AUDIT_LOGS, *SUMMARY_FILES], folder)
            self._look_at(folder, tip)
            return tip

    def _try(
        self, number: int, further: Callable[[Path], None] | None, *, dry_run: bool
    ) -> Publication | None:
        """One attempt on the branch as it is now; None when somebody else was faster."""
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=self._state) as name:
            folder = Path(name)
            attempt = self._apply(folder)
            journal = Journal(folder / AUDIT_LOGS)
            if any(each.is_new for each in attempt.published) or further:
                project(journal, folder)
            if further is not None:
                further(folder)
            self._refuse_other(folder, attempt)
            after = commit_folder(
                self._branch,
                attempt.tip,
                attempt.before,
                folder,
                _files(folder),
                message=_message(attempt),
                identity=self._world.identity,
            )
            if after and not dry_run and not push(self._branch, after, expected=attempt.tip):
                return None
            if not dry_run:
                self._remember(journal.heads())
                self._outbox.remove(each.parcel for each in attempt.published)
        return Publication(
            remote=self._branch.remote,
            branch=self._branch.name,
            before=attempt.tip,
            after=after,
            attempts=number,
            published=tuple(attempt.published),
            refused=tuple(self._refused.values()),
            written=_differences(self._branch.root, attempt, after),
            dry_run=dry_run,
        )

    def _apply(self, folder: Path) -> _Attempt:
        """Lay the branch out in `folder` and record the parcels; begin again without one that is refused."""
        tip = fetch(self._branch)
        while True:
            for child in folder.iterdir():
                _remove(child)
            attempt = self._lay_out(tip, folder)
            if self._record(Journal(folder / AUDIT_LOGS), attempt):
                return attempt

    def _lay_out(self, tip: str | None, folder: Path) -> _Attempt:
        before: dict[str, Entry] = {}
        if tip is None:
            write_whole(folder / ATTRIBUTES, ATTRIBUTE_LINES.encode())
        else:
            lay_out(self._branch, tip, [MANIFEST], folder)
            paths = {AUDIT_LOGS, BASELINES, *SUMMARY_FILES, *read_manifest(folder)}
            before = lay_out(self._branch, tip, paths, folder)
        return _Attempt(tip=tip, before=before, heads=self._look_at(folder, tip), published=[])

    def _record(self, journal: Journal, attempt: _Attempt) -> bool:
        """Record every parcel that is not refused; False when one had to be refused now."""
        for digest in self._waiting():
            try:
                parcel = self._outbox.get(digest)
                self._refuse_rewritten(journal, parcel)
                events: tuple[Scanned, ...] = ()
                is_new = not parcels.is_applied(digest, parcel, journal)
                if is_new:
                    events = parcels.apply(
                        self._outbox,
                        digest,
                        journal,
                        self._match,
                        now=self._now,
                        clock_overridden=self._clock_overridden,
                    )
            except HullmarkError as error:
                if isinstance(error, TamperedError):
                    raise
                self._refused[digest] = Refused(parcel=digest, reason=error.message, hint=error.hint)
                return False
            attempt.published.append(
                Published(parcel=digest, scans=parcel.labels, events=events, is_new=is_new)
            )
        return True

    def _waiting(self) -> list[Digest]:
        """Parcels that are not refused, oldest first."""
        found: list[tuple[str, Digest]] = []
        for digest in self._outbox.digests():
            if digest in self._refused:
                continue
            try:
                found.append((self._outbox.get(digest).at, digest))
            except HullmarkError as error:
                self._refused[digest] = Refused(parcel=digest, reason=error.message, hint=error.hint)
        return [digest for _, digest in sorted(found)]

    def _look_at(self, folder: Path, tip: str | None) -> dict[str, Head]:
        """The heads of the branch's ledger, proved to be sound and to extend the last head seen."""
        seen = self._seen()
        checked = verify(folder / AUDIT_LOGS, seen)
        if not checked.ok:
            what = "does not exist any more" if tip is None else f"at {tip[:12]} is not what was published"
            raise TamperedError(
                f"the ledger on {self._branch.remote}/{self._branch.name} {what}: {_first(checked.faults)}",
                hint="Find out who rewrote the branch and put it back from a clone. Nothing was pushed. "
                f"What was seen last is in {self._seen_file()}.",
            )
        if checked.heads:
            self._remember(checked.heads)
        return dict(checked.heads)

    def _refuse_rewritten(self, journal: Journal, parcel: Parcel) -> None:
        """Raise TamperedError when the ledger does not extend the one that a parcel was compared with."""
        for name, head in parcel.heads.items():
            if journal.store.head_after(name, head) is None:
                raise TamperedError(
                    f"{self._branch.remote}/{self._branch.name}: the ledger of {name} does not extend "
                    "the one that this scan was compared with",
                    hint="Find out who rewrote the branch and put it back from a clone. Nothing was pushed.",
                )

    def _refuse_other(self, folder: Path, attempt: _Attempt) -> None:
        """Raise TamperedError when the result is not the remote's ledger and more."""
        checked = verify(folder / AUDIT_LOGS, make_checkpoint(attempt.heads, self._now))
        if not checked.ok:
            raise TamperedError(
                f"the result does not extend {self._branch.remote}/{self._branch.name}: "
                f"{_first(checked.faults)}",
                hint="Nothing was pushed. This is a defect of Hullmark; please report it.",
            )

    def _seen_file(self) -> Path:
        return self._state / "seen" / self._branch.remote / f"{self._branch.name}.json"

    def _seen(self) -> Checkpoint | None:
        path = self._seen_file()
        return parse_checkpoint(read_bounded(path, MAX_CHECKPOINT), file=path) if path.exists() else None

    def _remember(self, heads: Mapping[str, Head]) -> None:
        write_whole(self._seen_file(), format_checkpoint(make_checkpoint(heads, self._now)))


def _files(folder: Path) -> list[str]:
    """Every file below `folder` that belongs to the branch."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != LOCK)
    return [path.relative_to(folder).as_posix() for path in found]


def _remove(path: Path) -> None:
    if path.is_dir():
        for child in path.iterdir():
            _remove(child)
        path.rmdir()
    else:
        path.unlink()


def _first(faults: tuple[Fault, ...]) -> str:
    """The first fault, in a line."""
    return f"{faults[0].file}:{faults[0].line}: {faults[0].text}"


def _message(attempt: _Attempt) -> str:
    """What the commit says: which images, and the lines that tie it to the runs."""
    scans = sorted({label for each in attempt.published if each.is_new for label in each.scans})
    subject = f"Record {', '.join(scans)}" if scans else "Update the generated files"
    if len(subject) > _LINE:
        subject = f"Record {len(scans)} scans and decisions"
    names = "".join(f"\nParcel: {each.parcel}" for each in attempt.published if each.is_new)
    return f"{subject}\n{names}\n" if names else f"{subject}\n"


def _differences(root: Path, attempt: _Attempt, after: str | None) -> tuple[str, ...]:
    if after is None:
        return ()
    old = read_tree(root, attempt.tip) if attempt.tip else {}
    new = read_tree(root, after)
    return tuple(sorted(name for name in {*old, *new} if old.get(name) != new.get(name)))
