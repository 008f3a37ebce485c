"""The gate: what it costs beside Trivy, what fifty images cost, and comparing two reports against others.

Trivy's own runs are real where they are counted. Where they are not, its answers of before are given again:
the same bytes are read, compared, judged and told.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.budget import Figure
from bench.clock import command, interleave
from hullmark import __version__
from hullmark.config import ScanSettings
from hullmark.event import RunStarted
from hullmark.finding import Severity
from hullmark.formats.decisions import FORMATS, Answer
from hullmark.gate import Judgement, Proposal, Trial, judge
from hullmark.image import LINUX_AMD64
from hullmark.journal import Journal
from hullmark.pipeline import ScanOptions, Source, Toolchain, open_toolchain
from hullmark.policy import Preset, preset
from hullmark.recording import begin_run
from hullmark.scan import System
from hullmark.scanners import sample, specimen
from hullmark.scanners.advisory import Advisory
from hullmark.scanners.specimen import Installed
from hullmark.scanners.trivy.sbom import normalise
from hullmark.scanners.trivy.scan import match_sbom
from hullmark.scanners.trivy.scanner import Answer as Report
from hullmark.scanners.trivy.scanner import Trivy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.workspace import Workspace

PACKAGES = 150
IMAGES = 50
ROUNDS = 9
NOW = datetime(2026, 11, 24, tzinfo=UTC)
NOTHING: Mapping[str, str] = {}
_SYSTEM = System("debian", "13.3")
_RANKS = (Severity.LOW, Severity.MEDIUM, Severity.HIGH)

_COMPARE = """
import sys
from pathlib import Path
from hullmark.delta import compare
from hullmark.scanners.trivy.report import read_report
base, head = (read_report(Path(name).read_bytes(), file=name) for name in sys.argv[1:])
delta = compare(base.findings, head.findings)
print(len(delta.introduced), len(delta.resolved), len(delta.pairs), len(delta.rerated))
"""
_COUNT = '[.Results[]? | .Vulnerabilities[]? | select(.Severity == "{}")] | length'


class _Remembering(Trivy):
    """Trivy that is asked once for each SBOM; afterwards its answer is given again."""

    answers: dict[str, Report]

    def _match(
        self,
        command: Sequence[str],
        source: Path,
        *,
        last: Sequence[str] = (),
        settings: Mapping[str, str] = NOTHING,
    ) -> Report:
        key = sha256(source.read_bytes()).hexdigest()
        if key not in self.answers:
            self.answers[key] = super()._match(command, source, last=last, settings=settings)
        return self.answers[key]


def gate(workspace: Workspace) -> Iterator[Figure]:
    """Two images of 150 packages, without Trivy's own time; then fifty, with it."""
    folder = workspace.fresh("gate")
    _make_database(folder / "db")
    sources = {name: _sbom(folder, name) for name in ("base", "head")}
    tools = open_toolchain(
        ScanOptions(database=folder / "db", skip_canary=True),
        ScanSettings(),
        root=folder,
        environ={},
        now=NOW,
    )
    remembering = _Remembering(tools.trivy.binary, tools.trivy.held, tools.trivy.sandbox)
    remembering.answers = {}
    quick = Toolchain(trivy=remembering, notes=(), facts=None, skip_canary=True)
    with ThreadPoolExecutor(2) as executor:
        yield _own(quick, sources, executor)
    yield from _many(tools, sources, _record_bases(folder, tools, sources["base"]))


def _own(tools: Toolchain, sources: dict[str, Path], executor: ThreadPoolExecutor) -> Figure:
    def run() -> None:
        _tell(_judge(tools, sources, executor, 2))

    run()
    taken = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        run()
        taken.append(time.process_time() - begin)
    return Figure(
        what=f"gate over 2 images of {PACKAGES} packages, without Trivy",
        unit="s",
        at_most=0.15,
        measured=median(taken),
        note="processor time: read, compare, decide, keep, tell as text and Markdown",
    )


def _record_bases(folder: Path, tools: Toolchain, base: Path) -> Journal:
    """What a rescan of the day has recorded of fifty images, with the scanner and database of the gate."""
    journal = Journal(folder / "audit-logs")
    made = tools.trivy.provenance
    names = [f"app-{place}" for place in range(IMAGES)]
    started = RunStarted(
        expected=tuple(f"{name} {LINUX_AMD64}" for name in names),
        scanner=made.scanner,
        database=made.database,
        containment=made.containment,
        hullmark=__version__,
    )
    with begin_run(journal, started, now=NOW, clock_overridden=True) as recording:
        for name in names:
            sbom = normalise(base.read_bytes(), name=name)
            scan = match_sbom(tools.trivy, sbom, image=name, platform=LINUX_AMD64)
            recording.add(scan, sbom, lambda _: (), inputs=None)
        recording.finish(started.expected, {})
    return journal


def _many(tools: Toolchain, sources: dict[str, Path], journal: Journal) -> Iterator[Figure]:
    """On all processors: a gate is not kept on one, and neither are its threads, which begin after that."""
    sbom = sources["base"].read_bytes()
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        with ThreadPoolExecutor(2) as executor:
            times = interleave(
                {
                    "one": lambda: tools.trivy.match(sbom),
                    "two": lambda: list(executor.map(tools.trivy.match, [sbom, sbom])),
                    "gate": lambda: _judge(tools, sources, executor, IMAGES, journal),
                    "unrecorded": lambda: _judge(tools, sources, executor, IMAGES),
                },
                rounds=3,
            )
    finally:
        os.sched_setaffinity(0, own)
    yield Figure(
        what=f"gate over {IMAGES} images / {IMAGES} matches of an SBOM",
        at_most=1.0,
        measured=times.ratio("gate", "one") / IMAGES,
        note=f"{times.seconds('gate'):.1f} s, one match {times.seconds('one') * 1000:.0f} ms, "
        f"{os.cpu_count()} processors",
    )
    yield Figure(
        what="  the same where no base was recorded",
        measured=times.ratio("unrecorded", "one") / IMAGES,
        note=f"{times.seconds('unrecorded'):.1f} s for {2 * IMAGES} matches, not {IMAGES}",
    )
    yield Figure(
        what="  two matches side by side / one",
        measured=times.ratio("two", "one"),
        note="1 where they do not disturb each other, 2 where they wait for each other",
    )


def compare(workspace: Workspace) -> Iterator[Figure]:
    """Two reports of one image, a week apart, as whole processes: ours, `sarif diff`, and counting by jq."""
    reports = _largest_pair(workspace)
    sarif = [_to_sarif(report, workspace.fresh(f"diff-{n}")) for n, report in enumerate(reports)]
    variants = {
        "ours": command([workspace.installed, "-c", _COMPARE, *reports]),
        "sarif": command([workspace.peers / "sarif", "diff", *sarif]),
    }
    jq = shutil.which("jq")
    if jq:
        counts = [
            command([jq, _COUNT.format(severity), report])
            for report in reports
            for severity in ("CRITICAL", "HIGH", "MEDIUM")
        ]
        variants["jq"] = lambda: [count() for count in counts]
    times = interleave(variants, rounds=7)
    size = sum(report.stat().st_size for report in reports) / 2e6
    yield Figure(
        what=f"sarif diff / comparing two reports of {size:.1f} MB",
        at_least=5.0,
        measured=times.ratio("sarif", "ours"),
        note=f"{times.seconds('sarif') * 1000:,.0f} against {times.seconds('ours') * 1000:,.0f} ms",
    )
    if jq:
        yield Figure(
            what="six counts by jq / the same",
            at_least=1.5,
            measured=times.ratio("jq", "ours"),
            note=f"{times.seconds('jq') * 1000:,.0f} against {times.seconds('ours') * 1000:,.0f} ms",
        )
    else:
        yield Figure(what="six counts by jq / the same", measured=None, note="jq is not installed here")


def _make_database(folder: Path) -> None:
    known = date(2026, 1, 1)
    advisories = [
        Advisory(
            id=f"CVE-2026-{number}",
            package=f"source{number % PACKAGES}",
            fixed="2.0-1",
            severity=_RANKS[number % len(_RANKS)],
            known=known,
        )
        for number in range(4 * PACKAGES)
    ]
    sample.build(advisories, folder=folder, updated_at=NOW)


def _sbom(folder: Path, name: str) -> Path:
    """An image of which every fourth package is newer in head."""
    packages = [
        Installed(
            name=f"package{number}",
            version="2.0-1" if name == "head" and number % 4 == 0 else "1.0-1",
            source=f"source{number}",
        )
        for number in range(PACKAGES)
    ]
    path = folder / f"{name}.cdx.json"
    path.write_bytes(specimen.sbom(packages, system=_SYSTEM))
    return path


def _judge(
    tools: Toolchain,
    sources: dict[str, Path],
    executor: ThreadPoolExecutor,
    number: int,
    journal: Journal | None = None,
) -> Judgement:
    """Over `number` images. With a journal each base is the SBOM that was recorded, as a plan has it."""

    def source(image: str, side: str) -> Source:
        is_recorded = side == "base" and journal is not None
        sbom = normalise(sources[side].read_bytes(), name=image) if is_recorded else b""
        return Source(image=image, platform=LINUX_AMD64, path=sources[side], sbom=sbom, is_named=False)

    trials = tuple(
        Trial(
            image=image,
            platform=str(LINUX_AMD64),
            base=source(image, "base"),
            head=source(image, "head"),
        )
        for image in (f"app-{place}" for place in range(number))
    )
    proposal = Proposal(
        trials=trials,
        expected=tuple(trial.label for trial in trials),
        policy=preset(Preset.STRICT),
        max_age=7,
    )
    return judge(tools, proposal, executor, now=NOW, tell=lambda _: None, journal=journal)


def _tell(judgement: Judgement) -> None:
    answer = Answer(
        decision=judgement.decision,
        digest=judgement.digest,
        content=judgement.content,
        load=judgement.evidence.__getitem__,
    )
    for form in ("text", "markdown"):
        FORMATS[form](answer)


def _largest_pair(workspace: Workspace) -> list[Path]:
    """The largest report, and the one of the same image a week earlier."""
    largest = next(week for week in workspace.weeks if week.report == workspace.large)
    number = largest.snapshot.week
    beside = {
        abs(week.snapshot.week - number): week.report
        for week in workspace.weeks
        if week.snapshot.image == largest.snapshot.image and week is not largest
    }
    return [beside[min(beside)], largest.report]


def _to_sarif(report: Path, folder: Path) -> Path:
    beside = Path(sys.executable).with_name("trivy")
    trivy = beside if beside.exists() else Path(shutil.which("trivy") or "trivy")
    out = folder / f"{report.stem}.sarif"
    command([trivy, "convert", "--quiet", "--format", "sarif", "--output", out, report], cwd=folder)()
    return out
