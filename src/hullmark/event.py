"""The closed union of recorded facts: what the ledger's opaque `data` means.

Rules:
- An event is structured data only; prose is a projection.
- Context is written when it changes: a scan event without fields says that nothing did.
- Unknown keys survive (the ledger keeps raw lines); an unknown event type stops every projection.
- A new field has a default; a field is never given another meaning.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from hullmark.decision import SmokeResult
from hullmark.delta import Delta, Pair, Pairing
from hullmark.errors import RepositoryError
from hullmark.finding import (
    Cause,
    Counts,
    Finding,
    Identity,
    Kind,
    Severity,
)
from hullmark.image import Digest
from hullmark.policy import Verdict
from hullmark.scan import Containment, Coverage, Database, Scanner
from hullmark.vex import Status

if TYPE_CHECKING:
    from collections.abc import Iterable


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One vulnerability (or other finding) that came, went or changed, in all packages it did so in."""

    id: str
    severity: Severity
    packages: tuple[str, ...]
    """Binary packages, sorted: one finding each."""
    type: str
    source: str = ""
    versions: tuple[str, ...] = ()
    fixed: str = ""
    cause: Cause
    kind: Kind = Kind.VULNERABILITY
    path: str = ""
    discriminator: str = ""

    @property
    def identities(self) -> tuple[Identity, ...]:
        """One identity for each package."""
        return tuple(
            Identity(self.kind, self.id, self.type, package, self.path, self.discriminator)
            for package in self.packages
        )

    @property
    def origin(self) -> str:
        """The source package, or the only package where there is no source."""
        return self.source or ", ".join(self.packages)


class Rename(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finding that goes on under another identity, or with another severity, source package or fix."""

    how: Pairing
    before: Change
    after: Change


def count_changed(changes: Iterable[Change]) -> int:
    """How many vulnerabilities change: each once, as `count_vulnerabilities` counts; other kinds by place.

    Every output that says how many came or went says this number; findings are counted one for each package.
    """
    return len(
        {
            (change.id, change.type, change.source or identity.package)
            if change.kind is Kind.VULNERABILITY
            else identity
            for change in changes
            for identity in change.identities
        }
    )


class LedgerStarted(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ledger-started"):
    """The first entry of a ledger. Sample and real events never mix."""

    sample: bool
    hullmark: str
    """Version that started the ledger."""


class RunStarted(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="run-started"
):
    """A run begins. One run uses one scanner and one database for everything."""

    expected: tuple[str, ...]
    """What must be scanned, each as `image platform`, sorted."""
    scanner: Scanner
    database: Database
    containment: Containment
    hullmark: str
    commit: str = ""
    """The commit that the images were built from, where a workflow names it (GITHUB_SHA)."""
    checks: bool = False
    """Only the repository's files were checked: `scanner` is all tools together, `database` their rules."""
    parcel: Digest | None = None
    """What was published: the facts that this run states. None where a run was recorded in place."""


class RunFinished(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="run-finished"
):
    """A run ended. The ledger's own part of this event (heads, root) is not repeated here."""

    run: str
    scanned: tuple[str, ...]
    missing: dict[str, str] = {}
    """What was expected and not scanned, with the reason."""


class Scanned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="scan"):
    """One scan of one image and platform. An absent field is as it was in the scan before."""

    run: str
    platform: str
    digest: Digest | None = None
    sbom: Digest | None = None
    findings: Digest | None = None
    """Evidence: the list of all findings."""
    inputs: Digest | msgspec.UnsetType | None = msgspec.UNSET
    """Digest of the build inputs; null where they are not known, though those of the scan before were."""
    coverage: Coverage | None = None
    introduced: tuple[Change, ...] = ()
    resolved: tuple[Change, ...] = ()
    changed: tuple[Rename, ...] = ()

    @property
    def is_unchanged(self) -> bool:
        """Whether the scan found everything as before."""
        return self == Scanned(run=self.run, platform=self.platform)


class ScanContext(msgspec.Struct, frozen=True, kw_only=True):
    """A `Scanned` without what changed: cheap to read where only the newest state is asked for."""

    run: str = ""
    platform: str = ""
    digest: Digest | None = None
    sbom: Digest | None = None
    findings: Digest | None = None
    inputs: Digest | msgspec.UnsetType | None = msgspec.UNSET
    coverage: Coverage | None = None

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left out but the inputs, which only Hullmark's own images have."""
        return bool(self.digest and self.sbom and self.findings and self.coverage)

    def after(self, before: ScanContext | None) -> ScanContext:
        """This scan, with what it leaves out taken from the one before."""
        if before is None:
            return self
        return ScanContext(
            run=self.run,
            platform=self.platform,
            digest=self.digest or before.digest,
            sbom=self.sbom or before.sbom,
            findings=self.findings or before.findings,
            inputs=before.inputs if self.inputs is msgspec.UNSET else self.inputs,
            coverage=self.coverage or before.coverage,
        )


class ImageCounts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image's line in a recorded summary."""

    findings: Counts
    vulnerabilities: Counts | None = None
    missing: str = ""
    """Why the image was not covered; empty when it was."""
    as_of: str = ""
    """Date of the scan whose counts these are; empty when it is not known."""


class ExemptedFindings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An accepted risk in force that covered something in one image."""

    image: str
    id: str
    package: str = ""
    owner: str
    reason: str
    expires: date
    status: Status
    findings: int


class SummaryPublished(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="summary"
):
    """A summary was made: all that is needed to make it again, and to compare the next one with it."""

    generated_at: str
    images: dict[str, ImageCounts]
    sources: tuple[str, ...] = ()
    exempted: tuple[ExemptedFindings, ...] = ()


class Decided(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="decision"
):
    """The gate decided over a change. It stands in the ledger of runs: a change can concern many images."""

    decision: Digest
    """Evidence: the decision, which names the evidence of everything that it was made from."""
    verdict: Verdict
    images: dict[str, str]
    """For each `image platform` its verdict, or why it does not vote."""
    base: str = ""
    """What was compared with: a commit, or the name of what was given."""
    head: str = ""
    pull_request: int = 0
    """0 where there is none."""

    @property
    def sides(self) -> tuple[str, str]:
        """`base` and `head` as they fit in a line: a commit cut, many names counted."""
        return _in_a_line(self.base), _in_a_line(self.head)


_COMMIT = re.compile(r"[0-9a-f]{40}")


def _in_a_line(side: str) -> str:
    if _COMMIT.fullmatch(side):
        return side[:12]
    names = side.count(", ") + 1
    return side if names == 1 else f"{names} images"


class SmokeTested(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="smoke-test"
):
    """An image was started to see whether it does its job. Written when digest or result are new."""

    platform: str
    digest: Digest
    result: SmokeResult
    engine: str = ""
    """What it ran in; empty when it did not run."""
    checks: tuple[str, ...] = ()
    """Names of the checks that passed, in their order."""
    detail: str = ""
    """The check that failed, or why nothing ran."""


class Kept(StrEnum):
    """Why a published tag stayed where it was."""

    BLOCKED = "blocked"
    """The build was judged against what is published, and blocked."""
    INCOMPLETE = "incomplete"
    """Something of the image was not built, not scanned or not looked at whole."""


class Pushed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="push"):
    """An image went into a registry, and its tag moved to it or stayed where it was."""

    repository: str
    """`host/path`."""
    tag: str
    digest: Digest | None = None
    """What was put there: a manifest, or the index of several. None where nothing could be."""
    images: dict[str, Digest] = {}
    """Of each platform the digest that was scanned."""
    built_from: dict[str, Digest] = {}
    """Of each platform the digest of its build inputs, where that is known."""
    decision: Digest | None = None
    verdict: Verdict | None = None
    kept: Kept | None = None
    """None where the tag moved, or was there already."""
    detail: str = ""
    """What was incomplete."""
    before: Digest | None = None
    """What the tag named until then."""
    commit: str = ""
    """The commit that was built, where a workflow names it."""


Event = LedgerStarted | RunStarted | RunFinished | Scanned | SummaryPublished | Decided | SmokeTested | Pushed

_EVENTS: tuple[type[Event], ...] = (
    LedgerStarted,
    RunStarted,
    RunFinished,
    Scanned,
    SummaryPublished,
    Decided,
    SmokeTested,
    Pushed,
)
_DECODERS: dict[str, msgspec.json.Decoder[Event]] = {
    str(event.__struct_config__.tag): msgspec.json.Decoder(event) for event in _EVENTS
}


def is_known(type_: str) -> bool:
    """Whether this version knows what an entry of this type says."""
    return type_ in _DECODERS


def parse_event(type_: str, data: bytes | msgspec.Raw, *, place: str) -> Event:
    """Return the event of a ledger entry. `place` (file and line) is named by the error."""
    if (decoder := _DECODERS.get(type_)) is None:
        raise RepositoryError(
            f"{place}: event type {type_!r} is not known to this version", hint="It needs a newer Hullmark."
        )
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise RepositoryError(
            f"{place}: event {type_!r}: {error}", hint="Run `hullmark verify` to see whether it was edited."
        ) from error


def format_event(event: Event) -> tuple[str, dict[str, object]]:
    """Return the type and the data of `event`, as a ledger entry holds them."""
    # By way of JSON, as it turns tuples into lists: of those the ledger knows at once that they are plain.
    data: dict[str, object] = msgspec.json.decode(msgspec.json.encode(event))
    return str(data.pop("type")), data


def group_changes(findings: Iterable[tuple[Finding, Cause]]) -> tuple[Change, ...]:
    """Group findings that differ by their binary package only, worst and then by id."""
    packages: dict[Change, list[str]] = defaultdict(list)
    for finding, cause in findings:
        packages[_change(finding, cause)].append(finding.package)
    changes = [
        msgspec.structs.replace(change, packages=tuple(sorted(names))) for change, names in packages.items()
    ]
    return tuple(sorted(changes, key=_worst_first))


def group_renames(pairs: Iterable[tuple[Pair, Cause]]) -> tuple[Rename, ...]:
    """State each of the `noteworthy` pairs, grouped as `group_changes` does."""
    packages: dict[Rename, list[tuple[str, str]]] = defaultdict(list)
    for pair, cause in pairs:
        rename = Rename(how=pair.how, before=_change(pair.base, cause), after=_change(pair.head, cause))
        packages[rename].append((pair.base.package, pair.head.package))
    renames = [
        Rename(
            how=rename.how,
            before=msgspec.structs.replace(rename.before, packages=tuple(name for name, _ in sorted(names))),
            after=msgspec.structs.replace(rename.after, packages=tuple(name for _, name in sorted(names))),
        )
        for rename, names in packages.items()
    ]
    return tuple(
        sorted(renames, key=lambda rename: (_worst_first(rename.after), _worst_first(rename.before)))
    )


def _change(finding: Finding, cause: Cause) -> Change:
    return Change(
        id=finding.id,
        severity=finding.severity,
        packages=(),
        type=finding.package_type,
        source=finding.source,
        versions=finding.versions,
        fixed=finding.fixed,
        cause=cause,
        kind=finding.kind,
        path=finding.path,
        discriminator=finding.discriminator,
    )


def _worst_first(change: Change) -> tuple[object, ...]:
    rank = -change.severity.rank
    return rank, change.id, change.type, change.source, change.packages, change.path, change.discriminator


def noteworthy(delta: Delta) -> tuple[Pair, ...]:
    """Pairs that an event states: another identity, severity, source package or fix."""
    return tuple(
        pair
        for pair in delta.pairs
        if pair.how is not Pairing.SAME
        or pair.is_rerated
        or pair.base.fixed != pair.head.fixed
        or pair.base.source != pair.head.source
    )
