"""Checks of the repository as recorded facts, each change with its cause."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from hullmark.checked_tree import CheckedTree
from hullmark.errors import InputError, RepositoryError, UsageError
from hullmark.finding import Cause, Finding, Kind, Severity
from hullmark.image import REPOSITORY, SOURCE, Platform
from hullmark.journal import Journal
from hullmark.outbox import Outbox, apply
from hullmark.projection import project
from hullmark.recorded_checks import Report, record_reports, report_of_sarif
from hullmark.recording import begin_run
from hullmark.scan import Containment, Coverage, Gap, GapReason, Scanner
from hullmark.scanners.tree import copied_folder
from hullmark.verification import verify_history
from tests.checked import write
from tests.parcels import never
from tests.values import EVERYTHING, digest_of, run_started, scan_of

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.event import Scanned

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
NO_HADOLINT = Coverage(gaps=(Gap(GapReason.NO_TOOL, "hadolint (misconfiguration)"),))


def found(id_: str, tool: str = "bandit", kind: Kind = Kind.CODE, path: str = "a.py") -> Finding:
    return Finding(
        kind=kind, id=id_, package_type=tool, package=tool, path=path, severity=Severity.HIGH, line=3
    )


def tool(name: str, version: str) -> Scanner:
    return Scanner(name=name, version=version, binary=digest_of([name, version]), verified=False)


def report(
    *findings: Finding,
    version: str = "1",
    tools: tuple[str, ...] = ("bandit", "trivy"),
    coverage: Coverage = EVERYTHING,
    platform: Platform = SOURCE,
    content: str = "tree",
) -> Report:
    """What tools found, of which bandit has this version."""
    programs = tuple(tool(name, version if name == "bandit" else "1") for name in tools)
    tree = CheckedTree(digest=digest_of(content), commit="c" * 40, tools=programs)
    return Report(platform, tree, Containment.UNSHARE, findings, coverage)


class Recorder:
    """Records checks, a day apart."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.journal = Journal(home / "audit-logs")
        self.days = 0
        self.again: tuple[Finding, ...] | None = None
        self.asked: list[frozenset[str]] = []

    def __call__(self, *reports: Report) -> tuple[Scanned, ...]:
        self.days += 1
        now = NOW + timedelta(days=self.days)
        return record_reports(self.journal, reports, self._check_again, home=self.home, now=now).events

    def _check_again(self, _: CheckedTree, names: frozenset[str]) -> tuple[Finding, ...] | None:
        self.asked.append(names)
        return self.again


@pytest.fixture
def record(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def causes(event: Scanned) -> dict[str, Cause]:
    return {change.id: change.cause for change in (*event.introduced, *event.resolved)}


def test_the_first_check_is_of_cause_scope_and_a_change_of_the_change(record: Recorder) -> None:
    assert causes(record(report(found("B1")))[0]) == {"B1": Cause.SCOPE}
    [event] = record(report(found("B2"), content="other"))

    assert causes(event) == {"B2": Cause.IMAGE, "B1": Cause.IMAGE}
    assert record.asked == []


def test_a_check_that_found_the_same_in_the_same_files_changes_nothing(record: Recorder) -> None:
    record(report(found("B1")))
    assert record(report(found("B1")))[0].is_unchanged


def test_what_only_the_new_tool_sees_or_no_longer_sees_is_of_cause_scanner_the_rest_of_the_change(
    record: Recorder,
) -> None:
    record(report(found("old"), found("gone"), found("DS-1", "trivy")))
    # Base, with today's bandit: `old` is not seen any more, `new` is seen there too.
    record.again = (found("new"), found("gone"))
    [event] = record(report(found("new"), found("added"), found("DS-2", "trivy"), version="2", content="x"))

    assert record.asked == [frozenset({"bandit"})]
    assert causes(event) == {
        "new": Cause.SCANNER,
        "old": Cause.SCANNER,
        "added": Cause.IMAGE,
        "gone": Cause.IMAGE,
        "DS-1": Cause.IMAGE,
        "DS-2": Cause.IMAGE,
    }


def test_where_base_cannot_be_had_any_more_all_that_a_new_tool_changes_is_of_cause_scanner(
    record: Recorder,
) -> None:
    record(report(found("old"), found("DS-1", "trivy")))
    [event] = record(report(found("new"), version="2", content="x"))

    assert causes(event) == {"new": Cause.SCANNER, "old": Cause.SCANNER, "DS-1": Cause.IMAGE}


def test_what_appears_because_a_tool_was_missing_before_is_of_cause_scope(record: Recorder) -> None:
    record(report(coverage=NO_HADOLINT))
    tools = ("bandit", "hadolint", "trivy")
    [event] = record(report(found("DL1", "hadolint"), found("B1"), tools=tools, content="x"))

    assert causes(event) == {"DL1": Cause.SCOPE, "B1": Cause.IMAGE}


def test_a_tool_whose_first_file_is_added_brings_findings_of_the_change(record: Recorder) -> None:
    record(report())
    tools = ("bandit", "hadolint", "trivy")
    assert causes(record(report(found("DL1", "hadolint"), tools=tools, content="x"))[0]) == {
        "DL1": Cause.IMAGE
    }


def test_a_check_with_a_missing_tool_resolves_nothing(record: Recorder) -> None:
    record(report(found("DL1", "hadolint"), tools=("bandit", "hadolint", "trivy")))
    [event] = record(report(coverage=NO_HADOLINT, content="x"))

    assert event.resolved == ()
    timeline = record.journal.timelines(REPOSITORY)[str(SOURCE)]
    assert [interval.is_open for interval in timeline.intervals] == [True]


def test_the_built_in_tools_and_each_foreign_tool_have_histories_of_their_own(record: Recorder) -> None:
    """None resolves what another found."""
    semgrep = Platform("source", "semgrep")
    record(report(found("B1")))
    record(report(found("S1", "semgrep"), tools=("semgrep",), platform=semgrep))
    [event] = record(report(tools=("semgrep",), platform=semgrep, content="x"))

    assert causes(event) == {"S1": Cause.IMAGE}
    timelines = record.journal.timelines(REPOSITORY)
    assert sorted(timelines) == ["source/any", "source/semgrep"]
    assert timelines["source/any"].intervals[0].is_open


def test_a_run_of_checks_says_nothing_about_the_age_of_a_vulnerability_database(record: Recorder) -> None:
    record(report())
    started = run_started(sample=False)  # its database is older than the run of checks
    with begin_run(record.journal, started, now=NOW + timedelta(days=9), clock_overridden=False) as recording:
        recording.add(scan_of(run=started), b"{}", lambda _: (), inputs=None)
        recording.finish(("app linux/amd64",), {})
    record.days = 20
    record(report())
    assert verify_history(record.journal).ok


def test_images_and_the_repository_are_told_apart(record: Recorder) -> None:
    record(report())
    assert record.journal.images() == ()
    assert record.journal.subjects() == (REPOSITORY,)


def test_what_is_recorded_is_shown_in_audit_log_and_baseline_each_kind_with_its_own_count(
    record: Recorder,
) -> None:
    looked = Coverage(kinds={Kind.CODE: ("bandit 1",), Kind.SECRET: ("trivy 1",)})
    record(report(found("B1"), found("k", "trivy", Kind.SECRET, "a|b.ini"), coverage=looked))
    log = (record.home / "audit-logs/repository.md").read_text()
    baseline = json.loads((record.home / "cve-baseline/repository.json").read_text())

    assert "- Open after this check, code: 0 critical, 1 high" in log
    assert "| HIGH | secret | k | a\\|b.ini | trivy | scope |" in log
    assert baseline["kinds"]["secret"]["high"] == 1
    assert baseline["kinds"]["code"]["high"] == 1
    assert baseline["rules"] == ["B1", "k"]
    assert [one["name"] for one in baseline["tools"]] == ["bandit", "trivy"]


def test_deleting_what_is_generated_and_projecting_again_gives_the_same_bytes(record: Recorder) -> None:
    record(report(found("B1")), report(found("S1", "semgrep"), platform=Platform("source", "semgrep")))
    paths = [record.home / "audit-logs/repository.md", *sorted((record.home / "cve-baseline").iterdir())]
    before = {path: path.read_bytes() for path in paths}
    for path in paths:
        path.unlink()
    project(record.journal, record.home)

    assert {path: path.read_bytes() for path in paths} == before
    assert [path.name for path in paths[1:]] == ["repository.json", "repository@source-semgrep.json"]


def test_evidence_that_does_not_say_what_was_checked_is_refused(record: Recorder) -> None:
    record(report())
    evidence = record.journal.evidence
    before = record.journal.standings(REPOSITORY)[str(SOURCE)].latest.sbom
    from hullmark.checked_tree import parse_checked_tree

    with pytest.raises(RepositoryError, match="does not say what was checked"):
        parse_checked_tree(b"[]", place=str(evidence.path(before)))


def test_what_waits_to_be_published_continues_the_published_history_with_the_same_causes(
    record: Recorder, tmp_path: Path
) -> None:
    outbox, shared = Outbox(tmp_path / "outbox"), Recorder(tmp_path / "shared")
    shared(report(found("old"), found("gone")))
    record.again = (found("new"), found("gone"))
    record_reports(
        record.journal,
        [report(found("new"), found("added"), version="2", content="x")],
        record._check_again,
        home=record.home,
        now=NOW + timedelta(days=5),
        outbox=outbox,
        published=shared.journal,
    )
    [digest] = outbox.digests()
    [event] = apply(outbox, digest, shared.journal, never, now=NOW + timedelta(days=6))

    assert causes(event) == {
        "new": Cause.SCANNER,
        "old": Cause.SCANNER,
        "added": Cause.IMAGE,
        "gone": Cause.IMAGE,
    }
    assert verify_history(shared.journal).ok


SARIF = {
    "version": "2.1.0",
    "runs": [
        {
            "tool": {"driver": {"name": "Semgrep OSS", "semanticVersion": "1.2", "rules": [{"id": "r1"}]}},
            "results": [
                {
                    "ruleId": "r1",
                    "locations": [
                        {
                            "physicalLocation": {
                                "artifactLocation": {"uri": "a.py"},
                                "region": {"startLine": 1},
                            }
                        }
                    ],
                }
            ],
        }
    ],
}


def test_what_a_foreign_tool_found_is_known_by_the_content_of_the_file(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "call(x)\n"})
    with copied_folder(tmp_path) as tree:
        made = report_of_sarif(
            json.dumps(SARIF).encode(),
            tree,
            file=tmp_path / "x",
            root=tmp_path,
            tool="semgrep",
            kind=Kind.CODE,
        )
    [finding] = made.findings

    assert (finding.package_type, finding.id, finding.path, finding.line) == ("semgrep", "r1", "a.py", 1)
    assert len(finding.discriminator) == 12
    assert made.platform == Platform("source", "semgrep")
    assert made.coverage.kinds == {Kind.CODE: ("semgrep 1.2",)}


@pytest.mark.parametrize("name", ["", "Semgrep", "a/b", "../x", "x" * 41, "any tool"])
def test_a_name_that_is_none_of_a_tool_is_refused(tmp_path: Path, name: str) -> None:
    with copied_folder(tmp_path) as tree, pytest.raises((UsageError, InputError)):
        report_of_sarif(
            json.dumps(SARIF).encode(), tree, file=tmp_path, root=tmp_path, tool=name, kind=Kind.CODE
        )
