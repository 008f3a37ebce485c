"""What is kept beside a built image: the rules of `built_evidence.py`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hullmark.build.builder import BuiltImage, build_image
from hullmark.build.fetch import Cache, digest_of
from hullmark.built_evidence import (
    CYCLONEDX,
    FILES,
    PROVENANCE,
    SMOKE,
    SPDX,
    Describer,
    Written,
    evidence_folder,
    forget_other,
    keep_report,
    write_evidence,
)
from hullmark.errors import EnvironmentFaultError, InputError
from hullmark.image import Digest
from hullmark.sandbox import Sandbox
from hullmark.scanners.trivy.binary import find_binary, identify
from tests.build.debs import make_deb, regular
from tests.scanners.support import require

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.build.mirror import Sources

NO_TRIVY = "no trivy here"


@pytest.fixture
def image(locked: Path, sources: Sources, tmp_path: Path) -> BuiltImage:
    (made,) = build_image(locked, out=tmp_path / "out", cache=tmp_path / "cache", sources=sources)
    return made


def find_real() -> Describer:
    require("trivy")
    sandbox = Sandbox.find()
    return Describer(identify(find_binary(None), sandbox), sandbox)


def find_none() -> Describer:
    raise EnvironmentFaultError(NO_TRIVY)


def evidence(image: BuiltImage, locked: Path, *, real: bool = False) -> Written:
    cache = image.path.parents[1] / "cache"
    (written,) = write_evidence([image], locked, cache=cache, find_describer=find_real if real else find_none)
    return written


def test_everything_that_can_be_checked_is_beside_the_image(image: BuiltImage, locked: Path) -> None:
    written = evidence(image, locked, real=True)

    place = evidence_folder(image.path.parent, "tiny", "linux/amd64")
    assert written.folder == str(place)
    assert sorted(written.files) == sorted(path.name for path in place.iterdir())
    assert set(written.files) == {FILES, PROVENANCE, CYCLONEDX, SPDX}
    subject = json.loads((place / PROVENANCE).read_text())["subject"][0]
    assert f"sha256:{subject['digest']['sha256']}" == image.manifest_digest
    assert json.loads((place / CYCLONEDX).read_text())["metadata"]["component"]["version"] == (
        image.manifest_digest
    )


def test_the_evidence_of_an_image_replaces_that_of_the_image_before_it_whole(
    image: BuiltImage, locked: Path
) -> None:
    place = evidence_folder(image.path.parent, "tiny", "linux/amd64")
    place.mkdir(parents=True)
    (place / SMOKE).write_text("of another image")
    (place.parent / "linux-arm64").mkdir()

    evidence(image, locked)

    assert sorted(path.name for path in place.parent.rglob("*")) == [FILES, "linux-amd64", PROVENANCE]


def test_what_cannot_be_written_is_named_with_the_reason(image: BuiltImage, locked: Path) -> None:
    assert evidence(image, locked).missing == {CYCLONEDX: NO_TRIVY, SPDX: NO_TRIVY}


def test_a_file_that_is_not_what_its_package_gives_fails_the_build_and_leaves_the_old_evidence(
    image: BuiltImage, locked: Path
) -> None:
    evidence(image, locked)
    place = evidence_folder(image.path.parent, "tiny", "linux/amd64")
    before = (place / FILES).read_bytes()
    lock = locked / "packages.lock"
    other = make_deb("tool", "1.0", [regular("usr/bin/tool", b"#!another")])
    cache = Cache(image.path.parents[1] / "cache")
    digest = digest_of(other)
    (cache.folder / f"{digest.removeprefix('sha256:')}.deb").write_bytes(other)
    lines = [
        " ".join([*line.split(" ")[:4], digest, str(len(other)), *line.split(" ")[6:]])
        if line.startswith("package amd64 tool ")
        else line
        for line in lock.read_text().split("\n")
    ]
    lock.write_text("\n".join(lines))

    with pytest.raises(InputError, match=r"usr/bin/tool differs from the file of tool 1\.0"):
        evidence(image, locked)
    assert (place / FILES).read_bytes() == before


def test_a_test_report_stands_there_only_for_exactly_this_image(image: BuiltImage, locked: Path) -> None:
    out = image.path.parent
    place = evidence_folder(out, "tiny", "linux/amd64") / SMOKE
    assert not keep_report(out, "tiny", "linux/amd64", image.manifest_digest, b"{}"), "no evidence at all"
    evidence(image, locked)

    assert not keep_report(out, "tiny", "linux/amd64", Digest(f"sha256:{'0' * 64}"), b"{}")
    assert not place.exists()
    assert keep_report(out, "tiny", "linux/amd64", image.manifest_digest, b"{}")
    assert place.read_bytes() == b"{}"


def test_a_build_that_writes_none_removes_that_of_another_image(image: BuiltImage, locked: Path) -> None:
    evidence(image, locked)
    place = evidence_folder(image.path.parent, "tiny", "linux/amd64")
    forget_other([image])
    assert place.exists(), "its own"

    (place / FILES).write_text('{"digest": "sha256:other"}')
    forget_other([image])
    assert not place.exists()
    forget_other([image])
