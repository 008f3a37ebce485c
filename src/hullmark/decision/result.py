"""A decision: what was decided, why, and from what. Structured data only; prose is a projection."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from hullmark.decision.concern import Applied, Concern, KindCount
from hullmark.decision.packages import PackageChange
from hullmark.decision.record import RecordedInputs
from hullmark.exemptions import Exemption
from hullmark.finding import Counts
from hullmark.policy import Fact, Remedy, Verdict


class Reason(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule that decided."""

    rule: str
    verdict: Verdict
    image: str = ""
    """Empty when it is about the change as a whole."""
    platform: str = ""
    concerns: tuple[Concern, ...] = ()
    """The vulnerabilities that made the rule match, worst first."""
    details: tuple[str, ...] = ()
    """What made it match otherwise: files, gaps, packages."""
    remedies: tuple[Remedy, ...] = ()
    """What would satisfy it."""


class Silence(StrEnum):
    """Why an image does not vote."""

    INPUTS_UNCHANGED = "inputs-unchanged"
    NOTHING_DIFFERS = "nothing-differs"


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was found about one image and platform."""

    image: str
    platform: str
    verdict: Verdict | None = None
    silence: Silence | None = None
    """Why there is no verdict."""
    before: Counts | None = None
    """Vulnerabilities of base, without what is exempted; None where nothing was compared."""
    after: Counts | None = None
    findings_before: Counts | None = None
    """The same, once for each package that carries one: what Trivy counts."""
    findings_after: Counts | None = None
    others: tuple[KindCount, ...] = ()
    """The same two counts of every other kind that is there."""
    exempted: tuple[Applied, ...] = ()
    expired: tuple[Exemption, ...] = ()
    """Exemptions that would cover something, and no longer apply."""
    disclosed: tuple[Concern, ...] = ()
    """What the database learned since base was recorded, or its rebuild brought, and head still has. Never
    judged as the change."""
    now_fixable: tuple[Concern, ...] = ()
    """What is in both, and can be fixed now: base was recorded, or is, without a known fix."""
    drift: tuple[PackageChange, ...] = ()
    """How base, built again from the same inputs, differs from what was recorded: cause `rebuild`."""
    notes: tuple[Fact, ...] = ()
    """Evidence that was missing, whether it decided or not."""
    packages: tuple[PackageChange, ...] = ()
    """Packages that are not the same in base and head, with what that explains."""


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The outcome of the gate."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    """Why each image, and the change as a whole, voted as it did: the worst first, by rule, by image."""
    policy: str
    """Name of the policy; its content is among the inputs."""
    outcomes: tuple[Outcome, ...]
    """By image and platform."""
    inputs: RecordedInputs
    hullmark: str
    """The version that decided: under it, the same inputs give the same bytes."""

    @property
    def deciding(self) -> tuple[Reason, ...]:
        """The reasons for the verdict."""
        return tuple(reason for reason in self.reasons if reason.verdict is self.verdict)

    def reasons_of(self, outcome: Outcome) -> tuple[Reason, ...]:
        """Why one image voted as it did."""
        place = (outcome.image, outcome.platform)
        return tuple(reason for reason in self.reasons if (reason.image, reason.platform) == place)


_DECISION = msgspec.json.Decoder(Decision)


def format_decision(decision: Decision) -> bytes:
    """The bytes of `decision`; equal decisions have equal bytes."""
    return msgspec.json.encode(decision, order="sorted")


def parse_decision(data: bytes) -> Decision:
    """Read what `format_decision` wrote. Raises msgspec.DecodeError for anything else."""
    return _DECISION.decode(data)
