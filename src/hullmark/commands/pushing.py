"""The steps of `hullmark push` for one image: the decision, the push, the tag, the record."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hullmark.baseline import file_stem
from hullmark.build.publishable import prepare
from hullmark.commands import Application, format_json
from hullmark.commands.gate import read_exemptions, read_kev, read_policy
from hullmark.commands.options import scan_options
from hullmark.config import Project
from hullmark.decision import parse_decision
from hullmark.errors import Exit, IncompleteError, UsageError
from hullmark.event import Decided, Kept, Pushed
from hullmark.exemptions import EXEMPTIONS_FILE
from hullmark.files import scratch_folder, write_whole
from hullmark.formats.attestation import render_vsa
from hullmark.gate import Proposal, judge, record_decision
from hullmark.image import Digest
from hullmark.journal import Journal
from hullmark.outbox import Outbox
from hullmark.pipeline import open_toolchain
from hullmark.policy import Verdict
from hullmark.projection import AUDIT_LOGS
from hullmark.publication import (
    Build,
    Incomplete,
    attach_evidence,
    find_build,
    find_decision,
    is_told,
    move_tag,
    own_digests,
    propose_trials,
    put,
    record_push,
)
from hullmark.pushed import find_published, find_pushes
from hullmark.registry.client import Registry
from hullmark.registry.cosign import find_cosign, sign
from hullmark.registry.login import find_login
from hullmark.registry.place import GITHUB, parse_place
from hullmark.text import encodable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    from hullmark.build.publishable import Publishable
    from hullmark.config import Image
    from hullmark.progress import Progress
    from hullmark.registry.place import Place


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one image."""

    image: str
    exit: Exit = Exit.DONE
    verdict: str = ""
    """Empty where nothing was judged: what was built is published already, or is incomplete."""
    reason: str = ""
    """Why it could not be pushed."""
    hint: str = ""
    event: Pushed | None = None
    sent: int = 0
    """Blobs and manifests that were not there yet."""
    is_recorded: bool = False
    """Whether it is told in the record now, and was not before."""
    notes: tuple[str, ...] = ()


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of this command works with."""

    app: Application
    project: Project
    options: dict[str, Any]
    out: Path
    home: Path
    outbox: Outbox | None
    fetched: Journal | None
    commit: str
    tag: str
    registry: str
    over: Digest | None
    subjects: Path | None

    @property
    def own(self) -> Journal:
        """Where this run records."""
        return Journal(self.home / AUDIT_LOGS)

    @property
    def journals(self) -> tuple[Journal, ...]:
        """Every record of what was scanned: what is published, then what was only seen here."""
        return (*([self.fetched] if self.fetched else []), self.own)

    @property
    def known(self) -> Journal:
        """The record that says what is published."""
        return self.fetched or self.own

    def place(self, image: str) -> Place:
        """Where an image goes."""
        return parse_place(f"{self.registry}/{image}")

    def connect(self, image: str) -> Registry:
        """The registry, as whoever is logged in there."""
        place = self.place(image)
        return Registry(place, find_login(place.host, os.environ))


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One image that is whole, and the decision over it."""

    build: Build
    base: Pushed | None
    """What is published now."""
    decided: Decided | None
    """None where nothing else than this is published."""
    statement: bytes = b""
    """The decision as an in-toto statement."""

    @property
    def is_blocked(self) -> bool:
        """Whether the tag stays."""
        return self.decided is not None and self.decided.verdict is Verdict.BLOCK


def find_registry(project: Project, environ: Mapping[str, str]) -> str:
    """Where the images of this repository go."""
    if project.publish.registry:
        return project.publish.registry
    if repository := environ.get("GITHUB_REPOSITORY", ""):
        return f"{GITHUB}/{repository.lower()}"
    raise UsageError(
        "it is not said where images go",
        hint='Name it with --registry, or with registry = "HOST/PATH" below [publish] in hullmark.toml.',
    )


def find_job(
    bench: Bench, image: Image, executor: Executor, progress: Progress, *, is_judged: bool
) -> Job | Incomplete:
    """What was built of an image, and the decision over it: made now and recorded, or recorded before."""
    build = find_build(image, bench.out, bench.journals)
    if isinstance(build, Incomplete):
        return build
    place = bench.place(image.name)
    if _is_sample(build) and not place.is_local:
        raise UsageError(
            "what a sample database judged goes to a registry of this machine only",
            hint="Scan it with a real database: hullmark db update",
        )
    base = find_published(bench.known, image.name, str(place))
    if base is not None and base.images == build.digests:
        return Job(build=build, base=base, decided=None, statement=_statement(bench, base.decision))
    if not is_judged:
        progress.say(f"judging {image.name}")
        decided = _judge(bench, build, base, executor, progress)
    else:
        found = find_decision(bench.journals, build, base, commit=bench.commit)
        if found is None:
            raise IncompleteError(
                f"no decision over {image.name} was recorded for this commit",
                hint="Make it with: hullmark push --judge",
            )
        decided = found[0]
    return Job(build=build, base=base, decided=decided, statement=_statement(bench, decided.decision))


def _is_sample(build: Build) -> bool:
    return any(found.scan.run.database.sample for found in build.scans.values())


def _judge(
    bench: Bench, build: Build, base: Pushed | None, executor: Executor, progress: Progress
) -> Decided:
    """Judge a build against what is published, with what lies here, and record the decision."""
    project, app = bench.project, bench.app
    entries, unusable = read_exemptions(app.root / EXEMPTIONS_FILE)
    proposal = Proposal(
        trials=propose_trials(build, base, bench.journals, tested=project.smoke_platforms),
        expected=build.labels,
        policy=read_policy(None, project),
        max_age=project.scan.max_age,
        exemptions=entries,
        unusable=unusable,
        kev=read_kev(project, app.root, app.now),
    )
    tools = open_toolchain(
        scan_options(bench.options), project.scan, root=app.root, environ=os.environ, now=app.now
    )
    judgement = judge(tools, proposal, executor, now=app.now, tell=progress.say, journal=bench.known)
    before = f"{build.image.name}={base.repository}@{base.digest}" if base else ""
    return record_decision(
        bench.own,
        judgement,
        now=app.now,
        base=before,
        head=bench.commit,
        clock_overridden=app.clock_overridden,
        outbox=bench.outbox,
    )


def _statement(bench: Bench, digest: Digest | None) -> bytes:
    """A recorded decision as an in-toto statement; nothing where its evidence is not here."""
    for journal in bench.journals:
        if digest is not None and journal.evidence.has(digest):
            return render_vsa(parse_decision(journal.evidence.get(digest)), digest=digest)
    return b""


def preview(image: Image, job: Job | Incomplete) -> Told:
    """What would become of an image."""
    if isinstance(job, Incomplete):
        return Told(image=image.name, exit=Exit.INCOMPLETE, reason=encodable(job.reason))
    return Told(image=image.name, verdict=job.decided.verdict if job.decided else "")


def push(bench: Bench, image: Image, job: Job | Incomplete, progress: Progress) -> Told:
    """Put one image into the registry, move its tag where that is decided, and record it."""
    place = bench.place(image.name)
    event = Pushed(repository=str(place), tag=bench.tag, commit=bench.commit)
    if isinstance(job, Incomplete):
        event = msgspec.structs.replace(event, kept=Kept.INCOMPLETE, detail=encodable(job.reason))
        is_recorded = image.name in bench.known.images() and _record(
            bench, image, event, sample=bool(bench.known.is_sample())
        )
        return Told(
            image=image.name,
            exit=Exit.INCOMPLETE,
            reason=event.detail,
            event=event,
            is_recorded=is_recorded,
        )
    build, registry = job.build, bench.connect(image.name)
    with scratch_folder() as scratch:
        progress.say(f"pushing {image.name} to {place}")
        ready = prepare(build.path, image.platforms, scratch)
        if ready.scanned != build.digests:
            raise IncompleteError(f"{build.path} was changed while it was pushed", hint="Run it again.")
        sent = put(registry, ready)
    event = msgspec.structs.replace(
        event,
        digest=ready.top.digest,
        images=build.digests,
        built_from=build.inputs,
        decision=job.decided.decision if job.decided else None,
        verdict=job.decided.verdict if job.decided else None,
        kept=Kept.BLOCKED if job.is_blocked else None,
    )
    attach_evidence(registry, ready, build, [job.statement] if job.statement else [])
    if not job.is_blocked:
        ours = own_digests(bench.journals, image.name, find_pushes(bench.known, image.name))
        before = move_tag(registry, bench.tag, ready, ours=ours, over=bench.over)
        event = msgspec.structs.replace(event, before=before)
    notes = _sign(bench, registry, ready) if sent or not job.base else ()
    return Told(
        image=image.name,
        exit=Exit.BLOCK if job.is_blocked else Exit.DONE,
        verdict=job.decided.verdict if job.decided else "",
        event=event,
        sent=sent,
        is_recorded=_record(bench, image, event, sample=_is_sample(build)),
        notes=notes,
    )


def _record(bench: Bench, image: Image, event: Pushed, *, sample: bool) -> bool:
    """Record a push where the record does not say so yet."""
    if is_told(event, find_pushes(bench.known, image.name)):
        return False
    record_push(
        bench.own,
        image.name,
        event,
        sample=sample,
        now=bench.app.now,
        clock_overridden=bench.app.clock_overridden,
        outbox=bench.outbox,
    )
    return True


def _sign(bench: Bench, registry: Registry, ready: Publishable) -> tuple[str, ...]:
    """Sign what was pushed where that may be public, and say what was not signed and why."""
    if not bench.project.publish.public:
        return ("not signed by cosign: `publish.public` is not true, and a signature would be public",)
    program = find_cosign(os.environ)
    if program is None:
        return ("not signed by cosign: it is not installed",)
    sign(program, registry.place, ready.top.digest, os.environ)
    return ("signed by cosign",)


def write_subjects(bench: Bench, told: list[Told]) -> None:
    """Write what may be attested in public: each digest with its name, and the SBOM of each platform."""
    assert bench.subjects is not None  # noqa: S101 - asked for by the caller
    subjects = []
    for each in told:
        if each.event is None or each.event.digest is None or each.exit is not Exit.DONE:
            continue
        name = each.event.repository
        found = find_build(bench.project.image(each.image), bench.out, bench.journals)
        if isinstance(found, Incomplete) or not each.is_recorded:
            continue
        many = len(found.scans) > 1
        for platform, scan in found.scans.items():
            sbom = f"{file_stem(each.image, platform)}.cdx.json"
            write_whole(bench.subjects / sbom, scan.journal.evidence.get(scan.scan.sbom))
            digest = scan.scan.digest if many else each.event.digest
            subjects.append({"name": name, "digest": digest, "sbom": sbom})
        if many:
            subjects.append({"name": name, "digest": each.event.digest, "sbom": ""})
    write_whole(bench.subjects / "subjects.json", format_json(subjects))
