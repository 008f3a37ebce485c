"""What smoke reports prove of judged images: the rules of `proved.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from hullmark.config import load_project
from hullmark.decision import Absence, Expected, Missing, SmokeResult
from hullmark.files import write_whole
from hullmark.gate import Trial
from hullmark.image import LINUX_AMD64, Digest
from hullmark.journal import Journal
from hullmark.pipeline import Source
from hullmark.plan import make_plan
from hullmark.proved import asked_by, asked_here, prove
from hullmark.smoke import SmokeReport, encode_report, load_declared
from tests.repositories import commit, new_repository, switch, write

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = "version = 1\n[images.app]\n"
CHECK = '[[smoke.checks]]\nname = "answers"\ncheck = "tcp"\nport = {}\n'
SMOKE = "version = 1\n[smoke]\n" + CHECK.format(80)
WEAKER = "version = 1\n[smoke]\n" + CHECK.format(22)
DIGEST = Digest(f"sha256:{'1' * 64}")
FILES = {"hullmark.toml": CONFIG, "images/app/smoke.toml": SMOKE, "images/app/Dockerfile": "FROM scratch\n"}


def trial(root: Path, *, expected: Expected = Expected.BOTH) -> Trial:
    head = Source(image="app", platform=LINUX_AMD64, path=root / "dist" / "app.tar")
    base = Missing(reason=Absence.NEVER_RECORDED)
    return Trial(image="app", platform="linux/amd64", base=base, head=head, expected=expected)


def report(root: Path, result: SmokeResult = SmokeResult.PASSED, **changes: object) -> SmokeReport:
    declared = load_declared(root / "images/app")
    made = SmokeReport(
        image="app",
        platform="linux/amd64",
        digest=DIGEST,
        config=DIGEST,
        tests=declared.digest if declared else "",
        result=result,
        hullmark="1",
        detail="" if result is SmokeResult.PASSED else "answers: no connection",
    )
    return msgspec.structs.replace(made, **changes)


def proved(root: Path, *reports: SmokeReport) -> tuple[SmokeResult, str]:
    (found,) = prove([trial(root)], asked_here(load_project(root)), reports)
    return found.smoke, found.smoke_detail


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write(tmp_path, FILES)
    return tmp_path


def test_a_report_that_counts_says_what_became_of_the_test(project: Path) -> None:
    assert proved(project, report(project)) == (SmokeResult.PASSED, "")
    failed = report(project, SmokeResult.FAILED)
    assert proved(project, failed) == (SmokeResult.FAILED, "answers: no connection")


def test_the_report_beside_the_head_is_found(project: Path) -> None:
    write_whole(project / "dist/app.smoke.json", encode_report(report(project)))

    (found,) = prove([trial(project)], asked_here(load_project(project)), ())
    assert (found.smoke, found.smoke_of) == (SmokeResult.PASSED, (DIGEST, DIGEST))


def test_where_a_folder_of_reports_is_named_only_what_lies_in_it_counts(project: Path) -> None:
    write_whole(project / "dist/app.smoke.json", encode_report(report(project)))
    asked = asked_here(load_project(project))
    (project / "smoke").mkdir()

    (found,) = prove([trial(project)], asked, (), folders=[project / "smoke"])
    assert found.smoke is SmokeResult.NOT_RUN

    write_whole(project / "smoke/app.smoke.json", encode_report(report(project, SmokeResult.FAILED)))
    (found,) = prove([trial(project)], asked, (), folders=[project / "smoke"])
    assert found.smoke is SmokeResult.FAILED


def test_without_a_report_that_counts_a_required_test_was_not_run(project: Path) -> None:
    assert proved(project)[0] is SmokeResult.NOT_RUN
    other = report(project, tests=f"sha256:{'2' * 64}")
    assert proved(project, other) == (SmokeResult.NOT_RUN, "the report is of other tests than base's")


def test_where_no_test_is_required_its_absence_says_nothing_and_its_failure_counts(project: Path) -> None:
    write(project, {"hullmark.toml": CONFIG + "[smoke]\nplatforms = []\n"})

    assert proved(project)[0] is SmokeResult.NOT_DECLARED
    assert proved(project, report(project, SmokeResult.FAILED))[0] is SmokeResult.FAILED


def test_an_image_that_declares_nothing_is_left_as_it_is(project: Path) -> None:
    write(project, {"images/app/smoke.toml": None})
    assert proved(project) == (SmokeResult.NOT_DECLARED, "")


def test_a_declaration_that_cannot_be_read_proves_nothing(project: Path) -> None:
    good = report(project)
    write(project, {"images/app/smoke.toml": "version = 2"})
    assert proved(project, good)[0] is SmokeResult.NOT_RUN


def test_bases_declaration_decides_and_a_new_image_is_held_to_heads(tmp_path: Path) -> None:
    root = new_repository(tmp_path / "repository")
    commit(root, FILES)
    strict = report(root)
    switch(root, "topic", new=True)
    commit(root, {"images/app/smoke.toml": WEAKER})
    weak = report(root)
    plan = make_plan(root, "main", "topic", Journal(root / "audit-logs"))

    def result(given: SmokeReport, expected: Expected) -> SmokeResult:
        (found,) = prove([trial(root, expected=expected)], asked_by(plan, root), [given])
        return found.smoke

    assert result(strict, Expected.BOTH) is SmokeResult.PASSED
    assert result(weak, Expected.BOTH) is SmokeResult.NOT_RUN
    assert result(weak, Expected.HEAD_ONLY) is SmokeResult.PASSED
    assert result(strict, Expected.HEAD_ONLY) is SmokeResult.NOT_RUN
