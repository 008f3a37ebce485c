"""The workflows of this repository, read as GitHub reads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github/workflows"
FILES = tuple(sorted(FOLDER.glob("*.yml")))


def read(path: Path) -> dict[str, Any]:
    """One workflow. YAML 1.2: `on` is a key, not a truth value."""
    document: dict[str, Any] = YAML(typ="safe").load(path.read_text())
    return document


def triggers(workflow: dict[str, Any]) -> dict[str, Any]:
    """What starts a workflow, with its settings."""
    on = workflow["on"]
    if isinstance(on, str):
        return {on: None}
    return dict.fromkeys(on) if isinstance(on, list) else on


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    """The jobs of a workflow by their ids."""
    found: dict[str, dict[str, Any]] = read(path)["jobs"]
    return found


def steps(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every step of every job, with the job's id."""
    for name, job in jobs(path).items():
        for step in job.get("steps", ()):
            yield name, step


def needs(job: dict[str, Any]) -> list[str]:
    """The jobs that a job waits for."""
    needed = job.get("needs", [])
    return [needed] if isinstance(needed, str) else list(needed)
