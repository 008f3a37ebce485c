"""What a change edits apart from images: the files that judge, and the records.

Rules (each has a test with the same words):
- `[gate]` of `hullmark.toml` is the policy, everything else there the configuration;
- what is written otherwise and says the same is not edited;
- a smoke test is one of the image's own files, or the table `smoke` of its `image.toml`;
- who must approve counts as a workflow, as do the settings of the update bot;
- records are not to be edited, except a sample that stays a sample and verifies.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from hullmark.build.definition import DEFINITION_FILE
from hullmark.build.smoke import SMOKE_FILE, SMOKE_FOLDER
from hullmark.config import CONFIG_FILE
from hullmark.decision import Touch, Touched
from hullmark.errors import HullmarkError
from hullmark.exemptions import EXEMPTIONS_FILE
from hullmark.files import scratch_folder
from hullmark.journal import Journal
from hullmark.projection import AUDIT_LOGS, BASELINES
from hullmark.verification import verify_history

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hullmark.revision import Commit

_GATE = "gate"
_WORKFLOW = re.compile(
    r"\.github/(?:workflows|actions)/.+|(?:\.github/|docs/)?CODEOWNERS"
    r"|(?:\.github/)?(?:renovate\.json5?|dependabot\.ya?ml)|\.renovaterc(?:\.json5?)?"
)
_RECORDS = (f"{AUDIT_LOGS}/", f"{BASELINES}/")


def find_touched(before: Commit, after: Commit, folders: Iterable[str]) -> tuple[Touch, ...]:
    """What `after` edits of what judges in `before`, sorted. `folders` are those of images in both."""
    paths = after.changed_since(before)
    folders = tuple(folders)
    found = {Touch(Touched.WORKFLOWS, path) for path in paths if _WORKFLOW.fullmatch(path)}
    below = [path for path in map(after.below_root, paths) if path is not None]
    for path in below:
        found.update(Touch(what, path) for what in _judges(path, before, after, folders))
    records = [path for path in below if path.startswith(_RECORDS)]
    if records and not (_is_sound_sample(before) and _is_sound_sample(after)):
        found |= {Touch(Touched.RECORDS, path) for path in records}
    return tuple(sorted(found))


def _judges(path: str, before: Commit, after: Commit, folders: tuple[str, ...]) -> Iterator[Touched]:
    """What the file at `path` judges, as far as its meaning differs."""
    if path == CONFIG_FILE:
        old, new = _values(before, path), _values(after, path)
        if old.pop(_GATE, None) != new.pop(_GATE, None):
            yield Touched.POLICY
        if old != new:
            yield Touched.CONFIGURATION
    elif path == EXEMPTIONS_FILE:
        if _values(before, path) != _values(after, path):
            yield Touched.EXEMPTIONS
    elif any(_is_smoke_test(path, folder, before, after) for folder in folders):
        yield Touched.SMOKE_TESTS


def _is_smoke_test(path: str, folder: str, before: Commit, after: Commit) -> bool:
    top = f"{folder}/" if folder else ""
    if path == f"{top}{DEFINITION_FILE}":
        return _values(before, path).get("smoke") != _values(after, path).get("smoke")
    return path == f"{top}{SMOKE_FILE}" or path.startswith(f"{top}{SMOKE_FOLDER}/")


def _values(commit: Commit, path: str) -> dict[str, Any]:
    """What a TOML file says. One that cannot be read says something else than any other file."""
    data = commit.read(path)
    if data is None:
        return {}
    try:
        return tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
        unreadable = {"unreadable": f"{commit.label}:{path}"}
        return dict.fromkeys((_GATE, SMOKE_FOLDER, "rest"), unreadable)


def _is_sound_sample(commit: Commit) -> bool:
    """Whether the records of `commit` are those of a sample, and verify."""
    with scratch_folder() as folder:
        journal = Journal(folder)
        try:
            commit.export(AUDIT_LOGS, journal.root)
            return journal.is_sample() is True and verify_history(journal).ok
        except HullmarkError:  # whatever cannot be read is no sound sample, and blocks
            return False
