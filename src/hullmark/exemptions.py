"""`exemptions.toml`: accepted risks, each with an owner, a reason and an end.

    version = 1

    [[exemptions]]
    id = "CVE-2026-1234"
    images = ["postgres-*"]
    package = "libxml2"
    owner = "@platform-team"
    reason = "XML is never parsed: the server is built without xml2."
    expires = 2026-12-01
    status = "not_affected"
    justification = "vulnerable_code_not_in_execute_path"

Rules (each has a test with the same words):
- an entry without owner, reason or end is refused;
- an entry stops applying on the day it expires (days are UTC);
- an entry covers what it names and nothing else: one id, the images and the package that match;
- for a finding of the repository's files, the package of an entry is a path;
- an entry that names every image and no package is over-broad;
- an emergency override ends within 7 days.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import msgspec

from hullmark.errors import InputError
from hullmark.finding import Kind
from hullmark.image import REPOSITORY
from hullmark.toml import decode_toml, read_toml
from hullmark.vex import Justification, Status, needs_justification

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from hullmark.finding import Finding

EXEMPTIONS_FILE = "exemptions.toml"
EMERGENCY_DAYS = 7
"""An override for an emergency ends within this many days (DESIGN §5)."""
SOON_DAYS = 14
"""An entry that ends within this many days is announced."""
MAX_ENTRIES = 10_000

_OWNER = re.compile(r"@[A-Za-z0-9][A-Za-z0-9-]{0,38}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99})?")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}")
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=4_000)]


class Exemption(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One accepted risk."""

    id: _Text
    """Exactly one vulnerability, rule or check: `CVE-2026-1234`. No patterns."""
    images: tuple[_Text, ...]
    """Names of images, or patterns as `postgres-*`."""
    package: str = ""
    """Binary or source package, or a pattern; empty for whichever package carries it. For findings of the
    repository's files: a path, or a pattern as `tests/*`."""
    owner: _Text
    """Who answers for it: `@handle` or `@organisation/team`."""
    reason: _Reason
    expires: date
    """The first day on which it no longer applies."""
    status: Status
    justification: Justification | None = None
    """Required with `not_affected`, and only there."""


class ExemptionList(msgspec.Struct, frozen=True, kw_only=True):
    """All entries of one file, in its order."""

    file: str
    entries: tuple[Exemption, ...] = ()


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Literal[1]
    exemptions: tuple[Exemption, ...] = ()


def load_exemptions(path: Path) -> ExemptionList:
    """Read `exemptions.toml`, or raise InputError naming the first key that does not fit."""
    return _checked(read_toml(path, _Document), str(path))


def find_exemptions(root: Path) -> tuple[Exemption, ...]:
    """The entries of the repository in `root`; none where it has no such file."""
    path = root / EXEMPTIONS_FILE
    return load_exemptions(path).entries if path.exists() else ()


def parse_exemptions(data: bytes, *, file: Path | str) -> ExemptionList:
    """Read the bytes of an `exemptions.toml`, for example of another revision."""
    return _checked(decode_toml(data, _Document, file=file), str(file))


def _checked(document: _Document, file: str) -> ExemptionList:
    if len(document.exemptions) > MAX_ENTRIES:
        raise InputError(f"more than {MAX_ENTRIES:,} entries", file=file, key="exemptions")
    for place, entry in enumerate(document.exemptions):
        if (fault := _fault(entry)) is not None:
            key, message = fault
            raise InputError(message, file=file, key=f"exemptions[{place}].{key}")
    return ExemptionList(file=file, entries=document.exemptions)


def _fault(entry: Exemption) -> tuple[str, str] | None:
    """The first key of `entry` that does not fit, and what was expected."""
    needed = needs_justification(entry.status)
    checks = (
        (_ID.fullmatch(entry.id), "id", f"{entry.id!r} is not one id; patterns are not accepted here"),
        (entry.images, "images", 'expected at least one image, or ["*"] for all'),
        (_OWNER.fullmatch(entry.owner), "owner", f"{entry.owner!r} is no @handle or @organisation/team"),
        (entry.reason.strip(), "reason", "expected a reason that another person can check"),
        (
            entry.justification or not needed,
            "justification",
            f"status `{entry.status.value}` needs one of {', '.join(Justification)}",
        ),
        (
            needed or not entry.justification,
            "justification",
            f"belongs to status `not_affected`, not to `{entry.status.value}`",
        ),
    )
    return next(((key, message) for holds, key, message in checks if not holds), None)


def is_in_force(exemption: Exemption, today: date) -> bool:
    """Whether it applies on `today`; no longer on the day it expires."""
    return today < exemption.expires


def is_emergency(exemption: Exemption, today: date) -> bool:
    """Whether, seen on the day it is added, it is an override for an emergency."""
    return 0 < (exemption.expires - today).days <= EMERGENCY_DAYS


def is_over_broad(exemption: Exemption, images: Iterable[str] = ()) -> bool:
    """Whether it names no package, and every image: all that there could be, or all of `images`."""
    if exemption.package.strip("*?"):
        return False
    known = tuple(images)
    if any(not pattern.strip("*?") for pattern in exemption.images):
        return True
    return len(known) > 1 and all(applies_to(exemption, name) for name in known)


def is_complete(exemption: Exemption, today: date, images: Iterable[str] = ()) -> bool:
    """Whether a change that adds it has decided something that a person can approve (DESIGN §5).

    In force, not over-broad, and either decided or short: an open investigation excuses nothing for long.
    """
    decided = exemption.status is not Status.UNDER_INVESTIGATION or is_emergency(exemption, today)
    return is_in_force(exemption, today) and decided and not is_over_broad(exemption, images)


def applies_to(exemption: Exemption, image: str) -> bool:
    """Whether it names `image`."""
    return any(fnmatchcase(image, pattern) for pattern in exemption.images)


def names(exemption: Exemption, finding: Finding) -> bool:
    """Whether it names this finding, on whatever day and in whatever image."""
    return exemption.id == finding.id and (
        not exemption.package
        or fnmatchcase(finding.package, exemption.package)
        or fnmatchcase(finding.source, exemption.package)
        or (finding.kind is not Kind.VULNERABILITY and fnmatchcase(finding.path, exemption.package))
    )


def covers(exemption: Exemption, image: str, finding: Finding, today: date) -> bool:
    """Whether it is in force and names this finding of this image."""
    return is_in_force(exemption, today) and applies_to(exemption, image) and names(exemption, finding)


class Accepted(NamedTuple):
    """Findings of one image, parted by what is accepted."""

    left: tuple[Finding, ...]
    """What no entry in force names."""
    covered: tuple[Finding, ...]
    used: tuple[tuple[Exemption, int], ...]
    """Entries in force that name something, and how many findings."""
    expired: tuple[Exemption, ...]
    """Entries that would name something, and no longer apply."""

    def told(self) -> list[str]:
        """What is accepted, and what no longer is, one line each."""
        used = [
            f"exempted: {number} of {entry.id}: {entry.owner} until {entry.expires}: {entry.reason}"
            for entry, number in self.used
        ]
        return used + [f"no longer exempted: {entry.id}: since {entry.expires}" for entry in self.expired]


def accept(entries: Iterable[Exemption], image: str, findings: Iterable[Finding], today: date) -> Accepted:
    """Part `findings` of `image` by what `entries` accept on `today`."""
    found = tuple(findings)
    own = [entry for entry in entries if applies_to(entry, image)]
    hits = [(entry, [finding for finding in found if names(entry, finding)]) for entry in own]
    covered = {f.identity for entry, named in hits if is_in_force(entry, today) for f in named}
    return Accepted(
        left=tuple(finding for finding in found if finding.identity not in covered),
        covered=tuple(finding for finding in found if finding.identity in covered),
        used=tuple((entry, len(named)) for entry, named in hits if named and is_in_force(entry, today)),
        expired=tuple(entry for entry, named in hits if named and not is_in_force(entry, today)),
    )


def added(base: Iterable[Exemption], head: Iterable[Exemption]) -> tuple[Exemption, ...]:
    """Entries of `head` that `base` does not have in exactly this form, sorted.

    A longer term, another reason or a wider scope is another decision, and so another entry.
    """
    known = set(base)
    return arrange(entry for entry in head if entry not in known)


def arrange(entries: Iterable[Exemption]) -> tuple[Exemption, ...]:
    """The entries without repetition, in an order that only their content decides."""
    return tuple(sorted(set(entries), key=lambda entry: (entry.id, msgspec.json.encode(entry))))


class Flaw(StrEnum):
    """What is wrong, or soon will be, with an entry that can be read."""

    EXPIRED = "expired"
    EXPIRES_SOON = "expires-soon"
    OVER_BROAD = "over-broad"
    NEVER_MATCHES = "never-matches"
    DUPLICATE = "duplicate"
    UNDECIDED = "undecided"
    """Still under investigation, for longer than an emergency may last."""


class Lint(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One flaw of one entry, at its place."""

    file: str
    place: int
    """Number of the entry in the file, from 0."""
    key: str
    """`exemptions[2].expires`."""
    flaw: Flaw
    id: str
    detail: str = ""

    def __str__(self) -> str:
        text = f"{self.file}: {self.key}: {self.id}: {_MEANING[self.flaw]}"
        return f"{text} ({self.detail})" if self.detail else text


_MEANING = {
    Flaw.EXPIRED: "has expired and no longer applies",
    Flaw.EXPIRES_SOON: "expires soon",
    Flaw.OVER_BROAD: "names every image and no package; name what you accept",
    Flaw.NEVER_MATCHES: "matches no finding; remove it, or correct the id, image or package",
    Flaw.DUPLICATE: "says the same as an earlier entry",
    Flaw.UNDECIDED: f"an investigation excuses for at most {EMERGENCY_DAYS} days; decide, or shorten it",
}


def lint(
    listed: ExemptionList, today: date, findings: Mapping[str, Iterable[Finding]] | None = None
) -> tuple[Lint, ...]:
    """Every flaw, in the order of the file.

    `findings` are the current ones of every image; None when they are not known, and then nothing is said
    about entries that match nothing.
    """
    images = tuple(findings or ())
    present = None if findings is None else _by_id(findings)
    first: dict[tuple[str, tuple[str, ...], str], int] = {}
    lints: list[Lint] = []
    for place, entry in enumerate(listed.entries):
        scope = (entry.id, tuple(sorted(set(entry.images))), entry.package)
        twin = first.setdefault(scope, place)
        found = _term(entry, today)
        if is_over_broad(entry, images):
            found.append(("images", Flaw.OVER_BROAD, ", ".join(entry.images)))
        if twin != place:
            found.append(("id", Flaw.DUPLICATE, f"exemptions[{twin}]"))
        # Where the repository's files were not recorded, nobody can say that an entry matches none of them.
        is_unknown = applies_to(entry, REPOSITORY) and REPOSITORY not in images
        if (
            present is not None
            and not is_unknown
            and not any(
                applies_to(entry, name) and names(entry, finding) for name, finding in present[entry.id]
            )
        ):
            found.append(("id", Flaw.NEVER_MATCHES, ""))
        lints += [
            Lint(
                file=listed.file,
                place=place,
                key=f"exemptions[{place}].{key}",
                flaw=flaw,
                id=entry.id,
                detail=detail,
            )
            for key, flaw, detail in found
        ]
    return tuple(sorted(lints))


def _term(entry: Exemption, today: date) -> list[tuple[str, Flaw, str]]:
    """What is to be said about the time for which `entry` applies."""
    found: list[tuple[str, Flaw, str]] = []
    days = (entry.expires - today).days
    if days <= 0:
        found.append(("expires", Flaw.EXPIRED, f"on {entry.expires.isoformat()}"))
    elif days <= SOON_DAYS:
        found.append(("expires", Flaw.EXPIRES_SOON, f"on {entry.expires.isoformat()}"))
    if entry.status is Status.UNDER_INVESTIGATION and days > EMERGENCY_DAYS:
        found.append(("status", Flaw.UNDECIDED, f"until {entry.expires.isoformat()}"))
    return found


def _by_id(findings: Mapping[str, Iterable[Finding]]) -> Mapping[str, list[tuple[str, Finding]]]:
    present: dict[str, list[tuple[str, Finding]]] = defaultdict(list)
    for name, members in findings.items():
        for finding in members:
            present[finding.id].append((name, finding))
    return present
