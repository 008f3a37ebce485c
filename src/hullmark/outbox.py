"""What was seen and waits to be published: the facts of one run with their evidence, as files.

    <root>/<digest>.json          a parcel: what one run saw
    <root>/evidence/sha256/...    the SBOMs and findings that it names

Rules (each has a test with the same words):
- a parcel is there whole or not at all, and what it names is there before it;
- the same facts are one parcel, so that they are published once;
- a parcel that does not hold what its name says, or names what is not there, is refused with its place.
"""

from __future__ import annotations

import re
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

import msgspec

from hullmark.checked_tree import CheckedTree, format_checked_tree
from hullmark.errors import InputError, RepositoryError, UsageError
from hullmark.event import Decided, Pushed, RunStarted
from hullmark.evidence import Evidence
from hullmark.files import explained, read_bounded, write_whole
from hullmark.image import REPOSITORY, Digest, parse_digest, parse_name, parse_platform
from hullmark.journal import Journal, encode_findings
from hullmark.ledger import Head
from hullmark.ledger.entry import TIME
from hullmark.pushed import find_pushes
from hullmark.recording import Recording, begin_decision, begin_run
from hullmark.scan import Coverage, Provenance, Scan
from hullmark.tested import ImageTested, record_tests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from hullmark.event import Scanned
    from hullmark.finding import Finding

MAX_PARCEL = 16_000_000
"""The largest parcel that is read, in bytes."""

_FILE = re.compile(r"[0-9a-f]{64}\.json")


class _Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a parcel."""


class SeenScan(_Part, frozen=True, kw_only=True):
    """One scan, as it was made: not yet compared with what is published."""

    image: str
    platform: str
    digest: Digest
    sbom: Digest
    findings: Digest
    coverage: Coverage
    inputs: Digest | None = None


class SeenDecision(_Part, frozen=True, kw_only=True):
    """A decision, with all the evidence that it names, itself included."""

    event: Decided
    evidence: tuple[Digest, ...]
    sample: bool
    """Whether its database was one."""


class SeenPush(_Part, frozen=True, kw_only=True):
    """An image that went into a registry, or could not."""

    image: str
    event: Pushed
    sample: bool
    """Whether what it was judged with was one."""


class Parcel(_Part, frozen=True, kw_only=True):
    """What one run saw, or what was decided."""

    at: str
    """RFC 3339, UTC, whole seconds."""
    started: RunStarted | None = None
    """None where nothing was scanned."""
    scans: tuple[SeenScan, ...] = ()
    decisions: tuple[SeenDecision, ...] = ()
    pushes: tuple[SeenPush, ...] = ()
    missing: dict[str, str] = {}
    """What was expected and not scanned, with the reason."""
    tests: tuple[ImageTested, ...] = ()
    """The smoke tests of the run, whether they say something new or not."""
    again: dict[Digest, Digest] = {}
    """SBOMs that were published before -> their findings with the scanner and database of this run."""
    heads: dict[str, Head] = {}
    """How far the published ledger went when the run compared itself with it; empty when it did not."""
    version: Literal[1] = 1

    @property
    def is_checks(self) -> bool:
        """Whether it is about the repository's files, and not about images."""
        return self.started is not None and self.started.checks

    @property
    def labels(self) -> tuple[str, ...]:
        """What it tells of, in words."""
        scans = tuple(f"{seen.image} {seen.platform}" for seen in self.scans)
        decisions = tuple(f"decision on {seen.event.head[:12]}" for seen in self.decisions)
        return scans + decisions + tuple(f"push of {seen.image}" for seen in self.pushes)


_parcel = msgspec.json.Decoder(Parcel)


class Outbox:
    """The parcels below one root folder, which need not exist yet."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.evidence = Evidence(root)

    def path(self, digest: Digest) -> Path:
        """Where a parcel is, or would be."""
        return self.root / f"{digest.removeprefix('sha256:')}.json"

    def put(self, parcel: Parcel) -> Digest:
        """Keep a parcel whose evidence is stored already, and return its digest."""
        content = msgspec.json.encode(parcel, order="sorted")
        digest = Digest(f"sha256:{sha256(content).hexdigest()}")
        for needed in _named(parcel):
            self.evidence.check(needed)
        write_whole(self.path(digest), content)
        return digest

    def digests(self) -> tuple[Digest, ...]:
        """Every parcel, sorted; files that are no parcels are left alone."""
        if not self.root.is_dir():
            return ()
        names = sorted(path.name for path in self.root.iterdir() if _FILE.fullmatch(path.name))
        return tuple(Digest(f"sha256:{name.removesuffix('.json')}") for name in names)

    def get(self, digest: Digest) -> Parcel:
        """A parcel with everything checked that its form and its name promise."""
        path = self.path(digest)
        content = read_bounded(path, MAX_PARCEL)
        if f"sha256:{sha256(content).hexdigest()}" != digest:
            raise RepositoryError(
                f"{path}: holds other content than its name says",
                hint="It was cut or changed. Delete it, and run the scan again.",
            )
        try:
            parcel = _parcel.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"not a parcel: {error}", file=path, hint=_OTHER) from error
        _check(parcel, path)
        for needed in _named(parcel):
            self.evidence.check(needed)
        return parcel

    def scan(self, parcel: Parcel, seen: SeenScan) -> Scan:
        """One scan of a parcel. Its packages are left out: nothing that is recorded names them."""
        started = parcel.started
        assert started is not None  # noqa: S101 - `get` saw to it
        return Scan(
            image=seen.image,
            platform=parse_platform(seen.platform),
            digest=seen.digest,
            provenance=Provenance(
                scanner=started.scanner, database=started.database, containment=started.containment
            ),
            packages=(),
            findings=self.findings(seen.findings),
            coverage=seen.coverage,
        )

    def findings(self, digest: Digest) -> tuple[Finding, ...]:
        """Findings that were stored as evidence."""
        return Journal(self.root).findings(digest)

    def remove(self, digests: Iterable[Digest]) -> None:
        """Forget parcels that are published, then the evidence that no other parcel names."""
        for digest in digests:
            with explained(self.path(digest)):
                self.path(digest).unlink(missing_ok=True)
        if not self.digests():
            for path in map(self.evidence.path, tuple(self.evidence.digests())):
                with explained(path):
                    path.unlink(missing_ok=True)


_OTHER = "It was written by another version of Hullmark. Run the scan again."


def pack(
    outbox: Outbox,
    *,
    at: str,
    started: RunStarted,
    scans: Iterable[tuple[Scan, bytes, Digest | None]],
    missing: Mapping[str, str],
    tests: Iterable[ImageTested] = (),
    again: Mapping[Digest, tuple[Finding, ...]],
    heads: Mapping[str, Head],
) -> Digest:
    """Keep what a run saw: each scan with its SBOM and the digest of its build inputs."""
    seen = tuple(
        SeenScan(
            image=scan.image,
            platform=str(scan.platform),
            digest=scan.digest,
            sbom=outbox.evidence.put(sbom),
            findings=outbox.evidence.put(encode_findings(scan.findings)),
            coverage=scan.coverage,
            inputs=inputs,
        )
        for scan, sbom, inputs in scans
    )
    matched = {sbom: outbox.evidence.put(encode_findings(found)) for sbom, found in again.items()}
    parcel = Parcel(
        at=at,
        started=started,
        scans=seen,
        missing=dict(missing),
        tests=tuple(tests),
        again=matched,
        heads=dict(heads),
    )
    return outbox.put(parcel)


def pack_decision(
    outbox: Outbox, *, at: str, event: Decided, evidence: Iterable[bytes], sample: bool
) -> Digest:
    """Keep a decision with its evidence."""
    digests = tuple(sorted(map(outbox.evidence.put, evidence)))
    decision = SeenDecision(event=event, evidence=digests, sample=sample)
    return outbox.put(Parcel(at=at, decisions=(decision,)))


def pack_push(outbox: Outbox, *, at: str, image: str, event: Pushed, sample: bool) -> Digest:
    """Keep what went into a registry, or why it could not."""
    return outbox.put(Parcel(at=at, pushes=(SeenPush(image=image, event=event, sample=sample),)))


def _named(parcel: Parcel) -> Iterable[Digest]:
    for scan in parcel.scans:
        yield from (scan.sbom, scan.findings)
    for decision in parcel.decisions:
        yield from decision.evidence
    yield from parcel.again.values()


def _check(parcel: Parcel, path: Path) -> None:
    """Raise InputError when a parcel says what no run of ours can have seen."""
    if not TIME.fullmatch(parcel.at):
        raise InputError("not a time as 2026-11-23T10:00:00Z", file=path, key="at")
    labels = [f"{scan.image} {scan.platform}" for scan in parcel.scans]
    accounted = [*labels, *parcel.missing]
    expected = parcel.started.expected if parcel.started else ()
    if sorted(accounted) != sorted(expected):
        raise InputError(
            f"accounts for {', '.join(sorted(accounted)) or 'nothing'}, "
            f"expected {', '.join(expected) or 'nothing'}",
            file=path,
            key="started.expected",
        )
    for place, scan in enumerate(parcel.scans):
        if not (parcel.is_checks and scan.image == REPOSITORY):
            _checked(parse_name, scan.image, path, f"scans[{place}].image")
        _check_scan(scan, path, f"scans[{place}]")
    for place, decision in enumerate(parcel.decisions):
        _checked(parse_digest, decision.event.decision, path, f"decisions[{place}].event.decision")
        if decision.event.decision not in decision.evidence:
            raise InputError("is not among its evidence", file=path, key=f"decisions[{place}].event.decision")
    for place, test in enumerate(parcel.tests):
        _checked(parse_name, test.image, path, f"tests[{place}].image")
        _checked(parse_platform, test.event.platform, path, f"tests[{place}].platform")
        _checked(parse_digest, test.event.digest, path, f"tests[{place}].digest")
    for place, push in enumerate(parcel.pushes):
        _check_push(push, path, f"pushes[{place}]")
    for before, found in parcel.again.items():
        _checked(parse_digest, before, path, "again")
        _checked(parse_digest, found, path, "again")


def _check_scan(scan: SeenScan, path: Path, key: str) -> None:
    _checked(parse_platform, scan.platform, path, f"{key}.platform")
    for name in ("digest", "sbom", "findings"):
        _checked(parse_digest, getattr(scan, name), path, f"{key}.{name}")


def _check_push(push: SeenPush, path: Path, key: str) -> None:
    _checked(parse_name, push.image, path, f"{key}.image")
    event = push.event
    for digest in (event.digest, event.decision, event.before, *event.images.values()):
        if digest is not None:
            _checked(parse_digest, digest, path, f"{key}.event")
    for platform in event.images:
        _checked(parse_platform, platform, path, f"{key}.event.images")


def _checked(parse: Callable[[str], object], text: str, path: Path, key: str) -> None:
    try:
        parse(text)
    except UsageError as error:
        raise InputError(error.message, file=path, key=key, hint=error.hint) from error


def apply(
    outbox: Outbox,
    digest: Digest,
    journal: Journal,
    match: Callable[[Parcel, bytes], tuple[Finding, ...]],
    *,
    now: datetime,
    clock_overridden: bool = False,
) -> tuple[Scanned, ...]:
    """Record the facts of a parcel as the continuation of what `journal` holds; return the scans' events.

    `match` matches the SBOM of an earlier scan with the scanner and database of the parcel's run, where the
    parcel itself does not hold the answer.
    """
    parcel = outbox.get(digest)

    def match_again(sbom: bytes) -> tuple[Finding, ...]:
        before = Digest(f"sha256:{sha256(sbom).hexdigest()}")
        known = {scan.sbom: scan.findings for scan in parcel.scans} | parcel.again
        return outbox.findings(known[before]) if before in known else match(parcel, sbom)

    def check_again(before: CheckedTree, _: frozenset[str]) -> tuple[Finding, ...] | None:
        kept = parcel.again.get(Digest(f"sha256:{sha256(format_checked_tree(before)).hexdigest()}"))
        return None if kept is None else outbox.findings(kept)

    def record(recording: Recording, seen: SeenScan) -> Scanned:
        scan, sbom = outbox.scan(parcel, seen), outbox.evidence.get(seen.sbom)
        if parcel.is_checks:
            return recording.add_check(scan, sbom, check_again)
        return recording.add(scan, sbom, match_again, inputs=seen.inputs)

    # A time that lies ahead would hold up every later entry.
    at = min(datetime.fromisoformat(parcel.at), now)
    for seen in parcel.decisions:
        with begin_decision(
            journal, sample=seen.sample, now=at, clock_overridden=clock_overridden
        ) as deciding:
            deciding.record(seen.event, map(outbox.evidence.get, seen.evidence))
    for push in parcel.pushes:
        with begin_decision(
            journal, sample=push.sample, now=at, clock_overridden=clock_overridden
        ) as deciding:
            deciding.record_push(push.image, push.event)
    if parcel.started is None:
        return ()
    started = msgspec.structs.replace(parcel.started, parcel=digest)
    with begin_run(journal, started, now=at, clock_overridden=clock_overridden) as recording:
        record_tests(journal, recording, parcel.tests)
        events = tuple(record(recording, seen) for seen in parcel.scans)
        recording.finish(tuple(f"{seen.image} {seen.platform}" for seen in parcel.scans), parcel.missing)
    return events


def is_applied(digest: Digest, parcel: Parcel, journal: Journal) -> bool:
    """Whether `journal` has the facts of a parcel already."""
    if parcel.started is not None:
        return digest in {run.parcel for run in journal.runs().values()}
    known = [event for _, event in journal.decisions()]
    return all(seen.event in known for seen in parcel.decisions) and all(
        seen.event in [event for _, event in find_pushes(journal, seen.image)] for seen in parcel.pushes
    )
