"""Everything a decision is made from. What is not in here has no influence on it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec

from hullmark.errors import UsageError
from hullmark.exemptions import Exemption, arrange
from hullmark.finding import Finding, Kind, Package, merge_same_identity
from hullmark.image import Digest
from hullmark.policy import Policy
from hullmark.scan import Coverage, Database, Gap, GapReason, Scanner


class Key(NamedTuple):
    """What the gate counts once: a vulnerability of one source package, or one finding of another kind."""

    kind: Kind
    id: str
    type: str
    source: str
    path: str = ""
    discriminator: str = ""


def key_of(finding: Finding) -> Key:
    """The key of `finding`. Only vulnerabilities are counted once for many packages and paths."""
    if finding.kind is Kind.VULNERABILITY:
        return Key(finding.kind, *finding.vulnerability)
    return Key(
        finding.kind,
        finding.id,
        finding.package_type,
        finding.source or finding.package,
        finding.path,
        finding.discriminator,
    )


class Expected(StrEnum):
    """Where the configuration has an image and platform."""

    BOTH = "both"
    BASE_ONLY = "base-only"
    """Retired by this change."""
    HEAD_ONLY = "head-only"
    """Joins with this change: there is no base."""


class Absence(StrEnum):
    """Why there is nothing where a scan could be."""

    NOT_BUILT = "not-built"
    NOT_SCANNED = "not-scanned"
    NEVER_RECORDED = "never-recorded"
    NO_CONFIGURATION = "no-configuration"
    """Base has no `hullmark.toml`."""


class Missing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="side", tag="missing"):
    """No scan, and why."""

    reason: Absence
    detail: str = ""


class Seen(StrEnum):
    """What a side was given as."""

    IMAGE = "image"
    SBOM = "sbom"
    REPORT = "report"
    TREE = "tree"
    """The files of the repository itself, which are not built, started or installed."""


class SmokeResult(StrEnum):
    """What base's smoke test said about head."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not-run"
    NOT_DECLARED = "not-declared"
    """The image has no smoke test."""


class CanaryResult(StrEnum):
    """What scanner and database answered to questions whose answers are known."""

    RIGHT = "right"
    WRONG = "wrong"
    NOT_HELD = "not-held"
    """We hold no public facts about these systems."""
    SKIPPED = "skipped"
    """Left out by `--unsafe-skip-canary`."""


class Touched(StrEnum):
    """What the change edits, apart from images."""

    POLICY = "policy"
    EXEMPTIONS = "exemptions"
    CONFIGURATION = "configuration"
    SMOKE_TESTS = "smoke-tests"
    WORKFLOWS = "workflows"
    RECORDS = "records"
    """`audit-logs/` or `cve-baseline/`, other than a sample that stays a sample and verifies."""


class Touch(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """One file that the change edits."""

    what: Touched
    path: str = ""


class Unusable(msgspec.Struct, frozen=True, order=True, tag_field="state", tag="unusable"):
    """A file that judges, in base or head, and cannot be read."""

    file: str
    message: str


class KevState(StrEnum):
    """Whether CISA's list of exploited vulnerabilities can be asked."""

    NOT_CONFIGURED = "not-configured"
    FRESH = "fresh"
    STALE = "stale"


class Kev(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The list of vulnerabilities that are known to be exploited."""

    state: KevState = KevState.NOT_CONFIGURED
    date: str = ""
    ids: tuple[str, ...] = ()


class Age(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Since when a vulnerability is known in an image, as the ledger says."""

    key: Key
    first_seen: date
    fix_since: date | None = None
    """First day on which a fix was known; None when no record says."""


class SideContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is small enough to stand in a decision."""

    seen: Seen
    digest: Digest
    """Of the image, or of the SBOM or report given instead."""
    sbom: Digest
    coverage: Coverage
    unowned_elf: int | None = None
    """Programs and libraries that no package owns; None where the files were not seen."""


class Side(SideContext, frozen=True, kw_only=True, tag_field="side", tag="scan"):
    """What base or head contains, matched with the one scanner and database of the decision."""

    packages: tuple[Package, ...]
    findings: tuple[Finding, ...]

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What was not looked at. A scan without packages has seen nothing, whether it says so or not."""
        found = {*self.coverage.gaps}
        if not self.packages:
            found.add(Gap(GapReason.NO_PACKAGES))
        return tuple(sorted(found))


class ImageContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is small enough to stand in a decision."""

    image: str
    platform: str
    expected: Expected = Expected.BOTH
    unchanged: bool = False
    """Base and head have the same build inputs: head was not built, and does not vote."""
    smoke: SmokeResult = SmokeResult.NOT_DECLARED
    smoke_detail: str = ""
    declared: tuple[Gap, ...] = ()
    """Gaps that head's configuration declares and base's does not: coverage that the change narrows."""


class ImageInputs(ImageContext, frozen=True, kw_only=True):
    """One image and platform."""

    base: Side | Missing
    head: Side | Missing
    recorded: tuple[Finding, ...] | None = None
    """Base's findings as recorded, with the database of then; None where base was not recorded."""
    recorded_packages: tuple[Package, ...] | None = None
    """What base consisted of when it was recorded, where it was built again since; None where it was not."""
    ages: tuple[Age, ...] = ()


class GateContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is small enough to stand in a decision."""

    expected: tuple[str, ...]
    """Each `image platform` that base and head expect: one that is not among the images was not scanned."""
    scanner: Scanner
    database: Database
    max_age: int
    """Days after which the database is old. A sample database never is."""
    now: datetime
    canary: CanaryResult = CanaryResult.RIGHT
    canary_detail: str = ""
    touched: tuple[Touch, ...] = ()
    unusable: tuple[Unusable, ...] = ()
    """Files other than the policy that judge and cannot be read."""


class GateInputs(GateContext, frozen=True, kw_only=True):
    """One change, with every image that base or head expects."""

    images: tuple[ImageInputs, ...]
    policy: Policy | Unusable
    """Base's policy."""
    exemptions: tuple[Exemption, ...] = ()
    """Base's exemptions."""
    added_exemptions: tuple[Exemption, ...] = ()
    """What head's exemptions have and base's have not."""
    kev: Kev = Kev()


def arranged(inputs: GateInputs) -> GateInputs:
    """The same inputs in the one order that only their content decides (law 8)."""
    if inputs.now.tzinfo is None:
        raise UsageError("the time of a decision needs a time zone")
    names = [(image.image, image.platform) for image in inputs.images]
    if len(set(names)) != len(names):
        raise UsageError("an image and platform is given twice", hint="Give each once.")
    return msgspec.structs.replace(
        inputs,
        now=inputs.now.astimezone(UTC),
        expected=tuple(sorted(set(inputs.expected))),
        images=tuple(sorted(map(_arranged_image, inputs.images), key=lambda i: (i.image, i.platform))),
        exemptions=arrange(inputs.exemptions),
        added_exemptions=arrange(inputs.added_exemptions),
        touched=tuple(sorted(set(inputs.touched))),
        unusable=tuple(sorted(set(inputs.unusable))),
        kev=msgspec.structs.replace(inputs.kev, ids=tuple(sorted(set(inputs.kev.ids)))),
    )


def _arranged_image(image: ImageInputs) -> ImageInputs:
    return msgspec.structs.replace(
        image,
        base=_arranged_side(image.base),
        head=_arranged_side(image.head),
        declared=tuple(sorted(set(image.declared))),
        recorded=None if image.recorded is None else merge_same_identity(image.recorded),
        recorded_packages=_arranged_packages(image.recorded_packages),
        ages=tuple(sorted(image.ages, key=lambda age: (age.key, age.first_seen, str(age.fix_since)))),
    )


def _arranged_packages(packages: tuple[Package, ...] | None) -> tuple[Package, ...] | None:
    return None if packages is None else tuple(sorted(set(packages)))


def _arranged_side(side: Side | Missing) -> Side | Missing:
    if isinstance(side, Missing):
        return side
    coverage = msgspec.structs.replace(
        side.coverage,
        gaps=tuple(sorted(set(side.coverage.gaps))),
        notes=tuple(sorted(set(side.coverage.notes))),
    )
    return msgspec.structs.replace(
        side,
        packages=tuple(sorted(set(side.packages))),
        findings=merge_same_identity(side.findings),
        coverage=coverage,
    )
