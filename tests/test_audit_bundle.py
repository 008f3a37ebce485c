from __future__ import annotations

import os
import stat
import zipfile
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullmark.audit_bundle import SUMS, Fault, check_bundle, is_safe, unpack_bundle, write_bundle
from hullmark.errors import InputError, TamperedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENTS: dict[str, bytes | Path] = {
    "audit-logs/app/2026-01.jsonl": b'{"a":1}\n' * 500,
    "audit-logs/evidence/sha256/aa/aa.json.gz": os.urandom(3000),
    "README.md": b"read me\n",
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "bundle.zip"
    write_bundle(path, CONTENTS)
    return path


def edit(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, bundle: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(CONTENTS["README.md"])  # type: ignore[arg-type]
    source.chmod(0o600)
    os.utime(source, (1, 1))
    other = tmp_path / "other.zip"

    write_bundle(other, dict(reversed({**CONTENTS, "README.md": source}.items())))

    assert other.read_bytes() == bundle.read_bytes()


def test_what_cannot_be_packed_smaller_is_stored_as_it_is(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        kinds = {member.filename: member.compress_type for member in archive.infolist()}

    assert kinds["audit-logs/evidence/sha256/aa/aa.json.gz"] == zipfile.ZIP_STORED
    assert kinds["audit-logs/app/2026-01.jsonl"] == zipfile.ZIP_DEFLATED


def test_a_bundle_is_sound_as_it_was_written_and_unpacks_to_what_was_put_in(
    tmp_path: Path, bundle: Path
) -> None:
    assert check_bundle(bundle) == ()

    unpack_bundle(bundle, tmp_path / "out")
    unpacked = {
        str(path.relative_to(tmp_path / "out")): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    sums = unpacked.pop(SUMS).decode().splitlines()
    assert unpacked == CONTENTS
    assert [line[66:] for line in sums] == sorted(CONTENTS)
    assert all(line[:64] == sha256(unpacked[line[66:]]).hexdigest() for line in sums)


def test_a_file_that_is_changed_missing_or_not_listed_is_a_fault(bundle: Path) -> None:
    def change(files: dict[str, bytes]) -> None:
        files["README.md"] += b"more"
        del files["audit-logs/app/2026-01.jsonl"]
        files["extra"] = b""

    edit(bundle, change)

    faults = {fault.name: fault.text for fault in check_bundle(bundle)}
    assert faults.pop("README.md").startswith("was changed: its hash is ")
    assert faults == {
        "audit-logs/app/2026-01.jsonl": "is missing",
        "extra": "is not listed in SHA256SUMS",
    }


def test_damaged_bytes_are_a_fault(bundle: Path) -> None:
    data = bytearray(bundle.read_bytes())
    with zipfile.ZipFile(bundle) as archive:
        place = archive.getinfo("audit-logs/app/2026-01.jsonl").header_offset + 60
    data[place] ^= 255
    bundle.write_bytes(data)

    assert check_bundle(bundle) == (
        Fault("audit-logs/app/2026-01.jsonl", "cannot be unpacked: its bytes are damaged", is_damaged=True),
    )


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "a//b", "a/./b", "C:/x", "a\\b", "line\nbreak"])
def test_a_path_that_escapes_is_neither_written_nor_read(tmp_path: Path, bundle: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be named"):
        write_bundle(tmp_path / "new.zip", {name: b""})
    assert not (tmp_path / "new.zip").exists()

    edit(bundle, lambda files: files.update({name: b""}))
    with pytest.raises(TamperedError, match="is no plain file"):
        check_bundle(bundle)


def test_a_link_is_refused(bundle: Path) -> None:
    with zipfile.ZipFile(bundle, "a") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")

    with pytest.raises(TamperedError, match="'link' is no plain file"):
        check_bundle(bundle)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(bundle: Path) -> None:
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr("README.md", "other")

    with pytest.raises(TamperedError, match=r"'README\.md' is there twice"):
        check_bundle(bundle)


def test_what_grows_beyond_measure_is_refused(bundle: Path) -> None:
    with zipfile.ZipFile(bundle, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(8 << 20))
    data = bundle.read_bytes()
    real, lie = (8 << 20).to_bytes(4, "little"), (500 << 20).to_bytes(4, "little")
    bundle.write_bytes(data.replace(real, lie))

    with pytest.raises(InputError, match="'bomb' is larger"):
        check_bundle(bundle)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not a bundle"), (b"PK\x03\x04 garbage" * 40, "not a bundle"), (None, "file not found")],
)
def test_what_is_no_bundle_says_so(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "x.zip"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InputError, match=message):
        check_bundle(path)


def test_a_zip_without_a_list_of_hashes_is_no_audit_bundle(bundle: Path) -> None:
    edit(bundle, lambda files: files.__delitem__(SUMS))

    with pytest.raises(InputError, match="no list of hashes"):
        check_bundle(bundle)


def test_a_list_of_hashes_that_names_a_file_twice_is_refused(bundle: Path) -> None:
    edit(bundle, lambda files: files.update({SUMS: files[SUMS] * 2}))

    with pytest.raises(TamperedError, match="SHA256SUMS:4"):
        check_bundle(bundle)


@given(st.text(max_size=40))
def test_a_safe_name_stays_below_its_folder(name: str) -> None:
    if is_safe(name):
        assert os.path.normpath(f"/folder/{name}") == f"/folder/{name}"
        assert "\n" not in name
