"""What is written beside an image: what it ships, from whom, and how it was built."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hullmark.build.archive import inspect_archive
from hullmark.build.builder import BuiltImage, build_image
from hullmark.build.fetch import Cache, digest_of
from hullmark.build.lock import load_lock
from hullmark.build.provenance import provenance
from hullmark.build.saved import save_layout
from hullmark.build.shipped import file_list, list_shipped
from hullmark.errors import InputError
from tests.build.conftest import TINY
from tests.build.debs import make_deb, regular

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.build.mirror import Sources


@pytest.fixture
def image(locked: Path, sources: Sources, tmp_path: Path) -> BuiltImage:
    (made,) = build_image(locked, out=tmp_path / "out", cache=tmp_path / "cache", sources=sources)
    return made


def listed(image: BuiltImage, folder: Path, tmp_path: Path) -> dict[str, tuple[str, str]]:
    files = list_shipped(image.path, image.platform, folder, Cache(tmp_path / "cache"))
    return {file.path: (file.package, file.declared) for file in files}


def test_every_file_has_an_owner(image: BuiltImage, locked: Path, tmp_path: Path) -> None:
    assert listed(image, locked, tmp_path) == {
        "etc/passwd": ("", 'files."etc/passwd"'),
        "usr/bin/tool": ("tool", ""),
        "usr/lib/x86_64-linux-gnu/libfoo.so.1.0": ("libfoo1", ""),
        "usr/share/doc/libfoo1/copyright": ("libfoo1", ""),
        "usr/share/doc/tool/copyright": ("tool", ""),
        **{
            f"var/lib/dpkg/status.d/{name}": ("", "record")
            for name in ("libfoo1", "libfoo1.md5sums", "tool", "tool.md5sums")
        },
    }


def test_the_list_is_a_document(image: BuiltImage, locked: Path, tmp_path: Path) -> None:
    files = list_shipped(image.path, image.platform, locked, Cache(tmp_path / "cache"))
    document = json.loads(file_list(image.name, image.platform, image.manifest_digest, files))
    assert document["digest"] == image.manifest_digest
    assert document["checked"] == {
        "identical_to_package": 4,
        "differing_from_package": 0,
        "declared": 1,
        "records": 4,
    }
    assert document["files"][1]["package"] == "tool"
    assert document["files"][1]["mode"] == "0755"


def test_a_file_of_a_package_has_exactly_the_bytes_that_the_package_gives(
    image: BuiltImage, locked: Path, tmp_path: Path
) -> None:
    """Here the lock names another package than the one that was built from."""
    other = make_deb("tool", "1.0", [regular("usr/bin/tool", b"\x7fELF changed", 0o755)])
    digest = digest_of(other)
    (tmp_path / "cache" / f"{digest.removeprefix('sha256:')}.deb").write_bytes(other)
    lock = locked / "packages.lock"
    (old,) = [package.digest for package in load_lock(lock).packages if package.name == "tool"]
    lock.write_text(lock.read_text().replace(old, digest))
    with pytest.raises(InputError, match=r"usr/bin/tool differs from the file of tool 1\.0"):
        listed(image, locked, tmp_path)


def test_a_file_of_no_package_is_declared(image: BuiltImage, locked: Path, tmp_path: Path) -> None:
    (locked / "image.toml").write_text(TINY.replace('"etc/passwd" = { source = "passwd" }', ""))
    with pytest.raises(InputError, match="etc/passwd is of no package and not declared"):
        listed(image, locked, tmp_path)


def test_nothing_declared_is_missing(image: BuiltImage, locked: Path, tmp_path: Path) -> None:
    group = '"etc/group" = { source = "passwd" }\n'
    (locked / "image.toml").write_text(TINY.replace('"etc/passwd"', f'{group}"etc/passwd"'))
    with pytest.raises(InputError, match="etc/group is declared and not shipped"):
        listed(image, locked, tmp_path)


def test_a_package_that_left_the_cache_is_named(image: BuiltImage, locked: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "cache").glob("*.deb"):
        path.write_bytes(b"damaged")
    with pytest.raises(InputError, match="no longer in the cache"):
        listed(image, locked, tmp_path)


def test_provenance_names_the_image_and_the_lock_first(image: BuiltImage, locked: Path) -> None:
    statement: dict[str, Any] = json.loads(provenance(image, locked))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    (subject,) = statement["subject"]
    assert f"sha256:{subject['digest']['sha256']}" == image.manifest_digest
    resolved = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    lock = digest_of((locked / "packages.lock").read_bytes())
    assert resolved[0] == {"name": "packages.lock", "digest": {"sha256": lock.removeprefix("sha256:")}}
    assert [item["name"] for item in resolved[1:3]] == ["image.toml", "files/passwd"]
    assert [item["uri"] for item in resolved[3:]] == [
        "pkg:deb/debian/libfoo1@2%3A1.0-1?arch=amd64",
        "pkg:deb/debian/tool@1.0?arch=amd64",
    ]
    assert provenance(image, locked) == provenance(image, locked)


def test_one_platform_alone_has_the_same_digests(image: BuiltImage, tmp_path: Path) -> None:
    found = inspect_archive(image.path).only()
    save_layout(image.path, found, tmp_path / "alone")
    alone = inspect_archive(tmp_path / "alone").only()
    assert (alone.digest, alone.config, alone.layers) == (found.digest, found.config, found.layers)
