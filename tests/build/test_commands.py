"""`hullmark lock` and `hullmark build` as a user types them."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hullmark.cli import run
from hullmark.errors import Exit
from tests.absence import absent
from tests.build.conftest import ELF, TINY, required
from tests.build.debs import make_deb, regular

if TYPE_CHECKING:
    from tests.build.debs import Mirror
    from tests.build.signing import Signer


@pytest.fixture
def project(tiny: Path, mirror: Mirror, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one image that is not locked yet."""
    root = tiny.parents[1]
    (root / "hullmark.toml").write_text("version = 1\n[images.tiny]\n")
    monkeypatch.setenv("HULLMARK_DEBIAN_MIRROR", mirror.debian)
    monkeypatch.setenv("HULLMARK_DEBIAN_KEYRING", str(signer.keyring))
    monkeypatch.delenv("HULLMARK_CACHE", raising=False)
    return root


def hullmark(project: Path, *arguments: str) -> int:
    return run(["-C", str(project), *arguments])


def test_lock_then_build_then_lock_again(
    project: Path, mirror: Mirror, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hullmark(project, "lock") == Exit.DONE
    said = capsys.readouterr()
    assert "packages.lock: 2 packages, 2 changed" in said.out
    assert "tool (new) -> 1.0" in said.out
    assert "reading the index of trixie-security" in said.err

    assert hullmark(project, "build", "tiny", "--json") == Exit.DONE
    said = capsys.readouterr()
    (image,) = json.loads(said.out)["images"]
    assert image["platform"] == "linux/amd64"
    assert image["packages"] == 2
    assert "fetching 2 packages" in said.err
    assert (project / "dist" / "tiny" / "index.json").is_file()
    assert len(list((project / ".cache" / "debs").glob("*.deb"))) == 2

    mirror.archive.add(
        "trixie-security", "tool", "1.1", make_deb("tool", "1.1", [regular("usr/bin/tool", ELF)])
    )
    assert hullmark(project, "lock", "--refresh", "--json") == Exit.DONE
    (lock,) = json.loads(capsys.readouterr().out)["locks"]
    assert lock["changes"] == [
        {
            "package": "tool",
            "architecture": "amd64",
            "kind": "newer",
            "before": "1.0",
            "after": "1.1",
            "suite": "trixie-security",
            "security": "trixie-security",
        }
    ]
    assert hullmark(project, "lock") == Exit.DONE
    assert "is up to date: 2 packages" in capsys.readouterr().out


def test_a_check_answers_by_its_exit_code_and_writes_nothing(
    project: Path, mirror: Mirror, capsys: pytest.CaptureFixture[str]
) -> None:
    hullmark(project, "lock")
    path = project / "images" / "tiny" / "packages.lock"
    before = path.read_bytes()
    capsys.readouterr()
    assert hullmark(project, "lock", "--check") == Exit.DONE
    assert "packages.lock is up to date: 2 packages" in capsys.readouterr().out
    deb = make_deb("tool", "1.1", [regular("usr/bin/tool", ELF)])
    mirror.archive.add("trixie-security", "tool", "1.1", deb)
    assert hullmark(project, "lock", "--check", "tiny") == Exit.REVIEW
    said = capsys.readouterr().out
    assert "packages.lock is behind: 1 of 2 packages would change" in said
    assert "  tool 1.0 -> 1.1 (from trixie-security, security update)" in said
    assert "  next: hullmark lock --refresh tiny" in said
    assert hullmark(project, "lock", "--check", "--json") == Exit.REVIEW
    (lock,) = json.loads(capsys.readouterr().out)["locks"]
    assert (lock["image"], lock["written"]) == ("tiny", False)
    assert [change["security"] for change in lock["changes"]] == ["trixie-security"]
    assert path.read_bytes() == before
    assert hullmark(project, "lock", "--refresh") == Exit.DONE
    assert hullmark(project, "lock", "--check") == Exit.DONE


def test_debians_own_keys_are_used_unless_a_keyring_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HULLMARK_DEBIAN_KEYRING")
    assert hullmark(project, "lock") == Exit.ERROR
    said = capsys.readouterr().err
    assert "not signed by a key of debian-archive-keyring.pgp" in said
    assert not (project / "images" / "tiny" / "packages.lock").exists()


def test_build_says_what_it_wrote(project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    hullmark(project, "lock")
    capsys.readouterr()
    assert hullmark(project, "build", "--out", str(tmp_path / "there")) == Exit.DONE
    out = capsys.readouterr().out
    assert f"wrote {tmp_path / 'there' / 'tiny'}\n" in out
    assert "tiny linux/amd64 sha256:" in out
    assert "2 packages" in out


def test_the_cache_can_be_elsewhere(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HULLMARK_CACHE", str(tmp_path / "kept"))
    assert hullmark(project, "lock") == Exit.DONE
    assert hullmark(project, "build") == Exit.DONE
    assert list((tmp_path / "kept" / "debs").glob("*.deb"))
    assert not (project / ".cache").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["build"], Exit.ERROR, "packages.lock: cannot read"),
        (["build", "tinny"], Exit.USAGE, "no image 'tinny'"),
        (["build", "../../etc"], Exit.USAGE, "no image '../../etc'"),
        (["build", "a\nb\x1b[31m"], Exit.USAGE, r"a\nb\x1b[31m"),
        (["build", "--nonsense"], Exit.USAGE, "No such option"),
        (["lock", "plain"], Exit.USAGE, "plain has no image.toml"),
        (["lock", "--check", "--refresh"], Exit.USAGE, "--check writes nothing and --refresh writes"),
        (["lock", "--check", "tiny"], Exit.ERROR, "there is no lock to check"),
        (["lock", "--snapshot", "yesterday"], Exit.USAGE, "'yesterday' is not an instant"),
        (["lock", "--snapshot", "29990101T000000Z"], Exit.USAGE, "29990101T000000Z is not past yet"),
        (["lock", "--snapshot", "20200101T000000Z"], Exit.USAGE, "no dated snapshot archive is known"),
    ],
)
def test_what_cannot_be_done_is_explained(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    (project / "images" / "plain").mkdir()
    (project / "images" / "plain" / "Dockerfile").write_text("FROM scratch\n")
    (project / "hullmark.toml").write_text("version = 1\n[images.tiny]\n[images.plain]\n")
    assert hullmark(project, *arguments) == code
    assert message in capsys.readouterr().err


def test_a_wrong_definition_is_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "images" / "tiny" / "image.toml").write_text(TINY.replace("suites =", "suite ="))
    assert hullmark(project, "lock") == Exit.ERROR
    assert "image.toml: suite: unknown key; nearest is `suites`" in capsys.readouterr().err


def test_a_vanished_version_names_the_command_that_helps(
    project: Path, mirror: Mirror, capsys: pytest.CaptureFixture[str]
) -> None:
    hullmark(project, "lock")
    mirror.archive.files.clear()
    assert hullmark(project, "build") == Exit.ERROR
    assert "next: Run `hullmark lock --refresh tiny`" in capsys.readouterr().err


def test_help_of_both_commands_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    shown: dict[str, Any] = {}
    for name in ("build", "lock"):
        assert run([name, "--help"]) == Exit.DONE
        shown[name] = capsys.readouterr().out
    assert "OCI layout" in shown["build"]
    assert "--refresh" in shown["lock"]


def test_evidence_and_an_archive_are_written_beside_the_image_the_same_each_time(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not Path(sys.executable).with_name("trivy").exists() and shutil.which("trivy") is None:
        absent("trivy is not installed")
    image = project / "images" / "tiny"
    (image / "files" / "os-release").write_text('ID=debian\nVERSION_ID="13"\n')
    definition = (image / "image.toml").read_text()
    (image / "image.toml").write_text(
        definition.replace("[files]", '[files]\n"etc/os-release" = { source = "os-release" }')
    )
    hullmark(project, "lock")
    written = []
    for _ in range(2):
        assert hullmark(project, "build", "--output", "docker-archive") == Exit.DONE
        place = project / "dist" / "tiny.evidence" / "linux-amd64"
        files = [*sorted(place.iterdir()), project / "dist" / "tiny.docker.tar"]
        written.append({path.name: path.read_bytes() for path in files})
    assert "writing evidence of tiny" in capsys.readouterr().err
    first, second = written
    assert list(first) == [
        "files.json",
        "provenance.json",
        "sbom.cdx.json",
        "sbom.spdx.json",
        "tiny.docker.tar",
    ]
    assert first == second
    assert str(project).encode() not in b"".join(first.values())
    components = json.loads(first["sbom.cdx.json"])["components"]
    assert {"tool", "libfoo1"} <= {component["name"] for component in components}
    packages = json.loads(first["sbom.spdx.json"])["packages"]
    assert {"tool", "libfoo1"} <= {package["name"] for package in packages}


@pytest.mark.parametrize("engine", ["buildah", "podman"])
def test_images_built_from_one_another_are_built_in_their_order(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: str,
) -> None:
    """A Dockerfile on a Dockerfile on a sliced image: asking for the last builds all three."""
    required(engine)
    store = tmp_path / "storage.conf"
    store.write_text(
        f'[storage]\ndriver = "vfs"\nrunroot = "{tmp_path}/run"\ngraphroot = "{tmp_path}/store"\n'
    )
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / engine).symlink_to(str(shutil.which(engine)))
    for name, value in (
        ("CONTAINERS_STORAGE_CONF", str(store)),
        ("BUILDAH_ISOLATION", "chroot"),
        ("PATH", f"{tmp_path / 'bin'}"),
    ):
        monkeypatch.setenv(name, value)
    (project / "hullmark.toml").write_text("version = 1\n[images.app]\n[images.middle]\n[images.tiny]\n")
    for name, base in (("app", "middle"), ("middle", "tiny")):
        folder = project / "images" / name
        folder.mkdir()
        (folder / "own").write_text(name)
        (folder / "Dockerfile").write_text(f"FROM localhost/hullmark/{base}:build\nCOPY own /{name}\n")
    assert hullmark(project, "lock", "tiny") == Exit.DONE
    capsys.readouterr()

    assert hullmark(project, "build", "app", "--no-evidence", "--json") == Exit.DONE, capsys.readouterr().err

    built = json.loads(capsys.readouterr().out)["images"]
    assert [image["name"] for image in built] == ["tiny", "middle", "app"]
    assert built[2]["layers"][:2] == built[1]["layers"]
    assert built[1]["layers"][:1] == built[0]["layers"]
