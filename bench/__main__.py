"""Measure the performance budgets and print them as a table; exit code 1 when one is broken."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from bench import (
    building,
    gating,
    ledgers,
    reading,
    recording,
    reports,
    site,
    starting,
    startup,
    trend,
)
from bench.budget import Benchmark, Figure, is_kept, render
from bench.clock import pin
from bench.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BENCHMARKS: dict[str, Benchmark] = {
    "normalise": reading.normalise,
    "ingest": recording.ingest,
    "start": startup.version,
    "memory": reading.memory,
    "size": ledgers.size,
    "unchanged": ledgers.unchanged,
    "verify": ledgers.verify,
    "append": recording.append,
    "changes": ledgers.changes,
    "trend": trend.trend,
    "gate": gating.gate,
    "compare": gating.compare,
    "build": building.build,
    "images": starting.start,
    "reports": reports.reports,
    "site": site.site,
}


def main(arguments: Sequence[str] | None = None, benchmarks: Mapping[str, Benchmark] = BENCHMARKS) -> int:
    """Run the benchmarks that were asked for, and answer whether their budgets were kept."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of: {', '.join(benchmarks)}; all by default"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in benchmarks]:
        parser.error(f"no benchmark is called {', '.join(unknown)}")
    pin()
    figures = run({name: benchmarks[name] for name in options.names or benchmarks})
    print("\n".join(render(figures)))
    if options.json:
        told = [{**msgspec.structs.asdict(figure), "verdict": figure.verdict} for figure in figures]
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(told)) + b"\n")
    return 0 if is_kept(figures) else 1


def run(benchmarks: Mapping[str, Benchmark]) -> list[Figure]:
    """All figures. A benchmark that fails gives a broken one, and never stops the others."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="hullmark-bench-") as folder:
        workspace = Workspace(Path(folder))
        for name, benchmark in benchmarks.items():
            begin = perf_counter()
            try:
                figures += benchmark(workspace)
            except Exception as error:  # noqa: BLE001 - whatever it was, the others can still be measured
                figures.append(Figure(what=name, measured=None, failed=True, note=str(error)))
            print(f"{name}: {perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
    return figures


if __name__ == "__main__":
    sys.exit(main())
