"""Budgets: the verdict, the table, the exit code."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import pytest
from bench.__main__ import BENCHMARKS, main
from bench.budget import Figure, Verdict, is_kept, render
from bench.clock import Times, interleave
from bench.trend import REPORTS
from bench.workspace import WEEKS, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEPT = Figure(what="kept", measured=1.0, at_most=2.0)
BROKEN = Figure(what="broken", measured=3.0, at_most=2.0)


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure(what="x", measured=2.0, at_most=2.0), Verdict.KEPT),
        (Figure(what="x", measured=2.1, at_most=2.0), Verdict.BROKEN),
        (Figure(what="x", measured=0.6, at_least=0.6), Verdict.KEPT),
        (Figure(what="x", measured=0.5, at_least=0.6), Verdict.BROKEN),
        (Figure(what="x", measured=0.5), Verdict.TOLD),
        (Figure(what="x", measured=None), Verdict.TOLD),
        (Figure(what="x", measured=None, at_most=2.0), Verdict.BROKEN),
        (Figure(what="x", measured=float("nan"), at_most=2.0), Verdict.BROKEN),
        (Figure(what="x", measured=None, failed=True), Verdict.BROKEN),
    ],
)
def test_a_budget_is_kept_broken_or_only_told(figure: Figure, verdict: Verdict) -> None:
    assert figure.verdict is verdict


@pytest.fixture(autouse=True)
def _cores() -> Iterator[None]:
    """`main` stays on one core; the other tests want all of them back."""
    cores = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, cores)


def test_one_broken_budget_breaks_all() -> None:
    assert is_kept([KEPT, Figure(what="told", measured=9.0)])
    assert not is_kept([KEPT, BROKEN])


def kept(_: Workspace) -> Iterator[Figure]:
    yield KEPT


def broken(_: Workspace) -> Iterator[Figure]:
    yield BROKEN


def failing(_: Workspace) -> Iterator[Figure]:
    yield KEPT
    raise RuntimeError("the disk is full")


def test_a_kept_budget_gives_exit_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {"kept": kept}) == 0
    assert "<= 2 x" in capsys.readouterr().out


def test_a_broken_budget_gives_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {"kept": kept, "broken": broken}) == 1
    assert "BROKEN" in capsys.readouterr().out


def test_a_measurement_that_fails_is_broken_and_stops_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {"failing": failing, "kept": kept}) == 1
    out = capsys.readouterr().out
    assert "the disk is full" in out
    assert "kept" in out


def test_only_what_is_named_is_measured() -> None:
    assert main(["kept"], {"kept": kept, "broken": broken}) == 0


def test_an_unknown_name_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["speed"], {"kept": kept})
    assert "no benchmark is called speed" in capsys.readouterr().err


def test_the_figures_are_written_as_json(tmp_path: Path) -> None:
    main(["--json", str(tmp_path / "figures.json")], {"kept": kept, "broken": broken})

    written = msgspec.json.decode((tmp_path / "figures.json").read_bytes())
    assert [(figure["what"], figure["verdict"]) for figure in written] == [
        ("kept", "kept"),
        ("broken", "BROKEN"),
    ]


def test_the_table_shows_what_could_not_be_measured() -> None:
    assert "not measured" in render([Figure(what="x", measured=None)])[-1]


def test_variants_are_run_in_turns_and_once_before() -> None:
    calls: list[str] = []
    times = interleave({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2)

    assert "".join(calls) == "ababab"
    assert [len(seconds) for seconds in times.rounds.values()] == [2, 2]


def test_a_ratio_is_the_middle_of_the_rounds_own_ratios() -> None:
    times = Times({"a": [2.0, 20.0, 3.0], "b": [1.0, 10.0, 3.0]})

    assert times.ratio("a", "b") == 2.0
    assert times.seconds("a") == 3.0


def test_every_budget_of_the_design_has_a_benchmark() -> None:
    assert set(BENCHMARKS) == {
        *("normalise", "ingest", "start", "memory", "size", "unchanged"),
        *("verify", "append", "changes", "trend", "gate", "compare", "build", "images", "reports", "site"),
    }
    assert WEEKS * 7 >= REPORTS
