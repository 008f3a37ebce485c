"""Law 9: both builders give the same layer digest. The second one is a Dockerfile, built by buildah."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hullmark.build.builder import build_image
from hullmark.build.definition import load_definition
from hullmark.build.fetch import Cache, Fetcher, VanishedError
from hullmark.build.lock import load_lock
from hullmark.build.mirror import find_sources
from hullmark.build.oci import image_config
from hullmark.build.refresh import lock_image
from hullmark.build.release import Trust
from hullmark.build.tar import write_tar
from hullmark.build.tree import Entry, Kind, Tree
from hullmark.image import Digest, Platform
from tests.absence import absent
from tests.build.conftest import required
from tests.build.layouts import document, layer

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "debs"
IMAGES = ("php-mysql-secured", "postgres-secured")
BASE = """
version = 1
title = "base"
description = "What the second builder needs of Debian, unpacked and nothing more"
licenses = "GPL-2.0-or-later"
suites = ["trixie", "trixie-updates", "trixie-security"]

[config]
user = "1:1"
entrypoint = ["/usr/bin/perl"]

[files]
"etc/passwd" = { source = "passwd" }

[directories]
"var/tmp" = { mode = "1777" }
"var/lib/dpkg/info" = {}

[packages]
"""
PACKAGES = """
apt base-files coreutils dash dpkg findutils gcc-14-base grep libacl1 libapt-pkg7.0 libattr1 libbz2-1.0 libc6
libcap2 libcrypt1 libgcc-s1 libgmp10 liblz4-1 liblzma5 libmd0 libpcre2-8-0 libseccomp2 libselinux1 libssl3t64
libstdc++6 libsystemd0 libudev1 libxxhash0 libzstd1 perl-base sed tar zlib1g
"""


class Buildah:
    """buildah with a store of its own, as an ordinary process that needs no daemon."""

    def __init__(self, folder: Path) -> None:
        self._store = ["--root", str(folder / "store"), "--runroot", str(folder / "run")]
        self._folder = folder

    def run(self, *arguments: str) -> str:
        command = ["buildah", *self._store, *arguments]
        environ = {"PATH": os.environ["PATH"], "HOME": str(self._folder), "BUILDAH_ISOLATION": "chroot"}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def build(self, context: Path, dockerfile: Path, epoch: int, *options: str) -> Path:
        """Build and give the result as an OCI layout."""
        fixed = ("--format", "docker", "--layers=false", "--identity-label=false", "--timestamp", str(epoch))
        self.run(
            "build",
            *fixed,
            "--network",
            "host",
            *options,
            "-t",
            "built:1",
            "-f",
            str(dockerfile),
            str(context),
        )
        layout = self._folder / "layout"
        shutil.rmtree(layout, ignore_errors=True)
        self.run("push", "--format", "v2s2", "built:1", f"oci:{layout}:built")
        return layout


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Buildah:
    required("buildah")
    return Buildah(tmp_path_factory.mktemp("buildah"))


def only_layer(layout: Path) -> bytes:
    index = json.loads((layout / "index.json").read_bytes())
    (described,) = document(layout, index["manifests"][0]["digest"])["layers"]
    blob = (layout / "blobs" / "sha256" / described["digest"].removeprefix("sha256:")).read_bytes()
    return gzip.decompress(blob)


def configuration(layout: Path) -> dict[str, Any]:
    index = json.loads((layout / "index.json").read_bytes())
    found: dict[str, Any] = document(
        layout, document(layout, index["manifests"][0]["digest"])["config"]["digest"]
    )
    return found


def test_a_layer_is_written_as_engines_write_it(buildah: Buildah, tmp_path: Path) -> None:
    """Names and targets that need a prefix or a PAX header, modes, empty files, links."""
    tree = Tree()
    text = Entry(kind=Kind.FILE, mode=0o644, data=b"text\n")
    for path in (
        "a-b/c",
        "a/b",
        "a.b/c",
        "empty",
        "long/" + "x" * 99,
        "y" * 101,
        "z" * 250,
        "é/ö" + "ü" * 60,
    ):
        tree.put(path, text)
    deep = "/".join(["folder"] * 14)
    for path in (
        f"{deep}/{'f' * 40}",
        f"{'d' * 160}/{'e' * 20}",
        f"{'p' * 154}/{'q' * 100}",
        f"{'p' * 155}/r",
    ):
        tree.put(path, text)
    tree.put("shared", Entry(kind=Kind.FOLDER, mode=0o1777))
    tree.put("shared/file", Entry(kind=Kind.FILE, mode=0o400, data=bytes(513)))
    tree.put("link", Entry(kind=Kind.LINK, mode=0o777, target="t" * 120))
    tree.put("länk", Entry(kind=Kind.LINK, mode=0o777, target="mål"))
    epoch = 1_700_000_000
    _write(tree, tmp_path / "context" / "files")
    (tmp_path / "context" / "Dockerfile").write_text("FROM scratch\nCOPY files/ /\n")

    theirs = only_layer(buildah.build(tmp_path / "context", tmp_path / "context" / "Dockerfile", epoch))

    with (tmp_path / "ours.tar").open("wb") as file:
        write_tar(tree.items(), epoch, file)
    assert (tmp_path / "ours.tar").read_bytes() == theirs


def _write(tree: Tree, folder: Path) -> None:
    folder.mkdir(parents=True)
    for path, entry in tree.items():
        place = folder / path
        if entry.kind is Kind.LINK:
            place.symlink_to(entry.target)
            continue
        if entry.kind is Kind.FOLDER:
            place.mkdir()
        else:
            place.write_bytes(entry.data)
        place.chmod(entry.mode)


@pytest.fixture(scope="module")
def base(buildah: Buildah, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Debian's smallest image has more than this; it stands in for it where no registry can be reached."""
    folder = tmp_path_factory.mktemp("base") / "images" / "base"
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\n_apt:x:42:65534::/nonexistent:/bin/false\n"
    )
    lines = [f'"{name}" = {{ reason = "a tool or its library", keep = ["**"] }}' for name in PACKAGES.split()]
    (folder / "image.toml").write_text(BASE + "\n".join(lines) + "\n")
    sources = find_sources(os.environ)
    with Fetcher(Cache(CACHE)) as fetcher:
        lock_image(folder, fetcher=fetcher, sources=sources, trust=Trust(now=int(time.time())), refresh=True)
    (image,) = build_image(folder, out=folder.parent, cache=CACHE, sources=sources)
    container = buildah.run("from", f"oci:{image.path}:base").strip()
    buildah.run("config", "--user", "0:0", container)  # no image of ours may be root's
    buildah.run("commit", "--quiet", container, "localhost/base:1")
    return "localhost/base:1"


@pytest.mark.network
@pytest.mark.parametrize("name", IMAGES)
def test_both_builders_give_the_same_layer_digest(
    buildah: Buildah, base: str, tmp_path: Path, name: str
) -> None:
    images = tmp_path / "images"
    shutil.copytree(ROOT / "images", images, ignore=shutil.ignore_patterns("objects"))
    sources = find_sources(os.environ)
    with Fetcher(Cache(CACHE)) as fetcher:
        trust = Trust(now=int(time.time()))
        lock_image(images / name, fetcher=fetcher, sources=sources, trust=trust, refresh=False)
        try:
            built = build_image(images / name, out=tmp_path / "dist", cache=CACHE, sources=sources)
        except VanishedError:
            lock_image(images / name, fetcher=fetcher, sources=sources, trust=trust, refresh=True)
            built = build_image(images / name, out=tmp_path / "dist", cache=CACHE, sources=sources)
    (ours,) = [image for image in built if image.platform == Platform("linux", "amd64")]
    lock = load_lock(images / name / "packages.lock")

    versions = {package.name: package.version for package in lock.for_architecture("amd64")}
    version = versions[load_definition(images / name).version_from]
    options = ("--build-arg", f"BASE={base}", "--build-arg", f"VERSION={version}", "-v", f"{CACHE}:/debs:ro")
    layout = buildah.build(images, images / name / "Dockerfile", lock.epoch, *options)

    theirs = only_layer(layout)
    assert gzip.decompress(layer(ours.path)) == theirs
    assert f"sha256:{hashlib.sha256(theirs).hexdigest()}" == ours.layers[0]
    _check_configuration(configuration(layout), images / name, lock.epoch, version)


def _check_configuration(found: dict[str, Any], folder: Path, epoch: int, version: str) -> None:
    """The Dockerfile says what the definition and the lock say."""
    definition = load_definition(folder)
    wanted = image_config(definition.config, Platform("linux", "amd64"), Digest(""), epoch, {})
    labels = found["config"].pop("Labels")
    stated = {
        "title": definition.title,
        "description": definition.description,
        "licenses": definition.licenses,
        "version": version,
    }
    assert labels == {f"org.opencontainers.image.{key}": value for key, value in stated.items()}
    found["config"].pop("Hostname")  # buildah's own, another one each time
    found["config"]["Env"].sort()
    config = {key: value for key, value in found["config"].items() if value}
    assert config == {key: value for key, value in wanted["config"].items() if key != "Labels"}
    assert found["created"] == wanted["created"]


def test_the_dockerfiles_have_nothing_to_complain_about(tmp_path: Path) -> None:
    files = [str(ROOT / "images" / name / "Dockerfile") for name in IMAGES]
    linted = subprocess.run([_tool("hadolint"), *files], capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")

    flags = ("--skip-check-update", "--format", "json", "--quiet", "--cache-dir", str(tmp_path))
    scanned = subprocess.run(
        [_tool("trivy"), "config", *flags, str(ROOT / "images")], capture_output=True, check=True
    )
    results = json.loads(scanned.stdout)["Results"]
    assert sorted(result["Target"] for result in results) == [f"{name}/Dockerfile" for name in IMAGES]
    assert [result for result in results if result.get("Misconfigurations")] == []


def _tool(name: str) -> str:
    """A program of this Python environment, or of the machine."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        absent(f"{name} is not installed")
    return found
