"""Run Trivy, contained, and take its output as data.

Rules (DESIGN §7):
- empty environment, no configuration or ignore file, no filter: the full report is kept, Hullmark filters;
- the cache is in memory: with the default one, one of eight scans at once fails;
- a JAR without a Java database makes Trivy refuse the whole image: it is scanned again without JAR files,
  and the gap is recorded;
- a release that the database or Trivy does not know gives no findings and exit code 0: that is a gap;
- whatever else ends Trivy with another code than 0 is an error that says which file is to blame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hullmark.errors import EnvironmentFaultError, HullmarkError, InputError
from hullmark.files import scratch_folder
from hullmark.sandbox import DEFAULT_TIMEOUT, Sandbox
from hullmark.scan import Coverage, Gap, GapReason, Provenance
from hullmark.scanners import canary
from hullmark.scanners.trivy.decoding import read_file
from hullmark.scanners.trivy.report import Report, read_report
from hullmark.scanners.trivy.sbom import MAX_SBOM
from hullmark.scanners.trivy.wire import MAX_REPORT
from hullmark.text import escape_terminal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hullmark.scanners.database import Held
    from hullmark.scanners.trivy.binary import Binary

# No --quiet: what Trivy does not know about the system stands only on standard error.
_COMMON = ("--config=", "--ignorefile=")
_MATCHING = (
    *("--cache-backend", "memory", "--skip-db-update", "--skip-java-db-update", "--skip-version-check"),
    *("--offline-scan", "--disable-telemetry", *_COMMON, "--show-suppressed"),
    *("--scanners", "vuln", "--format", "json"),
)
# What Trivy's analyser of Java archives looks at (trivy `pkg/fanal/analyzer/language/java/jar`).
_WITHOUT_JAVA = tuple(f"--skip-files=**/*.{ending}" for ending in ("jar", "war", "ear", "par"))

_SHORT: Mapping[str, str] = {"GOGC": "off", "GOMEMLIMIT": "768MiB", "GOMAXPROCS": "1"}
"""Go's settings for runs of a tenth of a second, most of which is Trivy's own start: it collects no garbage
before its memory is short, and stays on one core, so that as many run beside each other as there are cores. A
third less processor time for each, with the same answer."""
_LONG: Mapping[str, str] = {}

_NO_JAVA = b"Unable to initialize the Java DB"
_UNKNOWN_RELEASE = (b"not on the EOL list", b"Unsupported os", b"unsupported os")
_DAMAGED_DATABASE = (b"failed to open db", b"go.etcd.io/bbolt", b"vulnerability DB initialization")
_NO_DATABASE = b"cannot be specified on the first run"
_OTHER_SCHEMA = b"version of DB schema doesn't match"
_BAD_ARCHIVE = (
    b"unable to initialize archive image",
    b"failed to analyze layer",
    b"unable to initialize artifact",
)
_BAD_SBOM = (b"failed to decode SBOM", b"sbom scan error", b"SBOM decode error")
_MAX_REASON = 300
_RELEASE_KEYED = frozenset({"alpine", "debian", "ubuntu"})
"""Families whose advisories are kept by release under a name we know."""


class Answer(NamedTuple):
    """A report as Trivy wrote it, and what it could not look at although it ended well."""

    report: bytes
    gaps: tuple[Gap, ...]


class Trivy:
    """An identified Trivy with one database, in a sandbox. Methods may be called from several threads."""

    def __init__(
        self, binary: Binary, held: Held, sandbox: Sandbox, *, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        self.binary = binary
        self.held = held
        self.sandbox = sandbox
        self.timeout = timeout

    @property
    def provenance(self) -> Provenance:
        """What every scan with this scanner was made with."""
        return Provenance(
            scanner=self.binary.scanner,
            database=self.held.database,
            containment=self.sandbox.containment,
        )

    def scan_archive(self, archive: Path) -> Answer:
        """The report of a docker-archive or of an OCI layout folder."""
        archive = archive.absolute()
        command = ("image", "--input", str(archive), *_MATCHING)
        try:
            return self._match(command, archive)
        except _NoJavaDatabaseError:
            report, gaps = self._match((*command, *_WITHOUT_JAVA), archive)
            return Answer(report, (*gaps, Gap(GapReason.NO_JAVA_DATABASE)))

    def read_archive(self, archive: Path) -> Report:
        """What an image scan of `archive` finds."""
        answer = self.scan_archive(archive)
        return self.read(answer, file=archive)

    def to_sbom(self, report: bytes) -> bytes:
        """The CycloneDX SBOM of the image of `report`, as Trivy writes it."""
        with scratch_folder() as folder:
            path = folder / "report.json"
            path.write_bytes(report)
            output, _ = self._run(
                ("convert", "--format", "cyclonedx", *_COMMON),
                path,
                last=(str(path),),
                limit=MAX_SBOM,
                settings=_SHORT,
            )
        return output

    def match(self, sbom: bytes) -> Report:
        """What the database knows about the packages of `sbom`."""
        with scratch_folder() as folder:
            path = folder / "sbom.cdx.json"
            path.write_bytes(sbom)
            answer = self._match(("sbom", *_MATCHING), path, last=(str(path),), settings=_SHORT)
        return self.read(answer, file="Trivy's report of an SBOM")

    def read(self, answer: Answer, *, file: Path | str) -> Report:
        """Read an answer; what only the run or the database told is part of its coverage."""
        report = read_report(answer.report, file=file)
        gaps = {*report.coverage.gaps, *answer.gaps}
        system = report.system
        if system is not None and system.family in _RELEASE_KEYED:
            [key] = canary.system_keys(Coverage(system=system))
            if key not in self.held.systems:
                gaps.add(Gap(GapReason.UNKNOWN_SYSTEM))
        # One gap with the system's name, whoever noticed it first.
        detail = str(system) if system else ""
        named = {Gap(gap.reason, detail) if gap.reason is GapReason.UNKNOWN_SYSTEM else gap for gap in gaps}
        coverage = msgspec.structs.replace(report.coverage, gaps=tuple(sorted(named)))
        return msgspec.structs.replace(report, coverage=coverage)

    def stop(self) -> None:
        """End every run of Trivy, and start no more."""
        self.sandbox.stop()

    def _match(
        self,
        command: Sequence[str],
        source: Path,
        *,
        last: Sequence[str] = (),
        settings: Mapping[str, str] = _LONG,
    ) -> Answer:
        cache = ("--cache-dir", str(self.held.folder.absolute()), "--timeout", f"{int(self.timeout)}s")
        databases = [
            folder
            for folder in (self.held.folder.absolute() / name for name in ("db", "java-db"))
            if folder.is_dir()
        ]
        report, stderr = self._run(
            (*command, *cache), source, *databases, last=last, limit=MAX_REPORT, settings=settings
        )
        unknown = any(words in stderr for words in _UNKNOWN_RELEASE)
        return Answer(report, (Gap(GapReason.UNKNOWN_SYSTEM),) if unknown else ())

    def _run(
        self,
        command: Sequence[str],
        source: Path,
        *databases: Path,
        last: Sequence[str],
        limit: int,
        settings: Mapping[str, str],
    ) -> tuple[bytes, bytes]:
        with scratch_folder() as folder:
            output = folder / "out.json"
            argv = [str(self.binary.path), *command, "--output", str(output), *last]
            ended = self.sandbox.run(
                argv,
                readable=(source, *databases),
                writable=folder,
                timeout=self.timeout,
                settings=settings,
            )
            if ended.code != 0:
                raise self._explain(ended.stderr, ended.code, source)
            return read_file(output, limit=limit), ended.stderr

    def _explain(self, stderr: bytes, code: int, source: Path) -> HullmarkError:
        """The error that a failed run means: which file is to blame, and Trivy's own reason."""
        if _NO_JAVA in stderr:
            return _NoJavaDatabaseError("a JAR without a Java database")
        reason = _reason(stderr)
        database = self.held.folder / "db" / "trivy.db"
        if _OTHER_SCHEMA in stderr:
            return InputError(
                f"made for another Trivy ({reason})", file=database, hint="Update Trivy and database."
            )
        if _NO_DATABASE in stderr:
            return InputError("no vulnerability database", file=database, hint="Run: hullmark db update")
        if any(words in stderr for words in _DAMAGED_DATABASE):
            return InputError(
                f"the database is damaged ({reason})", file=database, hint="Run: hullmark db update"
            )
        if any(words in stderr for words in (*_BAD_ARCHIVE, *_BAD_SBOM)):
            return InputError(f"Trivy cannot read it: {reason}", file=source)
        return EnvironmentFaultError(f"Trivy failed with code {code} on {source}: {reason}")


class _NoJavaDatabaseError(HullmarkError):
    """Trivy refused an image because of a JAR."""


def _reason(stderr: bytes) -> str:
    """The line of standard error that says most, escaped and bounded."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if line.startswith(("panic:", "fatal error:")):
            return _bounded(line)
        if "FATAL" in line:
            # A list of causes stands on the lines below.
            return _bounded(" ".join((line.rpartition("\t")[2], *lines[number + 1 :])))
    return _bounded(lines[-1]) if lines else "it said nothing"


def _bounded(line: str) -> str:
    text = escape_terminal(line)
    # The cause stands at the end of a chain of contexts.
    return text if len(text) <= _MAX_REASON else f"… {text[-_MAX_REASON:]}"
