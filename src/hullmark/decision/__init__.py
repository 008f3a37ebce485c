"""Judge a change: one frozen value in, one frozen value out, the same bytes every time."""

from __future__ import annotations

from hullmark.decision.concern import Applied, Concern, Place
from hullmark.decision.explain import explain, meaning, tell_concern, tell_packages, tell_remedy
from hullmark.decision.inputs import (
    Absence,
    Age,
    CanaryResult,
    Expected,
    GateInputs,
    ImageInputs,
    Kev,
    KevState,
    Key,
    Missing,
    Seen,
    Side,
    SmokeResult,
    Touch,
    Touched,
    Unusable,
    key_of,
)
from hullmark.decision.judge import decide, decide_with_evidence
from hullmark.decision.packages import Move, PackageChange, PackageGroup, group_packages
from hullmark.decision.record import RecordedInputs, named_evidence, restore
from hullmark.decision.result import (
    Decision,
    Outcome,
    Reason,
    Silence,
    format_decision,
    parse_decision,
)

__all__ = [
    "Absence",
    "Age",
    "Applied",
    "CanaryResult",
    "Concern",
    "Decision",
    "Expected",
    "GateInputs",
    "ImageInputs",
    "Kev",
    "KevState",
    "Key",
    "Missing",
    "Move",
    "Outcome",
    "PackageChange",
    "PackageGroup",
    "Place",
    "Reason",
    "RecordedInputs",
    "Seen",
    "Side",
    "Silence",
    "SmokeResult",
    "Touch",
    "Touched",
    "Unusable",
    "decide",
    "decide_with_evidence",
    "explain",
    "format_decision",
    "group_packages",
    "key_of",
    "meaning",
    "named_evidence",
    "parse_decision",
    "restore",
    "tell_concern",
    "tell_packages",
    "tell_remedy",
]
