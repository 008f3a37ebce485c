"""Smoke tests in the record: written when an image or its result is new, and not for every run.

Rules (each has a test with the same words):
- a test whose digest and result are those of the test before is not written again;
- a test that was not made is written as such: its absence is a fact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hullmark.event import SmokeTested, parse_event
from hullmark.ledger.entry import parse_entry
from hullmark.ledger.files import batches
from hullmark.ledger.layout import month_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hullmark.journal import Journal
    from hullmark.recording import Recording

_TAG = str(SmokeTested.__struct_config__.tag)
_MARK = _TAG.encode()


class ImageTested(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A smoke test and the image that was tested."""

    image: str
    event: SmokeTested


def find_last(journal: Journal, image: str, platform: str) -> SmokeTested | None:
    """The newest recorded smoke test of one platform of `image`; the newest month is looked into first."""
    for file in reversed(month_files(journal.root, image)):
        newest = None
        for lines, _ in batches(journal.root / file):
            for raw in lines:
                if _MARK not in raw:
                    continue
                entry = parse_entry(raw, ledger=image, file=file)
                event = parse_event(entry.type, entry.data, place=f"{journal.root}/{file}")
                if isinstance(event, SmokeTested) and event.platform == platform:
                    newest = event
        if newest is not None:
            return newest
    return None


def record_tests(journal: Journal, recording: Recording, tests: Iterable[ImageTested]) -> None:
    """Record each of `tests` that says something new."""
    for test in tests:
        before = find_last(journal, test.image, test.event.platform)
        same = before is not None and (before.digest, before.result) == (test.event.digest, test.event.result)
        if not same:
            recording.add_test(test.image, test.event)
