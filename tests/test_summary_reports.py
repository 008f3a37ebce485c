"""A summary from report files reads what it can and names what it cannot."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from hullmark.errors import EnvironmentFaultError, InputError, UsageError
from hullmark.summary import Summary, parse_summary
from hullmark.summary_reports import find_reports, read_previous, read_reading, summarise_reports
from tests.summaries import counts_of, seen, week
from tests.trivy_shapes import in_0_10, in_0_20, in_0_48, in_0_76, save

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def run(folder: Path, *, days: int = 0, previous: Path | None = None) -> Summary:
    return summarise_reports(
        find_reports(folder / "reports"),
        output=folder / "summary.json",
        previous=previous,
        now=NOW + timedelta(days=days),
        history_limit=26,
    )


@pytest.mark.parametrize("shape", [in_0_10, in_0_20, in_0_48, in_0_76])
@pytest.mark.parametrize("numbers", [(), (1, 2, 3, 4, 5)])
def test_reports_of_every_age_of_trivy_are_counted(
    tmp_path: Path, shape: Callable[..., object], numbers: tuple[int, ...]
) -> None:
    reading = read_reading(save(tmp_path / "php-mysql.json", shape(*numbers)), now=NOW)

    assert reading.name == "php-mysql"
    assert reading.counts == counts_of(*numbers)
    assert reading.missing == ""


def test_counts_are_rows_as_trivy_counts_and_vulnerabilities_are_distinct(tmp_path: Path) -> None:
    report = in_0_76(0, 1)
    result = report["Results"][0]  # type: ignore[index]
    row, package = result["Vulnerabilities"][0], result["Packages"][0]
    result["Packages"].append(package | {"Name": "libssl3"})
    result["Vulnerabilities"].append(row | {"PkgName": "libssl3"})

    reading = read_reading(save(tmp_path / "a.json", report), now=NOW)

    assert (reading.counts, reading.vulnerabilities) == (counts_of(0, 2), counts_of(0, 1))


@pytest.mark.parametrize(
    ("created_at", "day"),
    [
        ("2026-11-20T03:00:00Z", "2026-11-20"),
        ("2026-11-20T00:30:00.123456789+01:00", "2026-11-19"),
        ("2026-11-20T00:30:00", "2026-11-20"),
        ("0001-01-01T00:00:00Z", "None"),
        ("9999-12-31T23:59:59-09:00", "None"),
        ("2099-01-01T00:00:00Z", "None"),
        ("yesterday", "None"),
        ("", "None"),
    ],
)
def test_the_day_of_a_scan_is_taken_from_the_report(tmp_path: Path, created_at: str, day: str) -> None:
    reading = read_reading(save(tmp_path / "a.json", in_0_48(created_at=created_at)), now=NOW)

    assert str(reading.as_of) == day


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\x00\x01\x02\xff", "cannot be used"),
        (b'{"SchemaVersion": 2, "Results": [{"Vuln', "cannot be used"),
        (b'{"SchemaVersion": 2, "Results": ' + b"[" * 200_000, "cannot be used"),
        (msgspec.json.encode(in_0_76(1)).decode().encode("utf-16"), "cannot be used"),
        (b'{"SchemaVersion": 2, "Results": [{"Vulnerabilities": 7}]}', "Results[0].Vulnerabilities"),
        (b'{"bomFormat": "CycloneDX"}', "cannot be used"),
        (b'{"SchemaVersion": 2, "ArtifactName": "scratch"}', "nothing was scanned"),
        (b'{"SchemaVersion": 2, "ArtifactName": "scratch", "Results": null}', "nothing was scanned"),
        (b'{"SchemaVersion":2,"Trivy":{"Version":"0.76.0"},"Results":[{"Target":"a"}]}', "neither packages"),
        (b"[]", "nothing was scanned"),
    ],
    ids=[
        *("empty", "binary", "truncated", "nested", "utf-16", "wrong type", "sbom"),
        *("no results", "null results", "nothing looked at", "empty list"),
    ],
)
def test_a_report_that_shows_nothing_is_missing_with_its_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    save(tmp_path / "reports/good.json", in_0_76(0, 1))
    path = tmp_path / "reports/bad.json"
    path.write_bytes(content)

    summary = run(tmp_path)

    bad, good = summary.images
    assert reason in bad.coverage.reason
    assert str(tmp_path) not in bad.coverage.reason
    assert bad.coverage.risk_unknown
    assert good.coverage.covered


def test_a_report_that_is_too_big_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "big.json"
    with path.open("wb") as file:
        file.truncate(200 * 1024**2)

    assert "larger than" in read_reading(path, now=NOW).missing


def test_folders_pipes_and_dangling_links_are_missing_reports(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "link.json").symlink_to("nowhere")

    readings = [read_reading(path, now=NOW) for path in find_reports(tmp_path)]

    assert [reading.name for reading in readings] == ["folder", "link", "pipe"]
    assert all(reading.missing for reading in readings)


def test_hidden_and_other_files_are_not_reports(tmp_path: Path) -> None:
    for name in (".half.json", "notes.txt", "b.json", "a.json"):
        (tmp_path / name).write_text("{}")

    assert [path.name for path in find_reports(tmp_path)] == ["a.json", "b.json"]


def test_a_name_with_hostile_characters_is_only_a_name(tmp_path: Path) -> None:
    name = "a\n<b>\x1b[31m\u202e;rm -rf.json"
    save(tmp_path / "reports" / name, in_0_76(1))
    save(tmp_path / "reports" / os.fsdecode(b"not-\xff-utf-8.json"), in_0_76(1))

    run(tmp_path)

    images = parse_summary((tmp_path / "summary.json").read_bytes(), file="x").images
    assert [image.name for image in images] == [name.removesuffix(".json"), "not-\\udcff-utf-8"]


def test_two_reports_of_one_name_are_refused(tmp_path: Path) -> None:
    paths = [save(tmp_path / folder / "php.json", in_0_76()) for folder in ("a", "b")]

    with pytest.raises(UsageError, match="both be the image 'php'"):
        summarise_reports(paths, output=tmp_path / "out.json", previous=None, now=NOW, history_limit=26)
    assert not (tmp_path / "out.json").exists()


def test_the_same_report_named_twice_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(Path("reports/php.json"), in_0_76(1))
    twice = [Path("reports/php.json"), Path("./reports/../reports/php.json")]

    summary = summarise_reports(twice, output=Path("o.json"), previous=None, now=NOW, history_limit=26)

    assert summary.totals == counts_of(1)
    assert summary.sources == ("reports/php.json",)


def test_sources_below_this_folder_are_named_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = save(tmp_path / "reports/php.json", in_0_76(1))

    assert read_reading(path, now=NOW).source == "reports/php.json"


def test_the_output_is_continued_when_no_previous_summary_is_named(tmp_path: Path) -> None:
    save(tmp_path / "reports/a.json", in_0_76(0, 5))
    save(tmp_path / "reports/b.json", in_0_76(0, 1))
    run(tmp_path)
    save(tmp_path / "reports/a.json", in_0_76(0, 3))
    (tmp_path / "reports/b.json").unlink()

    summary = run(tmp_path, days=7)

    assert len(summary.trend) == 2
    assert summary.coverage.missing == ("b",)
    assert (summary.delta, summary.direction) == (counts_of(0, -2), "stable")
    assert summary.totals == counts_of(0, 4)


def test_running_again_on_the_same_day_changes_no_byte(tmp_path: Path) -> None:
    save(tmp_path / "reports/a.json", in_0_76(0, 5))
    run(tmp_path)
    save(tmp_path / "reports/a.json", in_0_76(0, 3))
    run(tmp_path, days=7)
    before = (tmp_path / "summary.json").read_bytes()

    run(tmp_path, days=7)

    assert (tmp_path / "summary.json").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": 2}', b"\xff\xfe{"])
def test_a_previous_summary_that_cannot_be_read_is_an_error_and_nothing_is_written(
    tmp_path: Path, content: bytes
) -> None:
    save(tmp_path / "reports/a.json", in_0_76(0, 5))
    (tmp_path / "summary.json").write_bytes(content)

    with pytest.raises(InputError, match=r"summary\.json"):
        run(tmp_path)
    assert (tmp_path / "summary.json").read_bytes() == content


def test_a_previous_summary_that_is_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_previous(tmp_path, output=tmp_path / "out.json", now=NOW)


def test_a_misspelt_previous_summary_does_not_cost_the_history_of_the_output(tmp_path: Path) -> None:
    save(tmp_path / "reports/a.json", in_0_76(0, 5))
    run(tmp_path)
    before = (tmp_path / "summary.json").read_bytes()

    with pytest.raises(InputError, match="history would be lost"):
        run(tmp_path, days=7, previous=tmp_path / "sumary.json")
    assert (tmp_path / "summary.json").read_bytes() == before


def test_a_previous_summary_that_does_not_exist_yet_starts_the_history(tmp_path: Path) -> None:
    assert read_previous(tmp_path / "no.json", output=tmp_path / "out.json", now=NOW) is None


def test_a_sample_history_stays_marked_as_sample(tmp_path: Path) -> None:
    save(tmp_path / "reports/a.json", in_0_76(0, 5))
    save(tmp_path / "before.json", week(seen("a"), sample=True))

    assert run(tmp_path, days=7, previous=tmp_path / "before.json").sample


def test_an_output_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(EnvironmentFaultError):
        summarise_reports([], output=tmp_path / "file/summary.json", previous=None, now=NOW, history_limit=26)


def test_a_folder_that_is_not_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be listed"):
        find_reports(tmp_path / "none")
