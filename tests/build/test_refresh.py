"""From package lists to locks."""

from __future__ import annotations

import lzma
import os
import shutil
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from hullmark.build.changes import Change, Kind
from hullmark.build.fetch import Cache, Fetcher, VanishedError
from hullmark.build.index import MAX_INDEX_BYTES, MAX_RELEASE_BYTES
from hullmark.build.lock import load_lock
from hullmark.build.mirror import Sources
from hullmark.build.refresh import check_image, lock_image
from hullmark.build.release import Trust
from hullmark.errors import EnvironmentFaultError, HullmarkError, InputError, NetworkError
from tests.build.conftest import ELF, TINY
from tests.build.debs import DATE, Mirror, make_deb, regular

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hullmark.build.refresh import Locked
    from tests.build.signing import Signer


RELEASE = "/debian/dists/trixie/InRelease"


def newer(version: str) -> bytes:
    return make_deb("tool", version, [regular("usr/bin/tool", ELF + version.encode())])


def refresh(folder: Path, fetcher: Fetcher, sources: Sources, trust: Trust) -> Locked:
    return lock_image(folder, fetcher=fetcher, sources=sources, trust=trust, refresh=True)


def change(
    package: str, before: str, after: str, kind: Kind, *, suite: str = "", security: str = ""
) -> Change:
    return Change(
        package=package,
        architecture="amd64",
        kind=kind,
        before=before,
        after=after,
        suite=suite,
        security=security,
    )


def test_a_lock_names_version_hash_source_and_the_indexes(locked: Path) -> None:
    lock = load_lock(locked / "packages.lock")
    assert [index.suite for index in lock.indexes] == ["trixie", "trixie-security"]
    assert lock.epoch == DATE
    library, tool = lock.packages
    assert (library.name, library.version, library.source, library.source_version) == (
        "libfoo1",
        "2:1.0-1",
        "foo",
        "1.0",
    )
    assert lock.archive_of(tool) == "debian"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ({"trixie-security": "1.0+deb13u1"}, "1.0+deb13u1"),
        ({"trixie-security": "1.0~rc1"}, "1.0"),
        ({"trixie-security": "1:0.1", "trixie": "9.9"}, "1:0.1"),
        ({"trixie": "1.10", "trixie-security": "1.9"}, "1.10"),
    ],
)
def test_the_highest_version_over_all_suites_is_taken_by_debians_rules(  # noqa: PLR0917 - fixtures
    tiny: Path,
    mirror: Mirror,
    fetcher: Fetcher,
    sources: Sources,
    trust: Trust,
    offered: dict[str, str],
    chosen: str,
) -> None:
    for suite, version in offered.items():
        mirror.archive.add(suite, "tool", version, newer(version))
    refresh(tiny, fetcher, sources, trust)
    assert load_lock(tiny / "packages.lock").packages[1].version == chosen


def test_a_complete_lock_is_left_alone_unless_refreshed(
    locked: Path, mirror: Mirror, fetcher: Fetcher, sources: Sources, trust: Trust
) -> None:
    before = (locked / "packages.lock").read_bytes()
    mirror.archive.add("trixie-security", "tool", "1.1", newer("1.1"))
    mirror.requests.clear()
    assert not lock_image(locked, fetcher=fetcher, sources=sources, trust=trust, refresh=False).written
    assert mirror.requests == []
    assert (locked / "packages.lock").read_bytes() == before
    done = refresh(locked, fetcher, sources, trust)
    assert done.written
    assert done.changes == (
        change("tool", "1.0", "1.1", Kind.NEWER, suite="trixie-security", security="trixie-security"),
    )


def test_a_refresh_that_finds_nothing_newer_changes_no_byte(
    locked: Path, mirror: Mirror, fetcher: Fetcher, sources: Sources, trust: Trust
) -> None:
    before = (locked / "packages.lock").read_bytes()
    mirror.archive.publish("trixie", date=DATE + 86_400)
    assert not refresh(locked, fetcher, sources, trust).written
    assert (locked / "packages.lock").read_bytes() == before


def test_a_package_that_was_added_is_locked_without_a_refresh(
    locked: Path, mirror: Mirror, fetcher: Fetcher, sources: Sources, trust: Trust
) -> None:
    mirror.archive.add("trixie", "extra", "3", make_deb("extra", "3"))
    text = TINY.replace("[packages]", '[packages]\nextra = { reason = "more" }')
    (locked / "image.toml").write_text(text)
    done = lock_image(locked, fetcher=fetcher, sources=sources, trust=trust, refresh=False)
    assert done.changes == (change("extra", "", "3", Kind.ADDED, suite="trixie"),)
    (locked / "image.toml").write_text(TINY)
    done = lock_image(locked, fetcher=fetcher, sources=sources, trust=trust, refresh=False)
    assert done.changes == (change("extra", "3", "", Kind.REMOVED),)


def _unknown_package(folder: Path, mirror: Mirror) -> None:
    del mirror
    (folder / "image.toml").write_text(TINY.replace("tool = {", "toool = {").replace('"tool"\ns', '""\ns'))


def _ubuntu(folder: Path, mirror: Mirror) -> None:
    del folder
    mirror.archive.publish("trixie", Origin="Ubuntu")


def _another_suite(folder: Path, mirror: Mirror) -> None:
    del folder
    mirror.archive.publish("trixie", Codename="bookworm")


def _no_suite(folder: Path, mirror: Mirror) -> None:
    del folder
    del mirror.archive.files["/debian-security/dists/trixie-security/InRelease"]


def _unsigned(folder: Path, mirror: Mirror) -> None:
    del folder
    mirror.archive.files[RELEASE] = b"Origin: Debian\n"


def _changed(folder: Path, mirror: Mirror) -> None:
    del folder
    mirror.archive.files[RELEASE] = mirror.archive.files[RELEASE].replace(b"Suite: stable", b"Suite: stabel")


def _huge_release(folder: Path, mirror: Mirror) -> None:
    del folder
    mirror.archive.files[RELEASE] = bytes(MAX_RELEASE_BYTES + 1)


def _damaged_release(folder: Path, mirror: Mirror) -> None:
    del folder
    mirror.archive.publish("trixie", replace=("Date:", "Data:"))


def _expired(folder: Path, mirror: Mirror) -> None:
    del folder
    mirror.archive.publish("trixie", Valid_Until=formatdate(DATE + 1800, usegmt=True))


def _from_the_future(folder: Path, mirror: Mirror) -> None:
    del folder
    mirror.archive.publish("trixie", date=DATE + 3 * 86_400)


def _replayed(folder: Path, mirror: Mirror) -> None:
    del folder
    mirror.archive.publish("trixie", date=DATE - 1)


def _index_with_another_hash(folder: Path, mirror: Mirror) -> None:
    del folder
    for path in list(mirror.archive.files):
        if "binary-amd64" in path:
            mirror.archive.files[path] = mirror.archive.files[path][:-1] + b"?"


def _no_index(folder: Path, mirror: Mirror) -> None:
    del folder
    for path in list(mirror.archive.files):
        if "binary-amd64" in path:
            del mirror.archive.files[path]


def _no_architecture(folder: Path, mirror: Mirror) -> None:
    del folder
    mirror.archive.architectures = ["arm64"]
    mirror.archive.publish("trixie")


def _other_index(mirror: Mirror, packed: bytes, said: int = 0) -> None:
    """Let a signed `InRelease` name `packed` as its index, of `said` bytes."""
    archive = mirror.archive
    old = archive.files["/debian/dists/trixie/main/binary-amd64/Packages.xz"]
    new = archive.put_index("trixie", "amd64", packed).replace(f" {len(packed)} ", f" {said or len(packed)} ")
    archive.publish("trixie", replace=(archive.put_index("trixie", "amd64", old), new))


def _not_xz(folder: Path, mirror: Mirror) -> None:
    del folder
    _other_index(mirror, b"?" * 100)


def _truncated(folder: Path, mirror: Mirror) -> None:
    del folder
    _other_index(mirror, lzma.compress(b"Package: tool\n" * 1000)[:-40])


def _two_streams(folder: Path, mirror: Mirror) -> None:
    del folder
    _other_index(mirror, lzma.compress(b"Package: other\n") * 2)


def _huge(folder: Path, mirror: Mirror) -> None:
    del folder
    _other_index(mirror, b"?", said=MAX_INDEX_BYTES + 1)


def _needs_much_memory(folder: Path, mirror: Mirror) -> None:
    del folder
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 << 20}]
    _other_index(mirror, lzma.compress(b"Package: tool\n", filters=filters))


def _another_hash(folder: Path, mirror: Mirror) -> None:
    del folder
    mirror.archive.add("trixie-security", "libfoo1", "2:1.0-1", make_deb("libfoo1", "2:1.0-1"))
    mirror.archive._debs["trixie"] = [item for item in mirror.archive._debs["trixie"] if item.name == "tool"]
    mirror.archive.publish("trixie")


def _a_path_that_leaves_the_archive(folder: Path, mirror: Mirror) -> None:
    del folder
    packed = mirror.archive.files["/debian/dists/trixie/main/binary-amd64/Packages.xz"]
    text = lzma.decompress(packed).replace(b"Version: 1.0\n", b"Version: 1.1\n")
    _other_index(mirror, lzma.compress(text.replace(b"Filename: pool", b"Filename: ../pool")))


@pytest.mark.parametrize(
    ("harm", "error", "message"),
    [
        (_unknown_package, InputError, "packages.toool: no suite has this package for amd64"),
        (_ubuntu, InputError, "InRelease: this is Ubuntu's stable or trixie, not Debian's trixie"),
        (_another_suite, InputError, "InRelease: this is Debian's stable or bookworm, not Debian's trixie"),
        (_no_suite, NetworkError, "suite trixie-security is not offered by"),
        (_unsigned, InputError, "InRelease: not one clear-signed message"),
        (_changed, InputError, "InRelease: not signed by a key of keyring.pgp: the text is not what"),
        (_huge_release, NetworkError, "InRelease gives more than the 8,388,608 bytes"),
        (_damaged_release, InputError, "InRelease: not a release file: 'Date'"),
        (_expired, InputError, "InRelease: it expired at 2023-11-14 22:43 UTC, and now is 2023-11-16 22:13"),
        (_from_the_future, InputError, "InRelease: it is from the future: 2023-11-17 22:13 UTC"),
        (_replayed, InputError, "it is of 2023-11-14 22:13 UTC, older than 2023-11-14 22:13 UTC"),
        (_index_with_another_hash, NetworkError, "Packages.xz"),
        (_no_index, VanishedError, "Packages.xz"),
        (_no_architecture, InputError, "InRelease: main/binary-amd64/Packages.xz: no such index"),
        (_not_xz, InputError, "Packages.xz: not xz"),
        (_truncated, InputError, "Packages.xz: truncated"),
        (_two_streams, InputError, "Packages.xz: more than one xz stream"),
        (_huge, InputError, "Packages.xz: expected a size up to 67,108,864, got 67,108,865"),
        (_needs_much_memory, InputError, "Packages.xz: not xz: Memory usage limit"),
        (_another_hash, InputError, "libfoo1: 2:1.0-1 is locked with sha256:"),
        (_a_path_that_leaves_the_archive, InputError, "line 5: an index names what no lock can hold"),
    ],
)
def test_a_failed_refresh_says_why_and_leaves_the_old_lock(  # noqa: PLR0917 - fixtures
    locked: Path,
    mirror: Mirror,
    sources: Sources,
    trust: Trust,
    tmp_path: Path,
    harm: Callable[[Path, Mirror], None],
    error: type[HullmarkError],
    message: str,
) -> None:
    before = (locked / "packages.lock").read_bytes()
    harm(locked, mirror)
    with Fetcher(Cache(tmp_path / "other")) as fetcher, pytest.raises(error) as caught:
        refresh(locked, fetcher, sources, trust)
    assert message in caught.value.message
    assert caught.value.hint
    assert (locked / "packages.lock").read_bytes() == before
    assert sorted(path.name for path in locked.iterdir()) == ["files", "image.toml", "packages.lock"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"Origin": "Ubuntu"}, "this is Ubuntu's"),
        ({"Valid_Until": "Tue, 14 Nov 2023 22:20:00 UTC"}, "it expired at 2023-11-14 22:20 UTC"),
    ],
)
def test_an_address_that_may_not_be_believed_is_passed_over_and_said(  # noqa: PLR0917 - fixtures
    tiny: Path,
    mirror: Mirror,
    sources: Sources,
    trust: Trust,
    tmp_path: Path,
    fields: dict[str, Any],
    why: str,
) -> None:
    good = mirror.archive.files[RELEASE]
    mirror.archive.publish("trixie", **fields)
    mirror.archive.files["/other/dists/trixie/InRelease"] = mirror.archive.files[RELEASE]
    mirror.archive.files[RELEASE] = good
    mixed = Sources(debian=(f"{mirror.address}/other", *sources.debian), security=sources.security)
    said = Said()
    with Fetcher(Cache(tmp_path / "cache"), progress=said) as fetcher:
        assert refresh(tiny, fetcher, mixed, trust).written
    assert any(f"passed over: {mirror.address}/other" in line and why in line for line in said.lines)


class Said:
    """What progress says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def begin(self, what: str, total: int) -> None: ...

    def advance(self, count: int) -> None: ...


def test_without_an_address_it_says_how_to_give_one(tiny: Path, fetcher: Fetcher, trust: Trust) -> None:
    with pytest.raises(EnvironmentFaultError) as caught:
        refresh(tiny, fetcher, Sources(), trust)
    assert "HULLMARK_DEBIAN_MIRROR" in caught.value.hint


def test_an_index_is_fetched_once(
    tiny: Path, mirror: Mirror, fetcher: Fetcher, sources: Sources, trust: Trust
) -> None:
    refresh(tiny, fetcher, sources, trust)
    mirror.requests.clear()
    refresh(tiny, fetcher, sources, trust)
    assert [path.rsplit("/", 1)[-1] for path in mirror.requests] == ["InRelease", "InRelease"]


def test_a_check_says_what_is_newer_and_where_from_and_writes_nothing(
    locked: Path, mirror: Mirror, fetcher: Fetcher, sources: Sources, trust: Trust
) -> None:
    def check() -> Locked:
        return check_image(locked, fetcher=fetcher, sources=sources, trust=trust)

    before = (locked / "packages.lock").read_bytes()
    assert check().changes == ()
    mirror.archive.add("trixie-security", "tool", "1.0+u1", newer("1.0+u1"))
    mirror.archive.add("trixie", "libfoo1", "2:1.1-1", make_deb("libfoo1", "2:1.1-1"))
    found = check()
    assert found.newer == (
        change("libfoo1", "2:1.0-1", "2:1.1-1", Kind.NEWER, suite="trixie"),
        change("tool", "1.0", "1.0+u1", Kind.NEWER, suite="trixie-security", security="trixie-security"),
    )
    assert not found.written
    assert (locked / "packages.lock").read_bytes() == before
    assert sorted(path.name for path in locked.iterdir()) == ["files", "image.toml", "packages.lock"]


def test_a_security_update_is_marked_when_a_later_version_of_another_suite_contains_it(
    locked: Path, mirror: Mirror, fetcher: Fetcher, sources: Sources, trust: Trust
) -> None:
    mirror.archive.add("trixie-security", "tool", "1.0+u1", newer("1.0+u1"))
    mirror.archive.add("trixie", "tool", "1.0+u2", newer("1.0+u2"))
    (found,) = check_image(locked, fetcher=fetcher, sources=sources, trust=trust).changes
    assert (found.after, found.suite, found.security) == ("1.0+u2", "trixie", "trixie-security")


def test_a_file_that_moved_to_another_suite_is_followed_but_is_not_newer(
    locked: Path, mirror: Mirror, fetcher: Fetcher, sources: Sources, trust: Trust
) -> None:
    mirror.archive.add("trixie-security", "tool", "1.1", newer("1.1"))
    refresh(locked, fetcher, sources, trust)
    mirror.archive.add("trixie", "tool", "1.1", newer("1.1"))
    found = check_image(locked, fetcher=fetcher, sources=sources, trust=trust)
    assert [item.kind for item in found.changes] == [Kind.MOVED]
    assert found.newer == ()
    assert refresh(locked, fetcher, sources, trust).written
    assert load_lock(locked / "packages.lock").packages[1].suite == "trixie"


def test_a_version_that_is_no_longer_offered_is_called_older(
    locked: Path, mirror: Mirror, fetcher: Fetcher, sources: Sources, trust: Trust
) -> None:
    mirror.archive.add("trixie-security", "tool", "1.1", newer("1.1"))
    refresh(locked, fetcher, sources, trust)
    mirror.archive._debs["trixie-security"].clear()
    mirror.archive.publish("trixie-security")
    (found,) = check_image(locked, fetcher=fetcher, sources=sources, trust=trust).newer
    assert (found.kind, found.before, found.after) == (Kind.OLDER, "1.1", "1.0")


def test_without_a_lock_a_check_names_the_command_that_makes_one(
    tiny: Path, fetcher: Fetcher, sources: Sources, trust: Trust
) -> None:
    with pytest.raises(InputError) as caught:
        check_image(tiny, fetcher=fetcher, sources=sources, trust=trust)
    assert caught.value.hint == "Run `hullmark lock tiny`."


def test_one_lock_holds_all_platforms_each_with_its_own_newest_versions(
    tiny: Path, mirror: Mirror, fetcher: Fetcher, sources: Sources, trust: Trust
) -> None:
    both = TINY.replace("suites =", 'platforms = ["linux/amd64", "linux/arm64"]\nsuites =')
    (tiny / "image.toml").write_text(both)
    mirror.archive.architectures = ["amd64", "arm64"]
    for name, version in (("tool", "1.0+b1"), ("libfoo1", "2:1.0-1")):
        mirror.archive.add("trixie", name, version, make_deb(name, version), architecture="arm64")
    mirror.archive.publish("trixie-security")
    assert len(refresh(tiny, fetcher, sources, trust).changes) == 4
    lock = load_lock(tiny / "packages.lock")
    assert [item.version for item in lock.for_architecture("amd64")] == ["2:1.0-1", "1.0"]
    assert [item.version for item in lock.for_architecture("arm64")] == ["2:1.0-1", "1.0+b1"]

    mirror.archive.add("trixie-security", "tool", "1.1", newer("1.1"), architecture="arm64")
    (found,) = check_image(tiny, fetcher=fetcher, sources=sources, trust=trust).newer
    assert (found.package, found.architecture, found.after) == ("tool", "arm64", "1.1")

    (tiny / "image.toml").write_text(TINY)
    done = lock_image(tiny, fetcher=fetcher, sources=sources, trust=trust, refresh=False)
    assert {(item.architecture, item.kind) for item in done.changes} == {("arm64", Kind.REMOVED)}


def test_a_platform_whose_package_is_missing_is_named(
    tiny: Path, mirror: Mirror, fetcher: Fetcher, sources: Sources, trust: Trust
) -> None:
    both = TINY.replace("suites =", 'platforms = ["linux/amd64", "linux/arm64"]\nsuites =')
    (tiny / "image.toml").write_text(both)
    mirror.archive.architectures = ["amd64", "arm64"]
    mirror.archive.publish("trixie")
    mirror.archive.publish("trixie-security")
    with pytest.raises(InputError, match=r"packages\.libfoo1: no suite has this package for arm64"):
        refresh(tiny, fetcher, sources, trust)
    assert not (tiny / "packages.lock").exists()


def test_an_index_comes_from_another_address_when_the_first_lacks_it(
    tiny: Path, mirror: Mirror, fetcher: Fetcher, sources: Sources, trust: Trust
) -> None:
    mirror.archive.files["/other/dists/trixie/InRelease"] = mirror.archive.files[RELEASE]
    mixed = Sources(debian=(f"{mirror.address}/other", *sources.debian), security=sources.security)
    assert refresh(tiny, fetcher, mixed, trust).written


def test_a_dated_snapshot_is_judged_by_its_own_instant(
    tiny: Path, mirror: Mirror, fetcher: Fetcher, signer: Signer
) -> None:
    late = formatdate(DATE + 7 * 86_400, usegmt=True)
    mirror.archive.publish("trixie", Valid_Until=late)
    for path, data in list(mirror.archive.files.items()):
        _, archive, rest = path.split("/", 2)
        mirror.archive.files[f"/past/archive/{archive}/20231115T000000Z/{rest}"] = data
    past = Sources(snapshot=f"{mirror.address}/past").at("20231115T000000Z")
    years_later = Trust(now=DATE + 3 * 365 * 86_400, keyring=signer.keyring)
    assert refresh(tiny, fetcher, past, years_later).written
    (tiny / "packages.lock").unlink()
    plain = Sources(debian=(mirror.debian,), security=(f"{mirror.debian}-security",))
    with pytest.raises(InputError, match="it expired at 2023-11-21"):
        refresh(tiny, fetcher, plain, years_later)


def test_a_full_disk_leaves_the_old_lock(  # noqa: PLR0917 - fixtures
    locked: Path, mirror: Mirror, fetcher: Fetcher, sources: Sources, trust: Trust, small_disk: Path
) -> None:
    folder = small_disk / "tiny"
    shutil.copytree(locked, folder)
    before = (folder / "packages.lock").read_bytes()
    mirror.archive.add("trixie-security", "tool", "1.1", newer("1.1"))
    rest = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(bytes(rest.f_bavail * rest.f_bsize))
    with pytest.raises(EnvironmentFaultError, match="No space left"):
        refresh(folder, fetcher, sources, trust)
    assert (folder / "packages.lock").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["files", "image.toml", "packages.lock"]
