"""Accepted risks: what is refused, what applies on which day, and what the linter finds."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullmark.errors import InputError
from hullmark.exemptions import (
    Exemption,
    ExemptionList,
    Flaw,
    added,
    covers,
    is_complete,
    is_emergency,
    is_over_broad,
    lint,
    load_exemptions,
    parse_exemptions,
)
from hullmark.image import REPOSITORY
from hullmark.vex import Justification, Status
from tests.gates import TODAY, exemption, finding
from tests.strategies import findings

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.finding import Finding

ENTRY = b"""version = 1
[[exemptions]]
id = "CVE-2026-1"
images = ["app", "postgres-*"]
package = "libxml2"
owner = "@acme/platform"
reason = "The server is built without it."
expires = 2026-12-01
status = "not_affected"
justification = "vulnerable_code_not_in_execute_path"
"""


def parse(data: bytes) -> ExemptionList:
    return parse_exemptions(data, file="exemptions.toml")


def test_an_entry_is_read_with_everything_it_says(tmp_path: Path) -> None:
    path = tmp_path / "exemptions.toml"
    path.write_bytes(ENTRY)

    assert load_exemptions(path).entries == (
        Exemption(
            id="CVE-2026-1",
            images=("app", "postgres-*"),
            package="libxml2",
            owner="@acme/platform",
            reason="The server is built without it.",
            expires=date(2026, 12, 1),
            status=Status.NOT_AFFECTED,
            justification=Justification.CODE_NOT_REACHED,
        ),
    )


def test_a_file_without_entries_accepts_nothing() -> None:
    assert parse(b"version = 1").entries == ()


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        (b'owner = "@acme/platform"\n', b"", "exemptions[0]", "required field `owner`"),
        (b'reason = "The server is built without it."\n', b"", "exemptions[0]", "required field `reason`"),
        (b"expires = 2026-12-01\n", b"", "exemptions[0]", "required field `expires`"),
        (b"expires = 2026-12-01", b'expires = "soon"', "exemptions[0].expires", "date"),
        (b"expires = 2026-12-01", b"expires = 2026-12-01T00:00:00Z", "exemptions[0].expires", "date"),
        (b"expires =", b"expiry =", "exemptions[0].expiry", "nearest is `expires`"),
        (b"@acme/platform", b"somebody", "exemptions[0].owner", "@organisation/team"),
        (b"The server is built without it.", b"  ", "exemptions[0].reason", "another person"),
        (b'"CVE-2026-1"', b'"CVE-*"', "exemptions[0].id", "patterns are not accepted"),
        (b'["app", "postgres-*"]', b"[]", "exemptions[0].images", "at least one image"),
        (b'["app", "postgres-*"]', b'["app", 3]', "exemptions[0].images[1]", "expected `str`"),
        (b'"not_affected"', b'"ignored"', "exemptions[0].status", "ignored"),
        (b'"not_affected"', b'"affected"', "exemptions[0].justification", "belongs to status"),
        (
            b'justification = "vulnerable_code_not_in_execute_path"\n',
            b"",
            "exemptions[0].justification",
            "needs one of",
        ),
        (b"version = 1", b"version = 2", "version", "2"),
        (b"version = 1", b"versions = 1", "versions", "nearest is `version`"),
    ],
)
def test_an_entry_without_owner_reason_or_end_is_refused_and_so_is_every_other_fault(
    old: bytes, new: bytes, key: str, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        parse(ENTRY.replace(old, new))

    assert caught.value.file == "exemptions.toml"
    assert caught.value.key == key
    assert message in caught.value.message


@pytest.mark.parametrize("data", [b"\xff\xfe", b"version = ", b"[" * 5000, b"version = 1\nversion = 1"])
def test_a_file_that_is_no_toml_is_refused_with_its_name(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^exemptions\.toml: not"):
        parse(data)


@pytest.mark.parametrize(("days", "applies"), [(-1, False), (0, False), (1, True)])
def test_an_entry_stops_applying_on_the_day_it_expires(days: int, *, applies: bool) -> None:
    entry = exemption(expires=TODAY + timedelta(days=days))

    assert covers(entry, "app", finding(), TODAY) is applies


@pytest.mark.parametrize(
    ("fields", "image", "covered"),
    [
        ({}, "app", True),
        ({}, "other", False),
        ({"images": ("o*",)}, "other", True),
        ({"id_": "CVE-2026-2"}, "app", False),
        ({"package": "openssl"}, "app", False),
        ({"package": "libxml*"}, "app", True),
        ({"package": "xml-source"}, "app", True),
        ({"package": ""}, "app", True),
    ],
)
def test_an_entry_covers_what_it_names_and_nothing_else(
    fields: dict[str, Any], image: str, *, covered: bool
) -> None:
    assert covers(exemption(**fields), image, finding(source="xml-source"), TODAY) is covered


@given(findings(), st.dates())
def test_nothing_is_covered_after_its_end(one: Finding, today: date) -> None:
    entry = exemption(one.id, images=("*",), package="", expires=today)

    assert not covers(entry, "app", one, today)
    assert covers(entry, "app", one, today - timedelta(days=1)) or today == date.min


@pytest.mark.parametrize(("days", "emergency"), [(0, False), (1, True), (7, True), (8, False)])
def test_an_emergency_override_ends_within_7_days(days: int, *, emergency: bool) -> None:
    assert is_emergency(exemption(expires=TODAY + timedelta(days=days)), TODAY) is emergency


@pytest.mark.parametrize(
    ("images", "package", "broad"),
    [
        (("*",), "", True),
        (("?*",), "*", True),
        (("app", "other"), "", True),
        (("*",), "libxml2", False),
        (("app",), "", False),
    ],
)
def test_an_entry_that_names_every_image_and_no_package_is_over_broad(
    images: tuple[str, ...], package: str, *, broad: bool
) -> None:
    assert is_over_broad(exemption(images=images, package=package), ["app", "other"]) is broad


def test_an_open_investigation_is_complete_only_as_an_emergency() -> None:
    long, short = (
        exemption(status=Status.UNDER_INVESTIGATION, expires=TODAY + timedelta(days=days)) for days in (30, 7)
    )

    assert not is_complete(long, TODAY)
    assert is_complete(short, TODAY)


def test_what_a_change_adds_is_every_entry_that_base_has_not_in_exactly_this_form() -> None:
    kept, longer = exemption("CVE-1"), exemption("CVE-2", expires=date(2030, 1, 1))

    assert added([kept, exemption("CVE-2")], [longer, kept]) == (longer,)


def flaws(*entries: Exemption, current: dict[str, list[Finding]] | None = None) -> list[tuple[str, Flaw]]:
    listed = ExemptionList(file="exemptions.toml", entries=entries)
    return [(found.key, found.flaw) for found in lint(listed, TODAY, current)]


def test_the_linter_finds_each_flaw_at_its_place() -> None:
    current = {"app": [finding(), finding("CVE-2")], "other": [finding("CVE-3")]}

    assert flaws(
        exemption(),
        exemption(expires=TODAY),
        exemption("CVE-2", expires=TODAY + timedelta(days=3)),
        exemption("CVE-3", images=("*",), package=""),
        exemption("CVE-3"),
        exemption("CVE-2", package="libxml*", status=Status.UNDER_INVESTIGATION),
        current=current,
    ) == [
        ("exemptions[1].expires", Flaw.EXPIRED),
        ("exemptions[1].id", Flaw.DUPLICATE),
        ("exemptions[2].expires", Flaw.EXPIRES_SOON),
        ("exemptions[3].images", Flaw.OVER_BROAD),
        ("exemptions[4].id", Flaw.NEVER_MATCHES),
        ("exemptions[5].status", Flaw.UNDECIDED),
    ]


def test_nothing_is_said_about_matching_where_findings_are_not_known() -> None:
    assert flaws(exemption("CVE-NOWHERE")) == []
    assert flaws(exemption("CVE-NOWHERE"), current={}) == [("exemptions[0].id", Flaw.NEVER_MATCHES)]


def test_a_flaw_is_told_in_one_line_with_file_and_place() -> None:
    listed = ExemptionList(file="exemptions.toml", entries=(exemption(expires=TODAY),))

    (told,) = map(str, lint(listed, TODAY))

    assert told.startswith("exemptions.toml: exemptions[0].expires: CVE-2026-1: has expired and no longer")
    assert told.endswith("(on 2026-11-24)")


def test_nobody_says_that_an_entry_matches_no_file_while_the_files_were_not_recorded() -> None:
    entry = exemption("B602", images=(REPOSITORY,), package="src/*")
    listed = ExemptionList(file="exemptions.toml", entries=(entry,))

    assert lint(listed, TODAY, {"app": ()}) == ()
    assert [flaw.flaw for flaw in lint(listed, TODAY, {"app": (), REPOSITORY: ()})] == [Flaw.NEVER_MATCHES]
