"""One built image on its way into a registry: what was scanned of it, the decision, the push, the tag.

Rules (each has a test with the same words):
- what was scanned is what is published: any other digest is refused;
- an image that was not built, not scanned or not looked at whole is not pushed, and its tag stays;
- the build is judged against what is published, with the policy and exemptions that lie here;
- a smoke test that was not made blocks only where it is required;
- the tag moves on allow and review, the first publication included, and stays on block;
- a tag that somebody else moved is left alone, unless the digest that it names is given;
- what is there already is not sent again: a second run changes nothing;
- killed at any moment, the next run ends well.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hullmark.build.archive import inspect_archive
from hullmark.built import read_failure
from hullmark.built_evidence import PROVENANCE, evidence_folder
from hullmark.config import Image
from hullmark.decision import Absence, Decision, Missing, SmokeResult, parse_decision
from hullmark.errors import InputError, NetworkError
from hullmark.files import read_bounded
from hullmark.gate import Trial
from hullmark.history import ScanRecord
from hullmark.image import parse_digest, parse_platform
from hullmark.journal import Journal
from hullmark.ledger.entry import format_time
from hullmark.outbox import pack_push
from hullmark.pipeline import Source
from hullmark.recording import begin_decision
from hullmark.registry.client import Manifest
from hullmark.registry.referrer import CYCLONEDX, IN_TOTO, attach
from hullmark.tested import find_last

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from hullmark.build.publishable import Document, Publishable
    from hullmark.event import Decided, Pushed
    from hullmark.image import Digest, Platform
    from hullmark.outbox import Outbox
    from hullmark.registry.client import Registry


MAX_STATEMENT = 16 << 20


class _Subject(msgspec.Struct, frozen=True):
    digest: dict[str, str] = {}


class _Statement(msgspec.Struct, frozen=True):
    """An in-toto statement, as far as it says what it is about."""

    subject: tuple[_Subject, ...]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A scan of a platform, and the record that has it."""

    scan: ScanRecord
    journal: Journal


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """A built image of which every platform was scanned whole."""

    image: Image
    path: Path
    scans: dict[str, Found]
    """By platform."""

    @property
    def digests(self) -> dict[str, Digest]:
        """Of each platform what was scanned."""
        return {platform: found.scan.digest for platform, found in self.scans.items()}

    @property
    def inputs(self) -> dict[str, Digest]:
        """Of each platform what it was built from, where that is known."""
        return {name: found.scan.inputs for name, found in self.scans.items() if found.scan.inputs}

    @property
    def labels(self) -> tuple[str, ...]:
        """Each `image platform`."""
        return tuple(f"{self.image.name} {platform}" for platform in self.scans)


class Incomplete(msgspec.Struct, frozen=True, kw_only=True):
    """An image that cannot be published now."""

    image: Image
    reason: str


def find_build(image: Image, out: Path, journals: Sequence[Journal]) -> Build | Incomplete:
    """What was built of `image` below `out`, with the scan of each platform; or why it is not whole.

    InputError when what lies there is not what was scanned.
    """
    places = [place for place in (out / image.name, out / f"{image.name}.tar") if place.exists()]
    if not places:
        failure = read_failure(out, image.name)
        return Incomplete(image=image, reason=failure.message if failure else "it was not built")
    archive = inspect_archive(places[0])
    scans: dict[str, Found] = {}
    for platform in image.platforms:
        digest = archive.only(platform).digest
        found = find_scan(journals, image.name, str(platform), digest)
        if found is None:
            label = f"{image.name} {platform}"
            missed = next((why[label] for why in (j.missing() for j in journals) if label in why), None)
            if missed is not None:
                return Incomplete(image=image, reason=f"{platform} was not scanned: {missed}")
            raise InputError(
                f"{platform} is {digest}, which nobody scanned",
                file=places[0],
                hint="What was scanned is what is published. Build and scan again: hullmark record.",
            )
        if gaps := found.scan.coverage.gaps:
            return Incomplete(image=image, reason=f"{platform}: {gaps[0]}")
        scans[str(platform)] = found
    return Build(image=image, path=places[0], scans=scans)


def find_scan(journals: Sequence[Journal], image: str, platform: str, digest: Digest) -> Found | None:
    """The newest recorded scan of one platform that has this digest."""
    for journal in journals:
        timeline = journal.timelines(image).get(platform)
        for scan in reversed(timeline.scans if timeline else ()):
            if scan.digest == digest:
                return Found(scan=scan, journal=journal)
    return None


def propose_trials(
    build: Build, base: Pushed | None, journals: Sequence[Journal], *, tested: frozenset[Platform]
) -> tuple[Trial, ...]:
    """Each platform, judged against what is published of it. `tested` are those that need a smoke test."""
    return tuple(
        Trial(
            image=build.image.name,
            platform=platform,
            base=_published(build, base, platform, journals),
            head=_built(build, platform),
            smoke=_smoke(
                journals,
                build.image.name,
                platform,
                found.scan.digest,
                is_required=parse_platform(platform) in tested,
            ),
        )
        for platform, found in build.scans.items()
    )


def _published(
    build: Build, base: Pushed | None, platform: str, journals: Sequence[Journal]
) -> Source | Missing:
    digest = base.images.get(platform) if base else None
    if digest is None:
        return Missing(reason=Absence.NEVER_RECORDED, detail="nothing is published yet")
    found = find_scan(journals, build.image.name, platform, digest)
    if found is None:
        raise InputError(
            f"{digest} is published, and no scan of it is recorded",
            file=f"{build.image.name} {platform}",
            hint="Fetch what is published with: hullmark publish --fetch",
        )
    return _source(build.image, platform, found)


def _built(build: Build, platform: str) -> Source:
    """The image itself: the gate lets nothing pass by itself of which it saw no files."""
    return Source(
        image=build.image.name,
        platform=parse_platform(platform),
        path=build.path,
        package_types=build.image.package_types,
    )


def _source(image: Image, platform: str, found: Found) -> Source:
    scan = found.scan
    return Source(
        image=image.name,
        platform=parse_platform(platform),
        path=found.journal.evidence.path(scan.sbom),
        sbom=found.journal.evidence.get(scan.sbom),
        package_types=image.package_types,
        recorded=scan.coverage,
    )


def _smoke(
    journals: Sequence[Journal], image: str, platform: str, digest: Digest, *, is_required: bool
) -> SmokeResult:
    """What the smoke test of exactly this digest said; one that failed was never scanned."""
    tests = (find_last(journal, image, platform) for journal in journals)
    result = next((test.result for test in tests if test and test.digest == digest), SmokeResult.NOT_DECLARED)
    if result is SmokeResult.NOT_RUN and not is_required:
        return SmokeResult.NOT_DECLARED
    return result


def find_decision(
    journals: Sequence[Journal], build: Build, base: Pushed | None, *, commit: str
) -> tuple[Decided, Journal] | None:
    """The newest decision of `commit` over exactly this build against exactly what is published."""
    for journal in journals:
        for _, decided in reversed(journal.decisions()):
            if set(decided.images) != set(build.labels) or decided.pull_request or decided.head != commit:
                continue
            decision = parse_decision(journal.evidence.get(decided.decision))
            if dict(_compared(decision)) == {
                platform: (base.images.get(platform) if base else None, digest)
                for platform, digest in build.digests.items()
            }:
                return decided, journal
    return None


def _compared(decision: Decision) -> Iterator[tuple[str, tuple[Digest | None, Digest | None]]]:
    for image in decision.inputs.images:
        sides = tuple(None if isinstance(side, Missing) else side.digest for side in (image.base, image.head))
        yield image.platform, (sides[0], sides[1])


def put(registry: Registry, ready: Publishable) -> int:
    """Put every blob and manifest there that is not there yet; how many were sent."""
    sent = sum(registry.put_blob(blob.digest, blob.size, blob.open) for blob in ready.blobs)
    for document in ready.documents:
        if registry.find(document.digest) is None:
            registry.put_manifest(document.digest, _manifest(document))
            sent += 1
    return sent


def move_tag(
    registry: Registry, tag: str, ready: Publishable, *, ours: frozenset[Digest], over: Digest | None
) -> Digest | None:
    """Let `tag` name what was put there; return what else it named before.

    `ours` are the digests that this repository scanned or published. A registry cannot move a tag on
    condition: what it names is looked at before and after.
    """
    top = ready.top
    before = registry.find(tag)
    if before is not None and before.digest == top.digest:
        return None
    if before is not None and before.digest != over and not _is_ours(registry, before, ours):
        raise NetworkError(
            f"{registry.place}:{tag} names {before.digest}, which does not come from this repository",
            hint="Find out who moved it. To replace it: hullmark push --over " + before.digest,
        )
    registry.put_manifest(tag, _manifest(top))
    after = registry.find(tag)
    if after is None or after.digest != top.digest:
        raise NetworkError(
            f"{registry.place}:{tag} was moved by somebody else meanwhile, to "
            f"{after.digest if after else 'nothing'}",
            hint="Only one publisher should move it. Run the command again.",
        )
    return before.digest if before else None


def _is_ours(registry: Registry, manifest: Manifest, ours: frozenset[Digest]) -> bool:
    if manifest.digest in ours:
        return True
    try:
        document: dict[str, Any] = msgspec.json.decode(manifest.content)
        named = [parse_digest(each["digest"]) for each in document.get("manifests", ())]
        if not named:
            return parse_digest(document["config"]["digest"]) in ours
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise NetworkError(f"{registry.place}: {manifest.digest} is no manifest: {error}") from error
    inner = [registry.find(digest) for digest in named]
    return all(each is not None and _is_ours(registry, each, ours) for each in inner)


def own_digests(
    journals: Sequence[Journal], image: str, pushes: Sequence[tuple[str, Pushed]]
) -> frozenset[Digest]:
    """Every digest of `image` that was scanned or published from this repository."""
    scanned = {
        scan.digest
        for journal in journals
        for timeline in journal.timelines(image).values()
        for scan in timeline.scans
    }
    return frozenset(scanned | {push.digest for _, push in pushes if push.digest})


def attach_evidence(
    registry: Registry, ready: Publishable, build: Build, statements: Sequence[bytes]
) -> tuple[Digest, ...]:
    """Put beside each platform's manifest its SBOM and what it was built from, where that was written.

    Beside what the tag names come the `statements`.
    """
    attached = []
    for platform, document in ready.manifests.items():
        found = build.scans[platform]
        sbom = found.journal.evidence.get(found.scan.sbom)
        attached.append(attach(registry, _manifest(document), CYCLONEDX, sbom))
        if provenance := read_provenance(build, platform):
            attached.append(attach(registry, _manifest(document), IN_TOTO, provenance))
    attached += [attach(registry, _manifest(ready.top), IN_TOTO, each) for each in statements]
    return tuple(attached)


def read_provenance(build: Build, platform: str) -> bytes:
    """What the evidence of `hullmark build` says an image was built from; nothing where it is of another."""
    path = evidence_folder(build.path.parent, build.image.name, platform) / PROVENANCE
    if not path.is_file():
        return b""
    content = read_bounded(path, MAX_STATEMENT)
    try:
        statement = msgspec.json.decode(content, type=_Statement)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(str(error), file=path, hint="Build the image again.") from error
    named = {f"sha256:{each.digest.get('sha256', '')}" for each in statement.subject}
    return content if named == {build.digests[platform]} else b""


def _manifest(document: Document) -> Manifest:
    return Manifest(document.media_type, document.content)


def is_told(event: Pushed, pushes: Sequence[tuple[str, Pushed]]) -> bool:
    """Whether the newest push already says what `event` says."""
    if not pushes:
        return False
    forgotten: dict[str, Any] = {"before": None, "commit": "", "decision": None, "verdict": None}
    _, last = pushes[-1]
    return msgspec.structs.replace(last, **forgotten) == msgspec.structs.replace(event, **forgotten)


def record_push(
    journal: Journal,
    image: str,
    event: Pushed,
    *,
    sample: bool,
    now: datetime,
    clock_overridden: bool = False,
    outbox: Outbox | None = None,
) -> None:
    """Record a push. With an `outbox` the same fact is packed for publishing, first."""
    with begin_decision(journal, sample=sample, now=now, clock_overridden=clock_overridden) as deciding:
        if outbox is not None:
            pack_push(outbox, at=format_time(now), image=image, event=event, sample=sample)
        deciding.record_push(image, event)
