"""`renovate.json`: what it lets Renovate do, and that Renovate takes it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.absence import absent

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "renovate.json"
IMAGES = "dockerfile"
ACTIONS = "github-actions"


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(FILE.read_text())
    return loaded


def applied(settings: dict[str, Any], manager: str, update: str) -> dict[str, Any]:
    """What the rules say together about one kind of update, later ones winning, as Renovate merges them."""
    found: dict[str, Any] = {
        key: value for key, value in settings.items() if key not in {"packageRules", "description"}
    }
    labels = list(settings["labels"])
    for rule in settings["packageRules"]:
        source = "docker" if manager == IMAGES else "github-tags"
        fits = (
            manager in rule.get("matchManagers", [manager])
            and update in rule.get("matchUpdateTypes", [update])
            and source in rule.get("matchDatasources", [source])
        )
        if fits:
            found |= rule
            labels += rule.get("addLabels", [])
    return {**found, "labels": labels}


def test_renovate_itself_takes_the_configuration_strictly() -> None:
    validate = ROOT / ".cache/renovate/validate"
    if not validate.exists():
        absent("Renovate is not installed (sh scripts/renovate.sh)")
    done = subprocess.run(
        [validate, "--strict", "--no-global", FILE.name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Config validated successfully" in done.stdout


def test_its_form_is_that_of_renovates_schema() -> None:
    tool = Path(sys.executable).parent / "check-jsonschema"
    done = subprocess.run(
        [tool, "--builtin-schema", "vendor.renovate", FILE], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


def test_nothing_merges_by_itself() -> None:
    text = FILE.read_text()

    assert '"automerge": true' not in text
    assert '"platformAutomerge": false' in text
    assert ":automerge" not in text


@pytest.mark.parametrize("update", ["digest", "patch"])
def test_digests_and_patches_come_first_and_carry_the_security_label(
    settings: dict[str, Any], update: str
) -> None:
    found = applied(settings, IMAGES, update)

    assert found["prPriority"] > applied(settings, IMAGES, "minor")["prPriority"]
    assert "security" in found["labels"]
    assert "needs-review" not in found["labels"]


def test_minor_versions_are_opened_and_wait_for_a_person(settings: dict[str, Any]) -> None:
    found = applied(settings, IMAGES, "minor")

    assert found.get("enabled", True)
    assert "needs-review" in found["labels"]


def test_major_versions_of_images_are_off_and_those_of_actions_wait_for_a_tick(
    settings: dict[str, Any],
) -> None:
    assert applied(settings, IMAGES, "major")["enabled"] is False
    actions = applied(settings, ACTIONS, "major")
    assert actions.get("enabled", True)
    assert actions["dependencyDashboardApproval"] is True


def test_images_and_actions_are_pinned_by_digest(settings: dict[str, Any]) -> None:
    assert applied(settings, IMAGES, "digest")["pinDigests"] is True
    assert "helpers:pinGitHubActionDigests" in settings["extends"]


def test_what_is_new_must_ripen_but_never_waits_for_a_date_that_nobody_tells(
    settings: dict[str, Any],
) -> None:
    image = applied(settings, IMAGES, "patch")

    assert image["minimumReleaseAge"] == "3 days"
    assert image["minimumReleaseAgeBehaviour"] == "timestamp-optional"
    assert applied(settings, ACTIONS, "patch")["minimumReleaseAge"] == "14 days"
    assert settings["vulnerabilityAlerts"]["minimumReleaseAge"] is None


def test_open_pull_requests_are_rebased_only_when_they_must(settings: dict[str, Any]) -> None:
    """Each rebase is a new head, which is compared and approved anew."""
    assert settings["rebaseWhen"] == "conflicted"
