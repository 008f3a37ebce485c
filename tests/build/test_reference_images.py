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
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

from hullmark.build.archive import inspect_archive
from hullmark.build.builder import BuiltImage, build_image
from hullmark.build.definition import load_definition
from hullmark.build.fetch import Cache
from hullmark.build.lock import load_lock
from hullmark.build.mirror import find_sources
from hullmark.build.saved import save_archive, save_layout
from hullmark.build.shipped import list_shipped
from hullmark.build.slices import TRIPLETS
from hullmark.cli import run
from tests.absence import absent
from tests.build.conftest import required
from tests.build.layouts import layer
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


# Debian aligns programs for arm64 to pages of 64 KiB: 150 files of postgres-secured hold 4.5 MB more, mostly
# zeros, which compress to nothing. What is shipped is the same, file by file.
GOALS = {
    ("postgres-secured", "amd64"): Goal(34, 82, 32),
    ("postgres-secured", "arm64"): Goal(34, 86, 32),
    ("php-mysql-secured", "amd64"): Goal(24, 40, 14),
    ("php-mysql-secured", "arm64"): Goal(24, 40, 14),
}
NAMES = sorted({name for name, _ in GOALS})
LOADERS = {
    "amd64": "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    "arm64": "usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1",
}


class Built(NamedTuple):
    image: BuiltImage
    folder: Path
    members: dict[str, tarfile.TarInfo]
    contents: dict[str, bytes]


class Images(NamedTuple):
    """One reference image on all its platforms."""

    folder: Path
    built: tuple[BuiltImage, ...]


@pytest.fixture(scope="module", params=NAMES)
def images(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Images:
    """The image from its committed lock, or from today's when its packages have left the mirror."""
    base = tmp_path_factory.mktemp("reference")
    folder = base / "images" / request.param
    shutil.copytree(ROOT / "images" / request.param, folder)
    return Images(folder, build_locked(folder, base))


@pytest.fixture(scope="module", params=sorted(LOADERS))
def built(request: pytest.FixtureRequest, images: Images) -> Built:
    """One platform's image, and what is in it."""
    architecture = request.param
    (image,) = [image for image in images.built if image.platform.architecture == architecture]
    contents = {}
    with tarfile.open(fileobj=io.BytesIO(layer(image.path, architecture))) as tar:
        members = {member.name: member for member in tar}
        for name, member in members.items():
            stream = tar.extractfile(member) if member.isreg() else None
            contents[name] = stream.read() if stream else b""
    return Built(image, images.folder, members, contents)


@pytest.fixture
def alone(built: Built, tmp_path: Path) -> Path:
    """A layout of this one platform."""
    found = inspect_archive(built.image.path).only(built.image.platform)
    save_layout(built.image.path, found, tmp_path / "alone")
    return tmp_path / "alone"


def test_packages_and_size_reach_the_goal(built: Built) -> None:
    goal = GOALS[built.image.name, built.image.platform.architecture]
    assert built.image.packages is not None
    assert built.image.packages <= goal.packages
    assert sum(map(len, built.contents.values())) <= goal.megabytes * 1e6
    assert built.image.compressed_size <= goal.compressed * 1e6


def test_both_platforms_ship_the_same_files(images: Images) -> None:
    """Only the loader is called otherwise: what one platform has the other has."""
    shipped = []
    for image in images.built:
        triplet = TRIPLETS[image.platform.architecture]
        files = list_shipped(image.path, image.platform, images.folder, Cache(CACHE))
        names = {file.path.replace(triplet, "{triplet}") for file in files}
        shipped.append({name for name in names if "/ld-linux-" not in name})
    assert len(shipped) == 2
    assert shipped[0] == shipped[1]


def test_nothing_that_is_found_can_be_fixed_and_both_platforms_are_found_alike(
    images: Images, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the facts of the demonstration: every fix that Debian has published is in the lock."""
    facts = ROOT / "samples" / "advisories.toml"
    assert run(["db", "sample", "--advisories", str(facts), "--out", str(tmp_path / "db")]) == 0
    found = []
    for image in images.built:
        capsys.readouterr()
        scan = ("scan", str(image.path), "--platform", str(image.platform), "--db", str(tmp_path / "db"))
        assert run([*scan, "--json"]) == 0
        findings = json.loads(capsys.readouterr().out)["findings"]
        assert [(one["id"], one["package"], one["fixed"]) for one in findings if one.get("fixed")] == []
        found.append({(one["id"], one["package"], *one["versions"]) for one in findings})
    assert found[0]
    assert found[0] == found[1]


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
    missing = {}
    for name, data in built.contents.items():
        if data.startswith(b"\x7fELF"):
            for needed in _needed(data):
                if needed not in names:
                    missing[name] = needed
    assert missing == {}
    loader = LOADERS[built.image.platform.architecture]
    assert loader.rsplit("/", 1)[-1] in names


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
    declared = {*definition.files, *definition.join, *definition.helpers}
    files = {name for name, member in built.members.items() if member.isreg()}
    assert files - recorded - declared == {"etc/debian_version"}  # a configuration file has no md5sum
    assert recorded <= files


def test_trivy_and_syft_see_exactly_the_locked_packages(built: Built, alone: Path, tmp_path: Path) -> None:
    flags = ["--offline-scan", "--skip-db-update", "--skip-check-update", "--format", "cyclonedx", "--quiet"]
    trivy = [_tool("trivy"), "--cache-dir", str(tmp_path), "image", "--input", str(alone), *flags]
    syft = [_tool("syft"), "scan", f"oci-dir:{alone}", "--output", "cyclonedx-json", "--quiet"]
    lock = load_lock(built.folder / "packages.lock")
    locked = {
        package.name: package.version.partition(":")[2] or package.version
        for package in lock.for_architecture(built.image.platform.architecture)
    }
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    for command in (trivy, syft):
        done = subprocess.run(command, check=True, capture_output=True, timeout=200, env=environ)
        components = json.loads(done.stdout)["components"]
        seen = {item["name"]: item["version"] for item in components if item["type"] == "library"}
        assert {name: version.partition(":")[2] or version for name, version in seen.items()} == locked


def test_no_file_differs_from_its_package(built: Built) -> None:
    files = list_shipped(built.image.path, built.image.platform, built.folder, Cache(CACHE))
    assert {file.path for file in files} == {name for name, member in built.members.items() if member.isreg()}
    owners = {file.package for file in files} - {""}
    assert owners <= {*load_definition(built.folder).packages}
    assert len(owners) > 20


def test_engines_and_scanners_take_the_docker_archive(built: Built, tmp_path: Path) -> None:
    required("podman", "skopeo")
    archive = tmp_path / "image.tar"
    found = inspect_archive(built.image.path).only(built.image.platform)
    tag = f"localhost/{built.image.name}:test"
    save_archive(built.image.path, found, archive, tag=tag)

    config = subprocess.check_output(["skopeo", "inspect", "--raw", "--config", f"docker-archive:{archive}"])
    assert json.loads(config)["rootfs"]["diff_ids"] == [*built.image.layers]
    with tempfile.TemporaryDirectory(prefix="pod-") as short:  # podman refuses a long runroot
        store = ["--root", str(tmp_path / "store"), "--runroot", short, "--storage-driver", "vfs"]
        load = ["podman", *store, "load", "--quiet", "--input", str(archive)]
        loaded = subprocess.check_output(load, text=True)
    assert tag in loaded
    flags = ["--offline-scan", "--skip-db-update", "--format", "cyclonedx", "--quiet"]
    cache = ["--cache-dir", str(tmp_path / "cache")]
    sbom = subprocess.check_output([_tool("trivy"), "image", "--input", str(archive), *cache, *flags])
    assert json.loads(sbom)["metadata"]["component"]["type"] == "container"


def test_a_second_build_gives_the_same_bytes(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other time zone, locale, folder and store."""
    folder = tmp_path / "an other place" / images.folder.name
    shutil.copytree(images.folder, folder)
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    again = build_image(folder, out=tmp_path / "store", cache=CACHE, sources=find_sources(os.environ))
    assert [image.manifest_digest for image in again] == [image.manifest_digest for image in images.built]
    first, second = (inspect_archive(found[0].path).images for found in (images.built, again))
    assert first == second


def _tool(name: str) -> str:
    """A program of this Python environment, or of the machine."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        absent(f"{name} is not installed")
    return found
