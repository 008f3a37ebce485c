"""What an image is built from, as one digest: equal inputs give the equal digest, on disk and in any commit.

Rules (each has a test with the same words):
- every file of the image's folder counts, with its name and whether it may be executed;
- the order in which files are read does not count;
- its table in `hullmark.toml` counts, but for its other platforms;
- an image built from another image of the repository changes with it;
- images built from one another in a circle are refused.

Whether the content is fixed is another question: a Dockerfile with equal inputs may give other packages
tomorrow, a lock never does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from hullmark.build.definition import DEFINITION_FILE, LOCK_FILE
from hullmark.errors import InputError
from hullmark.image import Digest, Platform

if TYPE_CHECKING:
    from collections.abc import Iterable

FORM = "hullmark-inputs-1"
"""Part of what is hashed: another way of hashing is another form."""

_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)|\bfrom=([^\s,]+)", re.IGNORECASE | re.MULTILINE)
_OURS = re.compile(r"(?<![\w./-])(?:localhost/)?hullmark/([a-z0-9._-]+)")


class InputFile(NamedTuple):
    """One file of an image's folder."""

    mode: str
    """Git's: `100644`, `100755`, or `120000` for a link, whose content is its target."""
    digest: Digest


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """All that one image is built from."""

    settings: Mapping[str, Any]
    """Its table of `hullmark.toml`, without platforms."""
    reference: str = ""
    """What is fetched instead of being built."""
    files: Mapping[str, InputFile] = {}
    """The files of its folder, by path below it."""
    bases: tuple[str, ...] = ()
    """Other images of this repository that it is built from."""

    @property
    def is_fixed(self) -> bool:
        """Whether equal inputs always give equal content: a lock, or a reference by digest."""
        if self.reference:
            return "@sha256:" in self.reference
        return DEFINITION_FILE in self.files and LOCK_FILE in self.files


def find_bases(dockerfile: str, names: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` that a Dockerfile builds from, sorted. A name too many only builds more often."""
    asked = {_repository(first or second) for first, second in _FROM.findall(dockerfile)}
    asked |= {_repository(name) for name in _OURS.findall(dockerfile)}
    return tuple(sorted(asked.intersection(names)))


def _repository(reference: str) -> str:
    """`localhost/hullmark/app:build` -> `app`."""
    name = reference.partition("@")[0].removeprefix("localhost/").removeprefix("hullmark/")
    return name.partition(":")[0]


def digest_inputs(name: str, platform: Platform, recipes: Mapping[str, Recipe]) -> Digest:
    """The digest of everything that the image `name` of `recipes` is built from, for one platform."""
    return _digest(name, platform, recipes, ())


def _digest(name: str, platform: Platform, recipes: Mapping[str, Recipe], above: tuple[str, ...]) -> Digest:
    if name in above:
        circle = " -> ".join((*above[above.index(name) :], name))
        raise InputError("images are built from one another in a circle", file=circle)
    recipe = recipes[name]
    content = {
        "form": FORM,
        "image": name,
        "platform": str(platform),
        "settings": recipe.settings,
        "reference": recipe.reference,
        "files": {path: list(file) for path, file in recipe.files.items()},
        "bases": {base: _digest(base, platform, recipes, (*above, name)) for base in recipe.bases},
    }
    return Digest(f"sha256:{sha256(msgspec.json.encode(content, order='sorted')).hexdigest()}")
