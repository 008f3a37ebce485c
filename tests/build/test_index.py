"""Debian's real archive, by the keys that are shipped: the one test of the chain that needs the network."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from hullmark.build.fetch import Cache, Fetcher
from hullmark.build.index import parse_packages, read_suite
from hullmark.build.mirror import find_sources
from hullmark.build.release import Trust, parse_instant, parse_release
from hullmark.errors import InputError, UsageError
from tests.build.conftest import missing

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.network
@pytest.mark.parametrize("suite", ["trixie", "trixie-updates", "trixie-security"])
def test_the_shipped_keyring_verifies_debians_suites(suite: str, tmp_path: Path) -> None:
    sources = find_sources(os.environ)
    if not sources.debian or not sources.security:
        missing("reading Debian's archive", "the address of a mirror")
    with Fetcher(Cache(tmp_path)) as fetcher:
        found = read_suite(suite, fetcher=fetcher, sources=sources, trust=Trust(now=int(time.time())))
    assert found.release.origin == "Debian"
    assert "main/binary-arm64/Packages.xz" in found.release.files
    # Debian's stable suite never expires; what is added to it does.
    assert (found.release.valid_until is None) == (suite == "trixie")


@pytest.mark.parametrize("zone", ["UTC", "GMT", "+0000", "-0000"])
def test_the_machines_time_zone_never_changes_a_date(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        text = f"Origin: Debian\nDate: Thu, 01 Jan 2026 00:00:00 {zone}\nSHA256:\n"
        assert parse_release(text, file="InRelease").date == parse_instant("20260101T000000Z")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_an_address_is_judged_by_the_instant_that_it_carries() -> None:
    trust = Trust(now=5)
    assert trust.at("http://past.test/archive/debian/20260101T000000Z/dists/a/InRelease") == 1_767_225_600
    assert trust.at("http://mirror.test/debian/dists/trixie/InRelease") == 5
    with pytest.raises(UsageError):
        trust.at("http://past.test/archive/debian/20261301T000000Z/dists/a/InRelease")


@pytest.mark.parametrize("line", ["Size: 0", "Size: -1", "Size: many", "SHA256: short", "Source: a (b"])
def test_a_wrong_package_paragraph_names_its_suite(line: str) -> None:
    name = line.partition(":")[0]
    fields = {"Size": "Size: 5", "SHA256": f"SHA256: {'a' * 64}", "Source": "Source: tool"} | {name: line}
    text = "\n".join(["Package: tool", "Version: 1", "Filename: pool/t.deb", *fields.values()])
    with pytest.raises(InputError, match="Packages of trixie: not a package paragraph") as caught:
        parse_packages(text.encode(), {"tool"}, "trixie", "amd64")
    assert caught.value.hint
