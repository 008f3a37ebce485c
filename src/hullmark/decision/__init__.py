"""Judge a change: one frozen value in, one frozen value out, the same bytes every time."""

from __future__ import annotations

from hullmark.decision.concern import Applied, Concern, Place
from hullmark.decision.explain import explain, tell_concern
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
from hullmark.decision.record import RecordedInputs, restore
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
    "Outcome",
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
    "key_of",
    "parse_decision",
    "restore",
    "tell_concern",
]
