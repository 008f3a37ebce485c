"""A scan: what one scanner with one database found in one image, and what it was able to look at.

Rules of coverage (DESIGN §4):
- absence of coverage is never a clean result;
- a gap makes a run incomplete, a note does not;
- head's coverage shrank when it has a gap that base has not.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

import msgspec

from hullmark.finding import Finding, Kind, Package
from hullmark.image import Digest, Platform


class GapReason(StrEnum):
    """Why a scan did not see what it should have seen."""

    NO_PACKAGES = "no-packages"
    UNKNOWN_SYSTEM = "unknown-system"
    """The database knows no advisories for this operating system or release."""
    EMPTY_RESULTS = "empty-results"
    NO_JAVA_DATABASE = "no-java-database"
    """The image has a JAR, and no Java database was there to name it."""
    MISSING_TYPE = "missing-type"
    """A package type that `hullmark.toml` expects was not found."""
    NO_TOOL = "no-tool"
    """A check whose tool is not installed, although there are files for it."""
    TOOL_FAILED = "tool-failed"
    """A check whose tool ended without an answer."""


class NoteReason(StrEnum):
    """What a reader of a scan should know, although it does not make the scan incomplete."""

    END_OF_LIFE = "end-of-life"
    UNOWNED_ELF = "unowned-elf"
    """Programs or libraries that no package owns."""
    NO_CANARY = "no-canary"
    """We hold no public facts to test the database with for this system."""
    UNSAFE_SKIP_CANARY = "unsafe-skip-canary"
    IMAGE_ONLY = "image-only"
    """Findings that only the image scan shows, not the match of its SBOM."""
    SBOM_ONLY = "sbom-only"
    """Findings that only the match of the SBOM shows (packages of third parties)."""
    STALE_DATABASE = "stale-database"
    UNVERIFIED_SCANNER = "unverified-scanner"
    NOT_CONTAINED = "not-contained"


class Gap(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """Something that was not looked at."""

    reason: GapReason
    detail: str = ""

    @property
    def subject(self) -> str:
        """The tool that a gap of a check is about; the first word of any other detail."""
        return self.detail.partition(" ")[0]

    def __str__(self) -> str:
        return _sentence(self.reason, self.detail)


class Note(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """Something to know about a scan."""

    reason: NoteReason
    detail: str = ""

    def __str__(self) -> str:
        return _sentence(self.reason, self.detail)


_MEANING: dict[GapReason | NoteReason, str] = {
    GapReason.NO_PACKAGES: "no package was found",
    GapReason.UNKNOWN_SYSTEM: "the database knows no advisories for this system",
    GapReason.EMPTY_RESULTS: "the scanner found nothing to look at",
    GapReason.NO_JAVA_DATABASE: "there are JAR files, and no Java database to name them",
    GapReason.MISSING_TYPE: "no package of this expected type was found",
    GapReason.NO_TOOL: "there are files for this check, and its tool is not installed",
    GapReason.TOOL_FAILED: "this check ended without an answer",
    NoteReason.END_OF_LIFE: "this release gets no more fixes",
    NoteReason.UNOWNED_ELF: "programs or libraries that no package owns",
    NoteReason.NO_CANARY: "no known answers are held to test the database with for",
    NoteReason.UNSAFE_SKIP_CANARY: "scanner and database were not tested with known answers",
    NoteReason.IMAGE_ONLY: "only the image scan shows these, not the match of its SBOM",
    NoteReason.SBOM_ONLY: "only the match of the SBOM shows these, not the image scan",
    NoteReason.STALE_DATABASE: "the database is old",
    NoteReason.UNVERIFIED_SCANNER: "the scanner is not a known official build",
    NoteReason.NOT_CONTAINED: "the scanner ran without containment",
}


def _sentence(reason: GapReason | NoteReason, detail: str) -> str:
    """`code: what it means: the detail`."""
    return ": ".join(part for part in (reason.value, _MEANING[reason], detail) if part)


class System(msgspec.Struct, frozen=True):
    """An operating system release, as `debian` `13.8`."""

    family: str
    release: str

    def __str__(self) -> str:
        return f"{self.family} {self.release}".strip()


class Coverage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a scan was able to look at. Gaps and notes are sorted and without repetition."""

    system: System | None = None
    package_types: dict[str, int] = {}
    """Number of packages of each type."""
    kinds: dict[Kind, tuple[str, ...]] = {}
    """Of a check of the repository: the tools, with their versions, that looked for each kind."""
    gaps: tuple[Gap, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether everything expected was looked at."""
        return not self.gaps


class Scanner(msgspec.Struct, frozen=True, kw_only=True):
    """The program that scanned, identified by its bytes."""

    name: str
    version: str
    binary: Digest
    verified: bool
    """Whether the bytes are a known official release."""


class Database(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The vulnerability database that was matched with."""

    digest: Digest
    updated_at: str
    """RFC 3339, UTC, whole seconds: the database's own date."""
    sample: bool = False
    """Built by Hullmark from a few public facts for demonstration; never mixed with a real one."""


class Containment(StrEnum):
    """How the untrusted scanner was kept away from everything."""

    UNSHARE = "unshare"
    BUBBLEWRAP = "bubblewrap"
    CONTAINER = "container"
    NONE = "none"


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan was made with."""

    scanner: Scanner
    database: Database
    containment: Containment


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """The findings of one image digest and platform, by one scanner, with one database."""

    image: str
    platform: Platform
    digest: Digest
    """Manifest digest of an OCI image; the image id where there is no manifest (docker-archive, SBOM)."""
    provenance: Provenance
    packages: tuple[Package, ...]
    findings: tuple[Finding, ...]
    coverage: Coverage


def count_types(packages: tuple[Package, ...]) -> dict[str, int]:
    """Number of packages of each type, sorted by type."""
    return dict(sorted(Counter(package.type for package in packages).items()))


_OF_THE_IMAGE = frozenset(
    {NoteReason.END_OF_LIFE, NoteReason.UNOWNED_ELF, NoteReason.IMAGE_ONLY, NoteReason.SBOM_ONLY}
)
"""Notes about the image itself, which its SBOM cannot say again."""


def renew(recorded: Coverage, today: Coverage) -> Coverage:
    """The coverage of a stored SBOM that was matched `today`.

    What the image's own scan could not see is still not seen; only what the database knows can have changed.
    """
    gaps = {gap for gap in recorded.gaps if gap.reason is not GapReason.UNKNOWN_SYSTEM}
    notes = {note for note in recorded.notes if note.reason in _OF_THE_IMAGE}
    notes |= {note for note in today.notes if note.reason not in _OF_THE_IMAGE}
    return Coverage(
        system=recorded.system,
        package_types=recorded.package_types,
        gaps=tuple(sorted({*gaps, *today.gaps})),
        notes=tuple(sorted(notes)),
    )


def shrank(base: Coverage, head: Coverage) -> tuple[Gap, ...]:
    """Gaps of `head` that `base` does not have."""
    known = set(base.gaps)
    return tuple(gap for gap in head.gaps if gap not in known)
