"""Where packages come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hullmark.build.apt import AptEntry, debian_addresses, parse_deb822, parse_one_line, read_apt
from hullmark.build.mirror import Sources, find_sources
from hullmark.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

DEB822 = """\
# the system's own
Types: deb deb-src
URIs: http://mirror.test/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components:
 main

Types: deb
Enabled: no
URIs: http://off.test/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.test/debian
Suites: bookworm
Components: main
"""


def folder(tmp_path: Path, **files: str) -> Path:
    """An apt folder; `a__list` stands for `a.list`."""
    parts = tmp_path / "apt" / "sources.list.d"
    parts.mkdir(parents=True)
    for name, text in files.items():
        (parts / name.replace("__", ".")).write_text(text)
    return parts.parent


def test_the_machines_apt_configuration_gives_the_address(tmp_path: Path) -> None:
    apt = folder(tmp_path, debian__sources=DEB822)
    found = find_sources({}, apt=apt)
    assert found.debian == ("http://mirror.test/debian",)
    assert found.security == ("http://mirror.test/debian-security",)


def test_one_line_entries_are_read_with_options_and_comments() -> None:
    text = (
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror.test/debian trixie main non-free # note\n"
        "# deb http://off.test/debian trixie main\n"
        "deb-src http://source.test/debian trixie main\n"
        "deb http://mirror.test/security trixie-security main\n"
        "nonsense\n"
    )
    entries = parse_one_line(text)
    assert debian_addresses(entries, "debian") == ("http://mirror.test/debian",)
    assert debian_addresses(entries, "debian-security") == ("http://mirror.test/security",)


@pytest.mark.parametrize(
    "line",
    [
        "deb http://mirror.test/ubuntu noble main",
        "deb http://mirror.test/ubuntu noble-security main",
        "deb http://mirror.test/cloud cloud-sdk-bookworm main",
        "deb http://mirror.test/debian bookworm contrib",
        "deb file:/media/debian bookworm main",
        "deb cdrom:[Debian]/ bookworm main",
        "deb http://name:word@mirror.test/debian bookworm main",
        "deb http://[broken/debian bookworm main",
    ],
)
def test_what_is_not_debians_or_cannot_be_used_is_passed_over(tmp_path: Path, line: str) -> None:
    assert find_sources({}, apt=folder(tmp_path, other__list=line)) == Sources()


def test_debians_own_folder_comes_before_another_vendors_that_uses_its_suites() -> None:
    entries = tuple(
        AptEntry(addresses=(address,), suites=("bookworm",), components=("main",))
        for address in ("http://vendor.test/repo", "http://mirror.test/debian", "http://mirror.test/debian")
    )
    found = debian_addresses(entries, "debian")
    assert found == ("http://mirror.test/debian", "http://vendor.test/repo")


def test_a_file_that_cannot_be_read_gives_nothing(tmp_path: Path) -> None:
    apt = folder(tmp_path, debian__sources=DEB822, notes__txt=DEB822)
    (apt / "sources.list").write_bytes(b"\xff")
    assert len(read_apt(apt)) == 2
    assert read_apt(tmp_path / "nowhere") == ()
    assert parse_deb822("") == ()


def test_what_the_caller_gives_comes_first_then_the_environment(tmp_path: Path) -> None:
    apt = folder(tmp_path, debian__sources=DEB822)
    environ = {"HULLMARK_DEBIAN_MIRROR": "https://env.test/debian/"}
    assert find_sources(environ, apt=apt) == Sources(
        debian=("https://env.test/debian",), security=("https://env.test/debian-security",)
    )
    given = find_sources(environ, "http://given.test/d", "http://given.test/s", apt=apt)
    assert given == Sources(debian=("http://given.test/d",), security=("http://given.test/s",))
    odd = find_sources({"HULLMARK_DEBIAN_MIRROR": "http://env.test/d"}, apt=apt)
    assert odd.security == ("http://mirror.test/debian-security",)


@pytest.mark.parametrize("address", ["ftp://mirror.test/debian", "mirror.test", "http://a:b@mirror.test/d"])
def test_an_address_that_is_not_plain_http_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_sources({"HULLMARK_DEBIAN_MIRROR": address}, apt=tmp_path)
    assert "a:b" not in caught.value.message


def test_the_snapshot_of_the_locks_time_is_asked_last() -> None:
    sources = Sources(
        debian=("http://mirror.test/debian",),
        security=("http://mirror.test/security",),
        snapshot="http://past.test",
    )
    assert sources.urls("debian-security", "pool/x.deb", 1_767_312_000) == (
        "http://mirror.test/security/pool/x.deb",
        "http://past.test/archive/debian-security/20260102T000000Z/pool/x.deb",
    )


def test_the_archive_as_it_was_is_read_from_the_snapshot_alone() -> None:
    sources = Sources(debian=("http://mirror.test/debian",), snapshot="http://past.test")
    assert sources.at("20260102T000000Z") == Sources(
        debian=("http://past.test/archive/debian/20260102T000000Z",),
        security=("http://past.test/archive/debian-security/20260102T000000Z",),
        snapshot="http://past.test",
    )
    with pytest.raises(UsageError) as caught:
        Sources(debian=("http://mirror.test/debian",)).at("20260102T000000Z")
    assert "HULLMARK_DEBIAN_SNAPSHOT" in caught.value.hint
