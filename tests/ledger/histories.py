"""Ledgers to test with, made by the real writer in a real folder."""

from __future__ import annotations

import os
import pickle
import traceback
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from hullmark.ledger.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)

# One step: which ledger (or "finish" for a run record), and how many hours the clock moved, also backwards.
STEPS = st.lists(
    st.tuples(st.sampled_from(["postgres", "php", "runs", "finish"]), st.integers(-40, 400)),
    min_size=1,
    max_size=9,
)


def make(root: Path, steps: list[tuple[str, int]]) -> Store:
    """Write a ledger step by step; data differs from entry to entry."""
    store = Store(root)
    now = NOW
    with store.writer() as writer:
        for number, (name, hours) in enumerate(steps):
            now += timedelta(hours=hours)
            if name == "finish":
                writer.finish_run({"number": number}, now=now)
            else:
                writer.append(name, "scan", {"number": number, "text": "\N{SNOWMAN} \n"}, now=now)
    return store


def files(root: Path) -> dict[str, bytes]:
    """Return every file below `root` with its bytes."""
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def lines_of(root: Path, name: str) -> list[tuple[str, bytes]]:
    """Return the lines of a ledger over all its files, each with its file."""
    months = sorted((root / name).glob("*.jsonl"))
    return [(f"{name}/{m.name}", line) for m in months for line in m.read_bytes().splitlines(keepends=True)]


def rewrite(root: Path, name: str, lines: list[tuple[str, bytes]]) -> None:
    """Replace the files of a ledger by `lines`."""
    for month in (root / name).glob("*.jsonl"):
        month.unlink()
    for file, line in lines:
        with (root / file).open("ab") as stream:
            stream.write(line)


def in_child(work: Callable[[], object]) -> object:
    """Run `work` in a process of its own, which may lose its rights, and return what it returns."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = work()
        except BaseException:  # noqa: BLE001 - the parent shows it
            answer = traceback.format_exc()
        os.write(writing, pickle.dumps(answer))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        answer = pickle.loads(stream.read())  # noqa: S301 - our own child wrote it
    os.waitpid(child, 0)
    return answer
