"""What the benchmarks share: the made-up history on disk, installed programs, one temporary folder.

Everything is made when it is first asked for, so that one benchmark alone starts quickly.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bench.scans import Week, make_weeks, record_history

if TYPE_CHECKING:
    from hullmark.journal import Journal

ROOT = Path(__file__).resolve().parent.parent
WEEKS = 13
"""One more than the history that is recorded, so that 90 reports can be taken from it."""
RECORDED_WEEKS = 12
DAILY = 6
PEERS = "requirements/bench.txt"


class Workspace:
    """Made once in each run, in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fresh(self, name: str) -> Path:
        """An empty folder."""
        path = self.folder / name
        path.mkdir(parents=True)
        return path

    @cached_property
    def weeks(self) -> list[Week]:
        """The whole history, week by week."""
        return make_weeks(self.fresh("reports"), WEEKS)

    @cached_property
    def recorded(self) -> list[Week]:
        """The weeks that the ledgers are made of."""
        return [week for week in self.weeks if week.snapshot.week < RECORDED_WEEKS]

    @cached_property
    def recorded_journal(self) -> Journal:
        """The recorded weeks, one scan a week."""
        return record_history(self.fresh("recorded") / "audit-logs", self.recorded)

    @cached_property
    def daily_journal(self) -> Journal:
        """The same with a scan a day: six of seven find nothing new."""
        return record_history(self.fresh("daily") / "audit-logs", self.recorded, repeated=DAILY)

    @cached_property
    def large(self) -> Path:
        """The largest report, of about 2.2 MB."""
        return max((week.report for week in self.weeks), key=lambda path: path.stat().st_size)

    @cached_property
    def installed(self) -> Path:
        """The Python of a virtual environment in which the wheel is installed, with its .pyc files.

        What the wheel needs is taken from the environment that runs the benchmark.
        """
        wheels, home = self.fresh("wheels"), self.folder / "installed"
        build = "import sys; from flit_core.buildapi import build_wheel; build_wheel(sys.argv[1])"
        _run([sys.executable, "-c", build, str(wheels)])
        _run([sys.executable, "-m", "venv", "--without-pip", str(home)])
        (wheel,) = wheels.glob("*.whl")
        python = home / "bin" / "python"
        _run([sys.executable, *["-m", "pip", "--python"], str(python), *_INSTALL, "--no-deps", str(wheel)])
        own, ours = (
            Path(sysconfig.get_path("purelib", vars={"base": str(base)})) for base in (home, sys.prefix)
        )
        (own / "dependencies.pth").write_text(f"{ours}\n", encoding="utf-8")
        return python

    @cached_property
    def peers(self) -> Path:
        """Folder of the programs of requirements/bench.txt, installed once below .cache/."""
        home = ROOT / ".cache" / "bench-venv"
        lock = (ROOT / PEERS).read_bytes()
        stamp = home / "installed.txt"
        if not stamp.exists() or stamp.read_bytes() != lock:
            print(f"installing {PEERS} into .cache/bench-venv (once)", file=sys.stderr, flush=True)
            _run([sys.executable, "-m", "venv", str(home)])
            _run(
                [
                    str(home / "bin" / "python"),
                    *("-m", "pip", *_INSTALL),
                    *("--require-hashes", "--only-binary=:all:", "-r", PEERS),
                ]
            )
            stamp.write_bytes(lock)
        return home / "bin"


_INSTALL = ("install", "--quiet", "--disable-pip-version-check")


def _packages(home: Path | str) -> Path:
    """Where a virtual environment keeps its packages."""
    return Path(sysconfig.get_path("purelib", vars={"base": str(home)}))


def _run(words: list[str]) -> None:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[:5])} … ended with {done.returncode}: {done.stderr[-2000:]}")
