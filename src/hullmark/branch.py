"""A branch of a remote repository, read and written without touching anybody's work tree, index or branches.

Rules (each has a test with the same words):
- files are laid out and stored as they are: no line end, filter or attribute changes a byte;
- a branch that moved meanwhile is never overwritten;
- a path that leads out of the folder, a link or a submodule is refused;
- credentials reach git by its environment, never by its command line.
"""

from __future__ import annotations

import base64
import os
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hullmark.errors import InputError, NetworkError, RepositoryError, UsageError
from hullmark.files import scratch_folder, write_whole
from hullmark.git import Entry, ask, git, place_in_repository, read_blobs, read_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TRANSFER_TIMEOUT = 600
"""Seconds that a fetch or a push may take."""
MAX_BRANCH = 8 << 30
"""Bytes that all files of a branch may have together."""

_FILE_MODES = frozenset({"100644", "100755"})
_REMOTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_MOVED = re.compile(
    r"stale info|fetch first|non-fast-forward|cannot lock ref|failed to update ref|incorrect old value"
    r"|reference already exists|remote ref updated since checkout"
)
"""How git says that somebody else was faster."""


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """A branch of a remote of the repository in `root`."""

    root: Path
    remote: str
    name: str
    prefix: str = ""
    """Where `root` lies in its repository, as `` or `services/`: its files lie there on the branch, too."""
    environ: dict[str, str] = {}
    """What git is given for its connection: credentials."""

    @property
    def ref(self) -> str:
        """Its full name at the remote."""
        return f"refs/heads/{self.name}"

    @property
    def seen(self) -> str:
        """Where the commit that was fetched last is kept, out of the way of the user's own branches."""
        return f"refs/hullmark/{self.remote}/{self.name}"


def open_branch(root: Path, remote: str, name: str, environ: Mapping[str, str]) -> Branch:
    """The branch `name` of `remote`, whether it exists or not. UsageError when it cannot exist."""
    if not _REMOTE.fullmatch(remote):
        raise UsageError(f"{remote!r} cannot name a remote", hint="See `git remote`.")
    if ask(root, "check-ref-format", f"refs/heads/{name}").code:
        raise UsageError(f"{name!r} cannot name a branch")
    prefix = place_in_repository(root)
    if prefix is None:
        raise InputError(
            "no git repository, or a folder that git ignores",
            file=root,
            hint="Run the command where the images are kept.",
        )
    found = ask(root, "remote", "get-url", "--", remote)
    if found.code:
        raise InputError(f"no remote {remote!r}", file=root, hint="Add it: git remote add NAME ADDRESS")
    access = _credentials(found.out.decode(), environ)
    return Branch(root=root, remote=remote, name=name, prefix=prefix, environ=access)


def fetch(branch: Branch) -> str | None:
    """The newest commit of the branch, fetched; None while the branch does not exist."""
    listed = _transfer(branch, "ls-remote", branch.remote, branch.ref)
    if not listed.strip():
        return None
    refspec = f"+{branch.ref}:{branch.seen}"
    _transfer(branch, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", branch.remote, refspec)
    return git(branch.root, "rev-parse", "--verify", f"{branch.seen}^{{commit}}").decode().strip()


def fetch_commits(root: Path, remote: str, commits: Iterable[str], environ: Mapping[str, str]) -> None:
    """Fetch what is named by its full id and is not here yet: as data, and into no branch."""
    missing = [
        commit for commit in commits if _COMMIT.fullmatch(commit) and ask(root, "cat-file", "-e", commit).code
    ]
    if not missing:
        return
    branch = open_branch(root, remote, "any", environ)
    _transfer(branch, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", remote, *missing)


def lay_out(branch: Branch, commit: str, paths: Iterable[str], folder: Path) -> dict[str, Entry]:
    """Write the files of `commit` at or below `paths` into `folder`; return what git knows of them."""
    wanted = sorted({f"{branch.prefix}{path}" for path in paths})
    found = read_tree(branch.root, commit, *wanted)
    entries = {path.removeprefix(branch.prefix): entry for path, entry in found.items()}
    for path, entry in entries.items():
        _check(path, entry)
    places: dict[str, list[str]] = defaultdict(list)
    for path, entry in entries.items():
        places[entry.object].append(path)
    for name, data in read_blobs(branch.root, places, limit=MAX_BRANCH):
        for path in places[name]:
            write_whole(folder / path, data)
    return entries


def commit_folder(
    branch: Branch,
    parent: str | None,
    before: Mapping[str, Entry],
    folder: Path,
    files: Iterable[str],
    *,
    message: str,
    identity: Mapping[str, str],
) -> str | None:
    """A commit on `parent` in which the paths of `before` are replaced by `files`, read below `folder`.

    None when nothing would change. Nothing refers to the commit yet.
    """
    root = branch.root
    stored = _store(root, folder, sorted(set(files)))
    changed = {name: new for name, new in stored.items() if name not in before or before[name].object != new}
    gone = before.keys() - stored.keys()
    if not changed and not gone:
        return None
    removed = "0" * len(next(iter(stored.values()), "0" * 40))
    lines = [f"{_mode(before, name)} {new}\t{branch.prefix}{name}\0" for name, new in changed.items()]
    lines += [f"0 {removed}\t{branch.prefix}{name}\0" for name in sorted(gone)]
    with scratch_folder() as temporary:
        index = {"GIT_INDEX_FILE": f"{temporary}/index"}
        git(root, "read-tree", *([parent] if parent else ["--empty"]), environ=index)
        git(root, "update-index", "-z", "--index-info", stdin="".join(lines).encode(), environ=index)
        tree = git(root, "write-tree", environ=index).decode().strip()
    parents = ["-p", parent] if parent else []
    made = git(root, "commit-tree", tree, *parents, "-F", "-", stdin=message.encode(), environ=identity)
    return made.decode().strip()


def push(branch: Branch, commit: str, *, expected: str | None) -> bool:
    """Move the branch from `expected` (None: it does not exist) to `commit`; False when it had moved.

    NetworkError when the remote refuses for another reason.
    """
    lease = f"--force-with-lease={branch.ref}:{expected or ''}"
    pushed = ask(
        branch.root,
        *("push", "--porcelain", "--no-verify", lease, branch.remote, f"{commit}:{branch.ref}"),
        environ=branch.environ,
        timeout=TRANSFER_TIMEOUT,
    )
    if pushed.code == 0:
        return True
    said = f"{pushed.out.decode(errors='replace')}\n{pushed.said}"
    if _MOVED.search(said):
        return False
    raise NetworkError(
        f"{branch.remote} refuses the push to {branch.name}: {pushed.said or said.strip()}",
        hint="Nothing is lost. Check the permission to write (in a workflow `contents: write` and "
        "GITHUB_TOKEN) and the rules that protect the branch; `publish.branch` names another.",
    )


def _transfer(branch: Branch, *arguments: str) -> bytes:
    answer = ask(branch.root, *arguments, environ=branch.environ, timeout=TRANSFER_TIMEOUT)
    if answer.code:
        raise NetworkError(
            f"git {arguments[0]} {branch.remote}: {answer.said or f'exit code {answer.code}'}",
            hint="Check the address of the remote and the permission to read it.",
        )
    return answer.out


def _credentials(address: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What lets git in where a workflow gives it GITHUB_TOKEN; only its own server ever gets it."""
    server = environ.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/")
    token = environ.get("GITHUB_TOKEN", "")
    if not token or not address.startswith(f"{server}/"):
        return {}
    secret = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{server}/.extraheader",
        "GIT_CONFIG_VALUE_0": f"AUTHORIZATION: basic {secret}",
    }


def _check(path: str, entry: Entry) -> None:
    parts = path.split("/")
    if entry.mode not in _FILE_MODES:
        raise RepositoryError(
            f"{path}: is a link or a submodule, where a file is expected",
            hint="Replace it by a regular file on that branch.",
        )
    if not {"", ".", "..", ".git"}.isdisjoint(parts) or "\n" in path or path.startswith("/"):
        raise RepositoryError(f"{path!r}: leads out of the repository", hint="Remove it from that branch.")


def _store(root: Path, folder: Path, names: list[str]) -> dict[str, str]:
    """The object of each file, stored as it is."""
    if not names:
        return {}
    paths = "".join(f"{os.fspath((folder / name).absolute())}\n" for name in names)
    objects = git(root, "hash-object", "-w", "--no-filters", "--stdin-paths", stdin=paths.encode())
    return dict(zip(names, objects.decode().split(), strict=True))


def _mode(before: Mapping[str, Entry], name: str) -> str:
    return before[name].mode if name in before else "100644"
