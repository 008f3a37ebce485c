"""The ledger on disk: readers, one writer, repair."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from hullmark.errors import EnvironmentFaultError, InputError, RepositoryError, TamperedError, UsageError
from hullmark.ledger import files
from hullmark.ledger.checkpoint import Head, make_checkpoint
from hullmark.ledger.entry import GENESIS, MAX_LINE
from hullmark.ledger.store import Store
from hullmark.ledger.verify import verify

from . import histories
from .histories import NOW, in_child, make

if TYPE_CHECKING:
    from collections.abc import Iterator

APPEND_MANY = """
import sys
from datetime import UTC, datetime, timedelta
from hullmark.ledger.store import Store
root, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
for number in range(count):
    with Store(root).writer() as writer:
        writer.append("shared", "scan", {"by": name, "number": number}, now=datetime.now(UTC))
"""

APPEND_FOR_EVER = """
import sys
from datetime import UTC, datetime, timedelta
from hullmark.ledger.store import Store
now = datetime(2026, 11, 23, tzinfo=UTC)
with Store(sys.argv[1]).writer() as writer:
    for number in range(100_000):
        # Every step is the first entry of a new month, or of a new ledger, or a large one, in turn.
        name = f"image-{number // 40}"
        text = "x" * (200_000 if number % 5 == 0 else 10)
        at = now + timedelta(days=16 * (number % 40))
        writer.append(name, "scan", {"number": number, "text": text}, now=at)
        print(number, flush=True)
"""

# In a process of its own: an exception out of nowhere may also hit the test runner's own locks.
APPEND_AND_INTERRUPT = """
import signal, sys
from datetime import UTC, datetime
from hullmark.ledger.store import Store

def interrupt(number, frame):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
now, done = datetime(2026, 11, 23, tzinfo=UTC), 0
for attempt in range(40):
    with Store(sys.argv[1]).writer() as writer:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0003 + attempt * 0.00007)
            for _ in range(500):
                writer.append("postgres", "scan", {"text": "x" * 5000}, now=now)
                done += 1
        except KeyboardInterrupt:
            pass
        signal.setitimer(signal.ITIMER_REAL, 0)
        writer.append("postgres", "scan", {"after": attempt}, now=now)
        done += 1
print(done)
"""


def append(store: Store, name: str = "postgres", data: object = None, hours: int = 0) -> None:
    with store.writer() as writer:
        writer.append(name, "scan", data or {}, now=NOW + timedelta(hours=hours))


def test_an_entry_that_was_appended_is_read_back_with_its_place(tmp_path: Path) -> None:
    store = Store(tmp_path / "audit-logs")
    with store.writer() as writer:
        first = writer.append("postgres", "scan", {"b": 1, "a": "ü"}, now=NOW)
        second = writer.append("postgres", "scan", {}, now=NOW)
    entries = list(store.read("postgres"))
    assert [entry.raw for entry in entries] == [first.raw, second.raw]
    assert [(entry.file, entry.line) for entry in entries] == [
        ("postgres/2026-11.jsonl", 1),
        ("postgres/2026-11.jsonl", 2),
    ]
    assert msgspec.json.decode(entries[0].data) == {"a": "ü", "b": 1}
    assert (first.prev, second.prev) == (GENESIS, first.hash)


def test_a_root_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")
    assert store.names() == ()
    assert list(store.read("postgres")) == []
    assert store.last("postgres") is None
    assert store.head("postgres") is None
    assert store.heads() == {}
    assert store.recorded_heads() == {}


def test_the_first_entry_of_a_month_continues_the_month_before(tmp_path: Path) -> None:
    store = make(tmp_path, [("postgres", 0), ("postgres", 24 * 40)])
    before, after = store.read("postgres")
    assert (before.file, after.file) == ("postgres/2026-11.jsonl", "postgres/2027-01.jsonl")
    assert after.prev == before.hash


def test_time_never_goes_back_and_the_lag_is_recorded(tmp_path: Path) -> None:
    """Over a month's end too: the entry goes where the entry before it is."""
    store = make(tmp_path, [("postgres", 0), ("postgres", -24 * 40)])
    first, second = store.read("postgres")
    assert (second.at, second.lag, second.file) == (first.at, 40 * 24 * 3600, first.file)
    assert b'"lag":3456000,' in second.raw
    assert verify(tmp_path).ok


def test_nothing_but_ledger_files_is_left_after_writing(tmp_path: Path) -> None:
    make(tmp_path, [("postgres", 0), ("finish", 0)])
    assert sorted(histories.files(tmp_path)) == ["postgres/2026-11.jsonl", "runs/2026-11.jsonl"]


def test_reading_the_newest_entry_reads_only_the_end_of_the_newest_file(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writer() as writer:
        for number in range(3):
            entry = writer.append("postgres", "scan", {"text": "x" * 300_000, "n": number}, now=NOW)
    assert store.last("postgres") == entry
    path = tmp_path / entry.file
    # Not even an entry any more, but nobody looks there.
    path.write_bytes(b"?" * 300_000 + path.read_bytes()[300_000:])
    assert store.last("postgres") == entry
    assert store.head("postgres") is not None


def test_a_head_is_continued_from_a_known_one_of_any_age(tmp_path: Path) -> None:
    store = Store(tmp_path)
    known = []
    for hours in (0, 1, 24 * 30, 24 * 61, 24 * 61):
        append(store, hours=hours)
        known.append(store.head("postgres"))
    for number, head in enumerate(known, 1):
        assert head is not None
        assert head.entries == number
        assert store.head_after("postgres", head) == known[-1]
    assert store.head_after("postgres", Head(2, "ab" * 32)) is None


def test_a_head_is_continued_without_reading_the_months_before(tmp_path: Path) -> None:
    store = make(tmp_path, [("postgres", 0), ("postgres", 24 * 30)])
    known = store.head("postgres")
    assert known is not None
    append(store, hours=24 * 30)
    (tmp_path / "postgres/2026-11.jsonl").write_bytes(b"not read")
    assert store.head_after("postgres", known) == Head(3, store.heads()["postgres"].head)


def test_a_reader_sees_complete_lines_only(tmp_path: Path) -> None:
    store = make(tmp_path, [("postgres", 0)])
    with (tmp_path / "postgres/2026-11.jsonl").open("ab") as stream:
        stream.write(b'{"at":"2026')
    assert len(list(store.read("postgres"))) == 1
    last = store.last("postgres")
    assert last is not None
    assert last.prev == GENESIS


def test_a_run_record_carries_the_heads_that_changed_since_the_one_before(tmp_path: Path) -> None:
    store = make(
        tmp_path, [("postgres", 0), ("php", 0), ("finish", 0), ("php", 0), ("finish", 0), ("finish", 0)]
    )
    covers = [msgspec.json.decode(entry.data)["heads"] for entry in store.read("runs")]
    assert [sorted(heads) for heads in covers] == [["php", "postgres"], ["php"], []]
    heads = store.heads()
    del heads["runs"]
    assert store.recorded_heads() == heads


def test_the_first_run_record_of_a_month_carries_all_heads(tmp_path: Path) -> None:
    store = make(tmp_path, [("postgres", 0), ("php", 0), ("finish", 0), ("php", 24 * 30), ("finish", 0)])
    shutil.copytree(tmp_path, copy := tmp_path.with_name("copy"))
    (copy / "runs/2026-11.jsonl").unlink()
    assert Store(copy).recorded_heads() == store.recorded_heads()


def test_a_run_record_whose_month_lost_its_first_lines_is_not_believed(tmp_path: Path) -> None:
    store = make(tmp_path, [("postgres", 0), ("finish", 0), ("php", 0), ("finish", 0)])
    path = tmp_path / "runs/2026-11.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[1])
    with pytest.raises(TamperedError, match="root is not the hash"):
        store.recorded_heads()


def test_a_run_cannot_end_when_covered_entries_are_missing(tmp_path: Path) -> None:
    store = make(tmp_path, [("postgres", 0), ("postgres", 0), ("finish", 0)])
    path = tmp_path / "postgres/2026-11.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with store.writer() as writer:
        with pytest.raises(TamperedError, match="postgres: an entry that a run record covers"):
            writer.finish_run({}, now=NOW)
        # Nor when as many entries were appended since.
        writer.append("postgres", "scan", {}, now=NOW)
        with pytest.raises(TamperedError, match="postgres: an entry that a run record covers"):
            writer.finish_run({}, now=NOW)


def test_run_records_are_written_by_finish_run_only(tmp_path: Path) -> None:
    with Store(tmp_path).writer() as writer:
        with pytest.raises(UsageError, match="carries heads"):
            writer.append("runs", "run-finished", {}, now=NOW)
        with pytest.raises(UsageError, match="without the keys"):
            writer.finish_run({"heads": {}}, now=NOW)


def test_a_writer_that_has_ended_appends_nothing(tmp_path: Path) -> None:
    with Store(tmp_path).writer() as writer:
        pass
    with pytest.raises(UsageError, match="has ended"):
        writer.append("postgres", "scan", {}, now=NOW)


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "A", "a\n", "-a", "a..b", "<b>", "evidence", "x" * 65, "a\0"]
)
def test_a_name_that_is_no_ledger_is_refused(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path)
    with store.writer() as writer, pytest.raises(UsageError, match="cannot name a ledger"):
        writer.append(name, "scan", {}, now=NOW)
    with pytest.raises(UsageError, match="cannot name a ledger"):
        store.last(name)
    assert histories.files(tmp_path) == {}


def test_data_that_json_cannot_say_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with Store(tmp_path).writer() as writer:
        for data in ({"x": float("nan")}, {"x": "\ud800"}, {"x": object()}, msgspec.Raw(b"{")):
            with pytest.raises(InputError, match=r"postgres/2026-11\.jsonl: scan\.data: cannot be recorded"):
                writer.append("postgres", "scan", data, now=NOW)
        with pytest.raises(InputError, match="is longer than"):
            writer.append("postgres", "scan", {"x": "x" * MAX_LINE}, now=NOW)
        with pytest.raises(UsageError, match="type of an entry"):
            writer.append("postgres", "Scan!", {}, now=NOW)
    assert histories.files(tmp_path) == {}


def test_the_largest_entry_can_be_read_back(tmp_path: Path) -> None:
    append(Store(tmp_path), data={"x": "x" * (MAX_LINE - 128 - 6)})
    append(Store(tmp_path))
    assert verify(tmp_path).ok
    assert [len(entry.raw) for entry in Store(tmp_path).read("postgres")] == [MAX_LINE - 1, 127]


@pytest.mark.parametrize("shape", ["link", "folder", "pipe", "linked folder", "file for folder"])
def test_what_is_not_a_regular_file_is_refused_by_name(tmp_path: Path, shape: str) -> None:
    root = tmp_path / "audit-logs"
    store = make(root, [("postgres", 0)])
    month = root / "postgres/2026-11.jsonl"
    moved = month.rename(tmp_path / "moved")
    if shape == "link":
        month.symlink_to(moved)
    elif shape == "folder":
        month.mkdir()
    elif shape == "pipe":
        os.mkfifo(month)
    else:
        month.parent.rmdir()
        if shape == "linked folder":
            month.parent.symlink_to(tmp_path)
        else:
            month.parent.write_text("")
    with pytest.raises(RepositoryError, match="postgres"):
        list(store.read("postgres"))
    with store.writer() as writer, pytest.raises(RepositoryError, match="postgres"):
        writer.append("postgres", "scan", {}, now=NOW)
    found = verify(root).faults
    assert [(fault.kind, fault.file.split("/")[0]) for fault in found] == (
        [("file", "postgres")] if shape != "file for folder" else []
    )


def test_a_folder_that_is_a_file_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RepositoryError, match="file"), Store(tmp_path / "file").writer():
        pass
    with pytest.raises(RepositoryError, match="file"):
        Store(tmp_path / "file").names()


def test_a_second_writer_waits_a_bounded_time_and_names_the_holder(tmp_path: Path) -> None:
    with (
        Store(tmp_path).writer(),
        pytest.raises(EnvironmentFaultError, match=rf"process {os.getpid()}\) is writing"),
        Store(tmp_path).writer(wait=0),
    ):
        pass


def test_a_lock_left_by_a_killed_writer_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("4194304\n")
    append(Store(tmp_path))
    assert not (tmp_path / ".lock").exists()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RepositoryError, match=r"\.lock"), Store(tmp_path).writer():
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_fast_appends_from_many_processes_all_survive_and_chain(tmp_path: Path) -> None:
    script = [sys.executable, "-c", APPEND_MANY, str(tmp_path)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: subprocess.run([*script, name, "15"], check=True), "abcd"))
    entries = [msgspec.json.decode(entry.data) for entry in Store(tmp_path).read("shared")]
    for name in "abcd":
        assert [entry["number"] for entry in entries if entry["by"] == name] == list(range(15))
    assert verify(tmp_path).ok


def test_fast_appends_from_many_threads_all_survive_and_chain(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: append(Store(tmp_path), data={"number": number}), range(40)))
    assert verify(tmp_path).entries == 40
    assert verify(tmp_path).ok


@pytest.mark.parametrize("room", [0, 1, 60, 140])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, room: int, fresh: bool) -> None:
    """The limit on a file's size does what a full disk does: the kernel writes what fits, or nothing."""
    root = tmp_path / "audit-logs"
    store = make(root, [("php", 0)] if fresh else [("php", 0), ("postgres", 0)])
    before = histories.files(root)
    size = len(before.get("postgres/2026-11.jsonl", b""))

    def work() -> str:
        with store.writer() as writer:
            writer.append("postgres", "scan", {}, now=NOW)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 128 + room, resource.RLIM_INFINITY))
            try:
                writer.append("postgres", "scan", {"text": "x" * 200}, now=NOW)
            except EnvironmentFaultError as error:
                fault = f"{error.message} {error.hint}"
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            writer.append("postgres", "scan", {"after": True}, now=NOW)
            return fault

    answer = str(in_child(work))
    assert answer.startswith(str(root / "postgres/2026-11.jsonl"))
    assert "nothing was recorded half" in answer
    assert verify(root).ok
    assert [msgspec.json.decode(entry.data) for entry in store.read("postgres")][-2:] == [{}, {"after": True}]


def test_a_disk_that_is_full_from_the_start_leaves_no_empty_file(tmp_path: Path) -> None:
    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50, resource.RLIM_INFINITY))
        append(Store(tmp_path))

    assert "EnvironmentFaultError" in str(in_child(work))
    assert histories.files(tmp_path) == {}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that every user can reach; pytest's own belong to one user."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_read_only_folders_and_files_give_a_clear_error(open_folder: Path) -> None:
    store = make(open_folder / "audit-logs", [("postgres", 0)])
    before = histories.files(store.root)

    def work() -> str:
        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            append(store)
        except EnvironmentFaultError as error:
            return f"{error.message} {error.hint}"
        return "no error"

    store.root.chmod(0o555)
    assert (
        str(in_child(work))
        == f"{store.root}/.lock: Permission denied Check who owns the folder and its permissions."
    )
    store.root.chmod(0o777)
    (store.root / "postgres/2026-11.jsonl").chmod(0o444)
    assert str(in_child(work)).startswith(f"{store.root}/postgres/2026-11.jsonl: Permission denied")
    assert histories.files(store.root) == before


def test_ctrl_c_during_an_append_leaves_whole_entries(tmp_path: Path) -> None:
    """The signal comes at many different moments; whatever append returned before is there."""
    script = [sys.executable, "-c", APPEND_AND_INTERRUPT, str(tmp_path)]
    done = int(subprocess.run(script, check=True, capture_output=True, text=True, timeout=120).stdout)
    assert verify(tmp_path).ok
    assert done <= verify(tmp_path).entries <= done + 40


# -- law 3 --


def test_a_crash_at_any_byte_of_an_append_loses_at_most_that_entry(tmp_path: Path) -> None:
    """Also of the first entry of a ledger and of a month. What repair drops is named, to the byte."""
    store = make(tmp_path / "one", [("postgres", 0), ("postgres", 0), ("postgres", 24 * 30), ("postgres", 0)])
    whole = list(store.read("postgres"))
    for last, entry in enumerate(whole):
        cut_files: dict[str, bytes] = {}
        for kept in whole[:last]:
            cut_files[kept.file] = cut_files.get(kept.file, b"") + kept.raw + b"\n"
        for size in range(len(entry.raw) + 1):
            root = tmp_path / "two"
            for file, content in {
                **cut_files,
                entry.file: cut_files.get(entry.file, b"") + entry.raw[:size],
            }.items():
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_bytes(content)
            crashed = Store(root)
            assert [e.raw for e in crashed.read("postgres")] == [e.raw for e in whole[:last]]
            assert verify(root).ok
            with crashed.writer() as writer:
                torn = size > 0 or entry.file not in cut_files
                assert [(r.ledger, r.file, r.line, r.dropped) for r in writer.repaired] == (
                    [("postgres", entry.file, entry.line, entry.raw[:size])] if torn else []
                )
                assert histories.files(root) == {".lock": b"%-10d\n" % os.getpid(), **cut_files}
                if size % 16 == 0:
                    writer.append("postgres", "scan", {}, now=NOW)
            assert verify(root).ok
            assert not verify(root).notes
            shutil.rmtree(root)


@pytest.mark.parametrize("by", ["run record", "checkpoint", "checkpoint on runs"])
def test_repair_never_drops_a_line_that_a_run_record_or_checkpoint_covers(tmp_path: Path, by: str) -> None:
    store = make(tmp_path, [("postgres", 0), ("postgres", 0), ("runs", 0)])
    checkpoint = make_checkpoint(store.heads(), NOW) if by != "run record" else None
    if by == "run record":
        with store.writer() as writer:
            writer.finish_run({}, now=NOW)
    path = tmp_path / ("runs" if by.endswith("runs") else "postgres") / "2026-11.jsonl"
    size = path.stat().st_size
    for lost in (1, 2, 50):
        os.truncate(path, size - lost)
        before = histories.files(tmp_path)
        refused = pytest.raises(TamperedError, match="are covered by a run record or checkpoint")
        with refused, store.writer(checkpoint=checkpoint):
            pass
        assert histories.files(tmp_path) == before
        assert not verify(tmp_path, checkpoint).ok


def test_a_killed_writer_loses_no_entry_it_had_acknowledged(tmp_path: Path) -> None:
    for stop_after in (1, 3, 7, 12, 20, 41, 45):
        root = tmp_path / str(stop_after)
        with subprocess.Popen(
            [sys.executable, "-c", APPEND_FOR_EVER, str(root)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            acknowledged = 0
            while acknowledged < stop_after:
                child.stdout.readline()
                acknowledged += 1
            child.kill()
            acknowledged += len(child.stdout.readlines())
        store = Store(root)
        with store.writer() as writer:
            assert len(writer.repaired) <= 1
        found = sorted(
            msgspec.json.decode(entry.data)["number"] for name in store.names() for entry in store.read(name)
        )
        assert found == list(range(len(found)))
        assert acknowledged <= len(found) <= acknowledged + 1
        assert verify(root).ok
        assert not verify(root).notes


def test_bytes_of_lost_power_are_dropped_like_any_torn_tail(tmp_path: Path) -> None:
    """Some file systems leave zeros where a write had no time to arrive."""
    store = make(tmp_path, [("postgres", 0)])
    with (tmp_path / "postgres/2026-11.jsonl").open("ab") as stream:
        stream.write(b"\0" * 5000)
    with store.writer() as writer:
        assert [len(repair.dropped) for repair in writer.repaired] == [5000]
    assert verify(tmp_path).ok


def test_a_line_longer_than_any_entry_is_no_torn_tail(tmp_path: Path) -> None:
    store = make(tmp_path, [("postgres", 0)])
    with (tmp_path / "postgres/2026-11.jsonl").open("ab") as stream:
        stream.write(b"x" * (MAX_LINE * 5))
    with pytest.raises(TamperedError, match="longer than"), store.writer():
        pass
    with pytest.raises(TamperedError, match="longer than"):
        list(store.read("postgres"))
    assert [fault.kind for fault in verify(tmp_path).faults] == ["file"]


def test_the_last_line_is_found_wherever_blocks_end(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for length in (files.TAIL - 2, files.TAIL - 1, files.TAIL, files.TAIL + 1, 5 * files.TAIL):
        line = b"y" * length
        for torn in (b"", b"z"):
            path.write_bytes(b"first\n" + line + b"\n" + torn)
            assert files.last_line(path) == (line, len(torn))
            path.write_bytes(line + b"\n" + torn)
            assert files.last_line(path) == (line, len(torn))
