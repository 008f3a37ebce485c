"""Known answers: a test of scanner and database, before any of their findings count.

Rules:
- For each release and ecosystem of a run for which facts are held, a tiny SBOM with vulnerable packages is
  matched; the first of them is scanned as a tiny image too.
- Every fact must be reported, and nothing for the same packages in a version far beyond the fix.
- A wrong answer means that scanner or database are not trusted: IncompleteError, never a finding less.
- A system without facts gives the note `no-canary`; skipping gives the note `unsafe-skip-canary`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from hullmark.errors import IncompleteError, InputError
from hullmark.files import scratch_folder
from hullmark.finding import Finding, Severity
from hullmark.scan import Coverage, Note, NoteReason, System
from hullmark.scanners import specimen
from hullmark.scanners.advisory import Advisory, Text
from hullmark.scanners.specimen import Installed
from hullmark.toml import decode_toml, read_toml

if TYPE_CHECKING:
    from collections.abc import Sequence

Match = Callable[[bytes], Iterable[Finding]]
"""Findings of an SBOM in Trivy's form."""

ScanArchive = Callable[[Path], Iterable[Finding]]
"""Findings of a docker-archive."""

_HELD = "canary.toml"
_SHOWN = 3
_FAR_VERSION = "99:1"
_FAR_NAME = "hullmark-canary-{}"

# Package types, as a scan counts them, by the ecosystem whose advisories they are matched with.
_ECOSYSTEM_OF = {
    "node-pkg": "npm",
    "npm": "npm",
    "yarn": "npm",
    "pnpm": "npm",
    "bun": "npm",
    "python-pkg": "pip",
    "pip": "pip",
    "pipenv": "pip",
    "poetry": "pip",
    "uv": "pip",
    "gobinary": "go",
    "gomod": "go",
    "jar": "maven",
    "pom": "maven",
    "gradle": "maven",
    "gemspec": "rubygems",
    "bundler": "rubygems",
    "composer": "composer",
    "composer-vendor": "composer",
    "cargo": "cargo",
    "rustbinary": "cargo",
    "nuget": "nuget",
    "dotnet-core": "nuget",
}
_SPECIMEN_TYPES: dict[str, specimen.Type] = {"npm": "node-pkg", "pip": "python-pkg"}
_RELEASE_PARTS = {"debian": 1, "alpine": 2, "ubuntu": 2}


class Fact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A vulnerability that must be reported in one version of one package."""

    system: Text
    id: Text
    package: Text
    """The package that the advisory names: the source package of an operating system."""
    binary: str = ""
    """The package that is installed; empty: of the same name."""
    present: Text
    """The installed version, older than the fix."""
    fixed: Text
    severity: Severity = Severity.UNKNOWN

    @property
    def installed(self) -> str:
        """Name of the package that is installed."""
        return self.binary or self.package


class FactFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of known answers."""

    version: Literal[1]
    fact: tuple[Fact, ...]


class CanaryResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was tested before any finding counts."""

    checked: tuple[str, ...] = ()
    """Systems and ecosystems whose known answers came back, sorted."""
    notes: tuple[Note, ...] = ()
    """What a scan's coverage must tell: no canary held, canary skipped."""


def load(path: Path) -> tuple[Fact, ...]:
    """Read known answers from `path`."""
    return _checked(read_toml(path, FactFile), path)


def held() -> tuple[Fact, ...]:
    """The known answers that Hullmark brings along."""
    raw = (resources.files("hullmark.scanners") / _HELD).read_bytes()
    return _checked(decode_toml(raw, FactFile, file=_HELD), _HELD)


def _checked(document: FactFile, file: Path | str) -> tuple[Fact, ...]:
    if not document.fact:
        raise InputError("no known answer", file=file, key="fact", hint="Add a table [[fact]].")
    versions: dict[tuple[str, str], str] = {}
    for index, fact in enumerate(document.fact):
        key = f"fact[{index}]"
        if not _is_testable(fact.system):
            raise InputError(f"no specimen can be made for {fact.system!r}", file=file, key=f"{key}.system")
        if versions.setdefault((fact.system, fact.installed), fact.present) != fact.present:
            raise InputError(f"{fact.installed} has two versions", file=file, key=f"{key}.present")
    return document.fact


def _is_testable(key: str) -> bool:
    return key in _SPECIMEN_TYPES or key.partition(" ")[0] in {"debian", "ubuntu"}


def advisories() -> tuple[Advisory, ...]:
    """The held facts as advisories, for sample databases, which must pass the canary too."""
    return tuple(
        Advisory(id=f.id, system=f.system, package=f.package, fixed=f.fixed, severity=f.severity)
        for f in held()
    )


def system_keys(coverage: Coverage) -> tuple[str, ...]:
    """The names under which facts about what `coverage` saw are kept: `debian 13`, `npm`; sorted."""
    keys = {_ECOSYSTEM_OF[type_] for type_ in coverage.package_types if type_ in _ECOSYSTEM_OF}
    if coverage.system is not None:
        parts = coverage.system.release.split(".")
        kept = _RELEASE_PARTS.get(coverage.system.family, len(parts))
        keys.add(f"{coverage.system.family} {'.'.join(parts[:kept])}".strip())
    return tuple(sorted(keys))


def skip() -> CanaryResult:
    """The result of not testing at all, which every scan of the run then carries."""
    return CanaryResult(notes=(Note(NoteReason.UNSAFE_SKIP_CANARY),))


def check(
    match: Match,
    scan_archive: ScanArchive,
    systems: Iterable[str],
    *,
    facts: Sequence[Fact] | None = None,
) -> CanaryResult:
    """Test scanner and database with the known answers for `systems` (see `system_keys`).

    `facts` are those of `--canary FILE`; none: the held ones. Raises IncompleteError naming what is missing.
    """
    known = held() if facts is None else facts
    wanted = sorted(set(systems))
    tested = {fact.system for fact in known}.intersection(wanted)
    wrong: list[str] = []
    for index, group in enumerate(_groups(sorted(tested))):
        chosen = [fact for fact in known if fact.system in group]
        packages, system = _packages(chosen), _system(group)
        answers = [("SBOM", match(specimen.sbom(packages, system=system)))]
        if index == 0:
            answers.append(("image", _scan(scan_archive, specimen.archive(packages, system=system))))
        for how, findings in answers:
            wrong.extend(f"{problem} ({how})" for problem in _judge(chosen, findings))
    if wrong:
        more = f", and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise IncompleteError(
            f"scanner or database are not trusted: {', '.join(wrong[:_SHOWN])}{more}",
            hint="Run `hullmark db update`; for a database of your own give its known answers with "
            "--canary FILE. --unsafe-skip-canary goes on without any, and is recorded.",
        )
    notes = tuple(Note(NoteReason.NO_CANARY, key) for key in wanted if key not in tested)
    return CanaryResult(checked=tuple(sorted(tested)), notes=notes)


def _groups(keys: Iterable[str]) -> list[tuple[str, ...]]:
    """One group for each operating system, the first with all language ecosystems: each group is one scan."""
    keys = list(keys)
    languages = tuple(key for key in keys if key in _SPECIMEN_TYPES)
    releases = [key for key in keys if key not in _SPECIMEN_TYPES]
    if not releases:
        return [languages] if languages else []
    return [(releases[0], *languages), *((release,) for release in releases[1:])]


def _system(group: tuple[str, ...]) -> System | None:
    family, _, release = group[0].partition(" ")
    return System(family, release) if release else None


def _packages(facts: Iterable[Fact]) -> tuple[Installed, ...]:
    """Each fact's package as it was, and, for operating systems, one far beyond the fix."""
    packages: dict[tuple[str, str], Installed] = {}
    for fact in facts:
        type_ = _SPECIMEN_TYPES.get(fact.system)
        if type_ is not None:
            packages[fact.system, fact.installed] = Installed(
                type=type_, name=fact.installed, version=fact.present
            )
            continue
        family: specimen.Type = "ubuntu" if fact.system.startswith("ubuntu") else "debian"
        for name, version in (
            (fact.installed, fact.present),
            (_FAR_NAME.format(fact.package), _FAR_VERSION),
        ):
            packages[fact.system, name] = Installed(
                type=family, name=name, version=version, source=fact.package, source_version=version
            )
    return tuple(packages.values())


def _scan(scan_archive: ScanArchive, archive: bytes) -> Iterable[Finding]:
    with scratch_folder() as folder:
        path = folder / "canary.tar"
        path.write_bytes(archive)
        return tuple(scan_archive(path))


def _judge(facts: Iterable[Fact], findings: Iterable[Finding]) -> list[str]:
    """What is wrong with `findings`, in words; empty when all known answers are there."""
    reported = {(finding.id, finding.package) for finding in findings}
    wrong: list[str] = []
    for fact in facts:
        if (fact.id, fact.installed) not in reported:
            wrong.append(f"{fact.id} was not found in {fact.installed} {fact.present} on {fact.system}")
        if (fact.id, _FAR_NAME.format(fact.package)) in reported:
            wrong.append(f"{fact.id} was found in {fact.package} {_FAR_VERSION}, far beyond its fix")
    return wrong
