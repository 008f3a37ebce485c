"""What went into a registry, in the record: which digest of an image users get, and why a tag stayed.

Rules (each has a test with the same words):
- published is the newest push that moved the tag;
- a tag that stayed is told until a push moves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from hullmark.event import Kept, Pushed, parse_event
from hullmark.ledger.entry import parse_entry
from hullmark.ledger.files import batches
from hullmark.ledger.layout import month_files

if TYPE_CHECKING:
    from hullmark.image import Digest
    from hullmark.journal import Journal

_MARK = f'"type":"{Pushed.__struct_config__.tag}"}}'.encode()
"""How the canonical line of a push ends: no other line needs to be read again for it."""


def find_pushes(journal: Journal, image: str) -> tuple[tuple[str, Pushed], ...]:
    """Every recorded push of `image` with its time, oldest first."""
    found = []
    for file in month_files(journal.root, image):
        for lines, _ in batches(journal.root / file):
            for raw in lines:
                if raw.endswith(_MARK):
                    entry = parse_entry(raw, ledger=image, file=file)
                    event = parse_event(entry.type, entry.data, place=f"{journal.root}/{file}")
                    assert isinstance(event, Pushed)  # noqa: S101 - its type says so
                    found.append((entry.at, event))
    return tuple(found)


def find_published(journal: Journal, image: str, repository: str = "") -> Pushed | None:
    """The push that brought what users of `image` get; None where nothing was published.

    From any registry, or from the `repository` that is named.
    """
    for _, event in reversed(find_pushes(journal, image)):
        if event.kept is None and repository in ("", event.repository):
            return event
    return None


def was_tried(journal: Journal, image: str, inputs: dict[str, Digest]) -> bool:
    """Whether a whole build from `inputs` (by platform) was pushed and judged, whatever came of it."""
    return any(
        event.built_from == inputs and event.kept is not Kept.INCOMPLETE
        for _, event in find_pushes(journal, image)
    )


def kept_tags(journal: Journal) -> dict[str, str]:
    """For each image whose published tag stayed where it was at the newest push: why."""
    kept: dict[str, str] = {}
    for image in journal.images():
        at, event = next(reversed(find_pushes(journal, image)), ("", None))
        if event is None or event.kept is None:
            continue
        match event.kept:
            case Kept.BLOCKED:
                kept[image] = f"stays where it was: the build was blocked on {at[:10]}"
            case Kept.INCOMPLETE:
                kept[image] = f"stays where it was: incomplete on {at[:10]}: {event.detail}"
            case _:
                assert_never(event.kept)
    return kept
