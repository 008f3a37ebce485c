"""The words of OpenVEX: what may be claimed about a vulnerability in an image, and why.

Source: OpenVEX specification v0.2.0, "Status Labels" and "Status Justifications".
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Whether a vulnerability affects what we ship."""

    NOT_AFFECTED = "not_affected"
    AFFECTED = "affected"
    """It does, and the risk is accepted for a while."""
    FIXED = "fixed"
    """It was repaired here, though the version does not show it."""
    UNDER_INVESTIGATION = "under_investigation"


class Justification(StrEnum):
    """Why an image is not affected."""

    COMPONENT_NOT_PRESENT = "component_not_present"
    CODE_NOT_PRESENT = "vulnerable_code_not_present"
    CODE_NOT_REACHED = "vulnerable_code_not_in_execute_path"
    NOT_CONTROLLABLE = "vulnerable_code_cannot_be_controlled_by_adversary"
    MITIGATED = "inline_mitigations_already_exist"


def needs_justification(status: Status) -> bool:
    """Whether OpenVEX asks for a justification; with any other status it has no meaning."""
    return status is Status.NOT_AFFECTED
