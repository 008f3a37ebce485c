"""The newest state of a ledger, read without its changes, against the whole replay."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hullmark.delta import compare
from hullmark.errors import RepositoryError, TamperedError
from hullmark.event import noteworthy
from hullmark.finding import Finding
from hullmark.history import _compare_changed
from hullmark.image import Platform
from hullmark.journal import Journal
from hullmark.recording import begin_run
from hullmark.scan import Coverage
from tests.strategies import finding_sets
from tests.values import EVERYTHING, HIGH, NO_JAVA, run_started, scan_of

if TYPE_CHECKING:
    from pathlib import Path

Read = Callable[[Journal, str], object]
NOW = datetime(2026, 1, 30, 9, tzinfo=UTC)
ARM = Platform("linux", "arm64")
OTHER = msgspec.structs.replace(HIGH, id="CVE-2026-2")

Seen = tuple[str, tuple[Finding, ...], Coverage, str]

scans = st.tuples(
    st.sampled_from(("linux/amd64", "linux/arm64")),
    st.sampled_from(((), (HIGH,), (HIGH, OTHER))),
    st.sampled_from((EVERYTHING, NO_JAVA)),
    st.sampled_from(("a", "b")),
)


def record(journal: Journal, day: int, scan: Seen) -> None:
    platform, findings, coverage, database = scan
    run = run_started(database=database)
    seen = scan_of(*findings, run=run, sbom=f'"{len(findings)}"', coverage=coverage)
    if platform == "linux/arm64":
        seen = msgspec.structs.replace(seen, platform=ARM)
    now = NOW + timedelta(days=day)
    with begin_run(journal, run, now=now, clock_overridden=True) as recording:
        recording.add(seen, seen.digest.encode(), lambda _: seen.findings, inputs=None)
        recording.finish((f"app {platform}",), {})


@settings(max_examples=15, deadline=None)
@given(st.lists(scans, min_size=1, max_size=6))
def test_the_standing_of_an_image_is_the_end_of_its_replay(
    tmp_path_factory: pytest.TempPathFactory, history: list[Seen]
) -> None:
    journal = Journal(tmp_path_factory.mktemp("standing"))
    for day, scan in enumerate(history):
        record(journal, day, scan)

    standings, timelines = journal.standings("app"), journal.timelines("app")

    assert standings.keys() == timelines.keys()
    for platform, standing in standings.items():
        timeline = timelines[platform]
        assert standing.reference == timeline.reference
        for name in standing.latest.__struct_fields__:
            assert getattr(standing.latest, name) == getattr(timeline.latest, name), name


def test_an_image_without_a_ledger_stands_nowhere(tmp_path: Path) -> None:
    assert Journal(tmp_path).standings("app") == {}


def damaged(root: Path, old: bytes, new: bytes) -> Journal:
    journal = Journal(root)
    record(journal, 0, ("linux/amd64", (HIGH,), EVERYTHING, "a"))
    path = root / "app" / "2026-01.jsonl"
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))
    return journal


@pytest.mark.parametrize("read", [Journal.standings, Journal.timelines])
@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        ((b'"type":"scan"}', b'"type":"moon-landing"}'), RepositoryError, "2026-01.jsonl:2: event type"),
        ((b'"type":"scan"}', b'"type":'), TamperedError, "2026-01.jsonl:2: not a ledger entry"),
        ((b':00:00Z","data":{"cov', b'","data":{"cov'), TamperedError, "2026-01.jsonl:2: not a ledger entry"),
        ((b'"run":', b'"ran":'), RepositoryError, "2026-01.jsonl:2: event 'scan'"),
        ((b'\n{"at"', b'\n\n{"at"'), TamperedError, "2026-01.jsonl:2: not a ledger entry"),
        ((b'"platform":', b'"sbom":7,"platform":'), RepositoryError, "2026-01.jsonl:2: event 'scan'"),
        ((b'"sbom":', b'"bom":'), RepositoryError, "lacks its context"),
    ],
)
def test_a_damaged_line_is_refused_with_its_place(
    tmp_path: Path, read: Read, edit: tuple[bytes, bytes], error: type[Exception], message: str
) -> None:
    journal = damaged(tmp_path, *edit)

    with pytest.raises(error, match=message):
        read(journal, "app")


def test_a_scan_of_a_run_that_nobody_recorded_is_refused(tmp_path: Path) -> None:
    journal = damaged(tmp_path, b'"run":"', b'"run":"0')

    with pytest.raises(RepositoryError, match="which audit-logs/runs does not have"):
        journal.standings("app")


def test_a_run_is_found_in_an_older_month(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record(journal, 0, ("linux/amd64", (HIGH,), EVERYTHING, "a"))
    with begin_run(
        journal, run_started(database="b"), now=NOW + timedelta(days=9), clock_overridden=True
    ) as run:
        run.finish((), {})

    assert journal.standings("app")["linux/amd64"].latest.run == run_started(database="a")
    assert [path.name for path in sorted((tmp_path / "runs").iterdir())] == ["2026-01.jsonl", "2026-02.jsonl"]


@given(finding_sets, finding_sets)
def test_leaving_out_what_is_the_same_changes_nothing_that_an_event_states(
    base: tuple[Finding, ...], head: tuple[Finding, ...]
) -> None:
    whole = compare(base, head)
    for short in (_compare_changed(base, head), _compare_changed(base[::-1], head)):
        assert (short.introduced, short.resolved) == (whole.introduced, whole.resolved)
        assert noteworthy(short) == noteworthy(whole)
        assert short.rerated == whole.rerated
