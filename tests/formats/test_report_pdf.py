"""The PDF: same bytes, standards, attachments, and text that stays text."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import date
from typing import TYPE_CHECKING

import msgspec
import pytest

from hullmark.errors import EnvironmentFaultError, InputError
from hullmark.event import Decided
from hullmark.exemptions import Exemption
from hullmark.formats.report_pdf import Attachment, render_pdf
from hullmark.ledger import Head
from hullmark.policy import Verdict
from hullmark.report import DecisionEntry
from hullmark.report.document import Document, make_document
from hullmark.vex import Status
from tests.ledgers import Ledger
from tests.report.reports import report_of
from tests.scanners.support import require
from tests.values import HIGH, digest_of

if TYPE_CHECKING:
    from pathlib import Path

DAY = date(2026, 1, 31)
DATA = (Attachment(name="findings.json", description="All open findings", content=b'{"a": 1}\n'),)


def document(title: str = "", *, full: bool = False, count: int = 3) -> Document:
    ledger = Ledger()
    ledger.scan(
        *(msgspec.structs.replace(HIGH, id=f"CVE-2026-{n}", source=title or "x") for n in range(count))
    )
    return make_document(report_of(ledger), full=full)


def ask(tool: str, *arguments: str) -> str:
    require(tool)
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_the_same_input_gives_the_same_bytes_whatever_the_clock_and_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = render_pdf(document(), DATA, day=DAY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.setenv("LC_ALL", "C")
    time.tzset()
    try:
        assert render_pdf(document(), DATA, day=DAY) == first
    finally:
        monkeypatch.undo()
        time.tzset()


def test_it_is_tagged_dated_and_carries_its_data(tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(render_pdf(document(), DATA, day=DAY))

    info = ask("pdfinfo", str(path))
    assert "Tagged:          yes" in info
    assert "Title:           Container image security report, 1 January 2026 to 31 January 2026" in info
    assert "CreationDate:    Sat Jan 31" in info
    ask("pdfdetach", "-saveall", "-o", str(tmp_path), str(path))
    assert (tmp_path / "findings.json").read_bytes() == DATA[0].content
    content = path.read_bytes()
    assert b"pdfuaid:part" in content
    assert b"pdfaid:part" in content


def test_a_summary_has_two_pages_and_the_text_can_be_searched(tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(render_pdf(document(count=40), (), day=DAY))

    assert "Pages:           2" in ask("pdfinfo", str(path))
    text = ask("pdftotext", "-layout", str(path), "-")
    assert "40 high vulnerabilities are known to be open in 1 image." in text
    assert "8 of 40 rows are shown; the full report lists all." in text


def test_a_summary_of_many_images_that_nobody_scanned_lately_has_two_pages(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.scan(*(msgspec.structs.replace(HIGH, id=f"CVE-2026-{n}") for n in range(40)))
    report = report_of(ledger)
    (image,) = report.images
    images = (
        msgspec.structs.replace(image, image=f"{number:02}-a-service-of-ours", missing="it was not scanned")
        for number in range(30)
    )
    risk = Exemption(
        id="CVE-2026-1",
        images=("*",),
        owner="@acme/platform",
        reason="The function that is concerned is never called here, see the review of January.",
        expires=date(2027, 1, 1),
        status=Status.AFFECTED,
    )
    decided = Decided(
        decision=digest_of("x"),
        verdict=Verdict.REVIEW,
        images={"app linux/amd64": "review"},
        base="a" * 40,
        head="b" * 40,
        pull_request=1000,
    )
    report = msgspec.structs.replace(
        report,
        images=tuple(images),
        exemptions=(risk,) * 30,
        decisions=(DecisionEntry(at="2026-01-02T00:00:00Z", event=decided, decision=None),) * 30,
        heads={name: Head(entries=1, head="a" * 64) for name in ("runs", *map(str, range(30)))},
    )
    data = tuple(
        msgspec.structs.replace(DATA[0], name=f"{number:02}-a-service-of-ours.cdx.json")
        for number in range(30)
    )
    path = tmp_path / "report.pdf"
    path.write_bytes(render_pdf(make_document(report, full=False), data, day=DAY))

    assert "Pages:           2" in ask("pdfinfo", str(path))
    text = " ".join(ask("pdftotext", "-layout", str(path), "-").split())
    assert "4 of 30 images are shown; the full report lists all." in text
    assert "Not covered either: 27 more; the full report names all." in text
    assert "and 28 more." in text


@pytest.mark.parametrize(
    "text", ['#import "/etc/passwd"', '#read("/etc/passwd")', "*bold* $x$ `raw` @ref <label> \\#", "#panic()"]
)
def test_nothing_in_a_report_is_read_as_markup(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(render_pdf(document(text), (), day=DAY))

    shown = "".join(ask("pdftotext", "-raw", str(path), "-").split()).replace("\u200b", "")
    assert "".join(text.split()) in shown


@pytest.mark.parametrize(
    "text", ["\u202eabc", "名前", "\x1b[31m", "\ud800".encode(errors="replace").decode(), "🟥"]
)
def test_what_the_fonts_cannot_draw_is_written_out(text: str) -> None:
    assert render_pdf(document(text), (), day=DAY).startswith(b"%PDF-")


def test_an_attachment_with_a_path_for_a_name_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be the name of an attachment"):
        render_pdf(document(), (Attachment(name="../x.json", description="", content=b""),), day=DAY)


def test_without_the_extra_it_says_which_command_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)

    with pytest.raises(EnvironmentFaultError) as error:
        render_pdf(document(), (), day=DAY)
    assert error.value.hint == "pip install 'hullmark[pdf]'"


def test_no_folder_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    render_pdf(document(), DATA, day=DAY)

    assert list(tmp_path.iterdir()) == []
