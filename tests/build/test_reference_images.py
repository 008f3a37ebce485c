"""The two reference images, built from the mirror that this machine's apt configuration names.

The cache folder is the repository's own, so that only the first run downloads.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

import pytest

from hullmark.build.archive import inspect_archive
from hullmark.build.builder import BuiltImage, build_image
from hullmark.build.definition import load_definition
from hullmark.build.mirror import find_sources
from tests.absence import absent
from tests.build.locked import CACHE, ROOT, build_locked

SHELLS = {"sh", "bash", "dash", "rbash", "busybox", "ash", "zsh"}
FORBIDDEN = SHELLS | {
    "apt",
    "apt-get",
    "dpkg",
    "perl",
    "python3",
    "curl",
    "wget",
    "openssl",
    "gpg",
    "su",
    "sudo",
}

pytestmark = pytest.mark.network


class Goal(NamedTuple):
    packages: int
    megabytes: float
    compressed: float


GOALS = {
    "postgres-secured": Goal(34, 82, 32),
    "php-mysql-secured": Goal(24, 40, 14),
}


class Built(NamedTuple):
    image: BuiltImage
    folder: Path
    members: dict[str, tarfile.TarInfo]
    contents: dict[str, bytes]


@pytest.fixture(scope="module", params=sorted(GOALS))
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The image from its committed lock, or from today's when its packages have left the mirror."""
    base = tmp_path_factory.mktemp("reference")
    folder = base / "images" / request.param
    shutil.copytree(ROOT / "images" / request.param, folder)
    (image,) = build_locked(folder, base)
    manifest = _json(image, image.manifest_digest)
    layer = _blob(image, manifest["layers"][0]["digest"])
    contents = {}
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        members = {member.name: member for member in tar}
        for name, member in members.items():
            stream = tar.extractfile(member) if member.isreg() else None
            contents[name] = stream.read() if stream else b""
    return Built(image, folder, members, contents)


def _blob(image: BuiltImage, digest: str) -> bytes:
    return (image.path / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()


def _json(image: BuiltImage, digest: str) -> dict[str, list[dict[str, str]]]:
    document: dict[str, list[dict[str, str]]] = json.loads(_blob(image, digest))
    return document


def test_packages_and_size_reach_the_goal(built: Built) -> None:
    goal = GOALS[built.image.name]
    assert built.image.packages is not None
    assert built.image.packages <= goal.packages
    assert sum(map(len, built.contents.values())) <= goal.megabytes * 1e6
    assert built.image.compressed_size <= goal.compressed * 1e6


def test_nothing_is_setuid_and_no_shell_or_package_manager_is_there(built: Built) -> None:
    assert [name for name, member in built.members.items() if member.isreg() and member.mode & 0o6000] == []
    names = {name.rsplit("/", 1)[-1] for name, member in built.members.items() if not member.isdir()}
    assert names & FORBIDDEN == set()
    writable = [name for name, member in built.members.items() if member.isreg() and member.mode & 0o022]
    assert writable == []


def test_it_runs_as_a_numeric_user_and_its_entry_point_is_there(built: Built) -> None:
    config = load_definition(built.folder).config
    for program in (config.entrypoint[0], *(config.healthcheck.command[:1] if config.healthcheck else ())):
        assert built.members[program[1:]].mode & 0o111


def test_every_library_and_loader_that_a_program_needs_is_there(built: Built) -> None:
    names = {name.rsplit("/", 1)[-1] for name in built.members}
    absent = {}
    for name, data in built.contents.items():
        if data.startswith(b"\x7fELF"):
            for needed in _needed(data):
                if needed not in names:
                    absent[name] = needed
    assert absent == {}
    loader = "usr/lib64/ld-linux-x86-64.so.2"
    assert built.members[loader].issym()
    assert "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" in built.members


def _needed(data: bytes) -> list[str]:
    """DT_NEEDED of a 64-bit little-endian ELF file (System V ABI, dynamic section)."""
    read = int.from_bytes
    offset, entry, count = (
        read(data[32:40], "little"),
        read(data[54:56], "little"),
        read(data[56:58], "little"),
    )
    loads, dynamic = [], (0, 0)
    for number in range(count):
        header = data[offset + number * entry :][:entry]
        words = [read(header[place : place + 8], "little") for place in range(8, 40, 8)]
        kind = read(header[:4], "little")
        if kind == 1:
            loads.append((words[1], words[0], words[3]))
        if kind == 2:
            dynamic = (words[0], words[3])
    pairs = [
        (read(data[place : place + 8], "little"), read(data[place + 8 : place + 16], "little"))
        for place in range(dynamic[0], sum(dynamic), 16)
    ]
    table = next((value for tag, value in pairs if tag == 5), 0)
    start = next(
        (table - virtual + place for virtual, place, size in loads if virtual <= table < virtual + size), 0
    )
    return [
        data[start + value : data.index(b"\0", start + value)].decode() for tag, value in pairs if tag == 1
    ]


def test_every_file_belongs_to_a_recorded_package_or_is_declared(built: Built) -> None:
    recorded = set()
    for name, data in built.contents.items():
        if name.startswith("var/lib/dpkg/status.d/"):
            recorded.add(name)
            if name.endswith(".md5sums"):
                recorded |= {line.split("  ", 1)[1] for line in data.decode().splitlines()}
    definition = load_definition(built.folder)
    declared = {*definition.files, *definition.join}
    files = {name for name, member in built.members.items() if member.isreg()}
    assert files - recorded - declared == {"etc/debian_version"}  # a configuration file has no md5sum
    assert recorded <= files


def test_trivy_sees_exactly_the_locked_packages(built: Built, tmp_path: Path) -> None:
    trivy = Path(sys.executable).with_name("trivy")
    found = trivy if trivy.exists() else shutil.which("trivy")
    if found is None:
        absent("trivy is not installed")
    command = [str(found), "--cache-dir", str(tmp_path), "image", "--input", str(built.image.path)]
    flags = ["--offline-scan", "--skip-db-update", "--skip-check-update", "--format", "cyclonedx", "--quiet"]
    done = subprocess.run([*command, *flags], check=True, capture_output=True, timeout=120)
    components = json.loads(done.stdout)["components"]
    seen = {item["name"]: item["version"] for item in components if item["type"] == "library"}
    lines = (built.folder / "packages.lock").read_text().splitlines()
    words = [line.split(" ") for line in lines if line.startswith("package ")]
    assert {name: version.partition(":")[2] or version for name, version in seen.items()} == {
        word[2]: word[3].partition(":")[2] or word[3] for word in words
    }


def test_a_second_build_gives_the_same_bytes(built: Built, tmp_path: Path) -> None:
    (again,) = build_image(built.folder, out=tmp_path, cache=CACHE, sources=find_sources(os.environ))
    assert again.manifest_digest == built.image.manifest_digest
    assert inspect_archive(again.path).only() == inspect_archive(built.image.path).only()
