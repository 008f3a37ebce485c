"""Times that can be compared: taken in one run, in turns, on one core, the middle of many.

Only ratios of such times mean something on a machine that others use too.
"""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Mapping, Sequence  # noqa: TC003 - fields of a NamedTuple
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROUNDS = 11


def pin() -> None:
    """Stay on one core, this process and all that it starts."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


class Times(NamedTuple):
    """Seconds of each variant, one for each round."""

    rounds: Mapping[str, Sequence[float]]

    def seconds(self, name: str) -> float:
        """The middle of one variant's times."""
        return median(self.rounds[name])

    def ratio(self, one: str, other: str) -> float:
        """How many times longer `one` takes than `other`: the middle of the rounds' own ratios.

        What disturbs a whole round disturbs both, and leaves their ratio alone.
        """
        return median(a / b for a, b in zip(self.rounds[one], self.rounds[other], strict=True))


def interleave(variants: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> Times:
    """Time the variants in turns: every round runs all of them once.

    Each runs once before, unmeasured. Collection of garbage waits until between two variants.
    """
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for run in variants.values():
        run()
    for _ in range(rounds):
        for name, run in variants.items():
            gc.collect()
            gc.disable()
            begin = perf_counter()
            run()
            taken[name].append(perf_counter() - begin)
            gc.enable()
    return Times(taken)


def command(
    arguments: Sequence[str | Path], *, cwd: Path | None = None, ok: tuple[int, ...] = (0,)
) -> Callable[[], object]:
    """A variant that runs a program to its end; RuntimeError when it answers otherwise than `ok`."""
    words = [str(argument) for argument in arguments]

    def run() -> None:
        done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
        if done.returncode not in ok:
            raise RuntimeError(f"{' '.join(words[:4])} … ended with {done.returncode}: {done.stderr[-500:]}")

    return run
