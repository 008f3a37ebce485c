"""The words of a proposal."""
# ruff: noqa: ANN401 - fields of what is made

from __future__ import annotations

from typing import Any

import pytest

from hullmark.build.changes import Change, Kind
from hullmark.build.lock import Index, Lock, LockedPackage
from hullmark.finding import Severity
from hullmark.image import Digest
from hullmark.proposals.model import Effect, Proposal, Vulnerability, content_of
from hullmark.proposals.text import body, closed, message, read_marker, title
from hullmark.text import ISSUE_BUDGET, utf16_length

DIGEST = Digest(f"sha256:{'a' * 64}")
LOCK = Lock(
    indexes=(Index(archive="debian", suite="trixie", release=DIGEST, date=1_700_000_000),),
    packages=(
        LockedPackage(
            architecture="amd64",
            name="tool",
            version="1.1",
            digest=DIGEST,
            size=1,
            suite="trixie",
            path="pool/tool.deb",
            source="tool",
            source_version="1.1",
        ),
    ),
)


def change(package: str = "tool", kind: Kind = Kind.NEWER, **fields: Any) -> Change:
    values = {"architecture": "amd64", "before": "1.0", "after": "1.1", "suite": "trixie", **fields}
    return Change(package=package, kind=kind, **values)


def vulnerability(id_: str, severity: Severity = Severity.HIGH, source: str = "tool") -> Vulnerability:
    return Vulnerability(id=id_, source=source, severity=severity, packages=(source,))


def proposal(*changes: Change, effects: tuple[Effect, ...] = (), image: str = "tiny") -> Proposal:
    return Proposal(
        image=image,
        before=DIGEST,
        definition=DIGEST,
        lock="",
        changes=changes or (change(),),
        effects=effects,
    )


def text(given: Proposal) -> str:
    return body(given, LOCK, content_of(LOCK))


def test_the_hidden_first_line_names_the_image_and_what_is_proposed_and_is_read_back() -> None:
    whole = text(proposal())

    assert read_marker(whole, "tiny") == content_of(LOCK)
    assert read_marker(whole.replace("\n", "\r\n"), "tiny") == content_of(LOCK)
    assert read_marker(whole, "other") == ""
    assert read_marker(f"> {whole}", "tiny") == ""
    assert read_marker(closed("tiny", whole), "tiny") == ""
    assert closed("tiny", whole).split("\n")[1:] == whole.split("\n")[1:]


def test_other_lists_with_the_same_packages_propose_the_same() -> None:
    later = Lock(
        indexes=(Index(archive="debian", suite="trixie", release=Digest(f"sha256:{'b' * 64}"), date=5),),
        packages=LOCK.packages,
    )

    assert content_of(later) == content_of(LOCK)
    assert content_of(Lock(indexes=LOCK.indexes, packages=())) != content_of(LOCK)


def test_every_package_that_moves_is_named_with_its_suite_and_security_updates_come_first() -> None:
    given = proposal(
        change("added", Kind.ADDED, before=""),
        change("gone", Kind.REMOVED, after="", suite=""),
        change("older", Kind.OLDER),
        change("secure", suite="trixie-security", security="trixie-security"),
        change("contained", security="trixie-security"),
    )

    rows = [line for line in text(given).split("\n") if line.startswith("| `")]

    assert rows == [
        "| `contained` | `amd64` | `1.0` | `1.1` | `trixie, trixie-security` | **security update** (newer) |",
        "| `secure` | `amd64` | `1.0` | `1.1` | `trixie-security` | **security update** (newer) |",
        "| `added` | `amd64` |  | `1.1` | `trixie` | added |",
        "| `gone` | `amd64` | `1.0` |  |  | gone |",
        "| `older` | `amd64` | `1.0` | `1.1` | `trixie` | **older**: the locked one is no longer offered |",
    ]
    assert "2 versions rise, 1 version **falls**, 1 package is added, 1 package goes; 2 are security" in text(
        given
    )
    assert title(given) == "Update the packages of tiny: 2 security updates"
    assert message(given).split("\n")[2] == "contained (amd64): 1.0 -> 1.1"


def test_without_a_security_update_the_title_counts_packages() -> None:
    assert title(proposal(change("a"), change("b"))) == "Update the packages of tiny: 2 packages"


def test_what_is_predicted_is_called_predicted_and_what_is_not_known_is_said() -> None:
    known = Effect(
        platform="linux/amd64",
        resolved=(vulnerability("CVE-1", Severity.CRITICAL), vulnerability("CVE-2")),
        introduced=(vulnerability("CVE-3", Severity.LOW),),
        database="2026-01-02T00:00:00Z",
    )
    unknown = Effect(platform="linux/arm64", unknown="no database: run `hullmark db update`")

    whole = text(proposal(effects=(known, unknown)))

    assert "#### Predicted effect" in whole
    assert "resolves 2 vulnerabilities (1 CRITICAL, 1 HIGH) and introduces 1 vulnerability (1 LOW)" in whole
    assert "| **introduced** | `CVE-3` | LOW | `tool` | `tool` |\n| resolved | `CVE-1` | CRITICAL |" in whole
    assert (
        "`linux/arm64`: not predicted (no database: run \\`hullmark db update\\`). The gate will tell."
        in whole
    )


@pytest.mark.parametrize("number", [1, 3_000])
def test_nothing_from_outside_becomes_markup_and_the_text_stays_within_githubs_limit(number: int) -> None:
    hostile = "`|` @everyone <b> ::set-output name=a::b \u202e #5"
    effect = Effect(
        platform="linux/amd64",
        resolved=tuple(vulnerability(f"{hostile}{n}", source=hostile * 20) for n in range(number)),
        introduced=tuple(vulnerability(f"{hostile}{n}") for n in range(number)),
    )
    unknown = Effect(platform="linux/arm64", unknown=hostile * 100)
    changes = [change(f"{hostile}{n}", before=hostile, after=hostile * 30) for n in range(number)]

    whole = text(proposal(*changes, effects=(effect, unknown)))

    assert utf16_length(whole) <= ISSUE_BUDGET
    for active in ("@everyone", "<b>", "\u202e"):
        assert active not in whole.replace("`@everyone", "")
    assert ("more | | |" in whole) is (number > 1)
    assert "\n::set-output" not in message(proposal(*changes))
