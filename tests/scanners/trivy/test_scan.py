from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec
import pytest

from hullmark.errors import EnvironmentFaultError, InputError
from hullmark.image import LINUX_AMD64, Platform
from hullmark.sandbox import Sandbox
from hullmark.scan import Containment, Gap, GapReason, NoteReason, System
from hullmark.scanners.trivy import sbom as cyclonedx
from hullmark.scanners.trivy.binary import find_binary
from hullmark.scanners.trivy.layout import manifest_of
from hullmark.scanners.trivy.report import read_report
from hullmark.scanners.trivy.scan import ScanResult, check_image, match_sbom, scan_image, scan_sbom
from hullmark.scanners.trivy.scanner import Trivy
from tests.scanners.trivy import craft

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.scanners import database


def scan(trivy: Trivy, archive: Path, *, expected_types: tuple[str, ...] = ()) -> ScanResult:
    return scan_image(trivy, archive, image="app", platform=LINUX_AMD64, expected_types=expected_types)


def test_three_ways_of_scanning_an_image_give_the_same_identities(
    trivy: Trivy, mixed_result: ScanResult, mixed_sbom: bytes
) -> None:
    """Image scan, match of the converted SBOM, and match of the normalised SBOM."""
    image = read_report(mixed_result.report, file="image")
    converted = trivy.match(mixed_sbom)
    normalised = trivy.match(cyclonedx.normalise(mixed_sbom, name="app"))
    assert image.findings == converted.findings == normalised.findings
    assert image.packages == converted.packages == normalised.packages
    assert {(f.id, f.package, f.path) for f in image.findings} == {
        ("CVE-2099-0001", "libssl3t64", ""),
        ("CVE-2099-0001", "openssl", ""),
        ("CVE-2099-0002", "libssl3t64", ""),
        ("CVE-2099-0002", "openssl", ""),
        ("CVE-2099-0003", "gcc+x", ""),
        ("CVE-2099-1001", "tar", "app/node_modules/a/node_modules/tar/package.json"),
        ("CVE-2099-1001", "tar", "app/node_modules/tar/package.json"),
        ("CVE-2099-1001", "tar", "srv/node_modules/tar/package.json"),
        ("CVE-2099-1002", "@scope/tar", "app/node_modules/@scope/tar/package.json"),
        ("CVE-2099-2001", "Jinja2", "usr/lib/python3/dist-packages/Jinja2-3.0.0.dist-info/METADATA"),
        ("CVE-2099-3001", "golang.org/x/net", "usr/bin/other"),
        ("CVE-2099-3001", "golang.org/x/net", "usr/bin/tool"),
        ("CVE-2099-4001", "a/b", "srv/vendor/composer/installed.json"),
    }


def test_the_recorded_findings_are_those_of_the_stored_sbom(trivy: Trivy, mixed_result: ScanResult) -> None:
    result = mixed_result
    assert result.scan.findings == match_sbom(trivy, result.sbom, image="app", platform=LINUX_AMD64).findings
    assert result.scan.coverage.is_complete
    assert result.scan.coverage.system == System("debian", "13.3")
    assert result.scan.provenance.scanner.verified
    assert result.scan.digest == read_report(result.report, file="image").image_id
    sources = {finding.package: finding.source for finding in result.scan.findings}
    assert sources["libssl3t64"] == "openssl"


def test_an_archive_and_a_layout_of_one_image_give_the_same_packages(trivy: Trivy, tmp_path: Path) -> None:
    archive = craft.docker_archive(tmp_path / "image.tar", craft.MIXED)
    layout, manifest = craft.oci_layout(tmp_path / "layout", craft.MIXED)
    first, second = scan(trivy, archive), scan(trivy, layout)
    assert first.scan.findings == second.scan.findings
    assert second.scan.digest == manifest
    assert first.sbom.replace(first.scan.digest.encode(), b"") == second.sbom.replace(
        second.scan.digest.encode(), b""
    ).replace(first.scan.digest.encode(), b"")


def test_the_sbom_is_the_same_from_two_folders_names_tags_and_runs(trivy: Trivy, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    one = craft.docker_archive(tmp_path / "one.tar", craft.MIXED, tag="app:1")
    other = craft.docker_archive(tmp_path / "elsewhere" / "other.tar", craft.MIXED, tag="x.example/app:2")
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda archive: scan(trivy, archive), (one, other))
    assert first.sbom == second.sbom
    for told in (b"one.tar", str(tmp_path).encode(), b"app:1", b"lists.debian.org", b"vulnerabilities"):
        assert told not in first.sbom


def test_an_sbom_is_scanned_like_the_image_it_was_made_of(
    trivy: Trivy, mixed_result: ScanResult, tmp_path: Path
) -> None:
    result = mixed_result
    (tmp_path / "old.cdx.json").write_bytes(result.sbom)
    again = scan_sbom(trivy, tmp_path / "old.cdx.json", image="app", platform=LINUX_AMD64)
    assert (again.scan, again.sbom) == (result.scan, result.sbom)


def test_a_jar_without_a_java_database_is_a_gap_and_the_rest_is_scanned(trivy: Trivy, tmp_path: Path) -> None:
    files = {**craft.debian("13.3", ("openssl", "3.5.1-1", "openssl")), "app/x.jar": craft.jar()}
    result = scan(trivy, craft.docker_archive(tmp_path / "java.tar", files))
    assert result.scan.coverage.gaps == (Gap(GapReason.NO_JAVA_DATABASE),)
    assert {finding.id for finding in result.scan.findings} == {"CVE-2099-0001", "CVE-2099-0002"}


def test_a_release_that_the_database_does_not_know_is_a_gap(trivy: Trivy, tmp_path: Path) -> None:
    for release in ("99.1", "12.5"):
        files = craft.debian(release, ("openssl", "3.5.1-1", "openssl"))
        result = scan(trivy, craft.docker_archive(tmp_path / "image.tar", files))
        assert result.scan.coverage.gaps == (Gap(GapReason.UNKNOWN_SYSTEM, f"debian {release}"),)


def test_the_end_of_life_is_a_note(trivy: Trivy, tmp_path: Path) -> None:
    files = craft.debian("10.1", ("openssl", "3.5.1-1", "openssl"))
    result = scan(trivy, craft.docker_archive(tmp_path / "image.tar", files))
    assert NoteReason.END_OF_LIFE in {note.reason for note in result.scan.coverage.notes}


def test_an_image_with_nothing_to_scan_is_a_gap(trivy: Trivy, tmp_path: Path) -> None:
    result = scan(trivy, craft.docker_archive(tmp_path / "image.tar", {"text": b"hello"}))
    assert result.scan.coverage.gaps == (Gap(GapReason.EMPTY_RESULTS),)


def test_an_expected_package_type_that_is_missing_is_a_gap(trivy: Trivy, mixed: Path) -> None:
    result = scan(trivy, mixed, expected_types=("debian", "jar", "gobinary"))
    assert result.scan.coverage.gaps == (Gap(GapReason.MISSING_TYPE, "jar"),)


def test_an_image_for_another_platform_is_refused(trivy: Trivy, mixed: Path) -> None:
    with pytest.raises(InputError, match="is for linux/amd64, expected linux/arm64"):
        scan_image(trivy, mixed, image="app", platform=Platform("linux", "arm64"))


def test_a_report_of_another_image_is_refused(mixed_result: ScanResult) -> None:
    report = read_report(mixed_result.report, file="x.json")
    check_image(report, [report.image_id, "sha256:" + "1" * 64], file="x.json")
    with pytest.raises(InputError, match=r"x\.json: the report is about sha256:"):
        check_image(report, ["sha256:" + "1" * 64], file="x.json")


def test_a_layout_that_changed_under_the_scan_is_refused(trivy: Trivy, tmp_path: Path) -> None:
    layout, manifest = craft.oci_layout(tmp_path / "layout", craft.MIXED)
    blob = layout / "blobs" / "sha256" / manifest.removeprefix("sha256:")
    report = trivy.read_archive(layout)
    other = msgspec.structs.replace(report, image_id="sha256:" + "1" * 64)
    with pytest.raises(InputError, match="no manifest here has the image id"):
        manifest_of(layout, other.image_id)
    blob.write_bytes(blob.read_bytes() + b" ")
    with pytest.raises(InputError, match="do not have the hash"):
        manifest_of(layout, report.image_id)


@pytest.mark.parametrize("content", [b"", b"text", bytes(2000), craft.tar({"../../etc/x": b"x"})])
def test_a_file_that_is_no_image_is_an_error_with_its_name(
    trivy: Trivy, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"image\.tar: Trivy cannot read it"):
        scan(trivy, path)


def test_a_missing_archive_is_an_error_with_its_name(trivy: Trivy, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFaultError, match=r"gone\.tar does not exist"):
        scan(trivy, tmp_path / "gone.tar")


def test_a_damaged_database_is_an_error_that_names_it(trivy: Trivy, mixed: Path, tmp_path: Path) -> None:
    """Also when it was damaged after it was looked at."""
    folder = tmp_path / "cache"
    whole = (trivy.held.folder / "db" / "trivy.db").read_bytes()
    (folder / "db").mkdir(parents=True)
    held = msgspec.structs.replace(trivy.held, folder=folder)
    broken = Trivy(trivy.binary, held, trivy.sandbox, timeout=60)
    with pytest.raises(InputError, match=r"trivy\.db: no vulnerability database"):
        scan(broken, mixed)
    metadata = (trivy.held.folder / "db" / "metadata.json").read_bytes()
    (folder / "db" / "metadata.json").write_bytes(metadata)
    for content in (whole[: len(whole) // 2 // 4096 * 4096], b"garbage", b""):
        (folder / "db" / "trivy.db").write_bytes(content)
        with pytest.raises(InputError, match=r"trivy\.db: the database is damaged"):
            scan(broken, mixed)
    (folder / "db" / "trivy.db").write_bytes(whole)
    (folder / "db" / "metadata.json").write_bytes(metadata.replace(b'"Version":2', b'"Version":3'))
    with pytest.raises(InputError, match=r"trivy\.db: made for another Trivy"):
        scan(broken, mixed)


def test_the_database_is_not_touched(trivy: Trivy, mixed: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in trivy.held.folder.rglob("*")}
    scan(trivy, mixed)
    assert {path: path.stat().st_mtime_ns for path in trivy.held.folder.rglob("*")} == before


def test_ignore_files_and_settings_around_us_have_no_effect(
    trivy: Trivy,
    mixed: Path,
    mixed_result: ScanResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / ".trivyignore").write_text("CVE-2099-0001\n")
    (tmp_path / "trivy.yaml").write_text("severity: [CRITICAL]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRIVY_SEVERITY", "CRITICAL")
    assert scan(trivy, mixed).scan == mixed_result.scan


def test_a_scan_without_containment_says_so_and_finds_the_same(
    trivy: Trivy, held: database.Held, mixed: Path, mixed_result: ScanResult
) -> None:
    bare = Trivy(trivy.binary, held, Sandbox(Containment.NONE), timeout=60)
    result = scan(bare, mixed)
    assert [note.reason for note in result.scan.coverage.notes] == [NoteReason.NOT_CONTAINED]
    assert result.scan.findings == mixed_result.scan.findings


def test_a_scanner_that_answers_with_a_link_is_not_believed(
    trivy: Trivy, held: database.Held, tmp_path: Path
) -> None:
    """A hostile scanner could have us read any file, as the user that we are."""
    fake = tmp_path / "trivy"
    fake.write_text('#!/bin/sh\n/bin/ln -s /etc/passwd "$TMPDIR/out.json"\n')
    fake.chmod(0o755)
    other = Trivy(msgspec.structs.replace(trivy.binary, path=fake), held, Sandbox(Containment.NONE))
    with pytest.raises((InputError, EnvironmentFaultError), match=r"out\.json"):
        other.match(b"{}")


def test_trivy_is_found_beside_the_interpreter_and_not_by_chance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trivy").write_text("")
    assert find_binary(tmp_path / "trivy") == tmp_path / "trivy"
    with pytest.raises(EnvironmentFaultError, match="no Trivy at"):
        find_binary(tmp_path / "missing")
    monkeypatch.setattr("sys.executable", str(tmp_path / "empty" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(EnvironmentFaultError, match="not installed"):
        find_binary()
