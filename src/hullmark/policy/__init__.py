"""What is required of a change: rules as data, two presets, and the checks that keep them meaningful."""

from __future__ import annotations

from hullmark.policy.load import (
    PolicyTable,
    Preset,
    describe,
    format_policy,
    ground_policy,
    load_policy,
    make_policy,
    parse_policy,
    preset,
)
from hullmark.policy.rule import (
    Fact,
    Policy,
    Remedy,
    Rule,
    Selector,
    State,
    Trend,
    Verdict,
    When,
)

__all__ = [
    "Fact",
    "Policy",
    "PolicyTable",
    "Preset",
    "Remedy",
    "Rule",
    "Selector",
    "State",
    "Trend",
    "Verdict",
    "When",
    "describe",
    "format_policy",
    "ground_policy",
    "load_policy",
    "make_policy",
    "parse_policy",
    "preset",
]
