"""Whether base and head are of one image, by what each says of itself and what was recorded of it.

Rules (each has a test with the same words):
- two images whose labels give them different titles are two images, however much they have in common;
- what was recorded under other names only is another image than the one that it is given as;
- two sides without a name are two images when they were recorded under different names;
- two sides that have nothing in common are two images.

A planned comparison knows what both were built from: there an image may get another title.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hullmark.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hullmark.decision import Side
    from hullmark.image import Digest

MIN_COMPARED = 5
"""Packages that base and head must each have, before having none in common says that they are two images."""

_HINT = "Give the base of this image. Where there is none, give head alone: a person decides then."
_RENAMED = (
    "Give the base of this image. Where the image was renamed, let `hullmark plan` compare the commits."
)


class Relative(NamedTuple):
    """One side, and how it is called."""

    side: Side
    place: str
    """The file, or what else names it in a message."""
    title: str = ""
    """What its label says; empty when it says nothing."""


def refuse_strangers(
    label: str,
    image: str,
    base: Relative,
    head: Relative,
    names_of: Callable[[Digest], frozenset[str]],
    *,
    planned: bool,
) -> None:
    """Refuse two sides of different images. `image` is empty where nobody named it.

    `names_of` gives the names under which an image was recorded.
    """
    if not planned and base.title and head.title and base.title != head.title:
        raise InputError(
            f"base of {label} calls itself {base.title!r}, and head {head.title!r}: base is of another image",
            file=base.place,
            hint=_RENAMED,
        )
    known = [frozenset[str]() if planned else names_of(each.side.digest) for each in (base, head)]
    for relative, names in zip((base, head), known, strict=True):
        if image and names and image not in names:
            other = " and ".join(sorted(names))
            raise InputError(f"was recorded as {other}, not as {image}", file=relative.place, hint=_RENAMED)
    if not image and all(known) and known[0].isdisjoint(known[1]):
        one, other = (" and ".join(sorted(names)) for names in known)
        raise InputError(
            f"base was recorded as {one}, and head as {other}: base is of another image",
            file=base.place,
            hint=_HINT,
        )
    before, after = ({(p.type, p.name) for p in relative.side.packages} for relative in (base, head))
    if min(len(before), len(after)) >= MIN_COMPARED and before.isdisjoint(after):
        raise InputError(
            f"base and head of {label} have no package in common: base is of another image",
            file=base.place,
            hint=_HINT,
        )
