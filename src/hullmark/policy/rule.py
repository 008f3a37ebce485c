"""What a policy can say: verdicts, conditions and rules. Data only; `decision` evaluates it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from hullmark.finding import Cause, Kind, Severity

_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
_Text = Annotated[str, msgspec.Meta(max_length=500)]
_Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]


class Verdict(StrEnum):
    """The outcome of a decision, best first."""

    ALLOW = "allow"
    """May merge by itself."""
    REVIEW = "review"
    """A person decides."""
    BLOCK = "block"
    """The check fails."""

    @property
    def rank(self) -> int:
        """0 (allow) to 2 (block): the worst of several wins."""
        return _RANKS[self]


_RANKS = {Verdict.ALLOW: 0, Verdict.REVIEW: 1, Verdict.BLOCK: 2}


class State(StrEnum):
    """Where a vulnerability is, of base and head."""

    INTRODUCED = "introduced"
    """In head; base has none of it at this severity or above."""
    PERSISTING = "persisting"
    """In both, in head at no higher severity."""
    RESOLVED = "resolved"
    """In base only."""
    PRESENT = "present"
    """In head: introduced or persisting."""


class Trend(StrEnum):
    """How the number of relevant vulnerabilities moves from base to head."""

    RISES = "rises"
    FALLS = "falls"
    DOES_NOT_RISE = "does-not-rise"
    DOES_NOT_FALL = "does-not-fall"


class Fact(StrEnum):
    """What can be true of an image, or of the whole change, apart from its vulnerabilities."""

    NOT_BUILT = "not-built"
    NOT_SCANNED = "not-scanned"
    SMOKE_FAILED = "smoke-failed"
    SMOKE_NOT_RUN = "smoke-not-run"
    COVERAGE_SHRANK = "coverage-shrank"
    CANARY_WRONG = "canary-wrong"
    POLICY_UNUSABLE = "policy-unusable"
    RECORDS_CHANGED = "records-changed"
    NO_BASE = "no-base"
    NEW_IMAGE_UNPROVED = "new-image-unproved"
    RETIRED = "retired"
    COVERAGE_NARROWED = "coverage-narrowed"
    POLICY_CHANGED = "policy-changed"
    EXEMPTIONS_CHANGED = "exemptions-changed"
    CONFIGURATION_CHANGED = "configuration-changed"
    SMOKE_TESTS_CHANGED = "smoke-tests-changed"
    WORKFLOWS_CHANGED = "workflows-changed"
    DATABASE_OLD = "database-old"
    UNOWNED_ROSE = "unowned-rose"
    TYPE_VANISHED = "type-vanished"
    PACKAGES_COLLAPSED = "packages-collapsed"
    END_OF_LIFE = "end-of-life"
    KEV_UNKNOWN = "kev-unknown"
    AGE_UNKNOWN = "age-unknown"
    EXEMPTED_BY_CHANGE = "exempted-by-change"
    FILES_NOT_SEEN = "files-not-seen"
    COVERAGE_INCOMPLETE = "coverage-incomplete"
    CANARY_SKIPPED = "canary-skipped"
    UNJUDGED = "unjudged"
    """Findings differ, and no rule says anything about it."""
    NOTHING_CHANGED = "nothing-changed"


class Remedy(StrEnum):
    """What would satisfy a rule. Which package and version stand in the reason itself."""

    UPGRADE = "upgrade"
    """A version that fixes it."""
    KEEP_BASE_VERSION = "keep-base-version"
    REMOVE_PACKAGE = "remove-package"
    EXEMPT = "exempt"
    """An entry in `exemptions.toml`, which a person approves."""
    APPROVE = "approve"
    """A person who may write, and is not the author, approves exactly this head."""
    BUILD_AND_SCAN = "build-and-scan"
    REPAIR_IMAGE = "repair-image"
    """Make the smoke test pass."""
    RESTORE_COVERAGE = "restore-coverage"
    """Let the scanner see what it saw in base, or declare it in `hullmark.toml`."""
    RESTORE_RECORDS = "restore-records"
    """Take `audit-logs/` and `cve-baseline/` out of the change."""
    REPAIR_POLICY = "repair-policy"
    UPDATE_DATABASE = "update-database"
    UPDATE_FEED = "update-feed"
    REPLACE_SCANNER = "replace-scanner"
    """Scanner or database gave a wrong answer to a question with a known one."""
    RECORD_SCAN = "record-scan"
    """Scan and record, so that ages are known."""
    REPAIR_FILE = "repair-file"
    """Change the file, so that the rule of the check no longer matches."""
    REVOKE_SECRET = "revoke-secret"  # noqa: S105 - the name of a remedy
    """Take the secret out of the change, and out of use: whoever has the commit has the secret."""
    PROVIDE_IMAGE = "provide-image"
    """Give the image itself instead of an SBOM or report."""


class _Table(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A table of a policy."""


class Selector(_Table, frozen=True, kw_only=True):
    """Which vulnerabilities a rule is about. Every given condition must hold."""

    state: State
    severity: tuple[Severity, ...] = ()
    """Exactly these; empty for any."""
    at_least: Severity | None = None
    """This or worse; UNKNOWN is neither."""
    cause: Cause = Cause.IMAGE
    """Of what was introduced or resolved: `image` (the change), `database` (disclosed since the base was
    recorded), `rating` (rated higher since then) or `scope` (nobody had looked before)."""
    fix: bool | None = None
    """Whether a fix is available."""
    age: _Days | None = None
    """First seen at least this many days ago."""
    fix_age: _Days | None = None
    """A fix has been known for at least this many days: a grace period."""
    package: _Text = ""
    """Binary or source package, or a pattern as `linux-*`; of a finding in a file, its path."""
    kind: Kind | None = None
    """`vulnerability`, `misconfiguration`, `secret`, `licence` or `code`; any where none is given."""
    kev: bool | None = None
    """Whether it is known to be exploited (CISA's KEV list)."""


class When(_Table, frozen=True, kw_only=True):
    """When a rule matches. Every given condition must hold, and at least one must be given."""

    fact: Fact | None = None
    some: Selector | None = None
    """At least one vulnerability is so; these are named as the reason."""
    none: Selector | None = None
    """No vulnerability is so."""
    relevant: Trend | None = None
    """How the number of relevant vulnerabilities (MEDIUM and up, without the exempted) moves."""
    differs: bool | None = None
    """Whether any vulnerability differs."""

    @property
    def is_empty(self) -> bool:
        """Whether no condition is given."""
        return self == When()

    @property
    def compares(self) -> bool:
        """Whether it can only be answered by comparing base and head."""
        return any(part is not None for part in (self.some, self.none, self.relevant, self.differs))

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """Both selectors, as far as they are given."""
        return tuple(part for part in (self.some, self.none) if part is not None)


class Rule(_Table, frozen=True, kw_only=True):
    """One row of a policy."""

    name: _Name
    verdict: Verdict
    means: _Text = ""
    """The rule in a sentence, for people."""
    when: When
    remedies: tuple[Remedy, ...] = ()


class Policy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is required of every change.

    Each table is read from the top: its first matching rule gives a verdict. The worst of all tables wins,
    so rules beside a preset can only make it stricter.
    """

    name: str
    ground: tuple[Rule, ...]
    """Rules that no policy can leave out."""
    caps: tuple[Rule, ...]
    """What turns `allow` into `review`, whatever the other rules say: missing evidence."""
    rules: tuple[Rule, ...]
    """The preset's table, or one's own instead of a preset."""
    extra: tuple[Rule, ...] = ()
    """One's own rules beside a preset."""

    @property
    def every(self) -> tuple[Rule, ...]:
        """All rules of all tables."""
        return (*self.ground, *self.caps, *self.rules, *self.extra)

    @property
    def asks_age(self) -> bool:
        """Whether a rule asks since when something is known; most policies do not."""
        selectors = (selector for rule in self.every for selector in rule.when.selectors)
        return any(selector.age is not None or selector.fix_age is not None for selector in selectors)

    def rule(self, name: str) -> Rule | None:
        """The rule called `name`."""
        return next((rule for rule in self.every if rule.name == name), None)
