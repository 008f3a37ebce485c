"""Progress: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io

from hullmark.progress import Silent, shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_plain_lines_are_written() -> None:
    stream = io.StringIO()
    with shown(stream) as progress:
        progress.say("building [tiny]")
        progress.begin("fetching 2 packages", 2_500_000)
        progress.advance(1_000_000)
    assert stream.getvalue() == "building [tiny]\nfetching 2 packages: 2.5 MB\n"


def test_a_terminal_shows_lines_as_they_are_and_counts_bytes() -> None:
    stream = Terminal()
    with shown(stream) as progress:
        progress.advance(1)
        progress.say("building [tiny]")
        progress.begin("fetching [a]", 2_500_000)
        progress.begin("fetching [b]", 2_500_000)
        progress.advance(1_000_000)
    assert "building [tiny]" in stream.getvalue()
    assert "fetching [b]" in stream.getvalue()


def test_silence_is_silent(capsys: object) -> None:
    del capsys
    progress = Silent()
    progress.say("x")
    progress.begin("x", 1)
    progress.advance(1)
