"""What `verify` accepts, rejects and lists."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hullmark.ledger.checkpoint import Checkpoint, Head, make_checkpoint, root_hash
from hullmark.ledger.entry import entry_hash, format_entry, parse_entry
from hullmark.ledger.store import Store
from hullmark.ledger.verify import Verification, verify

from .histories import NOW, STEPS, files, lines_of, make, rewrite

Steps = list[tuple[str, int]]

THREE: Steps = [("postgres", 0), ("postgres", 1), ("postgres", 1)]
COVERED: Steps = [("php", 0), *THREE, ("postgres", 1), ("finish", 0)]


def covered_to(root: Path, name: str, checkpoint: Checkpoint | None) -> int:
    """Return how many entries of a ledger its later lines, run records and the checkpoint cover."""
    covered = max(0, len(lines_of(root, name)) - 1)
    for _, line in lines_of(root, "runs"):
        data = msgspec.json.decode(line)["data"]
        covered = max(covered, data.get("heads", {}).get(name, {"entries": 0})["entries"])
    if checkpoint is not None and name in checkpoint.heads:
        covered = max(covered, checkpoint.heads[name].entries)
    return covered


def pinned_to(root: Path, name: str, checkpoint: Checkpoint | None) -> int:
    """Return how many entries of a ledger run records and the checkpoint cover."""
    pins = [] if checkpoint is None else [checkpoint.heads.get(name, Head(0, "")).entries]
    for _, line in lines_of(root, "runs"):
        pins.append(msgspec.json.decode(line)["data"].get("heads", {}).get(name, {"entries": 0})["entries"])
    return max(pins, default=0)


def listed(found: Verification) -> set[tuple[str, int]]:
    """Return the lines that verify says nothing covers."""
    return {(part.file, line) for part in found.uncovered for line in range(part.first, part.last + 1)}


def place(root: Path, name: str, index: int) -> tuple[str, int]:
    """Return file and line of a ledger's line."""
    lines = lines_of(root, name)
    return lines[index][0], sum(1 for file, _ in lines[: index + 1] if file == lines[index][0])


# -- law 2 --


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_verify_accepts_every_ledger_that_append_produced(steps: Steps) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = make(Path(folder), steps)
        found = verify(Path(folder))
        assert found.faults == ()
        assert found.notes == ()
        assert found.entries == len(steps)
        assert found.bytes == sum(map(len, files(Path(folder)).values()))
        assert found.heads == store.heads()
        assert found.root == root_hash({n: h for n, h in found.heads.items() if n != "runs"})
        assert verify(Path(folder), make_checkpoint(store.heads(), NOW)).ok


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, data=st.data(), kind=st.sampled_from(["swap", "duplicate", "edit", "remove", "cut"]))
def test_verify_rejects_every_reorder_duplication_edit_and_truncation_of_covered_lines(
    steps: Steps, data: st.DataObject, kind: str
) -> None:
    """What a later line, a run record or a given checkpoint covers; lines covered by nothing are listed."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store = make(root, steps)
        checkpoint = make_checkpoint(store.heads(), NOW) if data.draw(st.booleans(), "checkpoint") else None
        name = data.draw(st.sampled_from(store.names()), "ledger")
        lines = lines_of(root, name)
        first = data.draw(st.integers(0, len(lines) - 1), "first")
        second = data.draw(st.integers(first, len(lines) - 1), "second")
        before = verify(root, checkpoint)
        covered = covered_to(root, name, checkpoint)
        changed = list(lines)
        must_reject = True
        if kind == "swap":
            if first == second:
                return
            changed[first], changed[second] = (
                (lines[first][0], lines[second][1]),
                (lines[second][0], lines[first][1]),
            )
        elif kind == "duplicate":
            changed.insert(second + 1, (lines[second][0], lines[first][1]))
        elif kind == "edit":
            raw = lines[first][1]
            at = data.draw(st.integers(0, len(raw) - 1), "at")
            new = data.draw(st.integers(0, 255).filter(lambda byte: byte != raw[at]), "byte")
            changed[first] = (lines[first][0], raw[:at] + bytes([new]) + raw[at + 1 :])
            must_reject = first < covered
            if not must_reject:
                assert place(root, name, first) in listed(before)
        elif kind == "remove":
            if second == len(lines) - 1:
                return
            del changed[first : second + 1]
        else:
            del changed[first:]
            rewrite(root, name, changed)
            must_reject = first < pinned_to(root, name, checkpoint)
        rewrite(root, name, changed)
        if must_reject:
            assert not verify(root, checkpoint).ok


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_lines_covered_by_nothing_are_listed(steps: Steps) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store = make(root, steps)
        expected = set()
        for name in store.names():
            count = len(lines_of(root, name))
            start = count - 1 if name == "runs" else pinned_to(root, name, None)
            expected |= {place(root, name, index) for index in range(start, count)}
        assert listed(verify(root)) == expected
        assert listed(verify(root, make_checkpoint(store.heads(), NOW))) == set()


# -- law 1 --


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_reading_and_rewriting_a_ledger_gives_the_same_bytes(steps: Steps) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = make(Path(folder), steps)
        again: dict[str, bytes] = {}
        for name in store.names():
            for entry in store.read(name):
                raw = format_entry(
                    at=entry.at, type=entry.type, data=entry.data, prev=entry.prev, lag=entry.lag
                )
                assert raw == entry.raw
                again[entry.file] = again.get(entry.file, b"") + entry.raw + b"\n"
        assert again == files(Path(folder))


def test_unknown_keys_and_event_types_survive_and_verify(tmp_path: Path) -> None:
    """Written by a later version: keys before, between and after ours, and a type of its own."""
    prev, lines = "0" * 64, []
    for before, between, after in [('"a":1,', "", ""), ("", ',"m":{"prev":"x"}', ""), ("", "", ',"z":[1]')]:
        start = f'{{{before}"at":"2026-11-23T10:00:00Z","data":{{}}{between}'
        line = f'{start},"prev":"{prev}","type":"later"{after}}}'.encode()
        lines.append(line)
        prev = entry_hash(line)
    path = tmp_path / "postgres/2026-11.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert [entry.raw for entry in Store(tmp_path).read("postgres")] == lines
    with Store(tmp_path).writer() as writer:
        writer.append("postgres", "scan", {}, now=NOW)
        writer.finish_run({}, now=NOW)
    assert verify(tmp_path).ok
    assert path.read_bytes().splitlines()[:3] == lines


# -- what happened, and where --


def faults(root: Path, checkpoint: Checkpoint | None = None) -> list[tuple[str, str, int]]:
    return [(str(f.kind), f.file, f.line) for f in verify(root, checkpoint).faults]


def change(root: Path, name: str, order: list[int | bytes]) -> None:
    """Replace a ledger's only file by lines, each by its number from 1 or as bytes."""
    file = lines_of(root, name)[0][0]
    lines = [line for _, line in lines_of(root, name)]
    picked = [lines[item - 1] if isinstance(item, int) else item for item in order]
    (root / file).write_bytes(b"".join(picked))


POSTGRES = "postgres/2026-11.jsonl"


@pytest.mark.parametrize("steps", [COVERED, COVERED[:-1]], ids=["with run record", "without"])
@pytest.mark.parametrize(
    ("order", "kind", "line"),
    [
        ([1, 3, 2, 4], "reorder", 2),
        ([2, 1, 3, 4], "reorder", 1),
        ([1, 2, 4, 3], "reorder", 3),
        ([4, 1, 2, 3], "reorder", 1),
        ([1, 2, 2, 3, 4], "duplication", 3),
        ([1, 2, 3, 1, 4], "duplication", 4),
        ([1, 2, 3, 4, 4], "duplication", 5),
        ([2, 3, 4], "truncation", 1),
        ([1, b"{}\n", 3, 4], "broken", 2),
        ([1, 2, 3, b"\n", 4], "broken", 4),
        ([b"\xef\xbb\xbf\n", 1, 2, 3, 4], "broken", 1),
    ],
)
def test_verify_says_file_line_and_kind(
    tmp_path: Path, steps: Steps, order: list[int | bytes], kind: str, line: int
) -> None:
    make(tmp_path, steps)
    change(tmp_path, "postgres", order)
    assert faults(tmp_path) == [(kind, POSTGRES, line)]


def edited(root: Path, number: int, old: bytes, new: bytes) -> bytes:
    """Return a line of the postgres ledger with `old` replaced by `new`."""
    line = lines_of(root, "postgres")[number - 1][1]
    assert old in line
    return line.replace(old, new, 1)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_an_edited_line_is_named_when_a_run_record_covers_it(tmp_path: Path, number: int) -> None:
    make(tmp_path, COVERED)
    order: list[int | bytes] = [1, 2, 3, 4]
    order[number - 1] = edited(tmp_path, number, b'"number"', b'"numbes"')
    change(tmp_path, "postgres", order)
    assert faults(tmp_path) == [("edit", POSTGRES, number)]


def test_an_edited_link_is_named(tmp_path: Path) -> None:
    make(tmp_path, COVERED)
    line = parse_entry(lines_of(tmp_path, "postgres")[1][1][:-1])
    change(tmp_path, "postgres", [1, line.raw.replace(line.prev.encode(), b"ab" * 32) + b"\n", 3, 4])
    assert faults(tmp_path) == [("edit", POSTGRES, 2)]


@pytest.mark.parametrize("kept", [[1, 3, 4], [1, 4]])
def test_removed_lines_are_a_truncation_when_a_run_record_counts_them(
    tmp_path: Path, kept: list[int | bytes]
) -> None:
    make(tmp_path, COVERED)
    change(tmp_path, "postgres", kept)
    assert faults(tmp_path) == [("truncation", POSTGRES, 2)]
    assert (
        str(4 - len(kept)) in verify(tmp_path).faults[0].text or "a line" in verify(tmp_path).faults[0].text
    )


@pytest.mark.parametrize("kept", [3, 2, 1])
def test_a_cut_tail_is_a_truncation_after_its_last_line(tmp_path: Path, kept: int) -> None:
    make(tmp_path, COVERED)
    change(tmp_path, "postgres", list(range(1, kept + 1)))
    assert faults(tmp_path) == [("truncation", POSTGRES, kept)]
    assert "runs/2026-11.jsonl:1 covers them" in verify(tmp_path).faults[0].text


@pytest.mark.parametrize("how", ["folder", "file", "emptied"])
def test_a_ledger_that_vanished_is_a_truncation(tmp_path: Path, how: str) -> None:
    make(tmp_path, COVERED)
    if how == "folder":
        shutil.rmtree(tmp_path / "postgres")
    elif how == "file":
        (tmp_path / POSTGRES).unlink()
    else:
        (tmp_path / POSTGRES).write_bytes(b"")
    assert [fault[0] for fault in faults(tmp_path)] == ["truncation"]


def test_a_month_that_vanished_is_a_truncation_at_the_next_one(tmp_path: Path) -> None:
    make(tmp_path, [("postgres", 0), ("postgres", 24 * 30), ("postgres", 24 * 30), ("finish", 0)])
    (tmp_path / "postgres/2026-12.jsonl").unlink()
    assert faults(tmp_path) == [("truncation", "postgres/2027-01.jsonl", 1)]


def test_an_emptied_older_month_is_named(tmp_path: Path) -> None:
    make(tmp_path, [("postgres", 0), ("postgres", 24 * 30)])
    (tmp_path / POSTGRES).write_bytes(b"")
    assert ("file", POSTGRES, 0) in faults(tmp_path)


def test_two_merged_histories_are_an_insertion(tmp_path: Path) -> None:
    """What a merge of two branches that both appended leaves behind."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    make(ours, THREE)
    shutil.copytree(ours, theirs)
    with Store(ours).writer() as writer:
        writer.append("postgres", "scan", {"by": "us"}, now=NOW)
    with Store(theirs).writer() as writer:
        writer.append("postgres", "scan", {"by": "them"}, now=NOW)
        writer.append("postgres", "scan", {"by": "them again"}, now=NOW)
    lines: list[int | bytes] = [line for _, line in lines_of(theirs, "postgres")[3:]]
    change(ours, "postgres", [1, 2, 3, 4, *lines])
    assert faults(ours) == [("insertion", POSTGRES, 5)]
    assert "postgres/2026-11.jsonl:4" in verify(ours).faults[0].text


def test_a_line_in_the_file_of_another_month_is_named(tmp_path: Path) -> None:
    make(tmp_path, THREE)
    (tmp_path / POSTGRES).rename(tmp_path / "postgres/2026-10.jsonl")
    assert {fault[0] for fault in faults(tmp_path)} == {"month"}


def test_a_time_that_went_back_is_named(tmp_path: Path) -> None:
    first = format_entry(at="2026-11-23T10:00:00Z", type="scan", data={}, prev="0" * 64)
    second = format_entry(at="2026-11-23T09:59:59Z", type="scan", data={}, prev=entry_hash(first))
    (tmp_path / "postgres").mkdir()
    (tmp_path / POSTGRES).write_bytes(first + b"\n" + second + b"\n")
    assert faults(tmp_path) == [("time", POSTGRES, 2)]


@pytest.mark.parametrize(
    ("old", "new"), [(b'"data":{', b'"data": {'), (b'"number":', b'"number":0,"number":')]
)
def test_a_newest_line_in_another_form_is_named(tmp_path: Path, old: bytes, new: bytes) -> None:
    make(tmp_path, THREE)
    change(tmp_path, "postgres", [1, 2, edited(tmp_path, 3, old, new)])
    assert faults(tmp_path) == [("form", POSTGRES, 3)]


def test_a_newest_line_that_is_no_entry_is_named(tmp_path: Path) -> None:
    make(tmp_path, THREE)
    change(tmp_path, "postgres", [1, 2, edited(tmp_path, 3, b"T12:00", b"T99:00")])
    assert faults(tmp_path) == [("broken", POSTGRES, 3)]


def run_record(root: Path, heads: dict[str, Head], root_value: str) -> None:
    """Append a run record that `finish_run` would not write, properly chained."""
    last = Store(root).last("runs")
    assert last is not None
    data = {"heads": heads, "root": root_value}
    raw = format_entry(at=last.at, type="run-finished", data=data, prev=last.hash)
    with (root / last.file).open("ab") as stream:
        stream.write(raw + b"\n")


def test_a_root_that_is_not_the_hash_over_all_heads_is_named(tmp_path: Path) -> None:
    make(tmp_path, COVERED)
    run_record(tmp_path, {}, "ab" * 32)
    assert faults(tmp_path) == [("record", "runs/2026-11.jsonl", 2)]


def test_heads_that_go_back_are_named(tmp_path: Path) -> None:
    make(tmp_path, COVERED)
    first = next(Store(tmp_path).read("postgres"))
    heads = {**Store(tmp_path).recorded_heads(), "postgres": Head(1, first.hash)}
    run_record(tmp_path, heads, root_hash(heads))
    assert faults(tmp_path) == [("record", "runs/2026-11.jsonl", 2)]
    assert "says postgres has 1 entries; it had 4 before" in verify(tmp_path).faults[0].text


def test_a_head_that_another_record_contradicts_is_named(tmp_path: Path) -> None:
    make(tmp_path, COVERED)
    heads = {**Store(tmp_path).recorded_heads(), "postgres": Head(4, "ab" * 32)}
    run_record(tmp_path, heads, root_hash(heads))
    assert faults(tmp_path) == [("record", "runs/2026-11.jsonl", 2)]


@pytest.mark.parametrize("name", ["runs", "../x", "evidence"])
def test_a_record_about_what_no_run_record_covers_is_named(tmp_path: Path, name: str) -> None:
    make(tmp_path, COVERED)
    heads = {**Store(tmp_path).recorded_heads(), name: Head(1, "ab" * 32)}
    run_record(tmp_path, heads, root_hash(heads))
    assert faults(tmp_path) == [("record", "runs/2026-11.jsonl", 2)]


def test_a_run_record_without_heads_is_named(tmp_path: Path) -> None:
    make(tmp_path, COVERED)
    last = Store(tmp_path).last("runs")
    assert last is not None
    raw = format_entry(at=last.at, type="run-finished", data={}, prev=last.hash)
    with (tmp_path / last.file).open("ab") as stream:
        stream.write(raw + b"\n")
    assert faults(tmp_path) == [("broken", "runs/2026-11.jsonl", 2)]


def test_a_consistent_cut_of_everything_is_seen_with_a_checkpoint_only(tmp_path: Path) -> None:
    store = make(tmp_path, COVERED)
    with store.writer() as writer:
        writer.append("postgres", "scan", {}, now=NOW)
        writer.finish_run({}, now=NOW)
    checkpoint = make_checkpoint(store.heads(), NOW)
    assert verify(tmp_path, checkpoint).ok
    change(tmp_path, "runs", [1])
    change(tmp_path, "postgres", [1, 2, 3, 4])
    without = verify(tmp_path)
    assert without.ok
    assert not without.checkpoint
    assert faults(tmp_path, checkpoint) == [
        ("truncation", "runs/2026-11.jsonl", 1),
        ("truncation", POSTGRES, 4),
    ]


def test_a_rewritten_chain_is_seen_with_a_checkpoint_only(tmp_path: Path) -> None:
    store = make(tmp_path / "one", COVERED)
    checkpoint = make_checkpoint(store.heads(), NOW)
    make(tmp_path / "two", [("php", 1), *COVERED[1:]])
    assert verify(tmp_path / "two").ok
    assert not verify(tmp_path / "two", checkpoint).ok


def test_entries_after_the_last_run_record_are_listed_by_file_and_line(tmp_path: Path) -> None:
    make(tmp_path, [*COVERED, ("postgres", 0), ("postgres", 24 * 30), ("postgres", 0), ("runs", 0)])
    found = verify(tmp_path)
    assert [(part.file, part.first, part.last) for part in found.uncovered] == [
        ("runs/2026-12.jsonl", 1, 1),
        (POSTGRES, 5, 5),
        ("postgres/2026-12.jsonl", 1, 2),
    ]


def test_what_does_not_belong_here_is_noted_and_no_fault(tmp_path: Path) -> None:
    make(tmp_path, COVERED)
    for path in ("notes.txt", "postgres/2026-11.jsonl.orig", "postgres/2026-13.jsonl", "Upper/2026-11.jsonl"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("x")
    for path in ("postgres.md", "evidence/sha256/aa/x", ".lock"):
        (tmp_path / path).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / path).write_text("x")
    found = verify(tmp_path)
    assert found.ok
    assert [note.file for note in found.notes] == [
        "Upper",
        "notes.txt",
        "postgres/2026-11.jsonl.orig",
        "postgres/2026-13.jsonl",
    ]


def test_what_an_interrupted_append_left_is_noted_and_no_fault(tmp_path: Path) -> None:
    make(tmp_path, COVERED)
    with (tmp_path / POSTGRES).open("ab") as stream:
        stream.write(b'{"at"')
    (tmp_path / "runs/2026-12.jsonl").write_bytes(b"")
    found = verify(tmp_path)
    assert found.ok
    assert [note.file for note in found.notes] == ["runs/2026-12.jsonl", POSTGRES]


def test_a_covered_line_that_lost_its_end_is_no_interrupted_append(tmp_path: Path) -> None:
    make(tmp_path, COVERED)
    path = tmp_path / POSTGRES
    path.write_bytes(path.read_bytes()[:-1])
    assert faults(tmp_path) == [("truncation", POSTGRES, 3)]


def test_a_checkout_that_changed_line_ends_is_rejected(tmp_path: Path) -> None:
    make(tmp_path, COVERED)
    path = tmp_path / POSTGRES
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert not verify(tmp_path).ok


def test_a_root_that_does_not_exist_is_sound_and_empty(tmp_path: Path) -> None:
    found = verify(tmp_path / "none")
    assert found.ok
    assert (found.entries, found.bytes, found.heads) == (0, 0, {})
