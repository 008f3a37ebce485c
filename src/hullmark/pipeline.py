"""The order of steps for one run: open the scanner, scan, record, project.

Record first, notify second, judge last: whatever a run finds is in the ledger before anything returns
non-zero. One image that cannot be scanned never keeps another from being recorded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hullmark.build.archive import Format, inspect_archive
from hullmark.build.saved import save_layout
from hullmark.build.unowned import find_unowned
from hullmark.decision import Seen
from hullmark.errors import HullmarkError, InputError, UsageError
from hullmark.event import Scanned
from hullmark.files import read_bounded, scratch_folder
from hullmark.image import Digest, Platform, parse_digest
from hullmark.sandbox import Sandbox
from hullmark.scan import Coverage, Gap, Note, NoteReason, renew
from hullmark.scanners import canary, database
from hullmark.scanners.trivy import sbom as cyclonedx
from hullmark.scanners.trivy.binary import find_binary, identify
from hullmark.scanners.trivy.report import is_report
from hullmark.scanners.trivy.scan import ScanResult, match_sbom, scan_image, scan_report, scan_sbom
from hullmark.scanners.trivy.scanner import Trivy
from hullmark.scanners.trivy.wire import MAX_REPORT
from hullmark.smoke import SmokeReport
from hullmark.text import escape_terminal, without_folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Executor
    from datetime import datetime

    from hullmark.build.unowned import Unowned
    from hullmark.config import ScanSettings

LOCAL = ".hullmark"
"""What is of this machine only; git ignores it."""
OUTBOX = "outbox"
"""Below it: what local runs saw, until it is published."""
PUBLISHED = "published"
"""Below it: the published ledger, as it was fetched last."""

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

_ARCHITECTURES = {
    **dict.fromkeys(("amd64", "x86_64"), "amd64"),
    **dict.fromkeys(("arm64", "aarch64"), "arm64"),
    **dict.fromkeys(("armhf", "armel", "armv7"), "arm"),
    **dict.fromkeys(("i386", "i686", "x86"), "386"),
    **dict.fromkeys(("ppc64el", "ppc64le"), "ppc64le"),
    **dict.fromkeys(("s390x",), "s390x"),
    **dict.fromkeys(("riscv64",), "riscv64"),
}
"""What package managers call an architecture -> what images call it."""

_ARCHITECTURE = re.compile(r"[?&]arch=([a-z0-9_]+)")


class ScanOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a command line may say about the scanner, beyond the configuration."""

    database: Path | None = None
    trivy: Path | None = None
    canary: Path | None = None
    skip_canary: bool = False


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One image and platform to scan, and where it lies."""

    image: str
    platform: Platform
    path: Path
    """A docker-archive, an OCI layout, or an SBOM or report that Trivy made."""
    sbom: bytes = b""
    """A normalised SBOM that was stored: then `path` is not read, and only names where it comes from."""
    package_types: tuple[str, ...] = ()
    inputs: Mapping[Digest, Digest] = {}
    """What images were built from, by the digests of those that may lie there."""
    fetched: Digest | None = None
    """What was fetched here instead of being built, as the build input it is."""
    recorded: Coverage | None = None
    """What the image scan saw of which this is the stored SBOM; None for an image or another SBOM."""
    is_named: bool = True
    """Whether `image` is a name of this repository, and not what somebody called a file to look into."""

    @property
    def label(self) -> str:
        """`image platform`, as runs name what they expect."""
        return f"{self.image} {self.platform}"

    @property
    def seen(self) -> Seen:
        """What it is given as: an image, or a document that says what is installed."""
        if self.sbom:
            return Seen.SBOM
        if not (self.path.is_file() and self.path.suffix == ".json"):
            return Seen.IMAGE
        return Seen.REPORT if is_report(read_bounded(self.path, MAX_REPORT)) else Seen.SBOM


class Toolchain(msgspec.Struct, frozen=True, kw_only=True):
    """A scanner that was identified, with a database that was looked at, in a sandbox that works."""

    trivy: Trivy
    notes: tuple[Note, ...]
    """What every scan with these tools must tell."""
    facts: tuple[canary.Fact, ...] | None
    skip_canary: bool
    local: Path | None = None
    """Where this machine keeps what it has seen; None where it keeps nothing."""
    commit: str = ""
    """What the images are built from, where a workflow says so."""


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """An image that was expected and not scanned."""

    source: Source
    error: HullmarkError

    @property
    def reason(self) -> str:
        """The error in a line without the folders of this machine, fit to be recorded."""
        message = self.error.message
        for place in (self.source.path.absolute(), self.source.path):
            message = message.replace(str(place), place.name) if place.name else message
        return without_folders(message)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did."""

    scanned: tuple[ScanResult, ...]
    missing: tuple[Missing, ...]
    events: tuple[Scanned, ...] = ()
    """One for each scan, in the same order; empty when nothing was recorded."""
    tests: tuple[SmokeReport, ...] = ()
    """The smoke test of each image for which one is declared."""
    repaired: tuple[str, ...] = ()
    changed_files: tuple[str, ...] = ()

    @property
    def gaps(self) -> tuple[tuple[str, Gap], ...]:
        """Every gap of every scan, with the image it is in."""
        return tuple((result.scan.image, gap) for result in self.scanned for gap in result.scan.coverage.gaps)

    @property
    def is_complete(self) -> bool:
        """Whether everything expected was scanned, and looked at whole."""
        return not self.missing and not self.gaps


def open_toolchain(
    options: ScanOptions, settings: ScanSettings, *, root: Path, environ: Mapping[str, str], now: datetime
) -> Toolchain:
    """Find, identify and contain the scanner, and look at its database. Nothing untrusted ran before."""
    local = root / LOCAL if (root / LOCAL).is_dir() else None
    cache = local / "hashes.json" if local else None
    sandbox = Sandbox.find(required=settings.containment == "required")
    binary = identify(
        find_binary(options.trivy), sandbox, cache=cache, require_verified=settings.require_verified
    )
    place = database.choose(options.database, environ, default=root / settings.database)
    held = database.inspect(place.folder, cache=cache)
    stale = database.staleness(held.database, now, settings.max_age)
    return Toolchain(
        trivy=Trivy(binary, held, sandbox, timeout=settings.timeout),
        notes=(stale,) if stale else (),
        facts=canary.load(options.canary) if options.canary else None,
        skip_canary=options.skip_canary,
        local=local,
        commit=commit if _COMMIT.fullmatch(commit := environ.get("GITHUB_SHA", "")) else "",
    )


def scan_sources(
    tools: Toolchain, sources: Sequence[Source], executor: Executor, *, tell: Callable[[str], None]
) -> Outcome:
    """Scan all sources side by side, then test scanner and database with known answers.

    IncompleteError when the canary's answer is wrong: then no finding of this run counts.
    """
    answers = scan_each(tools, sources, executor, tell=tell)
    done = {source.label: answer for source, answer in zip(sources, answers, strict=True)}
    results = [answer for _, answer in sorted(done.items()) if isinstance(answer, ScanResult)]
    notes = (*tools.notes, *test_canary(tools, results).notes)
    return Outcome(
        scanned=tuple(with_notes(result, notes) for result in results),
        missing=tuple(answer for _, answer in sorted(done.items()) if isinstance(answer, Missing)),
    )


def scan_each(
    tools: Toolchain, sources: Sequence[Source], executor: Executor, *, tell: Callable[[str], None]
) -> tuple[ScanResult | Missing, ...]:
    """Scan all sources side by side: one answer for each, in their order."""
    pending = {executor.submit(_scan, tools, source): place for place, source in enumerate(sources)}
    answers: dict[int, ScanResult | Missing] = {}
    try:
        for future in as_completed(pending):
            place = pending[future]
            source = sources[place]
            try:
                answers[place] = future.result()
                tell(escape_terminal(f"scanned {source.label}"))
            except HullmarkError as error:
                answers[place] = Missing(source=source, error=error)
    except BaseException:
        tools.trivy.stop()
        raise
    return tuple(answers[place] for place in range(len(sources)))


def _scan(tools: Toolchain, source: Source) -> ScanResult:
    named: dict[str, Any] = {
        "image": source.image,
        "platform": source.platform,
        "expected_types": source.package_types,
    }
    if source.sbom:
        _check_sbom(source, source.sbom)
        scan = match_sbom(tools.trivy, source.sbom, **named)
        if source.recorded is not None:
            scan = msgspec.structs.replace(scan, coverage=renew(source.recorded, scan.coverage))
        return ScanResult(scan=scan, sbom=source.sbom)
    match source.seen:
        case Seen.REPORT:
            return scan_report(tools.trivy, source.path, **named)
        case Seen.SBOM:
            _check_sbom(source, read_bounded(source.path, cyclonedx.MAX_SBOM))
            return scan_sbom(tools.trivy, source.path, **named)
        case Seen.IMAGE:
            return _scan_archive(tools, source)
        case Seen.TREE:  # never what a file is given as
            raise UsageError("the repository's files are checked, not scanned")


def _scan_archive(tools: Toolchain, source: Source) -> ScanResult:
    # Read with our own eyes first: links, devices and paths that escape never reach the scanner.
    archive = inspect_archive(source.path)
    image = archive.only(source.platform)
    if archive.format is Format.OCI_ARCHIVE:
        raise InputError(
            "an OCI layout in a tar, which the scanner cannot read",
            file=source.path,
            hint="Unpack it into a folder and name that, or save the image as a docker-archive.",
        )
    with scratch_folder() as folder:
        path = source.path
        if archive.format is Format.OCI_LAYOUT and len(archive.images) > 1:
            # Of a layout with several platforms Trivy takes this machine's.
            path = folder / "layout"
            save_layout(source.path, image, path)
        result = scan_image(
            tools.trivy,
            path,
            image=source.image,
            platform=source.platform,
            expected_types=source.package_types,
        )
    if result.scan.digest not in {image.digest, image.config}:
        raise InputError(
            f"Trivy looked at the image {result.scan.digest}, but this is {image.digest}",
            file=source.path,
            hint="It describes two images, or was changed during the scan. Save the image again.",
        )
    cache = tools.local / "unowned.json" if tools.local else None
    return _with_unowned(result, find_unowned(source.path, image, cache=cache))


def _with_unowned(result: ScanResult, unowned: Unowned) -> ScanResult:
    """`result`, with what no package owns."""
    coverage = result.scan.coverage
    notes = {*coverage.notes, *((Note(NoteReason.UNOWNED_ELF, str(unowned)),) if unowned.count != 0 else ())}
    coverage = msgspec.structs.replace(coverage, notes=tuple(sorted(notes)), unowned_elf=unowned.count)
    return msgspec.structs.replace(result, scan=msgspec.structs.replace(result.scan, coverage=coverage))


def _check_sbom(source: Source, data: bytes) -> None:
    """Refuse an SBOM that says itself that it is about another image or platform."""
    document = cyclonedx.read_document(data, file=source.path)
    root = document.metadata.component
    # Only a name that we gave ourselves: Trivy writes a tag there, or the path of a file.
    if source.is_named and root.ref == cyclonedx.ROOT and root.name != source.image:
        raise InputError(f"is the SBOM of {root.name!r}, not of {source.image!r}", file=source.path)
    for key, digest in (("version", root.version), ("properties.ImageID", root.get("ImageID"))):
        if digest.startswith("sha256:") or key != "version":
            _check_digest(digest, source.path, f"metadata.component.{key}")
    stated = {name for each in document.components for name in _ARCHITECTURE.findall(each.purl)}
    known = {_ARCHITECTURES[name] for name in stated if name in _ARCHITECTURES}
    if known and source.platform.architecture not in known:
        raise InputError(
            f"its packages are for {', '.join(sorted(known))}, expected {source.platform}", file=source.path
        )


def _check_digest(digest: str, file: Path, key: str) -> None:
    if not digest:
        return
    try:
        parse_digest(digest)
    except UsageError as error:
        raise InputError(error.message, file=file, key=key, hint=error.hint) from error


def test_canary(tools: Toolchain, results: Iterable[ScanResult]) -> canary.CanaryResult:
    """Ask scanner and database what is known about the systems of `results`; IncompleteError when wrong."""
    if tools.skip_canary:
        return canary.skip()
    systems = {key for result in results for key in canary.system_keys(result.scan.coverage)}
    return canary.check(
        lambda sbom: tools.trivy.match(sbom).findings,
        lambda archive: tools.trivy.read_archive(archive).findings,
        systems,
        facts=tools.facts,
    )


def with_notes(result: ScanResult, notes: Iterable[Note]) -> ScanResult:
    """`result` with those of the run's `notes` that speak of it."""
    own = canary.system_keys(result.scan.coverage)
    coverage = result.scan.coverage
    fitting = (note for note in notes if note.reason is not NoteReason.NO_CANARY or note.detail in own)
    every = {*coverage.notes, *fitting}
    coverage = msgspec.structs.replace(coverage, notes=tuple(sorted(every)))
    return msgspec.structs.replace(result, scan=msgspec.structs.replace(result.scan, coverage=coverage))
